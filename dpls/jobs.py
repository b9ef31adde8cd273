"""Launchers: who starts workers, and what can be asked of a run while one works. No torch.

A launcher has five methods. ``Local`` starts one detached process a run and needs no server: the run directory says how
the run stands, the lock whether its worker lives. Closing the browser or the app, or killing it, stops no run.
"""

import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from dpls import slots
from dpls.errors import UserError
from dpls.runs import Run, list_runs, now

WAITING = ("queued", "blocked")


class Capacity(NamedTuple):
    """Slots of this machine, and those of them in use, by any app of this user."""

    slots: list[str]
    busy: list[str]


class Launcher(Protocol):
    """What the pages need of whatever runs the workers."""

    def submit(self, run: Run) -> None:
        """Starts a worker on a queued, stopped, failed or interrupted run; it resumes where the run stands."""

    def state(self, run: Run) -> str:
        """One of ``runs.STATES`` or 'interrupted'."""

    def cancel(self, run: Run) -> None:
        """Asks a run to stop; what is committed stays, and ``submit`` resumes it."""

    def tail(self, run: Run, lines: int = 20) -> str:
        """The end of its log."""

    def capacity(self) -> Capacity: ...


class Local:
    """Workers as detached processes on this machine."""

    def submit(self, run: Run) -> None:
        if run.is_recorded:
            raise UserError(f"run {run.id} is a recorded run and cannot be worked on; train its preset instead")
        with run.lock():  # refused where a worker has it
            run.stop_file.unlink(missing_ok=True)  # asked of an earlier worker
            # Seen to wait from here on, and not only once its worker is there.
            run.write_status(state="queued", stage=None, finished=None, error=None)
        with run.log_file.open("ab") as log:  # what the worker's own log cannot tell: a crash of the interpreter
            process = subprocess.Popen(
                [sys.executable, "-m", "dpls", "work", "--if-queued", str(run.path.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=process.wait, daemon=True).start()  # so that no zombie stays behind

    def state(self, run: Run) -> str:
        return run.state()

    def cancel(self, run: Run) -> None:
        if run.state() not in (*WAITING, "running", "interrupted"):
            raise UserError(f"run {run.id} is {run.state()}; only a queued or running one can be stopped")
        if not run.is_locked():  # no worker has it yet: one that comes now will find that it need not
            with suppress(UserError), run.lock():
                run.write_status(state="cancelled", finished=now(), error=None)
                return
        run.stop_file.touch()  # also where a worker has taken the lock just now

    def tail(self, run: Run, lines: int = 20) -> str:
        try:
            text = run.log_file.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def capacity(self) -> Capacity:
        return Capacity(slots.slots_for("auto"), slots.busy())


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
            state = run.status()["state"]
            if state not in WAITING or run.id in besides or run.is_locked():
                continue
            found = hindrance(run)
            if found is None:
                return run
            if found[0] != state:
                with run.lock():
                    if run.status()["state"] == state:  # nobody has thought better of it meanwhile
                        run.write_status(state=found[0], error=found[1] if found[0] == "blocked" else None)
        except (UserError, OSError):  # a damaged run must not keep the others from going on
            continue
    return None


def take_up(launcher: Launcher, runs: Path) -> list[Run]:
    """Starts workers on the runs of a folder that wait or lost theirs; which ones were started.

    One worker a slot: one that has done with its run goes on with the next.
    """
    busy = 0
    for run in list_runs(runs):
        try:
            busy += run.is_locked()
            if run.state() == "interrupted":
                with run.lock():
                    if run.status()["state"] == "running":  # no other app was faster
                        run.write_status(state="queued", stage=None)
        except (UserError, OSError):
            continue
    taken: dict[str, Run] = {}
    while len(taken) + busy < len(launcher.capacity().slots) and (ready := next_ready(runs, taken)):
        launcher.submit(ready)
        taken[ready.id] = ready
    return list(taken.values())
