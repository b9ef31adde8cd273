"""Finished run directories made in seconds, for the pages: nothing is trained, the numbers are drawn."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpls.data import Dataset
from dpls.data.cache import image_hashes, store
from dpls.difficulty.measures import MEASURES
from dpls.difficulty.scale import min_max
from dpls.difficulty.signals import signals_of
from dpls.runs.directory import SCHEMA, Run
from dpls.runs.files import data_root, write_json


def make_dataset(
    train: int, others: int, classes: tuple[str, ...], size: int, seed: int = 0, planted: bool = True
) -> Dataset:
    """Images whose top left pixels spell their id, so that a picture shown for another example is noticed."""
    rng = np.random.default_rng(seed)
    count = train + 2 * others
    images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 1, 0, 0] = np.arange(count) % 256, np.arange(count) // 256 % 256
    labels = rng.integers(0, len(classes), count)
    part = np.repeat([0, 1, 2], [train, others, others]).astype(np.uint8)
    d = Dataset.of(images, labels, part, classes)
    if not planted:
        return d
    cause, shown = np.full(count, "", dtype="<U16"), labels.copy()
    flipped = rng.permutation(train)[: train // 20]
    cause[flipped] = "flip"
    shown[flipped] = (labels[flipped] + 1) % len(classes)
    return Dataset(images, shown, part, classes, cause, labels, d.files)


def make_run(
    runs: Path,
    *,
    train: int = 200,
    others: int = 40,
    epochs: int = 10,
    counted: int = 8,
    classes: tuple[str, ...] = ("apple", "pear", "plum"),
    size: int = 8,
    number: int = 1,
    label: str = "",
    state: str = "done",
    **changes: Any,
) -> Run:
    """A run directory with everything a finished run has but checkpoints; its images lie in the cache."""
    rng = np.random.default_rng(number)
    dataset = make_dataset(train, others, classes, size, planted=changes.pop("planted", True))
    fingerprint = store(data_root(runs), dataset, {})
    run = Run(runs / f"2026-01-02_0000{number % 60:02d}_{number:04x}")
    for folder in ("dynamics", "evaluations", "checkpoints"):
        (run.path / folder).mkdir(parents=True)
    config = {
        "data": {"source": {"kind": "npz", "path": "gone.npz"}, "probes": []},
        "net": {"kind": "small_cnn", "width": 8},
        "schedule": {"decays": []},
        "eps": 8 / 255,
        "objective": {"kind": "pgd_at", "attack": {"kind": "pgd", "steps": 5, "eps": None}},
        "phases": [
            {"until": counted, "factors": {"kind": "hard"}, "subset": None, "objective": None},
            {
                "until": epochs,
                "factors": {"kind": "dpls", "lambda_min": 0.5, "mean": None},
                "subset": None,
                "objective": None,
            },
        ],
        "difficulty": {"measure": "zero_one", "adversarial": False, "normaliser": "min_max"},
        **changes,
    }
    write_json(
        run.config_file,
        {"schema": SCHEMA, "recipe_hash": "0" * 20, "fingerprint": fingerprint, "states": {}, "parent": None}
        | {"config": config},
    )
    write_json(
        run.path / "status.json",
        {
            "state": state,
            "epoch": epochs,
            "epochs": epochs,
            "device": "cpu",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "error": None,
        },
    )
    run.write_label(label)
    rows = [
        {
            "epoch": e,
            "lr": 0.1,
            "loss": 2 / e,
            "train_clean": 0.5 + e / (3 * epochs),
            "train_robust": 0.4 + e / (4 * epochs),
            "validation_clean": 0.5 + e / (4 * epochs),
            "validation_robust": 0.4 + e / (5 * epochs),
            "seconds": 1.0,
            "images_per_second": float(train),
        }
        for e in range(1, epochs + 1)
    ]
    run.keep_metrics(rows)
    _write_record(run, dataset, epochs, rng)
    said = rng.random((len(dataset.labels), len(classes)))
    run.write_probabilities(said / said.sum(1, keepdims=True))
    _write_evaluations(run, dataset, rng)
    _write_table(run, dataset, counted)
    return run


def _write_record(run: Run, dataset: Dataset, epochs: int, rng: np.random.Generator) -> None:
    """Every example is wrong at a rate of its own, less often as time goes by; flipped ones nearly always."""
    count = len(dataset.labels)
    np.save(run.path / "dynamics" / "ids.npy", np.arange(count))
    hardness = np.where(dataset.cause == "flip", 0.97, rng.beta(0.8, 2, count)).astype(np.float32)
    time = np.linspace(0, 1, epochs, dtype=np.float32)[:, None]
    for suffix, extra in (("", 0.0), ("_adv", 0.2)):
        p = np.clip(1 - hardness * (1.1 - 0.5 * time) - extra, 0.001, 0.999)
        p = np.clip(p + 0.2 * (rng.random((epochs, count), dtype=np.float32) - 0.5), 0.001, 0.999)
        arrays = {
            "correct": (p > 0.5).astype(np.uint8),
            "p_true": p,
            "loss": -np.log(p),
            "margin": np.log(p / (1 - p)),
            "error_norm": (1 - p) * np.float32(1.2),
        }
        for name, values in arrays.items():
            unseen = 255 if values.dtype == np.uint8 else np.nan
            values = np.where(dataset.part == 0, values, unseen).astype(values.dtype) if suffix else values
            np.save(run.path / "dynamics" / f"{name}{suffix}.npy", values)


def _write_evaluations(run: Run, dataset: Dataset, rng: np.random.Generator) -> None:
    ids = dataset.ids(2)
    for name, attack, rate in (("clean_best", "clean", 0.8), ("pgd20_8-255_best", "PGD20, eps 8/255", 0.5)):
        correct = rng.random(len(ids)) < rate
        pd.DataFrame({"id": ids, "correct": correct}).to_parquet(run.evaluations / f"{name}.parquet")
        write_json(
            run.evaluations / f"{name}.json",
            {
                "attack": attack,
                "settings": {},
                "n": len(ids),
                "accuracy": float(correct.mean()),
                "low": max(0.0, float(correct.mean()) - 0.05),
                "high": min(1.0, float(correct.mean()) + 0.05),
                "checkpoint": "best",
                "epoch": 9,
                "chosen_by": "validation accuracy, PGD10, epochs 9-10",
                "warnings": [],
            },
        )


def _write_table(run: Run, dataset: Dataset, counted: int) -> None:
    record = run.dynamics(counted)
    columns: dict[str, Any] = {
        "id": run.ids(),
        "hash": np.char.decode(image_hashes(dataset.images), "ascii"),
        "split": np.array(["train", "validation", "test"])[dataset.part],
        "label": dataset.labels,
        "class": np.array(dataset.classes)[dataset.labels],
        "cause": dataset.cause,
        "path": dataset.files,
    }
    columns |= {name: measure.compute(signals_of(record, False)) for name, measure in MEASURES.items()}
    difficulty = min_max(columns["zero_one"], columns["zero_one"][dataset.part == 0])
    factor = np.where(dataset.part == 0, 1 - 0.5 * difficulty, np.nan)
    pd.DataFrame(columns | {"difficulty": difficulty, "factor": factor}).to_parquet(run.examples_file, index=False)
