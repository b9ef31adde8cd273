"""The per-example table ``examples.parquet``: derived from record and evaluations, rebuilt whenever they change."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from dpls.config import RunConfig
from dpls.data import PARTS, TRAIN, Dataset
from dpls.difficulty import MEASURES, leave_out, signals_of, visits
from dpls.errors import UserError
from dpls.runs import Run, list_runs, write_whole
from dpls.subsets import Subset


def difficulty_of(config: RunConfig, run: Run, train_ids: np.ndarray, epochs: int) -> np.ndarray:
    """float64 (N,), by id, in [0, 1], higher = harder: from the first epochs of the run's own record."""
    return config.difficulty(run.dynamics(epochs), train_ids)


def leave_out_of(config: RunConfig, run: Run, subset: Subset, train_ids: np.ndarray, epochs: int) -> np.ndarray:
    """bool (n,), by row of the training split: which examples a phase that starts after ``epochs`` keeps."""
    scores = np.zeros(len(run.ids()))
    if subset.drop != "random":
        own = subset.scores == "self"
        scores = difficulty_of(config, run, train_ids, epochs) if own else scores_of(run.path.parent, subset, train_ids)
    return leave_out(scores[train_ids], subset.share, subset.drop, subset.seed).keep


def scores_of(runs: Path, subset: Subset, train_ids: np.ndarray) -> np.ndarray:
    """float64 (N,), by id: the difficulty another, finished run found."""
    other = Run(runs / subset.scores)
    if subset.scores not in [run.id for run in list_runs(runs)] or other.state() != "done":
        raise UserError(f"subset.scores = {subset.scores!r} is not the id of a finished run in {str(runs)!r}")
    scores = other.examples()["difficulty"].to_numpy()
    if len(scores) <= train_ids.max() or np.isnan(scores[train_ids]).any():
        raise UserError(f"subset.scores: run {other.id} has no difficulty for every training image of this run")
    return scores


def build_examples(config: RunConfig, run: Run, dataset: Dataset, hashes: np.ndarray) -> pd.DataFrame:
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
    table = pd.DataFrame(columns | {"difficulty": difficulty, "factor": factors})
    said = run.probabilities()
    if said is not None:
        table["predicted"] = np.array(dataset.classes)[said.argmax(1)]
    for evaluation in run.evaluation_names():
        outcome = pd.read_parquet(run.evaluations / f"{evaluation}.parquet").set_index("id")["correct"]
        column = "correct_clean" if evaluation == "clean_best" else f"correct_{evaluation}"
        table[column] = table["id"].map(outcome).astype("boolean")
    return table


def _difficulty_or_nan(config: RunConfig, run: Run, train_ids: np.ndarray, epochs: int) -> np.ndarray:
    """A run that ended well may still have scores that do not differ; the table then says so by NaN."""
    try:
        return difficulty_of(config, run, train_ids, epochs)
    except UserError:
        return np.full(len(run.ids()), np.nan)


def _factors(config: RunConfig, difficulty: np.ndarray, classes: int) -> np.ndarray:
    """Factors of the last phase."""
    rule = config.phases[-1].factors
    return (
        np.ones(len(difficulty)) if rule.needs_difficulty and np.isnan(difficulty).all() else rule(difficulty, classes)
    )


def write_examples(config: RunConfig, run: Run, dataset: Dataset, hashes: np.ndarray) -> pd.DataFrame:
    """Builds and stores the table; for the holder of the run's lock."""
    table = build_examples(config, run, dataset, hashes)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    write_whole(run.examples_file, buffer.getvalue())
    return table
