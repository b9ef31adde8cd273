"""Evaluations that were asked for and are not made yet: a small file each in a run's folder ``wanted``. No torch.

Whoever asks writes the file, a worker makes the evaluation and removes it. What was stopped or failed stays until it is
asked for again, or dropped.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dpls.data import PARTS
from dpls.errors import UserError
from dpls.runs.checked import Test, is_count, is_table, is_text, or_none
from dpls.runs.contents import is_time
from dpls.runs.directory import Run
from dpls.runs.files import now, read_json, write_json

if TYPE_CHECKING:
    from dpls.evaluations import AnyEvaluation

QUEUED, STOPPED, FAILED = "queued", "stopped", "failed"


class Wanted(NamedTuple):
    """name: what the evaluation will be called. settings: of the attack, eps among them. images: how many, a sample of
    those of the part; None: all. state: queued, stopped or failed. asked: when, ISO 8601."""

    name: str
    settings: dict[str, Any]
    checkpoint: str
    part: str
    images: int | None
    asked: str
    state: str = QUEUED
    error: str | None = None


ENTRIES: dict[str, Test] = {
    "settings": is_table(),
    "checkpoint": is_text,
    "part": lambda value: value in PARTS,
    "images": or_none(lambda value: is_count(value) and value > 0),
    "asked": is_time,
    "state": lambda value: value in (QUEUED, STOPPED, FAILED),
    "error": or_none(is_text),
}


def attack_of(run: Run, settings: dict[str, Any]) -> "AnyEvaluation":
    """The attack with these settings, the run's eps where it has none of its own."""
    from dpls.recipe import make_config  # here, so that a worker has its lock before it loads more than it needs

    return make_config(run.config()["config"] | {"evaluations": [settings]}).resolved().evaluations[0]


def asked(
    run: Run,
    attack: str,
    assignments: Sequence[str] = (),
    checkpoint: str = "best",
    part: str = "test",
    images: int | None = None,
) -> Wanted:
    """What a person means: ``attack`` is a short name, its settings are ``name=value``. A UserError in one sentence."""
    from pydantic import ValidationError

    from dpls.evaluations import named
    from dpls.evaluations.base import evaluation_name
    from dpls.recipe import override
    from dpls.recipe.sentences import sentence

    check_has_weights(run)
    meant = named(attack)
    meant.check_installed()
    settings = override(meant.model_dump(mode="json"), list(assignments), type(meant))
    try:
        type(meant).model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, type(meant))) from None
    if images is not None and images < 1:
        raise UserError(f"{images} images are none; give 1 or more, or leave it out for all of them")
    found = attack_of(run, settings)
    if part not in PARTS:
        raise UserError(f"there are no {part} images; choose from {', '.join(PARTS)}")
    name = evaluation_name(found, checkpoint, PARTS.index(part), images)
    return Wanted(name, found.model_dump(mode="json"), checkpoint, part, images, now())


def check_has_weights(run: Run) -> None:
    """Refuses a run of a network that is not known here."""
    config = run.recipe()
    if not config.net.is_known:
        raise UserError(
            f"run {run.id} was {config.objective.title}, without the weights of its network, so nothing here can"
            " evaluate it; load its weights as a run of their own: python -m dpls load"
        )


def want(run: Run, wanted: Wanted) -> None:
    """Asks for it, also once more."""
    folder = run.path / "wanted"
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{wanted.name}.json", {k: v for k, v in wanted._asdict().items() if k != "name"})


def wanted(run: Run) -> list[Wanted]:
    """The oldest first; files that cannot be read are passed over."""
    found = []
    for file in (run.path / "wanted").glob("*.json"):
        try:
            content = read_json(file, run.path, "a run", ENTRIES)
            found.append(Wanted(file.stem, **{name: content[name] for name in ENTRIES}))
        except UserError:
            continue
    return sorted(found, key=lambda one: (one.asked, one.name))


def next_wanted(run: Run) -> Wanted | None:
    """The oldest that waits for a worker."""
    return next((one for one in wanted(run) if one.state == QUEUED), None)


def stop_waiting(run: Run) -> None:
    """Those that wait are made no more until somebody asks again."""
    while one := next_wanted(run):
        mark(run, one, STOPPED)


def mark(run: Run, one: Wanted, state: str, error: str | None = None) -> None:
    """How it stands, once no worker is at it."""
    want(run, one._replace(state=state, error=error))


def again(run: Run, one: Wanted) -> None:
    """Asks again for one that was stopped or failed; it goes on where it was."""
    want(run, one._replace(state=QUEUED, error=None, asked=now()))


def drop(run: Run, name: str) -> None:
    """Asks no more for it."""
    (run.path / "wanted" / f"{name}.json").unlink(missing_ok=True)
