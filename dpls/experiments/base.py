"""What a kind of experiment is: settings, the runs they ask for, what their outcomes say, and words for page and form.

Every arm of a seed sees the same order, augmentation and attack noise. No torch.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from dpls.attacks import PGD
from dpls.component import Component, Fractional, show_fraction
from dpls.errors import UserError
from dpls.evaluations import AnyEvaluation, Checks, DiffPure, named
from dpls.experiments.outcomes import ALL, Outcomes, percent, role_of
from dpls.experiments.result import Result
from dpls.methods.objectives import Standard
from dpls.methods.subset import Subset, Which
from dpls.recipe import Phase, RunConfig
from dpls.runs.report import data_of

SIDES: tuple[Which, ...] = ("hardest", "easiest", "matched")
HARDEST_AND_RANDOM: tuple[Which, ...] = ("hardest", "matched")


@dataclass(frozen=True)
class Planned:
    """A run to be. ``config`` names roles where a run's names ids: in the scores of its subsets."""

    arm: str
    seed: int
    config: RunConfig
    after: str | None = None
    """Role of the run from whose state at the start of the last phase it branches."""

    @property
    def role(self) -> str:
        return role_of(self.arm, self.seed)

    @property
    def scores(self) -> list[str]:
        """Roles of the runs whose scores choose its examples."""
        return sorted({name for phase in self.config.phases if phase.subset for name in phase.subset.scores})

    def resolved(self, ids: dict[str, str]) -> RunConfig:
        """The configuration with ids for roles."""

        def of(phase: Phase) -> Phase:
            named = {"scores": tuple(ids[role] for role in phase.subset.scores)} if phase.subset else {}
            return phase.model_copy(update={"subset": phase.subset and phase.subset.model_copy(update=named)})

        return self.config.model_copy(update={"phases": tuple(map(of, self.config.phases))})


def _by_name(judge: Any) -> Any:
    """A short name is as good as its settings: judge=a3."""
    if not isinstance(judge, str):
        return judge
    try:
        return named(judge).model_dump()
    except UserError as error:
        raise ValueError(str(error)) from None


