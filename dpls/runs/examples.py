"""The per-example table ``examples.parquet``: derived from record and evaluations, rebuilt whenever they change."""

import io

import numpy as np
import pandas as pd

from dpls.data import SPLITS, TRAIN, Dataset
from dpls.data.unlabelled import has_own_label
from dpls.difficulty.measures import MEASURES, visits
from dpls.difficulty.signals import signals_of
from dpls.errors import UserError
from dpls.recipe import RunConfig
from dpls.runs.checked import damaged
from dpls.runs.choice import choice_at, difficulty_of
from dpls.runs.directory import Run
from dpls.runs.files import write_whole


def build_examples(config: RunConfig, run: Run, dataset: Dataset, hashes: np.ndarray) -> pd.DataFrame:
    """A row per example of every split, in order of ids; the columns are listed in docs/architecture.md."""
    labelled = dataset.ids(TRAIN)[has_own_label(dataset)]
    epochs = min(config.counted_epochs, len(run.metrics()))
    record = run.dynamics(epochs)
    columns: dict[str, np.ndarray] = {
        "id": run.ids(),
        "hash": np.char.decode(hashes, "ascii"),
        "split": np.array(SPLITS)[dataset.part],
        "label": dataset.labels,
        "class": np.array([*dataset.classes, ""])[dataset.labels],  # the last is that of the label -1
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
    difficulty = _difficulty_or_nan(config, run, labelled, epochs)
    columns |= {"difficulty": difficulty, **_chosen(config, run, dataset)}
    table = pd.DataFrame(columns)
    said = run.probabilities()
    if said is not None and said.shape[1] != len(dataset.classes):
        raise damaged(run.path / "probabilities.npy", f"it knows {said.shape[1]} classes, not {len(dataset.classes)}")
    if said is not None:
        table["predicted"] = np.array(dataset.classes)[said.argmax(1)]
    for evaluation in run.evaluation_names(others=True):
        outcome = run.outcomes(evaluation).set_index("id")["correct"]
        column = "correct_clean" if evaluation == "clean_best" else f"correct_{evaluation}"
        table[column] = table["id"].map(outcome).astype("boolean")
    return table


def _chosen(config: RunConfig, run: Run, dataset: Dataset) -> dict[str, np.ndarray]:
    """trained: int64 (N,), in how many epochs an example took part; 0 of those held out, of validation and test.

    factor: float64 (N,), of the last phase; NaN of validation and test. Of a run that was trained elsewhere neither is
    known: all factors are NaN, and the other column is not there.
    """
    if config.elsewhere:
        return {"factor": np.full(len(dataset.labels), np.nan)}
    ids, trained = dataset.ids(TRAIN), np.zeros(len(dataset.labels), dtype=np.int64)
    factors = np.full(len(dataset.labels), np.nan)
    epochs, own = len(run.metrics()), has_own_label(dataset)
    for start, phase in config.phases_after(0):
        if start >= epochs:  # it has not begun
            break
        chosen = choice_at(config, run, start, ids, dataset.labels[ids], len(dataset.classes), own)
        trained[ids] += (min(phase.until, epochs) - start) * chosen.kept
        factors[ids] = chosen.factors
    return {"trained": trained, "factor": factors}


def _difficulty_or_nan(config: RunConfig, run: Run, train_ids: np.ndarray, epochs: int) -> np.ndarray:
    """A run that ended well may still have scores that do not differ; the table then says so by NaN."""
    try:
        return difficulty_of(config, run, train_ids, epochs)
    except UserError:
        return np.full(len(run.ids()), np.nan)


def write_examples(config: RunConfig, run: Run, dataset: Dataset, hashes: np.ndarray) -> pd.DataFrame:
    """Builds and stores the table; for the holder of the run's lock."""
    table = build_examples(config, run, dataset, hashes)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    write_whole(run.examples_file, buffer.getvalue())
    return table
