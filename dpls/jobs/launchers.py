"""Launchers: who starts workers, and what can be asked of a run at work. The choice is made here. No torch."""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dpls.errors import UserError
from dpls.jobs.local import Local
from dpls.jobs.queue import check_trains_here, next_ready
from dpls.jobs.slots import Capacity
from dpls.jobs.wanted import Wanted, want
from dpls.runs.directory import Run
from dpls.runs.folder import list_runs


class Launcher(Protocol):
    """What pages, commands and experiments need of whatever runs the workers."""

    def submit(self, run: Run, if_queued: bool = False) -> None:
        """Starts a worker on a queued, stopped, failed or interrupted run; it resumes where the run stands.

        ``if_queued``: only if it still waits; somebody may stop it between a look at it and here. Refused where a
        worker has it. A run that waits may be submitted again, by an app that starts: that must not
        make two workers of one.
        """

    def cancel(self, run: Run) -> None:
        """Asks a run to stop; what is committed stays, and ``submit`` resumes it."""

    def tail(self, run: Run, lines: int = 20) -> str:
        """The end of its log."""

    def capacity(self) -> Capacity: ...


def launcher() -> Launcher:
    """The launcher of this installation."""
    return Local()


def ask_for(run: Run, one: Wanted) -> None:
    """Has an evaluation made of a run that is done: by the worker that is at it, or by one that is started now."""
    if run.state() != "done":
        raise UserError(f"run {run.id} is {run.state()}; it can be evaluated once it is done")
    if run.is_recorded:
        raise UserError(f"run {run.id} is a recorded run without checkpoints; train its preset, then evaluate that one")
    want(run, one)
    if not run.is_locked():
        launcher().submit(run, if_queued=True)


def take_up(launcher: Launcher, runs: Path) -> list[Run]:
    """Starts workers on the runs of a folder that wait or lost theirs; which ones were started.

    One worker a slot: one that has done with its run goes on with the next.
    """
    busy = 0
    for run in list_runs(runs):
        try:
            busy += run.is_locked()
            if run.state() == "interrupted":
                check_trains_here(run)
                with run.lock():
                    if run.status()["state"] == "running":  # no other app was faster
                        run.write_status(state="queued", stage=None)
        except (UserError, OSError):
            continue
    taken: dict[str, Run] = {}
    while len(taken) + busy < len(launcher.capacity().slots) and (ready := next_ready(runs, taken)):
        taken[ready.id] = ready
        with suppress(UserError):  # another app was faster
            launcher.submit(ready, if_queued=True)
    return list(taken.values())
