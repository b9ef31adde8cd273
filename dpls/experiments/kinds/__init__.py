"""The kinds of experiments, a file each. A new one is a file here, its import, and its name in the list. No torch."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from dpls.errors import UserError
from dpls.experiments.base import Experiment
from dpls.experiments.kinds.cscore import CScore
from dpls.experiments.kinds.membership import Membership
from dpls.experiments.kinds.methods import Methods
from dpls.experiments.kinds.pruning import Pruning
from dpls.experiments.kinds.smoothing import Smoothing
from dpls.experiments.kinds.subsets import Subsets
from dpls.recipe import RunConfig, override, read_settings
from dpls.recipe.sentences import sentence

_KINDS: tuple[type[Experiment], ...] = (Pruning, Subsets, Membership, Methods, Smoothing, CScore)
KINDS = {kind.name(): kind for kind in _KINDS}
"""{name: kind}, in the order of the pages."""

PRESETS = {
    "two-core": "two-core",
    "two-core-natural": "two-core-natural",
    "classroom": "classroom-experiment",
    "paper": "paper-cifar10",
}
"""{preset of experiments: the run preset that is its base}; what a kind sets beside that, it says itself."""


def read_experiment(
    kind: str, preset: str, assignments: list[str], say: Callable[[str], None] = lambda _: None
) -> Experiment:
    """Checked settings: a preset of experiments, or any preset, file or run's config.json as the base.

    ``say`` is told what an assignment takes the place of.
    """
    beside = KINDS[kind].presets.get(preset, {})
    settings = beside | {"kind": kind, "base": read_settings(PRESETS.get(preset, preset))}
    if any(assignment.partition("=")[0].strip() == "kind" for assignment in assignments):
        raise UserError(f"--set kind: the kind is {kind}, as the command says; choose from {', '.join(KINDS)} there")
    return make_experiment(override(settings, assignments, KINDS[kind], say))


def make_experiment(settings: dict[str, Any]) -> Experiment:
    """Checked settings, those of all its runs, too; a UserError in one sentence where they are wrong."""
    experiment = checked(settings)
    try:
        for planned in experiment.plan():  # the judges are shorter than the base, the seeds higher
            RunConfig.model_validate(planned.config.model_dump())
    except ValidationError as error:
        raise UserError(f"base does not fit: in one of the runs {sentence(error, RunConfig)}") from None
    return experiment


def checked(settings: dict[str, Any]) -> Experiment:
    """Settings alone, without those of its runs; a UserError in one sentence where they are wrong."""
    kind = settings.get("kind")
    if kind not in KINDS:
        raise UserError(f"unknown kind of experiment {kind!r}; choose from {', '.join(KINDS)}")
    try:
        return KINDS[kind].model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, KINDS[kind])) from None
