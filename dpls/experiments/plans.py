"""From an experiment's settings to its runs. Every arm of a seed sees the same order, augmentation and attack noise.

Scores never come from the run they choose for, unless that is asked for: choosing the examples a net got wrong and then
finding that it gets them wrong proves nothing (methods: selection bias).
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from dpls.component import Component, Fractional, article
from dpls.config import Phase, RunConfig, override, read_settings
from dpls.config_errors import sentence
from dpls.errors import UserError
from dpls.experiments.outcomes import ALL, arm, dropped, kept, role_of
from dpls.objectives import Standard
from dpls.subsets import Subset, Which
from dpls.targets import DPLS

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
        phases = tuple(
            phase.model_copy(
                update={
                    "subset": phase.subset.model_copy(update={"scores": tuple(ids[r] for r in phase.subset.scores)})
                }
            )
            if phase.subset
            else phase
            for phase in self.config.phases
        )
        return self.config.model_copy(update={"phases": phases})


class Experiment(Component):
    """What the three have in common. Its runs train with hard labels, in two phases: up to the border, and on."""

    base: RunConfig
    seeds: int = Field(5, ge=1, le=50, description="how often, each with another initialisation, order and noise")
    scores: Literal["another_seed", "folds", "same_seed"] = Field(
        "another_seed",
        description="whose difficulty chooses: a run of another seed; runs that each leave a fold out, so that none"
        " judges what it trained on; or the run itself, which favours the effect that is looked for",
    )
    folds: int = Field(5, ge=2, le=20, description="folds of cross-fitted scores")
    standard: bool = Field(True, description="the same with standard training, where the effect should be smaller")

    @model_validator(mode="after")
    def _there_is_a_border(self) -> "Experiment":
        if not self.border:
            raise ValueError(
                "base has one phase and no decay of the learning rate; set base.schedule.decays, or give it two phases,"
                " so that there is an epoch up to which difficulty is counted"
            )
        return self

    @model_validator(mode="after")
    def _left_out_are_judged(self) -> "Experiment":
        if self.scores == "folds" and self.base.difficulty.adversarial:
            raise ValueError(
                "scores = folds needs base.difficulty.adversarial = false: images that are left out are not attacked"
                " in training, so the runs that left them out cannot judge them"
            )
        return self

    @property
    def border(self) -> int:
        """T: difficulty is counted up to the first decay, or up to the last phase where there is none."""
        decays = [decay for decay in self.base.schedule.decays if decay < self.base.epochs]
        return decays[0] if decays else self.base.last_phase_start

    @abstractmethod
    def arms(self, seed: int) -> Iterator[Planned]:
        """The runs of one seed beside the one on all images."""

    def plan(self) -> list[Planned]:
        """All runs; one that needs another comes after it."""
        seeds = range(self.base.seed, self.base.seed + self.seeds)
        runs = [Planned(ALL, seed, self.config(seed)) for seed in seeds]
        runs += [run for seed in seeds for run in self._judges(seed)]
        runs += [run for seed in seeds for run in self.arms(seed)]
        return list({run.role: run for run in runs}.values())

    def config(self, seed: int, objective: Any = None, **last_phase: Any) -> RunConfig:
        """A run on all images with this seed; ``last_phase`` changes its last phase."""
        base = self.base
        standard = isinstance(objective, Standard)
        phases = (Phase(until=self.border), Phase(until=base.epochs, **last_phase))
        changes: dict[str, Any] = {"seed": seed, "phases": phases, "evaluate_training": True}
        changes["evaluations"] = base.evaluations[:1]
        if standard:
            changes |= {"objective": objective, "selection": base.selection.model_copy(update={"by": "clean"})}
            changes["difficulty"] = base.difficulty.model_copy(update={"adversarial": False})
        return RunConfig.model_validate(base.model_copy(update=changes).model_dump())

    def judges_of(self, seed: int) -> tuple[str, ...]:
        """Roles of the runs whose difficulty chooses for a seed."""
        if self.scores == "same_seed":
            return (role_of(ALL, seed),)
        if self.scores == "folds":
            return tuple(role_of(f"fold {fold + 1} of {self.folds}", seed) for fold in range(self.folds))
        if self.seeds == 1:
            return (role_of("scores", seed + 1),)
        return (role_of(ALL, self.base.seed + (seed - self.base.seed + 1) % self.seeds),)

    def _judges(self, seed: int) -> Iterator[Planned]:
        """Runs that only judge; they end where difficulty has been counted."""
        if self.scores == "another_seed" and self.seeds == 1:
            yield Planned("scores", seed + 1, self._short(seed + 1, None))
        if self.scores == "folds":
            for fold in range(self.folds):
                left_out = Subset(which="random", share=1 / self.folds, fold=fold)
                yield Planned(f"fold {fold + 1} of {self.folds}", seed, self._short(seed, left_out))

    def _short(self, seed: int, subset: Subset | None) -> RunConfig:
        changes = {"phases": (Phase(until=self.border, subset=subset),), "evaluations": (), "evaluate_training": False}
        return self.config(seed).model_copy(update=changes)

    def subset(self, seed: int, which: Which, share: float, **settings: Any) -> Subset:
        """By the scores of a seed."""
        return Subset(which=which, share=share, scores=self.judges_of(seed), seed=seed, **settings)

    def from_scratch(self, seed: int, subset: Subset, objective: Any = None, **last_phase: Any) -> RunConfig:
        """A run that trains on the subset from its first epoch on."""
        config = self.config(seed, objective, **last_phase)
        return config.model_copy(
            update={"phases": tuple(p.model_copy(update={"subset": subset}) for p in config.phases)}
        )


class Pruning(Experiment):
    """At the learning rate's decay drop the hardest, the easiest or a random share, and go on."""

    kind: Literal["pruning"] = "pruning"
    share: Fractional = Field(0.2, gt=0, lt=0.9, description="share that is dropped", json_schema_extra=article("0.2"))
    sweep: tuple[Fractional, ...] = Field((0.1, 0.4), description="further shares: hardest and random")
    equal_steps: bool = Field(
        True, description="the same with as many steps an epoch as before, so that only the examples differ"
    )
    doses: tuple[Fractional, ...] = Field(
        (0.25, 0.5, 0.75), description="shares of the hardest that stay in, steps held; 0 and 1 come with equal_steps"
    )

    @model_validator(mode="after")
    def _shares(self) -> "Pruning":
        for name, values, high in (("sweep", self.sweep, 0.9), ("doses", self.doses, 1)):
            if any(not 0 < value < high for value in values):
                raise ValueError(f"{name} must lie between 0 and {high:g}, got {list(values)}")
        return self

    def arms(self, seed: int) -> Iterator[Planned]:
        for which in SIDES:
            yield self._branch(seed, which, self.share)
        for share in self.sweep:
            for which in HARDEST_AND_RANDOM:
                yield self._branch(seed, which, share)
        if self.equal_steps:
            for which in SIDES:
                yield self._branch(seed, which, self.share, refill=True)
        for dose in self.doses:
            yield self._branch(seed, "hardest", self.share, refill=True, spared=dose)
        if self.standard:
            yield Planned(arm(ALL, standard=True), seed, self.config(seed, Standard()))
            for which in SIDES:
                yield self._branch(seed, which, self.share, Standard())

    def _branch(self, seed: int, which: Which, share: float, objective: Any = None, **settings: Any) -> Planned:
        subset = self.subset(seed, which, share, **settings)
        name = arm(dropped(which, share, **settings), standard=objective is not None)
        after = role_of(arm(ALL, standard=objective is not None), seed)
        return Planned(name, seed, self.config(seed, objective, subset=subset), after)