class Experiment(Component):
    """What all kinds have in common. Their runs train in two phases: with hard labels up to the border, and on.

    A kind adds ``kind: Literal[...]``, its name, and the words below.
    """

    question: ClassVar[str]
    """What it does and asks, as Markdown, for its page."""
    title: ClassVar[str] = ""
    """What people call the kind, where its name does not do."""
    asked_first: ClassVar[tuple[str, ...]]
    """Settings that the form shows at once; the rest stands behind a click."""
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """{preset of experiments: settings beside its base}; none for a preset: the defaults."""
    on_own_page: ClassVar[bool] = False
    """Whether it is shown on a page of its own, and not with the others."""
    makes_measures: ClassVar[bool] = False
    """Whether its result becomes a measure of the images; its outcomes keep all measures then, to compare it with."""
    tells_best_from_last: ClassVar[bool] = True
    """Whether its charts show the best checkpoint beside the last."""

    base: RunConfig
    seeds: int = Field(
        5, ge=1, le=50, title="Seeds", description="how often, each with another initialisation, order and noise"
    )

    judge: Annotated[AnyEvaluation, BeforeValidator(_by_name)] | None = Field(
        None,
        title="Judge",
        description="the attack by which arms are compared, as a3 or autoattack; none: the first of base.evaluations",
    )

    @model_validator(mode="after")
    def _there_is_a_border(self) -> "Experiment":
        if not self.border:
            raise ValueError(
                "base has one phase and no decay of the learning rate; set base.schedule.decays, or give it two phases,"
                " so that there is an epoch up to which difficulty is counted"
            )
        return self

    @model_validator(mode="after")
    def _the_base_is_plain(self) -> "Experiment":
        if any(phase.objective for phase in self.base.phases):
            raise ValueError("base.phases have objectives of their own; an experiment trains by base.objective alone")
        if isinstance(self.judge, Checks | DiffPure):
            raise ValueError(f"judge = {self.judge.kind} says nothing of a net under attack; choose an attack")
        if all(isinstance(attack, Checks | DiffPure) for attack in (self.judge, *self.base.evaluations) if attack):
            raise ValueError(
                "base.evaluations names no attack; an experiment compares what withstands an attack, so name one"
            )
        return self

    @classmethod
    def name(cls) -> str:
        """What its kind is called, by people and in folders."""
        return str(cls.model_fields["kind"].default)

    @property
    def in_words(self) -> str:
        """e.g. ``digits, 8% planted, PGD-AT 0.1, 20%, 5 seeds``."""
        objective = f"{self.base.objective.title} {show_fraction(self.base.eps)}"
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"
        return ", ".join([data_of(self.base), objective, *self.own_words, seeds])

    @property
    def own_words(self) -> tuple[str, ...]:
        """What tells it from others of its kind, beside base and seeds."""
        return ()

    @property
    def attacks(self) -> tuple[AnyEvaluation, ...]:
        """The judge, by which arms are compared, and what stands beside it."""
        named = [attack for attack in self.base.evaluations if not isinstance(attack, Checks | DiffPure)]
        judge = self.judge or named[0]
        return (judge, *(attack for attack in named if attack != judge and isinstance(attack, PGD)))

    @property
    def counted_in(self) -> str:
        """In which run difficulty was counted, in words."""
        return "in the run itself"

    @property
    def border(self) -> int:
        """T: difficulty is counted up to the first decay, or up to the last phase where there is none."""
        decays = [decay for decay in self.base.schedule.decays if decay < self.base.epochs]
        return decays[0] if decays else self.base.last_phase_start

    @abstractmethod
    def arms(self, seed: int) -> Iterator[Planned]:
        """The runs of one seed beside the one on all images."""

    @abstractmethod
    def summarise(self, o: Outcomes) -> Result:
        """What the outcomes of its runs say; of those that have finished."""

    def new_measures(self, o: Outcomes) -> dict[str, NDArray[np.float64]]:  # noqa: ARG002
        """Made once all its runs are done: {"" or what follows its name: (N,) by id, higher = harder, NaN unknown}."""
        return {}

    def settled(self, pin: Callable[[str], str]) -> Self:
        """The same, scores from elsewhere that its runs are trained by named with their content, as ``pin`` does."""
        own = self.base.difficulty
        if not own.scores:
            return self
        named = {"difficulty": own.model_copy(update={"scores": pin(own.scores)})}
        return self.model_copy(update={"base": self.base.model_copy(update=named)})

    def check(self, images: int) -> None:
        """A UserError where it cannot do with so many training images."""

    def plan(self) -> list[Planned]:
        """All runs; one that needs another comes after it."""
        seeds = range(self.base.seed, self.base.seed + self.seeds)
        runs = [Planned(ALL, seed, self.config(seed)) for seed in seeds]
        runs += [run for more in (self.judges, self.arms) for seed in seeds for run in more(seed)]
        return list({run.role: run for run in runs}.values())

    def config(self, seed: int, objective: Any = None, **last_phase: Any) -> RunConfig:
        """A run on all images with this seed; ``last_phase`` changes its last phase."""
        base = self.base
        standard = isinstance(objective, Standard)
        phases = (Phase(until=self.border), Phase(until=base.epochs, **last_phase))
        changes: dict[str, Any] = {"seed": seed, "phases": phases, "evaluate_also": ("train", "validation")}
        changes["evaluations"] = self.attacks
        if standard:
            changes |= {"objective": objective, "selection": base.selection.model_copy(update={"by": "clean"})}
            changes["difficulty"] = base.difficulty.model_copy(update={"adversarial": False})
        return RunConfig.model_validate(base.model_copy(update=changes).model_dump())

    def from_scratch(self, seed: int, subset: Subset, objective: Any = None, **last_phase: Any) -> RunConfig:
        """A run that trains on the subset from its first epoch on."""
        config = self.config(seed, objective, **last_phase)
        phases = tuple(phase.model_copy(update={"subset": subset}) for phase in config.phases)
        return config.model_copy(update={"phases": phases})

    def judges_of(self, seed: int) -> tuple[str, ...]:
        """Roles of the runs whose difficulty counts for a seed; its own, unless something is chosen by it."""
        return (role_of(ALL, seed),)

    def judges(self, seed: int) -> Iterator[Planned]:  # noqa: ARG002
        """Runs of a seed that only judge."""
        return iter(())


