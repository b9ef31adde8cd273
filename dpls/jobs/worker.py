"""What works on a run: takes the lock, waits for a slot, has it trained and finished, says how it ended.

Every launcher starts this, as ``python -m dpls work DIR``; a second call resumes. Lock and slot are taken before
anything heavy is imported.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from dpls.disk import FULL, keep_spare, write_over
from dpls.errors import UserError
from dpls.jobs.queue import hindrance, waits
from dpls.jobs.slots import slot
from dpls.jobs.wanted import next_wanted, stop_waiting
from dpls.runs.agreement import is_sealed
from dpls.runs.checked import no_links
from dpls.runs.directory import Run
from dpls.runs.files import SPARE, now

if TYPE_CHECKING:
    from dpls.recipe import RunConfig

log = logging.getLogger("dpls")
STOP_POLL = 0.3  # seconds between two looks for a request to stop
STOP_AGAIN = 20  # seconds until a worker that has not heard is told again


class Stopped(BaseException):
    """The run was told to stop; what is committed stays, and the run can be resumed.

    ``asked``: the run alone was asked to; else the process was told by a signal.
    """

    def __init__(self, asked: bool = False) -> None:
        self.asked = asked


def work(run: Run, if_queued: bool = False) -> None:
    """Brings a run to its end. Raises UserError with the reason where it fails, Stopped where it was told to stop.

    ``if_queued``: only if it still waits; between a launcher's start and here somebody may have thought better of it.
    Of a run that is done, the evaluations that are asked for.
    """
    device = str(run.config()["config"].get("device", "auto"))
    with run.lock():
        status = run.status()
        was_done = status["state"] == "done"
        trains = not (if_queued and was_done)
        if not if_queued:
            run.stop_file.unlink(missing_ok=True)  # asked of an earlier worker
        elif not waits(run):
            raise Stopped(asked=True)
        if trains and (hindered := hindrance(run)):
            raise UserError(f"run {run.id} cannot start yet: {hindered[1]}")
        no_links(run.path)
        handler = _Log(run.log_file, delay=True)
        log.setLevel(logging.DEBUG)
        log.addHandler(handler)
        before, asked = signal.signal(signal.SIGTERM, _stop), threading.Event()
        try:
            keep_spare(run.path / SPARE)
            if trains:
                run.write_status(state="queued", stage=None, finished=None, error=None)
            with _stop_on_request(run, asked), slot(device, run.id, log.info) as taken:
                if trains:
                    run.write_status(state="running", started=now(), slot=taken)
                    _work(run)
                _evaluate_wanted(run)
            _write_into_spare(run, state="done", finished=now() if trains else status.get("finished"), stage=None)
        except (Stopped, KeyboardInterrupt) as stop:
            if asked.is_set():
                stop_waiting(run)
            if trains:
                _write_last_status(run, state="cancelled", finished=now(), stage=None)
            else:
                _write_into_spare(run, stage=None)
            log.info("stopped; resume with: python -m dpls work %s", run.path)
            raise Stopped(asked=isinstance(stop, Stopped) and asked.is_set()) from None
        except Exception as error:
            reason = explain(error)
            log.debug("", exc_info=True)
            if was_done and is_sealed(run):  # what is wrong now does not take back what it came to
                _write_last_status(run, state="done", stage=None, finished=status.get("finished"))
            else:
                _write_last_status(run, state="failed", finished=now(), stage=None, error=reason)
            raise UserError(reason) from error
        finally:
            signal.signal(signal.SIGTERM, before)
            log.removeHandler(handler)
            handler.close()


class _Log(logging.FileHandler):
    """The run's log. A line the disk has no room for is left out: what the run writes itself will say so."""

    def __init__(self, file: Path, delay: bool) -> None:
        super().__init__(file, delay=delay)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None: ...

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def _write_last_status(run: Run, **changes: Any) -> None:
    """How it ended, however full the disk; the room of the status before is kept for the next."""
    with suppress(OSError):
        try:
            _write_into_spare(run, **changes)
        except FileNotFoundError:  # there was no room for a spare
            run.write_status(**changes)
        keep_spare(run.path / SPARE)


def _write_into_spare(run: Run, **changes: Any) -> None:
    """Changes entries of the status in the room that was kept for it."""
    content = json.dumps(run.status() | changes, indent=1) + "\n"
    write_over(run.path / SPARE, run.path / "status.json", content.encode())


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise Stopped


@contextmanager
def _stop_on_request(run: Run, asked: threading.Event) -> Iterator[None]:
    """While it lasts, the file ``stop`` in the run's directory is as good as SIGTERM; ``asked`` tells them apart.

    A file needs no process id, so a request can hit no other process, and works across machines that share a disk.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(STOP_POLL):
            if run.stop_file.exists():
                asked.set()
                os.kill(os.getpid(), signal.SIGTERM)
                over.wait(STOP_AGAIN)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        run.stop_file.unlink(missing_ok=True)


def explain(error: BaseException) -> str:
    """One sentence with the cause of a failed run."""
    text = str(error).strip().split("\n")[0]
    if isinstance(error, UserError):
        return text
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text:
        return f"out of memory ({text[:120]}); choose a smaller optimiser.batch_size or net, or another device"
    if isinstance(error, OSError) and error.strerror:
        file, why = error.filename or "a file of the run", error.strerror
        if error.errno in FULL:
            return f"the disk is full: cannot write {file} ({why}); make room, then resume"
        return f"cannot write or read {file} ({why}); mend its rights, then resume"
    return f"{type(error).__name__}: {text}; the log has the details"


def _work(run: Run) -> None:
    from dpls.device import make_deterministic, resolve_device
    from dpls.elsewhere.recording import complete
    from dpls.jobs.console import Console
    from dpls.jobs.finish import finish, write_manifest
    from dpls.runs.agreement import images_of
    from dpls.training.loop import train

    make_deterministic()
    config = _as_begun(run, run.recipe()).resolved()
    dataset = images_of(run)
    if not config.net.is_known:
        complete(run, dataset)
        return
    run.write_status(device=str(resolve_device(config.device)))
    write_manifest(run, config, dataset)
    with Console(run, config, dataset) as progress:
        train(config, run, dataset, progress)
    finish(run, config, dataset)


def _evaluate_wanted(run: Run) -> None:
    if next_wanted(run):
        from dpls.jobs.evaluating import evaluate_wanted

        evaluate_wanted(run, explain)


def _as_begun(run: Run, config: "RunConfig") -> "RunConfig":
    """In the precision in which it began, whatever ``auto`` means where it goes on: a run has one."""
    if config.precision != "auto" or not run.metrics() or not run.manifest_file.exists():
        return config
    return config.model_copy(update={"precision": run.manifest()["precision"]})


@contextmanager
def shown_log() -> Iterator[None]:
    """Sends the log to the terminal as well."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
