"""Which examples take part, how hard they are, how their labels are smoothed: a configuration applied to a record.

No torch.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpls.errors import UserError
from dpls.methods.subset import Subset
from dpls.recipe import RunConfig
from dpls.runs.directory import Choice, Run
from dpls.runs.folder import list_runs
from dpls.runs.scores.training import own

log = logging.getLogger("dpls")
Ids = NDArray[np.int64]
Scores = NDArray[np.float64]


def choice_at(
    config: RunConfig, run: Run, start: int, ids: Ids, labels: Ids, classes: int, own: NDArray[np.bool_]
) -> Choice:
    """What the phase that starts after ``start`` epochs trains with: as it was kept, else from the record up to there.

    ids, labels: (n,), of the training examples; the choice is by row of these. own: (n,), whose label is no
    pseudo-label; the others all take part, with the factor 1.
    """
    kept = run.factors(start)
    if kept is not None:
        if len(kept.kept) != len(ids):
            raise UserError(
                f"the factors of run {run.id} are of {len(kept.kept):,} images, not {len(ids):,}; delete them"
            )
        return kept
    _, phase = config.phases_after(start)[0]
    chosen = Choice(np.ones(len(ids)), np.ones(len(ids), dtype=bool))
    ids, labels = ids[own], labels[own]
    difficulty = np.full(len(ids), np.nan)
    if phase.factors.needs_difficulty:
        difficulty = difficulty_of(config, run, ids, start)[ids]
        if config.difficulty.scores:
            log.info(said_of_scores(config, int(np.isnan(difficulty).sum()), len(ids)))
    chosen.factors[own] = phase.factors(difficulty, classes)
    chosen.kept[own] = kept_of(config, run, phase.subset, ids, labels, start)
    return chosen


def difficulty_of(config: RunConfig, run: Run, train_ids: Ids, epochs: int) -> Scores:
    """(N,), by id, in [0, 1], higher = harder: by the scores from elsewhere that the run is trained by, else from the
    first epochs of its own record."""
    if config.difficulty.scores:
        return config.difficulty.scaled(own(run), train_ids).astype(np.float64, copy=False)
    return config.difficulty(run.dynamics(epochs), train_ids).astype(np.float64, copy=False)


def said_of_scores(config: RunConfig, unknown: int, images: int) -> str:
    """Whose scores decide, and how many training images have none."""
    return (
        f"difficulty by the scores {config.difficulty.scores_name!r}, computed elsewhere; {unknown:,} of {images:,}"
        " training images have none: factor 1"
    )


def kept_of(
    config: RunConfig, run: Run, subset: Subset | None, train_ids: Ids, labels: Ids, epochs: int
) -> NDArray[np.bool_]:
    """(n,), by row of the training split: which examples take part in a phase that starts after ``epochs``.

    labels: (n,), of the same rows.
    """
    if subset is None:
        return np.ones(len(train_ids), dtype=bool)
    difficulty = np.full(len(run.ids()), np.nan)
    if subset.needs_difficulty:
        by_others, runs = bool(subset.scores), run.path.parent
        difficulty = scores_of(runs, subset.scores) if by_others else difficulty_of(config, run, train_ids, epochs)
        check_scores(difficulty, subset.scores, train_ids)
    taken = subset.take(difficulty[train_ids], labels)
    if taken.tied:
        log.info(f"{subset.in_words}: {subset.ties_in_words(taken)}, as the seed drew")
    return subset.left_by(taken)


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
