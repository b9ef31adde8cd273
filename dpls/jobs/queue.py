"""Which run may start: what waits, and what for. No torch."""

from collections.abc import Collection, Sequence
from pathlib import Path

from dpls.errors import UserError
from dpls.jobs.wanted import next_wanted
from dpls.runs.directory import Run
from dpls.runs.folder import list_runs

WAITING = ("queued", "blocked")


def check_trains_here(run: Run) -> None:
    """Refuses a run that somebody's own training loop records: no worker can go on with it."""
    try:
        config = run.recipe()
    except UserError:
        return  # whoever works on it says in its log what is wrong with it
    if not config.net.is_known:
        raise UserError(
            f"run {run.id} was {config.objective.title}, and the loop that trains it goes on with it:"
            f" dpls.Recorder({str(run.path)!r}); `python -m dpls work {run.path}` completes its tables"
        )


def waits(run: Run) -> bool:
    """Whether a worker is to do something: train it, or, once it is done, evaluate it."""
    state = run.status()["state"]
    return state in WAITING or (state == "done" and next_wanted(run) is not None)


def hindrance(run: Run) -> tuple[str, str] | None:
    """Why a run cannot start yet: ('queued' or 'blocked', a sentence); None where it can.

    It needs its parent's state at the border, and the tables of the runs whose scores choose its examples. Blocked is
    one that waits for a run nobody works on.
    """
    stored, runs = run.config(), run.path.parent
    parent = stored["parent"]
    needed = [(name, None) for name in stored.get("needs", ())] + ([(parent["run"], parent["epoch"])] if parent else [])
    for name, epoch in needed:
        other = Run(runs / name)
        if not other.config_file.exists():
            if epoch is None:
                return "blocked", f"it needs the scores of run {name}, which is gone"
            continue  # without its parent a run trains the beginning itself
        state = other.state()
        if state == "done" or (epoch is not None and len(other.metrics()) >= epoch):
            continue
        if state in ("queued", "running"):
            return "queued", f"waits for run {name}"
        return "blocked", f"it needs run {name}, which is {state}; resume that one"
    return None


def next_ready(runs: Path, besides: Collection[str] = (), first: Sequence[Run] = ()) -> Run | None:
    """The oldest run of a folder that waits, for no other run, and has no worker; ids in ``besides`` are passed over.

    ``first``: runs that are looked at before the others. What is blocked is marked so.
    """
    for run in (*first, *list_runs(runs)):
        try:
            if run.id in besides or not waits(run) or run.is_locked():
                continue
            state = run.status()["state"]
            found = None if state == "done" else hindrance(run)
            if found is None:
                return run
            if found[0] != state:
                with run.lock():
                    if run.status()["state"] == state:  # nobody has thought better of it meanwhile
                        run.write_status(state=found[0], error=found[1] if found[0] == "blocked" else None)
        except (UserError, OSError):  # a damaged run must not keep the others from going on
            continue
    return None