class Subsets(Experiment):
    """From scratch on the hardest, the easiest or a random share alone."""

    kind: Literal["subsets"] = "subsets"
    share: Fractional = Field(
        0.2, gt=0, lt=0.9, description="share that is trained on", json_schema_extra=article("0.2")
    )
    equal_steps: bool = Field(
        True, description="an epoch has as many steps as with all images: those few are shown again"
    )

    def arms(self, seed: int) -> Iterator[Planned]:
        for objective in (None, Standard()) if self.standard else (None,):
            for which in SIDES:
                subset = self.subset(seed, which, self.share, action="keep", refill=self.equal_steps)
                name = arm(kept(which, self.share), standard=objective is not None)
                yield Planned(name, seed, self.from_scratch(seed, subset, objective))


class Membership(Experiment):
    """Train with and without the hardest, the easiest or a random share; test on that share."""

    kind: Literal["membership"] = "membership"
    share: Fractional = Field(0.1, gt=0, lt=0.9, description="share that is excluded", json_schema_extra=article("0.1"))
    standard: bool = Field(False, description="the same with standard training")
    dpls: bool = Field(True, description="the same under DPLS: does smoothing reduce memorization?")
    lambda_min: Fractional = Field(
        0.5, gt=0, le=1, description="factor of the hardest under DPLS", json_schema_extra=article("0.5")
    )
    answers: int = Field(
        0,
        ge=0,
        le=20,
        description="folds for answers image by image, each a run without its fold, for each seed; 0: none",
    )

    @model_validator(mode="after")
    def _folds(self) -> "Membership":
        if self.answers == 1:
            raise ValueError("answers = 1: one fold would leave nothing to train on; 0 for none, or at least 2")
        return self

    def arms(self, seed: int) -> Iterator[Planned]:
        objectives = (None, Standard()) if self.standard else (None,)
        for objective in objectives:
            if objective:
                yield Planned(arm(ALL, standard=True), seed, self.config(seed, objective))
            for which in SIDES:
                subset = self.subset(seed, which, self.share)
                name = arm(dropped(which, self.share), standard=objective is not None)
                yield Planned(name, seed, self.from_scratch(seed, subset, objective))
        if self.dpls:
            smoothed = DPLS(lambda_min=self.lambda_min)
            yield Planned(arm(ALL, dpls=True), seed, self.config(seed, factors=smoothed), role_of(ALL, seed))
            for which in HARDEST_AND_RANDOM:
                subset = self.subset(seed, which, self.share)
                name = arm(dropped(which, self.share), dpls=True)
                config = self.from_scratch(seed, subset, factors=smoothed)
                yield Planned(name, seed, config, role_of(dropped(which, self.share), seed))
        for fold in range(self.answers):
            left_out = Subset(which="random", share=1 / self.answers, fold=fold, seed=seed)
            yield Planned(f"without fold {fold + 1} of {self.answers}", seed, self.from_scratch(seed, left_out))


