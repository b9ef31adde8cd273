"""Do two measures, two seeds, two lengths of T call the same examples hard? numpy only."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpls.difficulty.measures import MEASURES, MeasureName
from dpls.difficulty.scale import rank
from dpls.difficulty.signals import Array, Dynamics
from dpls.difficulty.verdict import spearman

HARDEST = 0.1
"""The share whose members are compared."""
ENOUGH = 0.9
"""Overlap with the final hardest tenth from which on T is called long enough: a rule of ours."""
MOST_EPOCHS = 40
"""Epochs at which a measure is computed; of more, so many evenly spaced ones."""


def membership(scores: Array, share: float = HARDEST) -> Array:
    """(n,), in [0, 1]: how far each example belongs to the hardest share; they add up to its size.

    Where more are tied at its border than it holds, each of these belongs to it in equal part: nothing is drawn.
    scores: (n,), higher = harder, no NaN.
    """
    size = max(1, round(share * len(scores)))
    border = np.partition(scores, len(scores) - size)[len(scores) - size]
    above, tied = scores > border, scores == border
    return np.where(above, 1.0, np.where(tied, (size - above.sum()) / tied.sum(), 0.0))


def overlap(a: Array, b: Array, share: float = HARDEST) -> float:
    """What part of the hardest share two scores (n,) have in common, in [0, 1]: the smaller membership of each example.

    1 for equal orders, whatever is tied; about the share itself where the two have nothing to do with each other.
    """
    return _common(membership(a, share), membership(b, share))


def _common(a: Array, b: Array) -> float:
    return float(np.minimum(a, b).sum() / a.sum())


def drawn(scores: Array, share: float = HARDEST) -> float:
    """Which part of the hardest share is made up of examples that belong to it only in part, in [0, 1]."""
    belongs = membership(scores, share)
    return float(belongs[belongs < 1].sum() / belongs.sum())


class Between(NamedTuple):
    """Agreement of m scores: Spearman and overlap of the hardest tenth, (m, m) each; on how many examples."""

    spearman: Array
    overlap: Array
    images: int


def between(scores: Sequence[Array]) -> Between:
    """Of m scores (n,), all higher = harder, on the examples that every one of them knows; NaN where there are none, or
    where one does not vary."""
    stacked = np.stack([np.asarray(values, dtype=np.float64) for values in scores])
    stacked = stacked[:, ~np.isnan(stacked).any(0)]
    count, images = stacked.shape
    found = Between(np.full((count, count), np.nan), np.full((count, count), np.nan), images)
    if images < 2:
        return found
    ranks = np.stack([rank(values, values) for values in stacked])
    belongs = np.stack([membership(values) for values in stacked])
    varies = ranks.std(1) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.corrcoef(ranks)
    found.spearman[:] = np.where(varies[:, None] & varies, correlation, np.nan)
    for a in range(count):
        for b in range(count):
            found.overlap[a, b] = _common(belongs[a], belongs[b])
    return found


class Stability(NamedTuple):
    """A measure over the first t epochs against the same over all T: (m,) each, for m values of t that end with T."""

    epochs: NDArray[np.int64]
    spearman: Array
    overlap: Array

    @property
    def suggested(self) -> int | None:
        """The first t from which on the hardest tenth overlaps with that at T by ENOUGH; None if that is T itself."""
        short = np.flatnonzero(~(self.overlap >= ENOUGH))
        first = 0 if not len(short) else int(short[-1]) + 1
        return int(self.epochs[first]) if first < len(self.epochs) - 1 else None


def epochs_looked_at(counted: int) -> NDArray[np.int64]:
    """1 to T, or MOST_EPOCHS of these, evenly spaced; T is one of them."""
    chosen: NDArray[np.int64] = np.unique(np.linspace(1, counted, min(counted, MOST_EPOCHS)).round().astype(np.int64))
    return chosen


def stability(record: Dynamics, measure: MeasureName) -> Stability:
    """Of a record (T, n) of signals under plain names. Examples without a score are left out, at t or at T."""
    epochs = epochs_looked_at(len(record["correct"]))
    sign = 1 if MEASURES[measure].higher_is_harder else -1
    final = sign * MEASURES[measure].compute(record)
    rho, common = np.full(len(epochs), np.nan), np.full(len(epochs), np.nan)
    for place, t in enumerate(epochs):
        scores = sign * MEASURES[measure].compute({name: rows[:t] for name, rows in record.items()})
        known = ~np.isnan(scores) & ~np.isnan(final)
        if known.sum() > 1:
            rho[place] = spearman(scores[known], final[known])
            common[place] = overlap(scores[known], final[known])
    return Stability(epochs, rho, common)
