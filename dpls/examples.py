"""The per-example table ``examples.parquet``: derived from record and evaluations, rebuilt whenever they change."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dpls.data import PARTS, TRAIN, Dataset
from dpls.difficulty import MEASURES, signals_of, visits
from dpls.errors import UserError
from dpls.runs import Run, list_runs, write_whole
from dpls.subsets import Subset

if TYPE_CHECKING:
    from dpls.config import RunConfig


def difficulty_of(config: "RunConfig", run: Run, train_ids: np.ndarray, epochs: int) -> np.ndarray:
    """float64 (N,), by id, in [0, 1], higher = harder: from the first epochs of the run's own record."""
    return config.difficulty(run.dynamics(epochs), train_ids)


def kept_of(
    config: "RunConfig", run: Run, subset: Subset | None, train_ids: np.ndarray, labels: np.ndarray, epochs: int
) -> np.ndarray:
    """bool (n,), by row of the training split: which examples take part in a phase that starts after ``epochs``.

    labels: (n,), of the same rows.
    """
    if subset is None:
        return np.ones(len(train_ids), dtype=bool)
    difficulty = np.full(len(run.ids()), np.nan)
    if subset.needs_difficulty:
        own = not subset.scores
        difficulty = difficulty_of(config, run, train_ids, epochs) if own else scores_of(run.path.parent, subset.scores)
        check_scores(difficulty, subset.scores, train_ids)
    return subset.keep(difficulty[train_ids], labels)


def scores_of(runs: Path, scores: Sequence[str]) -> np.ndarray:
    """float64 (N,), by id: the difficulty that other, finished runs found.

    Of several, each example is judged by the runs that never trained on it (cross-fitting), or by all where there are
    none such; what they say is averaged.
    """
    found, held_out = [], []
    for name in scores:
        run = Run(runs / name)
        if name not in [run.id for run in list_runs(runs)] or run.state() != "done":
            raise UserError(f"subset.scores: {name!r} is not the id of a finished run in {str(runs)!r}")
        table = run.examples()
        found.append(table["difficulty"].to_numpy(float))
        held_out.append(table["trained"].to_numpy() == 0 if "trained" in table else np.zeros(len(table), dtype=bool))
    if len({len(values) for values in found}) > 1:
        raise UserError(f"subset.scores: the runs {', '.join(scores)} did not see the same images")
    values, judge = np.stack(found), np.stack(held_out)
    judge |= ~judge.any(0)
    return np.asarray((np.where(judge, values, 0)).sum(0) / judge.sum(0), dtype=np.float64)


def check_scores(difficulty: np.ndarray, scores: Sequence[str], train_ids: np.ndarray) -> None:
    """Refuses scores that some training example of this run has none of."""
    if len(difficulty) <= train_ids.max() or np.isnan(difficulty[train_ids]).any():
        whose = ", ".join(scores) or "this run itself"
        raise UserError(f"subset.scores: {whose} has no difficulty for every training image of this run")


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
