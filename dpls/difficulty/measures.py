"""Difficulty measures, computed from the record afterwards; and what normalises them. numpy only.

Columns hold natural values, their direction stands in the table; ``difficulty`` is always in [0, 1], higher = harder.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.component import Component
from dpls.errors import UserError

Array = NDArray[np.floating]
Dynamics = Mapping[str, np.ndarray]
"""Signal name -> (T, N): the first T epochs of the record, clean or adversarial, without suffix."""


def _seen(d: Dynamics) -> NDArray[np.bool_]:
    seen: NDArray[np.bool_] = d["correct"] != 255
    return seen


def _mean(values: Array | NDArray[np.bool_], seen: NDArray[np.bool_]) -> Array:
    """(N,): mean over the epochs in which an example was seen; NaN where it never was."""
    if not seen.all():  # the copy costs more than the sum, and nearly always everything was seen
        values = np.where(seen, values, values.dtype.type(0))
    total = np.count_nonzero(values, 0) if values.dtype == bool else values.sum(0, dtype=np.float64)
    visits = np.count_nonzero(seen, 0)
    mean: Array = np.where(visits > 0, total / np.maximum(visits, 1), np.nan)
    return mean


def visits(d: Dynamics) -> Array:
    """Epochs in which the example was seen. (N,), in [0, T]."""
    count: Array = np.count_nonzero(_seen(d), 0).astype(np.float64)
    return count


def zero_one(d: Dynamics) -> Array:
    """Share of visits at which the example was misclassified. (N,), in [0, 1]; higher = harder. DPLS's measure."""
    return _mean(d["correct"] == 0, _seen(d))


def cross_entropy(d: Dynamics) -> Array:
    """Mean cross-entropy loss. (N,), >= 0; higher = harder; early epochs and outliers weigh much."""
    return _mean(d["loss"], _seen(d))


def el2n(d: Dynamics) -> Array:
    """Mean norm of the error vector p - e_y. (N,), in [0, sqrt 2]; higher = harder.

    Paul et al., 2021, https://arxiv.org/abs/2107.07075, average one early epoch over runs; here epochs of one run.
    """
    return _mean(d["error_norm"], _seen(d))


def forgetting(d: Dynamics) -> Array:
    """Times an example went from correct to wrong between visits. (N,), in [0, T]; higher = harder; never learnt = T.

    Toneva et al., 2019, https://arxiv.org/abs/1812.05159. Counted on whatever was observed, sweep or presentation.
    """
    seen = _seen(d)
    last = np.zeros(seen.shape[1], dtype=np.uint8)  # last seen outcome; unseen epochs are skipped
    events = np.zeros(seen.shape[1])
    for now, seen_now in zip(d["correct"], seen, strict=True):
        events += seen_now & (last == 1) & (now == 0)
        last = np.where(seen_now, now, last)
    learnt = ((d["correct"] == 1) & seen).any(0)
    return np.where(seen.any(0), np.where(learnt, events, len(seen)), np.nan)


def aum(d: Dynamics) -> Array:
    """Area under the margin: mean of z_y - max_{k != y} z_k. (N,), unbounded; *lower* = harder.

    Pleiss et al., 2020, https://arxiv.org/abs/2001.10528.
    """
    return _mean(d["margin"], _seen(d))


def confidence(d: Dynamics) -> Array:
    """Mean probability of the label. (N,), in [0, 1]; *lower* = harder. Swayamdipta et al., 2020, https://arxiv.org/abs/2009.10795."""
    return _mean(d["p_true"], _seen(d))


def variability(d: Dynamics) -> Array:
    """Population standard deviation of the label's probability. (N,), in [0, 0.5]; higher = more ambiguous.

    Swayamdipta et al., 2020, https://arxiv.org/abs/2009.10795.
    """
    seen, mean = _seen(d), confidence(d).astype(np.float32)
    return np.sqrt(_mean((d["p_true"].astype(np.float32, copy=False) - mean) ** 2, seen))


class Measure(NamedTuple):
    """How a measure is computed, which way it goes, and what people call it."""

    compute: Callable[[Dynamics], Array]
    higher_is_harder: bool
    title: str


MEASURES: dict[str, Measure] = {
    "zero_one": Measure(zero_one, True, "0-1 (times wrong)"),
    "cross_entropy": Measure(cross_entropy, True, "Cross-entropy"),
    "el2n": Measure(el2n, True, "EL2N"),
    "forgetting": Measure(forgetting, True, "Forgetting"),
    "aum": Measure(aum, False, "AUM (margin)"),
    "confidence": Measure(confidence, False, "Confidence"),
    "variability": Measure(variability, True, "Variability"),
}
if TYPE_CHECKING:
    MeasureName: TypeAlias = str
else:
    MeasureName = Literal[tuple(MEASURES)]


def min_max(scores: Array, reference: Array) -> Array:
    """(s - min) / (max - min) of the reference, in [0, 1]; set by its two extremes. The article's normaliser."""
    low, high = np.nanmin(reference), np.nanmax(reference)
    return np.clip((scores - low) / (high - low), 0, 1)


def rank(scores: Array, reference: Array) -> Array:
    """Mid-rank within the reference, P(lower) + P(equal) / 2, in [0, 1]; its mean over the reference is exactly 1/2."""
    known = np.sort(reference[~np.isnan(reference)])
    below, up_to = np.searchsorted(known, scores, "left"), np.searchsorted(known, scores, "right")
    return np.where(np.isnan(scores), np.nan, (below + up_to) / (2 * len(known)))


NORMALISERS = {"min_max": min_max, "rank": rank}
NormaliserName = Literal["min_max", "rank"]


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
    normaliser: NormaliserName = Field("min_max", description="min_max as in the article; rank spreads scores evenly")

    def __call__(self, dynamics: Dynamics, reference: NDArray[np.int64]) -> Array:
        """``reference``: columns of the training examples, which set the scale; other examples are placed on it."""
        measure = MEASURES[self.measure]
        scores = measure.compute(signals_of(dynamics, self.adversarial)) * (1 if measure.higher_is_harder else -1)
        return normalise(scores, self.normaliser, scores[reference])


def signals_of(dynamics: Dynamics, adversarial: bool) -> Dynamics:
    """The clean or the adversarial half of a record, under the plain names of the signals."""
    if adversarial:
        return {name.removesuffix("_adv"): array for name, array in dynamics.items() if name.endswith("_adv")}
    return {name: array for name, array in dynamics.items() if not name.endswith("_adv")}


def auroc(scores: Array, positive: NDArray[np.bool_]) -> float:
    """Chance that a positive example scores higher than another, ties counting half; NaN where one kind is missing.

    Scores must be numbers.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    return float((rank(scores, scores)[positive].mean() * len(scores) - count / 2) / others)