AnyExperiment = Annotated[Pruning | Subsets | Membership, Field(discriminator="kind")]
KINDS: dict[str, type[Pruning] | type[Subsets] | type[Membership]] = {
    "pruning": Pruning,
    "subsets": Subsets,
    "membership": Membership,
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "two-core": {"pruning": {}, "subsets": {}, "membership": {"answers": 4}},
    "two-core-natural": {"pruning": {}, "subsets": {}, "membership": {}},
    "classroom": {
        "pruning": {"seeds": 1, "sweep": [], "doses": [], "equal_steps": False, "standard": False},
        "subsets": {"seeds": 1, "standard": False},
        "membership": {"seeds": 1, "dpls": False},
    },
    "paper": {"pruning": {}, "subsets": {}, "membership": {}},
}
"""What an experiment's preset sets beside its base."""
BASES = {"classroom": "classroom-experiment", "paper": "paper-cifar10"}
"""The run preset of an experiment's preset, where it has another name."""


def read_experiment(kind: str, preset: str, assignments: list[str]) -> Experiment:
    """Checked settings: a preset of experiments, or any preset, file or run's config.json as the base."""
    settings = PRESETS.get(preset, {}).get(kind, {}) | {"kind": kind, "base": read_settings(BASES.get(preset, preset))}
    return make_experiment(override(settings, assignments))


def make_experiment(settings: dict[str, Any]) -> Experiment:
    """Checked settings; a UserError in one sentence where they are wrong."""
    model = KINDS[settings["kind"]]
    try:
        experiment = model.model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, model)) from None
    try:
        for planned in experiment.plan():  # the judges are shorter than the base, the seeds higher
            RunConfig.model_validate(planned.config.model_dump())
    except ValidationError as error:
        raise UserError(f"base does not fit: in one of the runs {sentence(error, RunConfig)}") from None
    return experiment