class ByDifficulty(Experiment):
    """An experiment whose arms differ in which examples they train on. Scores never come from the run they choose for,
    unless that is asked for: to choose what a net got wrong and then find that it gets it wrong proves nothing."""

    action: ClassVar[Literal["drop", "keep"]] = "drop"
    """What it does to the share it chooses."""

    share: Fractional
    """Of the training images; in (0, 0.9)."""
    scores: Literal["another_seed", "folds", "same_seed"] = Field(
        "another_seed",
        title="Scores from",
        description="whose difficulty chooses: a run of another seed; runs that each leave a fold out, so that none"
        " judges what it trained on; or the run itself, which favours the effect that is looked for",
    )
    folds: int = Field(5, ge=2, le=20, title="Folds", description="folds of cross-fitted scores")
    standard: bool = Field(
        True,
        title="Standard training, too",
        description="the same with standard training, where the effect should be smaller",
    )

    @model_validator(mode="after")
    def _standard_is_something_else(self) -> "ByDifficulty":
        if self.standard and not self.base.objective.attacks:
            raise ValueError("base trains without attack already; set standard = false, or another base.objective")
        return self

    @model_validator(mode="after")
    def _left_out_are_judged(self) -> "ByDifficulty":
        if self.scores == "folds" and self.base.difficulty.adversarial:
            raise ValueError(
                "scores = folds needs base.difficulty.adversarial = false: images that are left out are not attacked"
                " in training, so the runs that left them out cannot judge them"
            )
        return self

    @property
    def own_words(self) -> tuple[str, ...]:
        return (percent(self.share),)

    @property
    def cuts(self) -> list[tuple[Which, float]]:
        """What it chooses by difficulty: the side, and the share."""
        return [(which, self.share) for which in SIDES[:2]]

    @property
    def counted_in(self) -> str:
        return {
            "another_seed": "in a run of another seed",
            "folds": f"in {self.folds} runs that each left a fold out",
            "same_seed": "in the run itself (biased: it favours the effect)",
        }[self.scores]

    def check(self, images: int) -> None:
        """A UserError where the share of so many training images is none."""
        if round(self.share * images) == 0:
            raise UserError(f"share = {self.share:g} chooses none of the {images} training images; raise it")

    def judges_of(self, seed: int) -> tuple[str, ...]:
        """Roles of the runs whose difficulty chooses for a seed."""
        if self.scores == "same_seed":
            return (role_of(ALL, seed),)
        if self.scores == "folds":
            return tuple(role_of(f"fold {fold + 1} of {self.folds}", seed) for fold in range(self.folds))
        if self.seeds == 1:
            return (role_of("scores", seed + 1),)
        return (role_of(ALL, self.base.seed + (seed - self.base.seed + 1) % self.seeds),)

    def judges(self, seed: int) -> Iterator[Planned]:
        """They end where difficulty has been counted."""
        if self.scores == "another_seed" and self.seeds == 1:
            yield Planned("scores", seed + 1, self._short(seed + 1, None))
        if self.scores == "folds":
            for fold in range(self.folds):
                left_out = Subset(which="random", share=1 / self.folds, fold=fold)
                yield Planned(f"fold {fold + 1} of {self.folds}", seed, self._short(seed, left_out))

    def _short(self, seed: int, subset: Subset | None) -> RunConfig:
        phases = tuple(phase.model_copy(update={"subset": subset}) for phase in self.config(seed).phases)
        # What anneals to 0 at its end would anneal too early if it ended at the border.
        phases = phases if self.base.schedule.anneal else phases[:1]
        return self.config(seed).model_copy(update={"evaluations": (), "evaluate_also": (), "phases": phases})

    def subset(self, seed: int, which: Which, share: float, **settings: Any) -> Subset:
        """By the scores of a seed."""
        return Subset(which=which, share=share, scores=self.judges_of(seed), seed=seed, **settings)
