"""What works on a run: takes the lock, waits for a slot, trains, evaluates, writes the table, says how it ended.

Every launcher starts this, as ``python -m dpls work DIR``; a second call resumes. Lock and slot are taken before
anything heavy is imported.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from types import FrameType
from typing import Any

from dpls.errors import UserError
from dpls.jobs.queue import WAITING, hindrance
from dpls.jobs.slots import slot
from dpls.runs.directory import Run, data_root, now, write_json

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
    """
    device = str(run.config()["config"].get("device", "auto"))
    with run.lock():
        if not if_queued:
            run.stop_file.unlink(missing_ok=True)  # asked of an earlier worker
        elif run.status()["state"] not in WAITING:
            raise Stopped(asked=True)
        if hindered := hindrance(run):
            raise UserError(f"run {run.id} cannot start yet: {hindered[1]}")
        handler = logging.FileHandler(run.log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.setLevel(logging.DEBUG)
        log.addHandler(handler)
        before, asked = signal.signal(signal.SIGTERM, _stop), threading.Event()
        try:
            run.write_status(state="queued", stage=None, finished=None, error=None)
            with _stop_on_request(run, asked), slot(device, run.id, log.info) as taken:
                run.write_status(state="running", started=now(), slot=taken)
                _work(run)
            run.write_status(state="done", finished=now(), stage=None)
        except (Stopped, KeyboardInterrupt) as stop:
            run.write_status(state="cancelled", finished=now(), stage=None)
            log.info("stopped; resume with: python -m dpls work %s", run.path)
            raise Stopped(asked=isinstance(stop, Stopped) and asked.is_set()) from None
        except Exception as error:
            reason = explain(error)
            log.debug("", exc_info=True)
            run.write_status(state="failed", finished=now(), stage=None, error=reason)
            raise UserError(reason) from error
        finally:
            signal.signal(signal.SIGTERM, before)
            log.removeHandler(handler)
            handler.close()


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
        file = error.filename or "a file of the run"
        return f"cannot write or read {file} ({error.strerror}); make room or mend its rights, then resume"
    return f"{type(error).__name__}: {text}; the log has the details"


def _work(run: Run) -> None:
    from dpls.data.cache import open_hashes
    from dpls.device import make_deterministic, resolve_device, resolve_precision
    from dpls.jobs.console import Console
    from dpls.recipe import make_config
    from dpls.runs.examples import write_examples
    from dpls.training.loop import train

    make_deterministic()
    stored = run.config()
    config = make_config(stored["config"]).resolved()
    device = resolve_device(config.device)
    dtype = resolve_precision(config.precision, device)
    root = data_root(run.path.parent)
    dataset = _images_of(run, config)
    run.write_status(device=str(device))
    _write_manifest(run, config, dataset, device, dtype)
    progress = Console(run, config.epochs, len(dataset.ids(0)))
    with progress:
        train(config, run, dataset, progress)
    _evaluate_all(run, config, dataset)
    _write_probabilities(run, config, dataset)
    write_examples(config, run, dataset, open_hashes(root, stored["fingerprint"]))
    _write_manifest(run, config, dataset, device, dtype)


def _images_of(run: Run, config: Any) -> Any:
    """The data set the run was made for: from the cache, or built again from the source if that has not changed."""
    from dpls.data.cache import open_dataset

    root, expected = data_root(run.path.parent), run.config()["fingerprint"]
    if not (root / expected).exists():
        _, found = config.data(root)
        if found != expected:
            raise UserError(
                f"the images are no longer those the run was made for (fingerprint {found}, expected {expected});"
                " bring them back, or train a new run"
            )
    return open_dataset(root, expected)


def _evaluate_all(run: Run, config: Any, dataset: Any) -> None:
    """Best and last checkpoint, clean and under each configured attack; what stands there already is left alone.

    Training images, where they are asked for, at the last checkpoint alone: memorization is complete at the end.
    """
    from dpls.data import PARTS, TEST, TRAIN
    from dpls.evaluations.judge import evaluation_name
    from dpls.training.checkpoints import find_checkpoint

    also = [(name, PARTS.index(part)) for part in config.evaluate_also for name in ("best", "last")]
    wanted = [(name, TEST) for name in ("best", "last")] + [entry for entry in also if entry != ("best", TRAIN)]
    for name, part in wanted:
        for attack in (None, *config.evaluations):
            evaluation = evaluation_name(attack, name, part)
            known = run.evaluation(evaluation)["epoch"] if evaluation in run.evaluation_names(others=True) else None
            if known != find_checkpoint(run, name)[1]:
                title = f"{attack.title if attack else 'clean'}, {name} checkpoint"
                run.write_status(stage=f"evaluating: {title}")
                log.info(_evaluate(run, config, dataset, attack, name, part))


def _evaluate(run: Run, config: Any, dataset: Any, attack: Any, checkpoint: str, part: int) -> str:
    """One evaluation, stored; in words."""
    from dpls.data import PARTS
    from dpls.evaluations.judge import evaluate
    from dpls.training.checkpoints import find_checkpoint, load_weights
    from dpls.training.loop import build

    path, epoch = find_checkpoint(run, checkpoint)
    parts = build(config, dataset)
    load_weights(parts.net, path)
    rules = {"best": config.chosen_by, "last": "last epoch"}
    described = {"name": checkpoint, "epoch": epoch, "chosen_by": rules.get(checkpoint, "named by hand")}
    result = evaluate(run, parts.net, dataset, attack, described, device=parts.device, dtype=parts.dtype, part=part)
    return f"{attack.title if attack else 'clean'}, {PARTS[part]}, {checkpoint} checkpoint (epoch {epoch}): {result}"


def _write_probabilities(run: Run, config: Any, dataset: Any) -> None:
    """What the best checkpoint says of every clean image, so that pages need no net."""
    from dpls.evaluations.judge import probabilities
    from dpls.training.checkpoints import find_checkpoint, load_weights
    from dpls.training.loop import build

    parts = build(config, dataset)
    load_weights(parts.net, find_checkpoint(run, "best")[0])
    run.write_probabilities(probabilities(parts.net, dataset, parts.device))


def evaluate_run(run: Run, attack: str, assignments: list[str], checkpoint: str) -> str:
    """Evaluates a checkpoint of a run on its test images and stores the outcome; returns the accuracy in words.

    ``attack`` is a short name, its settings are ``name=value``; eps is the run's where it is not among them.
    """
    from dpls.attacks import named
    from dpls.data import TEST
    from dpls.data.cache import open_dataset, open_hashes
    from dpls.device import make_deterministic
    from dpls.recipe import make_config, override
    from dpls.runs.examples import write_examples
    from dpls.training.checkpoints import find_checkpoint

    make_deterministic()
    stored, root = run.config(), data_root(run.path.parent)
    settings = override(named(attack).model_dump(mode="json"), assignments)
    config = make_config(stored["config"] | {"evaluations": [settings]}).resolved()
    find_checkpoint(run, checkpoint)
    with run.lock():
        dataset = open_dataset(root, stored["fingerprint"])
        words = _evaluate(run, config, dataset, config.evaluations[0], checkpoint, TEST)
        write_examples(config, run, dataset, open_hashes(root, stored["fingerprint"]))
    return words


def _write_manifest(run: Run, config: Any, dataset: Any, device: Any, dtype: Any) -> None:
    from dpls.jobs.estimate import outline_of, speed
    from dpls.machine import hardware, versions

    rows = run.metrics()
    phases = []
    for start, phase in config.phases_after(0):
        done = rows[start : phase.until]
        rates = [row["images_per_second"] for row in done]
        phases.append(
            {
                "until": phase.until,
                "seconds": round(sum(row["seconds"] for row in done), 2),
                "images_per_second": round(sum(rates) / len(rates), 1) if rates else None,
            }
        )
    # The median epoch of each phase: one that somebody disturbed shall not make later estimates slow.
    parts = [rows[start : phase.until] for start, phase in config.phases_after(0)]
    seconds = sum(len(part) * median(row["seconds"] for row in part) for part in parts if part)
    sizes = outline_of(dataset)
    write_json(
        run.manifest_file,
        {
            **versions(),
            **hardware(),
            "device": str(device),
            "precision": str(dtype).removeprefix("torch."),
            "fingerprint": run.config()["fingerprint"],
            "phases": phases,
            "operations_per_second": round(speed(config, sizes, seconds, len(rows))) if rows else None,
        },
    )


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
