"""What works on a run: takes the lock, trains, evaluates, writes the per-example table, and says how it ended.

Every launcher starts this, as ``python -m dpls work DIR``; a second call resumes. The lock is taken before anything
heavy is imported.
"""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import Any

from dpls.errors import UserError
from dpls.runs import Run, data_root, now, write_json

log = logging.getLogger("dpls")


class Stopped(BaseException):
    """The run was told to stop; what is committed stays, and the run can be resumed."""


def work(run: Run) -> None:
    """Brings a run to its end. Raises UserError with the reason where it fails, Stopped where it was told to stop."""
    run.config()
    with run.lock():
        handler = logging.FileHandler(run.log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            run.write_status(state="running", started=now(), finished=None, error=None)
            _work(run)
            run.write_status(state="done", finished=now())
        except (Stopped, KeyboardInterrupt):
            run.write_status(state="cancelled", finished=now())
            log.info("stopped; resume with: python -m dpls work %s", run.path)
            raise Stopped from None
        except Exception as error:
            reason = explain(error)
            log.debug("", exc_info=True)
            run.write_status(state="failed", finished=now(), error=reason)
            raise UserError(reason) from error
        finally:
            signal.signal(signal.SIGTERM, before)
            log.removeHandler(handler)
            handler.close()


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise Stopped


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
    from dpls.config import make_config
    from dpls.data.cache import open_hashes
    from dpls.device import make_deterministic, resolve_device, resolve_precision
    from dpls.examples import write_examples
    from dpls.training import train

    make_deterministic()
    stored = run.config()
    config = make_config(stored["config"]).resolved()
    device = resolve_device(config.device)
    dtype = resolve_precision(config.precision, device)
    root = data_root(run.path.parent)
    dataset = _images_of(run, config)
    run.write_status(device=str(device))
    _write_manifest(run, device, dtype)
    progress = Console(run, config.epochs, len(dataset.ids(0)))
    with progress:
        train(config, run, dataset, progress)
    _evaluate_all(run, config, dataset)
    write_examples(config, run, dataset, open_hashes(root, stored["fingerprint"]))
    _write_manifest(run, device, dtype)


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
    """Best and last checkpoint, clean and under each configured attack; what stands there already is left alone."""
    from dpls.checkpoints import find_checkpoint
    from dpls.evaluation import evaluation_name

    for name in ("best", "last"):
        for attack in (None, *config.evaluations):
            evaluation = evaluation_name(attack, name)
            known = run.evaluation(evaluation)["epoch"] if evaluation in run.evaluation_names() else None
            if known != find_checkpoint(run, name)[1]:
                log.info(_evaluate(run, config, dataset, attack, name))


def _evaluate(run: Run, config: Any, dataset: Any, attack: Any, checkpoint: str) -> str:
    """One evaluation, stored; in words."""
    from dpls.checkpoints import find_checkpoint, load_weights
    from dpls.evaluation import evaluate
    from dpls.training import build

    path, epoch = find_checkpoint(run, checkpoint)
    parts = build(config, dataset)
    load_weights(parts.net, path)
    rules = {"best": config.chosen_by, "last": "last epoch"}
    described = {"name": checkpoint, "epoch": epoch, "chosen_by": rules.get(checkpoint, "named by hand")}
    result = evaluate(run, parts.net, dataset, attack, described, device=parts.device, dtype=parts.dtype)
    return f"{attack.title if attack else 'clean'}, {checkpoint} checkpoint (epoch {epoch}): {result}"


def evaluate_run(run: Run, attack: str, assignments: list[str], checkpoint: str) -> str:
    """Evaluates a checkpoint of a run on its test images and stores the outcome; returns the accuracy in words.

    ``attack`` is a short name, its settings are ``name=value``; eps is the run's where it is not among them.
    """
    from dpls.attacks import named
    from dpls.checkpoints import find_checkpoint
    from dpls.config import make_config, override
    from dpls.data.cache import open_dataset, open_hashes
    from dpls.device import make_deterministic
    from dpls.examples import write_examples

    make_deterministic()
    stored, root = run.config(), data_root(run.path.parent)
    settings = override(named(attack).model_dump(mode="json"), assignments)
    config = make_config(stored["config"] | {"evaluations": [settings]}).resolved()
    find_checkpoint(run, checkpoint)
    with run.lock():
        dataset = open_dataset(root, stored["fingerprint"])
        words = _evaluate(run, config, dataset, config.evaluations[0], checkpoint)
        write_examples(config, run, dataset, open_hashes(root, stored["fingerprint"]))
    return words


def _write_manifest(run: Run, device: Any, dtype: Any) -> None:
    from dpls.doctor import hardware, versions

    rows = run.metrics()
    config = run.config()
    starts = [0, *(phase["until"] for phase in config["config"]["phases"])]
    phases = []
    for start, end in pairwise(starts):
        done = rows[start:end]
        seconds = sum(row["seconds"] for row in done)
        rates = [row["images_per_second"] for row in done]
        phases.append(
            {
                "until": end,
                "seconds": round(seconds, 2),
                "images_per_second": round(sum(rates) / len(rates), 1) if rates else None,
            }
        )
    write_json(
        run.manifest_file,
        {
            **versions(),
            **hardware(),
            "device": str(device),
            "precision": str(dtype).removeprefix("torch."),
            "fingerprint": config["fingerprint"],
            "phases": phases,
        },
    )


class Console:
    """Progress on a terminal: a bar with the time left, and a line an epoch, which goes to the log, too."""

    def __init__(self, run: Run, epochs: int, images: int) -> None:
        from tqdm import tqdm

        self._epochs = epochs
        self._bar = tqdm(
            total=epochs * images, unit=" images", unit_scale=True, disable=None, leave=False, dynamic_ncols=True
        )
        self._skipped: int | None = None
        log.info("run %s: %d epochs of %d images", run.id, epochs, images)

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def images(self, count: int) -> None:
        if self._skipped is None:  # the first call tells what was done before
            self._skipped = count
            self._bar.initial = self._bar.n = count
        else:
            self._bar.update(count)

    def epoch(self, row: dict[str, Any]) -> None:
        def percent(name: str) -> str:
            return "    -" if row[name] is None else f"{row[name]:5.1%}"

        left = round((self._epochs - row["epoch"]) * row["seconds"])
        self._bar.clear()
        log.info(
            f"epoch {row['epoch']:>{len(str(self._epochs))}}/{self._epochs}  lr {row['lr']:.4f}  loss {row['loss']:.3f}"
            f"  train {percent('train_clean')} robust {percent('train_robust')}"
            f"  validation {percent('validation_clean')} robust {percent('validation_robust')}"
            f"  {row['images_per_second']:.0f} images/s  {left // 60}:{left % 60:02d} left"
        )
        self._bar.refresh()


@contextmanager
def shown_log() -> Iterator[None]:
    """Sends the log to the terminal as well."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
