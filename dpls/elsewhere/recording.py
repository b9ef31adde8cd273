"""The directory of a run that another program trains or has trained: made, filled epoch by epoch, completed.

It is a run directory like all others: its configuration says by the kinds ``elsewhere`` (objective), ``unknown`` (net)
and ``given`` (images) what is not known here. Its length is not known before either, so each epoch is added to it.
The row of metrics.jsonl commits an epoch.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dpls.component import ENGINE
from dpls.data import TRAIN, VALIDATION, Data, Dataset
from dpls.data.cache import fingerprint_of, open_dataset, open_hashes
from dpls.difficulty.record import RECORDED, unseen
from dpls.disk import keep_spare, write_over
from dpls.errors import UserError
from dpls.machine import hardware, versions
from dpls.methods import Elsewhere
from dpls.nets.networks import Net, UnknownNet
from dpls.recipe import RunConfig, hash_at, make_config
from dpls.runs.agreement import check_record, seal, unseal
from dpls.runs.checked import no_links
from dpls.runs.directory import CLOCK_COLUMNS, Run
from dpls.runs.examples import write_examples
from dpls.runs.files import SPARE, data_root, now, write_json
from dpls.runs.folder import create_run

SHARES = (
    ("train_clean", "correct", TRAIN),
    ("train_robust", "correct_adv", TRAIN),
    ("validation_clean", "correct", VALIDATION),
)
"""What is counted from the record: column of metrics.jsonl, signal, part."""
GIVEN = ("lr", "loss", "validation_robust")
"""Columns that only whoever trains can know; None where nobody said."""
COUNTED = ("epoch", *(column for column, _, _ in SHARES), *CLOCK_COLUMNS)


def configured(
    data: Data, net: Net | None = None, epochs: int = 1, how: Elsewhere | None = None, seed: int = 0
) -> RunConfig:
    """The configuration that says what is known: the images, perhaps the net, how many epochs; nothing else."""
    parts = {"data": data, "net": net or UnknownNet(), "objective": how or Elsewhere()}
    settings = {name: part.model_dump(mode="json") for name, part in parts.items()}
    return make_config(settings | {"phases": [{"until": epochs}], "seed": seed})


def begin(runs: Path, config: RunConfig, fingerprint: str, count: int, label: str = "") -> Run:
    """A new run without epochs, state running; for whoever takes its lock next. count: examples of all parts."""
    run = create_run(runs, _content(config, fingerprint), config.epochs, label, state="running")
    _prepare(run, config.epochs, count)
    return run


def _prepare(run: Run, epochs: int, count: int) -> None:
    """An empty record, and where it was begun."""
    signals = {name: (dtype, unseen(dtype)) for name, dtype in RECORDED.items()}
    run.create_dynamics(np.arange(count), signals, epochs)
    fingerprint = run.config()["fingerprint"]
    manifest = {**versions(), **hardware(), "device": "unknown", "precision": "unknown", "fingerprint": fingerprint}
    write_json(run.manifest_file, manifest | {"operations_per_second": None})


def add_epoch(
    run: Run, dataset: Dataset, rows: Mapping[str, np.ndarray], metrics: Mapping[str, Any], seconds: float = 0.0
) -> dict[str, Any]:
    """One epoch more: rows of all signals (N,), and what whoever trains says of it. Returns the row that commits it.

    For the holder of the run's lock. Metrics may say lr, loss, validation_robust and anything else but what is counted.
    """
    said = {name: _number(name, value) for name, value in metrics.items()}
    clean, attacked = (bool((rows[name] != unseen(rows[name].dtype)).any()) for name in ("correct", "correct_adv"))
    if not clean and not attacked:
        raise UserError("nothing was recorded in this epoch; call batch(ids, logits, y) before epoch()")
    epoch = len(run.metrics()) + 1
    config = _grown(run, epoch, clean, attacked)
    run.write_dynamics(epoch, rows)
    shown = int((rows["correct"][dataset.ids(TRAIN)] != unseen(rows["correct"].dtype)).sum())
    row = {
        "epoch": epoch,
        **dict.fromkeys(GIVEN),
        **said,
        **{column: _share(rows[signal][dataset.ids(part)]) for column, signal, part in SHARES},
        "seconds": round(seconds, 3),
        "images_per_second": round(shown / seconds, 1) if seconds else 0.0,
    }
    run.commit(row)
    run.write_status(epoch=epoch, epochs=config.epochs)
    return row


def dataset_of(run: Run, given: Dataset | None = None) -> Dataset:
    """The data set of a recorded run, from the cache. ``given``: what is handed over once more, which must be the same;
    it is kept where the cache has lost it."""
    config = run.recipe()
    if config.net.is_known:
        raise UserError(f"run {run.id} was not recorded by a loop elsewhere; hand over labels and a folder of runs")
    root, fingerprint = data_root(run.path.parent), run.config()["fingerprint"]
    if given is not None and fingerprint_of(given) != fingerprint:
        raise UserError(f"run {run.id} is of other labels, images, parts or paths than those that are handed over now")
    if given is not None:
        Data.given(root, given, config.data.source.title)
    return open_dataset(root, fingerprint)


def go_on(run: Run, dataset: Dataset, after: int | None = None) -> None:
    """Brings a recorded run to the state after an epoch, None: the last that is committed; for the holder of its lock.

    Epochs after it are dropped.
    """
    no_links(run.path)
    rows = run.metrics()
    done = len(rows) if after is None else after
    if not 0 <= done <= len(rows):
        raise UserError(f"after = {done}: run {run.id} has {len(rows)} epochs that are committed")
    unseal(run)
    run.keep_metrics(rows[:done])
    run.write_status(state="running", epoch=done, epochs=max(1, done), finished=None, error=None)
    config = _grown(run, done)
    if not done:  # what stopped it may have come before there was a record
        _prepare(run, config.epochs, len(dataset.labels))
    check_record(run, dataset)


def complete(run: Run, dataset: Dataset) -> None:
    """The per-example table, then the seal, of what is committed; for the holder of the run's lock."""
    root, stored = data_root(run.path.parent), run.config()
    unseal(run)
    if run.metrics():
        check_record(run, dataset)
        write_examples(run.recipe().resolved(), run, dataset, open_hashes(root, stored["fingerprint"]))
        seal(run)


