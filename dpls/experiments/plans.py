"""The experiments: from settings to runs, an experiment a class; their presets."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from dpls.component import Fractional, article
from dpls.errors import UserError
from dpls.experiments.base import ByDifficulty, Experiment, Planned
from dpls.experiments.outcomes import ALL, CONTROLS, arm, dropped, kept, role_of, smoothed
from dpls.methods.labels import DPLS, Control
from dpls.methods.objectives import Standard
from dpls.methods.subset import Subset, Which
from dpls.recipe import RunConfig, override, read_settings
from dpls.recipe.sentences import sentence

SIDES: tuple[Which, ...] = ("hardest", "easiest", "matched")
HARDEST_AND_RANDOM: tuple[Which, ...] = ("hardest", "matched")


class Pruning(ByDifficulty):
    """At the learning rate's decay drop the hardest, the easiest or a random share, and go on."""

    kind: Literal["pruning"] = "pruning"
    share: Fractional = Field(
        0.2, gt=0, lt=0.9, title="Share dropped", description="share that is dropped", json_schema_extra=article("0.2")
    )
    sweep: tuple[Fractional, ...] = Field(
        (0.1, 0.4), title="Further shares", description="further shares: hardest and random"
    )
    equal_steps: bool = Field(
        True,
        title="Equal steps, too",
        description="the same with as many steps an epoch as before, so that only the examples differ",
    )
    doses: tuple[Fractional, ...] = Field(
        (0.25, 0.5, 0.75),
        title="Shares kept in",
        description="shares of the hardest that stay in, steps held; 0 and 1 come with equal_steps",
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


class Subsets(ByDifficulty):
    """From scratch on the hardest, the easiest or a random share alone."""

    kind: Literal["subsets"] = "subsets"
    share: Fractional = Field(
        0.2,
        gt=0,
        lt=0.9,
        title="Share trained on",
        description="share that is trained on",
        json_schema_extra=article("0.2"),
    )
    equal_steps: bool = Field(
        True,
        title="Equal steps",
        description="an epoch has as many steps as with all images: those few are shown again",
    )

    def arms(self, seed: int) -> Iterator[Planned]:
        for objective in (None, Standard()) if self.standard else (None,):
            for which in SIDES:
                subset = self.subset(seed, which, self.share, action="keep", refill=self.equal_steps)
                name = arm(kept(which, self.share), standard=objective is not None)
                yield Planned(name, seed, self.from_scratch(seed, subset, objective))


class Membership(ByDifficulty):
    """Train with and without the hardest, the easiest or a random share; test on that share."""

    kind: Literal["membership"] = "membership"
    share: Fractional = Field(
        0.1,
        gt=0,
        lt=0.9,
        title="Share excluded",
        description="share that is excluded",
        json_schema_extra=article("0.1"),
    )
    standard: bool = Field(False, title="Standard training, too", description="the same with standard training")
    dpls: bool = Field(True, title="DPLS, too", description="the same under DPLS: does smoothing reduce memorization?")
    lambda_min: Fractional = Field(
        0.5,
        gt=0,
        le=1,
        title="lambda_min of DPLS",
        description="factor of the hardest under DPLS",
        json_schema_extra=article("0.5"),
    )
    answers: int = Field(
        0,
        ge=0,
        le=20,
        title="Folds for single images",
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
            rule = DPLS(lambda_min=self.lambda_min)
            yield Planned(arm(ALL, dpls=True), seed, self.config(seed, factors=rule), role_of(ALL, seed))
            for which in HARDEST_AND_RANDOM:
                subset = self.subset(seed, which, self.share)
                name = arm(dropped(which, self.share), dpls=True)
                config = self.from_scratch(seed, subset, factors=rule)
                yield Planned(name, seed, config, role_of(dropped(which, self.share), seed))
        for fold in range(self.answers):
            left_out = Subset(which="random", share=1 / self.answers, fold=fold, seed=seed)
            yield Planned(f"without fold {fold + 1} of {self.answers}", seed, self.from_scratch(seed, left_out))


class Smoothing(Experiment):
    """From one start of the last phase: hard labels, DPLS at several lambda_min, as much smoothing given to others."""

    kind: Literal["smoothing"] = "smoothing"
    lambda_mins: tuple[Fractional, ...] = Field(
        (0.3, 0.45, 0.6, 0.75, 0.9),
        min_length=1,
        title="Values of lambda_min",
        description="factors of the hardest to try",
    )
    control: Fractional | None = Field(
        0.6, gt=0, le=1, title="Controls match", description="lambda_min that the controls match; none: no controls"
    )

    @model_validator(mode="after")
    def _values(self) -> "Smoothing":
        if any(not 0 < value < 1 for value in self.lambda_mins):
            raise ValueError(f"lambda_mins must lie between 0 and 1, got {list(self.lambda_mins)}")
        return self

    @property
    def border(self) -> int:
        """T: where the base's last phase starts, or the first decay of a base with one phase."""
        return self.base.last_phase_start or super().border

    def arms(self, seed: int) -> Iterator[Planned]:
        for value in sorted({*self.lambda_mins, *([self.control] if self.control else [])}):
            yield self._branch(seed, smoothed(value), DPLS(lambda_min=value))
        for how in CONTROLS if self.control else ():
            rule = Control(how=how, lambda_min=self.control, seed=seed)
            yield self._branch(seed, smoothed(self.control or 0, how), rule)

    def _branch(self, seed: int, name: str, factors: DPLS | Control) -> Planned:
        return Planned(name, seed, self.config(seed, factors=factors), role_of(ALL, seed))


KINDS: dict[str, type[Pruning] | type[Subsets] | type[Membership] | type[Smoothing]] = {
    "pruning": Pruning,
    "subsets": Subsets,
    "membership": Membership,
    "smoothing": Smoothing,
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "two-core": {"pruning": {}, "subsets": {}, "membership": {"answers": 4}, "smoothing": {}},
    "two-core-natural": {"pruning": {}, "subsets": {}, "membership": {}, "smoothing": {}},
    "classroom": {
        "smoothing": {"seeds": 1, "lambda_mins": [0.3, 0.6, 0.9]},
        "pruning": {"seeds": 1, "sweep": [], "doses": [], "equal_steps": False, "standard": False},
        "subsets": {"seeds": 1, "standard": False},
        "membership": {"seeds": 1, "dpls": False},
    },
    "paper": {"pruning": {}, "subsets": {}, "membership": {}, "smoothing": {}},
}
"""What an experiment's preset sets beside its base."""
BASES = {"classroom": "classroom-experiment", "paper": "paper-cifar10"}
"""The run preset of an experiment's preset, where it has another name."""


def read_experiment(kind: str, preset: str, assignments: list[str]) -> Experiment:
    """Checked settings: a preset of experiments, or any preset, file or run's config.json as the base."""
    settings = PRESETS.get(preset, {}).get(kind, {}) | {"kind": kind, "base": read_settings(BASES.get(preset, preset))}
    if any(assignment.partition("=")[0].strip() == "kind" for assignment in assignments):
        raise UserError(f"--set kind: the kind is {kind}, as the command says; choose from {', '.join(KINDS)} there")
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
