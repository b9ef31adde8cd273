"""RunConfig: everything that decides a run's numbers."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from dpls.attacks import PGD, PMA, AnyAttack, Eps, Margins
from dpls.component import Component, article
from dpls.data import Data
from dpls.data.augmentation import Augmentation
from dpls.device import DeviceName, Precision
from dpls.difficulty.scale import Difficulty
from dpls.evaluations import AnyEvaluation
from dpls.methods import PGDAT, AnyObjective, Elsewhere, Standard
from dpls.methods.labels import Factors, Hard
from dpls.methods.objective import Objective
from dpls.methods.subset import Subset
from dpls.nets.networks import Net, SmallCNN

Epoch = Annotated[int, Field(ge=1, le=10_000)]


class Optimiser(Component):
    """Stochastic gradient descent with momentum."""

    lr: float = Field(0.1, gt=0, le=100, description="learning rate before any decay", json_schema_extra=article("0.1"))
    momentum: float = Field(0.9, ge=0, lt=1, description="of the gradient", json_schema_extra=article("0.9"))
    nesterov: bool = Field(False, description="look ahead along the momentum")
    weight_decay: float = Field(
        5e-4, ge=0, le=1, description="applied to all parameters", json_schema_extra=article("5e-4")
    )
    batch_size: int = Field(
        128,
        ge=2,
        le=65_536,
        description="images a step at most; an epoch is cut into equal batches",
        json_schema_extra=article("128"),
    )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Optimiser":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Schedule(Component):
    """Learning rate over global epochs: linear warm-up, then steps down or a straight line to 0 at the last epoch."""

    decays: tuple[Epoch, ...] = Field(
        (),
        description="epochs after which the learning rate is multiplied by factor",
        json_schema_extra=article("100, 105"),
    )
    factor: float = Field(0.1, gt=0, le=1, description="what a decay multiplies by", json_schema_extra=article("0.1"))
    warmup: float = Field(0, ge=0, description="epochs of linear rise from 0")
    anneal: bool = Field(False, description="after the warm-up fall linearly to 0 at the last epoch")

    def scale(self, epoch: float, epochs: int) -> float:
        """Multiple of lr after ``epoch`` epochs (fractional within one); epoch 0 is the start of training."""
        steps = self.factor ** sum(epoch >= decay for decay in self.decays)
        rise = min(1.0, epoch / self.warmup) if self.warmup else 1.0
        fall = min(1.0, (epochs - epoch) / (epochs - self.warmup)) if self.anneal else 1.0
        return float(steps * min(rise, fall))


class Phase(Component):
    """Epochs with the same objective, factors and examples. A phase starts where the one before it ends."""

    until: Epoch = Field(
        description="last epoch of the phase, counted from the start of training",
        json_schema_extra=article("T = 90, then 110"),
    )
    factors: Factors = Field(Hard(), description="label smoothing; computed once, when the phase starts")
    subset: Subset | None = Field(None, description="which training examples take part; none: all")
    objective: AnyObjective | None = Field(None, description="none: the run's objective")
    average: bool = Field(
        False,
        description="take the weights after each of its epochs into a mean (SWA); it is a checkpoint beside best and"
        " last",
    )

    @property
    def uses_own_difficulty(self) -> bool:
        """Whether what the run itself has recorded decides its labels or its examples."""
        subset = self.subset
        return self.factors.needs_difficulty or bool(subset and subset.needs_difficulty and not subset.scores)


class Selection(Component):
    """How the best checkpoint of the last phase is chosen: by accuracy on validation images; never on test images."""

    by: Literal["robust", "clean"] = Field("robust", description="which accuracy decides; the earliest best epoch wins")
    attack: AnyAttack = Field(
        PMA(steps=10, starts=1), description="attack that robust means", json_schema_extra=article("PGD-10")
    )
    every: int = Field(1, ge=1, description="epochs between two attacks", json_schema_extra={"unit": "epochs"})

    @property
    def column(self) -> str:
        """The column of metrics.jsonl that decides."""
        return f"validation_{self.by}"


class RunConfig(Component):
    """A run. Data, net, objective, factors and eps combine freely."""

    data: Data = Data()
    augmentation: Augmentation = Augmentation()
    net: Net = SmallCNN()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    eps: Eps = Field(
        8 / 255, description="radius of every attack that does not set its own", json_schema_extra=article("8/255")
    )
    objective: AnyObjective = PGDAT()
    attack_warmup: int = Field(
        0,
        ge=0,
        le=10_000,
        description="first epochs trained on clean images, for a net at chance may never learn from attacked ones; T"
        " counts them like any other",
        json_schema_extra={"unit": "epochs"},
    )
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    difficulty: Difficulty = Difficulty()
    observing: Literal["sweep", "presentation"] = Field(
        "sweep",
        description="when clean signals are recorded: in a sweep over un-augmented images after each epoch, or at each"
        " presentation on the augmented image, as the article has it",
    )
    selection: Selection = Selection()
    evaluations: tuple[AnyEvaluation, ...] = Field(
        (Margins(), PGD(steps=20)),
        description="attacks on the test images after training; the first judges, and other parts meet it alone",
        json_schema_extra=article("PGD-20, A3"),
    )
    evaluate_also: tuple[Literal["train", "validation"], ...] = Field(
        (), description="parts evaluated beside the test images; train: the last checkpoint, those left out included"
    )
    keep_every: int = Field(
        0,
        ge=0,
        le=10_000,
        description="keep the weights after every so many epochs, to be looked at as a series; 0: none",
        json_schema_extra={"unit": "epochs"},
    )
    seed: int = Field(0, ge=0, lt=2**31, description="initialisation, order, augmentation and attack noise")
    precision: Precision = Field("auto", description="bfloat16 where the hardware multiplies it natively, else float32")
    device: DeviceName = "auto"

    @model_validator(mode="after")
    def _coherent(self) -> "RunConfig":
        ends = [phase.until for phase in self.phases]
        if ends != sorted(set(ends)):
            raise ValueError(f"phases must end at rising epochs, got {ends}")
        if self.phases[0].uses_own_difficulty and not self.difficulty.scores:
            raise ValueError(
                "the first phase cannot use difficulty, nothing is recorded yet; put a phase with hard labels before it"
            )
        if self.difficulty.adversarial and not (self.phases[0].objective or self.objective).attacks:
            raise ValueError("difficulty.adversarial needs a first phase that attacks; standard training does not")
        if self.schedule.decays != tuple(sorted(set(self.schedule.decays))):
            raise ValueError(f"schedule.decays must rise, got {list(self.schedule.decays)}")
        if self.schedule.warmup >= self.epochs:
            raise ValueError(
                f"schedule.warmup = {self.schedule.warmup:g} must be shorter than the {self.epochs} epochs"
            )
        if self.attack_warmup >= self.epochs:
            raise ValueError(
                f"attack_warmup = {self.attack_warmup} must be shorter than the {self.epochs} epochs; set it to"
                f" {self.epochs // 4}, or train longer"
            )
        if self.difficulty.adversarial and self.attack_warmup >= self.counted_epochs:
            raise ValueError(
                f"difficulty.adversarial needs attacked images within T = {self.counted_epochs}, and attack_warmup ="
                f" {self.attack_warmup} leaves none"
            )
        return self

    @property
    def epochs(self) -> int:
        return self.phases[-1].until

    @property
    def elsewhere(self) -> Elsewhere | None:
        """What is known of a run that was not trained here, as its last phase says it; None of all others."""
        objective = self.phases[-1].objective or self.objective
        return objective if isinstance(objective, Elsewhere) else None

    @property
    def loaded(self) -> Elsewhere | None:
        """What is known of the epochs whose weights were loaded, if the run begins with such; they are its first
        phase."""
        objective = self.phases[0].objective or self.objective
        return objective if isinstance(objective, Elsewhere) and objective.weights else None

    @property
    def borders(self) -> tuple[int, ...]:
        """Epochs after which the full state is kept: ends of phases, and decays."""
        return tuple(
            sorted({phase.until for phase in self.phases} | {d for d in self.schedule.decays if d < self.epochs})
        )

    @property
    def counted_epochs(self) -> int:
        """T, the epochs whose record is called difficulty: those before the last phase, or all of a single phase."""
        return self.last_phase_start or self.epochs

    @property
    def counts_attacked(self) -> bool:
        """Whether difficulty may be counted on attacked images: from the first phase on there are such."""
        return (self.phases[0].objective or self.objective).attacks

    @property
    def last_phase_start(self) -> int:
        """The epoch after which the last phase starts.

        The best checkpoint is one of the last phase's, and what lies before may be shared with other runs: so neither
        depends on whether it was.
        """
        return self.phases[-2].until if len(self.phases) > 1 else 0

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The checkpoints that are evaluated after training; of one model that was loaded there is one."""
        if self.loaded and self.epochs == 1:
            return ("best",)
        return ("best", "last", *["average"] * any(phase.average for phase in self.phases))

    def chosen_by(self, checkpoint: str) -> str:
        """How a checkpoint is chosen, in words, for every number that depends on it; of a resolved configuration."""
        if self.loaded and self.epochs == 1:
            return "the weights that were loaded"
        if checkpoint == "best":
            by = self.selection.attack.title if self.selection.by == "robust" else "clean"
            return f"validation accuracy, {by}, epochs {self.last_phase_start + 1}-{self.epochs}"
        if checkpoint == "average":
            epochs = [f"{start + 1}-{phase.until}" for start, phase in self.phases_after(0) if phase.average]
            return f"mean of the weights after epochs {', '.join(epochs)}"
        return "last epoch" if checkpoint == "last" else "named by hand"

    def evaluations_of(self, tested: bool) -> tuple[AnyEvaluation, ...]:
        """The attacks that test images meet, or those that training and validation images do: the judge alone."""
        return self.evaluations if tested else self.evaluations[:1]

    def phases_after(self, done: int) -> list[tuple[int, Phase]]:
        """The phases not finished after ``done`` epochs, each with the epoch after which it starts."""
        starts = (0, *(phase.until for phase in self.phases))
        return [(start, phase) for start, phase in zip(starts, self.phases, strict=False) if phase.until > done]

    def resolved(self) -> "RunConfig":
        """The same run with every attack's eps and every phase's objective filled in."""
        phases = tuple(p.model_copy(update={"objective": p.objective or self.objective}) for p in self.phases)
        return _fill_eps(self.model_copy(update={"phases": phases}), self.eps)

    def objective_in(self, phase: Phase, epoch: int) -> Objective:
        """What an epoch of a phase minimises, counted from 1: clean images while the attack has not begun."""
        objective = phase.objective or self.objective
        begun = isinstance(objective, Elsewhere) or not objective.attacks or epoch > self.attack_warmup
        return objective if begun else Standard()


C = TypeVar("C", bound=Component)


def _fill_eps(component: C, eps: float) -> C:
    def fill(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(fill(v) for v in value)
        return _fill_eps(value, eps) if isinstance(value, Component) else value

    update = {name: fill(getattr(component, name)) for name in type(component).model_fields}
    if getattr(component, "eps", eps) is None:
        update["eps"] = eps
    return component.model_copy(update=update)
