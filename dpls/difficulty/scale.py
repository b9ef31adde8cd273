"""From a measure to difficulty in [0, 1], higher = harder; and orders by it. numpy only."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dpls.component import Component
from dpls.difficulty.measures import MEASURES, MeasureName
from dpls.difficulty.signals import Array, Dynamics, signals_of
from dpls.errors import UserError


def min_max(scores: Array, reference: Array) -> Array:
    """(s - min) / (max - min) of the reference, in [0, 1]; set by its two extremes. The article's normaliser."""
    low, high = np.nanmin(reference), np.nanmax(reference)
    return np.clip((scores - low) / (high - low), 0, 1)


def rank(scores: Array, reference: Array) -> Array:
    """Mid-rank within the reference, P(lower) + P(equal) / 2, in [0, 1]; its mean over the reference is exactly 1/2."""
    known = np.sort(reference[~np.isnan(reference)])
    below, up_to = np.searchsorted(known, scores, "left"), np.searchsorted(known, scores, "right")
    return np.where(np.isnan(scores), np.nan, (below + up_to) / (2 * len(known)))


CLIPPED_AT = (0.01, 0.99)
"""The quantiles between which ``quantile_clip`` scales."""


def quantile_clip(scores: Array, reference: Array) -> Array:
    """min-max between the 1st and the 99th percentile of the reference; what lies beyond is 0 or 1.

    So no single outlier sets the scale, and it keeps the measure's shape in between. Percentiles that do not differ are
    refused: more than 98 % of the scores are the same then.
    """
    low, high = np.nanquantile(reference, CLIPPED_AT)
    if low == high:
        raise UserError(
            f"the 1st and the 99th percentile of the difficulty scores are both {low:g}, so nothing lies between them;"
            " choose the normaliser min_max or rank"
        )
    clipped: Array = np.clip((scores - low) / (high - low), 0, 1)
    return clipped


NORMALISERS = {"min_max": min_max, "rank": rank, "quantile_clip": quantile_clip}
NormaliserName = Literal["min_max", "rank", "quantile_clip"]


def normalise(scores: Array, normaliser: NormaliserName, reference: Array | None = None) -> Array:
    """(N,), in [0, 1]; NaN stays NaN. ``reference``: the scores that set the scale, normally the training examples'.

    Reference scores that do not differ carry no difficulty and are refused: DPLS would be off in silence.
    """
    reference = scores if reference is None else reference
    if np.isnan(reference).all():
        raise UserError("no example has a difficulty score yet; train at least one epoch before the phase that uses it")
    if np.nanmin(reference) == np.nanmax(reference):
        raise UserError(
            f"every example has the same difficulty score, {np.nanmin(reference):g}, so nothing can be ordered"
            f" by it; count more epochs or choose another measure: {', '.join(MEASURES)}"
        )
    return NORMALISERS[normaliser](scores, reference)


def hardest_first(difficulty: Array, loss: Array, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,): places from the hardest to the easiest; equal difficulty by mean loss, then by id; NaN comes last."""
    order: NDArray[np.int64] = np.lexsort((ids, -loss, -difficulty))
    return order


class Difficulty(Component):
    """Which measure is called difficulty. Called with a record, it gives (N,) in [0, 1], higher = harder."""

    measure: MeasureName = Field("zero_one", description="zero_one is the article's accumulated 0-1 loss")
    adversarial: bool = Field(False, description="measure on the attacked images of training instead of the clean ones")
    normaliser: NormaliserName = Field(
        "min_max",
        description="min_max as in the article; rank spreads scores evenly; quantile_clip is min_max between the 1st"
        " and the 99th percentile",
    )

    scores: str = Field(
        "",
        description="name of scores computed elsewhere (python -m dpls scores) that decide in place of the measure;"
        " empty: none. A run keeps name@digest, for other scores make another run",
    )

    @model_validator(mode="after")
    def _scores_are_not_attacked(self) -> "Difficulty":
        if self.scores and self.adversarial:
            raise ValueError("scores from elsewhere were not counted on attacked images; set adversarial = false")
        return self

    @property
    def scores_name(self) -> str:
        """What the scores from elsewhere are called; "" where there are none."""
        return self.scores.partition("@")[0]

    @property
    def scores_digest(self) -> str:
        """Which content they have; "" until a run is submitted."""
        return self.scores.partition("@")[2]

    @property
    def decided_by(self) -> str:
        """The name of the scores from elsewhere, or of the measure."""
        return self.scores_name or self.measure

    def __call__(self, dynamics: Dynamics, reference: NDArray[np.int64]) -> Array:
        """By the measure. ``reference``: columns of the training examples, which set the scale; other examples are
        placed on it."""
        measure = MEASURES[self.measure]
        scores = measure.compute(signals_of(dynamics, self.adversarial)) * (1 if measure.higher_is_harder else -1)
        return self.scaled(scores, reference)

    def scaled(self, scores: Array, reference: NDArray[np.int64]) -> Array:
        """(N,), in [0, 1], of scores (N,), higher = harder, whoever computed them."""
        return normalise(scores, self.normaliser, scores[reference])


def auroc(scores: Array, positive: NDArray[np.bool_]) -> float:
    """Chance that a positive example scores higher than another, ties counting half; NaN where one kind is missing.

    Scores must be numbers.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    return float((rank(scores, scores)[positive].mean() * len(scores) - count / 2) / others)