def end(run: Run, state: str = "done") -> None:
    """How it ended, in the room that was kept for that; for the holder of the run's lock."""
    content = json.dumps(run.status() | {"state": state, "finished": now(), "stage": None, "error": None}, indent=1)
    keep_spare(run.path / SPARE)
    write_over(run.path / SPARE, run.path / "status.json", f"{content}\n".encode())


def _content(config: RunConfig, fingerprint: str) -> dict[str, Any]:
    return {
        "engine": ENGINE,
        "recipe_hash": hash_at(config, config.epochs, fingerprint),
        "fingerprint": fingerprint,
        "states": {str(e): hash_at(config, e, fingerprint) for e in config.borders if config.net.is_known},
        "parent": None,
        "needs": [],
        "experiment": None,
        "config": config.model_dump(mode="json"),
    }


def _grown(run: Run, epochs: int, clean: bool = False, attacked: bool = False) -> RunConfig:
    """Its configuration, from now on of so many epochs. clean, attacked: which images the last of them has recorded;
    difficulty is that of attacked ones where no clean one ever was."""
    stored = run.config()
    known = make_config(stored["config"])
    objective, phase = known.objective, known.phases[-1]
    assert isinstance(objective, Elsewhere)
    alone = attacked if epochs == 1 else known.difficulty.adversarial
    changes = {
        "objective": objective.model_copy(update={"attacked": bool(epochs) and (objective.attacked or attacked)}),
        "phases": (phase.model_copy(update={"until": max(1, epochs)}),),
        "difficulty": known.difficulty.model_copy(update={"adversarial": bool(epochs) and alone and not clean}),
    }
    config = known.model_copy(update=changes)
    if config != known:
        write_json(run.config_file, stored | _content(config, stored["fingerprint"]))
    return config


def _number(name: str, value: Any) -> float:
    if name in COUNTED:
        raise UserError(f"{name} is counted here; leave it out, or give yours another name")
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{name} = {str(value)[:40]!r} is not a number") from None


def _share(outcome: np.ndarray) -> float | None:
    seen = outcome != unseen(outcome.dtype)
    return float((outcome == 1).sum() / seen.sum()) if seen.any() else None
