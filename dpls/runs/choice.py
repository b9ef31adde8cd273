"""Which examples take part and how hard they are: what a run's configuration says, applied to its record. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dpls.errors import UserError
from dpls.methods.subset import Subset
from dpls.runs.directory import Run, list_runs

if TYPE_CHECKING:
    from dpls.recipe import RunConfig


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
