"""The per-example table ``examples.parquet``: derived from record and evaluations, rebuilt whenever they change."""

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dpls.data import PARTS, TRAIN, Dataset
from dpls.difficulty.measures import MEASURES, signals_of, visits
from dpls.errors import UserError
from dpls.runs.choice import difficulty_of, kept_of
from dpls.runs.directory import Run, write_whole

if TYPE_CHECKING:
    from dpls.recipe import RunConfig


def build_examples(config: "RunConfig", run: Run, dataset: Dataset, hashes: np.ndarray) -> pd.DataFrame:
    """A row per example of every split, in order of ids; the columns are listed in docs/architecture.md."""
    train_ids = dataset.ids(TRAIN)
    epochs = min(config.counted_epochs, len(run.metrics()))
    record = run.dynamics(epochs)
    columns: dict[str, np.ndarray] = {
        "id": run.ids(),
        "hash": np.char.decode(hashes, "ascii"),
        "split": np.array(PARTS)[dataset.part],
        "label": dataset.labels,
        "class": np.array(dataset.classes)[dataset.labels],
        "cause": dataset.cause,
        "path": dataset.files,
    }
    for adversarial, suffix in ((False, ""), (True, "_adv")):
        signals = signals_of(record, adversarial)
        if not signals:  # a recorded run trained without attack keeps no empty half
            continue
        columns[f"visits{suffix}"] = visits(signals)
        for name, measure in MEASURES.items():
            columns[name + suffix] = measure.compute(signals)
    difficulty = _difficulty_or_nan(config, run, train_ids, epochs)
    factors = np.full(len(dataset.labels), np.nan)
    factors[train_ids] = _factors(config, difficulty[train_ids], len(dataset.classes))
    columns |= {"trained": _trained(config, run, dataset), "difficulty": difficulty, "factor": factors}
    table = pd.DataFrame(columns)
    said = run.probabilities()
    if said is not None:
        table["predicted"] = np.array(dataset.classes)[said.argmax(1)]
    for evaluation in run.evaluation_names(others=True):
        outcome = pd.read_parquet(run.evaluations / f"{evaluation}.parquet").set_index("id")["correct"]
        column = "correct_clean" if evaluation == "clean_best" else f"correct_{evaluation}"
        table[column] = table["id"].map(outcome).astype("boolean")
    return table


def _trained(config: "RunConfig", run: Run, dataset: Dataset) -> np.ndarray:
    """int64 (N,): in how many epochs an example took part; 0 of those held out, and of validation and test."""
    ids, trained = dataset.ids(TRAIN), np.zeros(len(dataset.labels), dtype=np.int64)
    for start, phase in config.phases_after(0):
        trained[ids] += (phase.until - start) * kept_of(config, run, phase.subset, ids, dataset.labels[ids], start)
    return trained


def _difficulty_or_nan(config: "RunConfig", run: Run, train_ids: np.ndarray, epochs: int) -> np.ndarray:
    """A run that ended well may still have scores that do not differ; the table then says so by NaN."""
    try:
        return difficulty_of(config, run, train_ids, epochs)
    except UserError:
        return np.full(len(run.ids()), np.nan)


def _factors(config: "RunConfig", difficulty: np.ndarray, classes: int) -> np.ndarray:
    """Factors of the last phase."""
    rule = config.phases[-1].factors
    return (
        np.ones(len(difficulty)) if rule.needs_difficulty and np.isnan(difficulty).all() else rule(difficulty, classes)
    )


def write_examples(config: "RunConfig", run: Run, dataset: Dataset, hashes: np.ndarray) -> pd.DataFrame:
    """Builds and stores the table; for the holder of the run's lock."""
    table = build_examples(config, run, dataset, hashes)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    write_whole(run.examples_file, buffer.getvalue())
    return table
