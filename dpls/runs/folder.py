"""A folder of runs: making one, listing them, finding one. No torch."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dpls.disk import built, keep_spare, sweep
from dpls.errors import UserError
from dpls.runs.contents import ID
from dpls.runs.directory import SCHEMA, Run
from dpls.runs.files import RECORDED, SPARE, now, write_json


def create_run(
    runs: Path,
    content: Mapping[str, Any],
    epochs: int,
    label: str = "",
    files: Mapping[str, bytes | Callable[[], bytes]] | None = None,
    state: str = "queued",
) -> Run:
    """A new run directory, complete at the moment it appears under its name; ``files``: what it holds beside, by
    name, what is large made one after the other. One that is queued waits for a worker."""
    moment = datetime.now(UTC)
    fraction = moment.microsecond * 0x10000 // 1_000_000  # of the second, so that ids sort as runs were made
    ident = f"{moment:%Y-%m-%d_%H%M%S}_{fraction:04x}"
    try:
        sweep_runs(runs)
        with built(runs / ident) as aside:
            for folder in ("checkpoints", "evaluations"):
                (aside / folder).mkdir()
            write_json(aside / "config.json", {"schema": SCHEMA, **content})
            write_json(
                aside / "status.json",
                {"state": state, "epoch": 0, "epochs": epochs, "device": None, "created": now(), "error": None},
            )
            for name, held in (files or {}).items():
                (aside / name).parent.mkdir(exist_ok=True)
                (aside / name).write_bytes(held() if callable(held) else held)
            keep_spare(aside / SPARE)
            (aside / "run.lock").touch()  # so that it can be locked however full the disk is by then
            if label:
                Run(aside).write_label(label)
    except OSError as error:
        raise UserError(
            f"cannot write to the runs folder {str(runs)!r} ({error.strerror}); choose another with --runs DIR"
        ) from None
    return Run(runs / ident)


def sweep_runs(runs: Path) -> None:
    """Removes runs of a folder that were never finished making."""
    sweep(runs, rf"\.{ID.pattern}(-.*)?", folders=True)


def list_runs(runs: Path) -> list[Run]:
    """All runs of a folder, oldest first."""
    return [Run(p) for p in sorted(runs.glob("*")) if ID.fullmatch(p.name) and (p / "config.json").exists()]


def _latest(runs: Sequence[Run]) -> Run:
    """The newest by its id; one of a clock that went wrong, in the future, only where there is no other."""
    now = f"{datetime.now(UTC):%Y-%m-%d_%H%M%S}_g"  # behind every run of this second
    return ([run for run in runs if run.id < now] or runs)[-1]


def find_run(runs: Path, name: str) -> Run:
    """The run with this id, or the beginning or end of exactly one id, or ``latest``; or a run directory by path.

    Recorded runs are found by id, too, after the folder's own.
    """
    known = list_runs(runs)
    if name == "latest" and known:
        return _latest(known)
    recorded = list_runs(RECORDED)
    own, others = (
        [run for run in some if run.id.startswith(name) or run.id.endswith(name)] for some in (known, recorded)
    )
    found = (own or others) if name else []
    if len(found) == 1:
        return found[0]
    if not found and (Path(name) / "config.json").exists():
        return Run(Path(name))
    some = ", ".join(run.id for run in (found or [*recorded, *known])[-5:]) or "none yet"
    reason = f"{len(found)} runs begin or end with {name!r}" if found else f"there is no run {name!r} in {str(runs)!r}"
    raise UserError(f"{reason}; choose from {some}")
