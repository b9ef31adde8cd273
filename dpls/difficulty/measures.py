"""Difficulty measures, computed from the record afterwards. numpy only.

They give natural values; which way a measure goes stands in the table. ``difficulty`` (``dpls.difficulty.scale``) is
always in [0, 1], higher = harder.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from dpls.difficulty.signals import Array, Dynamics, mean, seen


def visits(d: Dynamics) -> Array:
    """Epochs in which the example was seen. (N,), in [0, T]."""
    count: Array = np.count_nonzero(seen(d), 0).astype(np.float64)
    return count


def zero_one(d: Dynamics) -> Array:
    """Share of visits at which the example was misclassified. (N,), in [0, 1]; higher = harder. DPLS's measure."""
    return mean(d["correct"] == 0, seen(d))


def cross_entropy(d: Dynamics) -> Array:
    """Mean cross-entropy loss. (N,), >= 0; higher = harder; early epochs and outliers weigh much."""
    return mean(d["loss"], seen(d))


def el2n(d: Dynamics) -> Array:
    """Mean norm of the error vector p - e_y. (N,), in [0, sqrt 2]; higher = harder.

    Paul et al., 2021, https://arxiv.org/abs/2107.07075, average one early epoch over runs; here epochs of one run.
    """
    return mean(d["error_norm"], seen(d))


def forgetting(d: Dynamics) -> Array:
    """Times an example went from correct to wrong between visits. (N,), in [0, T]; higher = harder; never learnt = T.

    Toneva et al., 2019, https://arxiv.org/abs/1812.05159. Counted on whatever was observed, sweep or presentation.
    """
    known = seen(d)
    last = np.zeros(known.shape[1], dtype=np.uint8)  # last seen outcome; unseen epochs are skipped
    events = np.zeros(known.shape[1])
    for now, known_now in zip(d["correct"], known, strict=True):
        events += known_now & (last == 1) & (now == 0)
        last = np.where(known_now, now, last)
    learnt = ((d["correct"] == 1) & known).any(0)
    return np.where(known.any(0), np.where(learnt, events, len(known)), np.nan)


def aum(d: Dynamics) -> Array:
    """Area under the margin: mean of z_y - max_{k != y} z_k. (N,), unbounded; *lower* = harder.

    Pleiss et al., 2020, https://arxiv.org/abs/2001.10528.
    """
    return mean(d["margin"], seen(d))


def confidence(d: Dynamics) -> Array:
    """Mean probability of the label. (N,), in [0, 1]; *lower* = harder. Swayamdipta et al., 2020, https://arxiv.org/abs/2009.10795."""
    return mean(d["p_true"], seen(d))


def variability(d: Dynamics) -> Array:
    """Population standard deviation of the label's probability. (N,), in [0, 0.5]; higher = more ambiguous.

    Swayamdipta et al., 2020, https://arxiv.org/abs/2009.10795.
    """
    known, centre = seen(d), confidence(d).astype(np.float32)
    return np.sqrt(mean((d["p_true"].astype(np.float32, copy=False) - centre) ** 2, known))


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

OF_ONE_LOOK = {
    "zero_one": "Wrong or right",
    "cross_entropy": "Loss",
    "el2n": "EL2N",
    "aum": "Margin",
    "confidence": "Confidence",
}
"""What one look at one model can tell: neither how often, nor what changes."""


def titles(epochs: int) -> dict[str, str]:
    """What people call the measures that a record of so many epochs can give, by name."""
    return {name: measure.title for name, measure in MEASURES.items()} if epochs > 1 else OF_ONE_LOOK
