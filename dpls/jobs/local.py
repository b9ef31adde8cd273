"""Workers as detached processes on this machine: no server, and no process id kept anywhere. No torch.

The run directory says how a run stands, the lock whether its worker lives. Closing the browser or the app, or killing
it, stops no run.
"""

import subprocess
import sys
import threading
from contextlib import suppress

from dpls.errors import UserError
from dpls.jobs import slots
from dpls.jobs.queue import WAITING, check_trains_here, waits
from dpls.jobs.slots import Capacity
from dpls.jobs.wanted import next_wanted, stop_waiting
from dpls.runs.directory import Run
from dpls.runs.files import now


class Local:
    """One detached process a run; a worker that has done with its run goes on with the next that waits."""

    def submit(self, run: Run, if_queued: bool = False) -> None:
        if run.is_recorded:
            raise UserError(f"run {run.id} is a recorded run and cannot be worked on; train its preset instead")
        check_trains_here(run)
        with run.lock():  # refused where a worker has it
            if if_queued and not waits(run):
                return
            run.stop_file.unlink(missing_ok=True)  # asked of an earlier worker
            if not (run.status()["state"] == "done" and next_wanted(run)):
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

    def cancel(self, run: Run) -> None:
        if run.state() not in (*WAITING, "running", "interrupted") and not waits(run):
            raise UserError(f"run {run.id} is {run.state()}; only a queued or running one can be stopped")
        if not run.is_locked():  # no worker has it yet: one that comes now will find that it need not
            with suppress(UserError), run.lock():
                if run.state() == "done":
                    stop_waiting(run)
                else:
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
