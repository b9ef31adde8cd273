"""How sure a number is: paired differences over seeds and images, with intervals. No torch.

Outcomes are (S, N): a row a seed, a column an image, NaN where an image does not count for a seed. Seeds and images are
crossed random effects. The mean over S seeds varies by what the seeds show, the sample variance of their means over S,
and by what they cannot show, for all of them share it: the images, by the covariance of two seeds' means. In a full
table these two are the mean squares of the two-way layout, MS(seeds) and MS(images) - MS(rest), over S N (Searle,
Casella and McCulloch, 1992, Variance Components, chapter 4); taken over pairs of seeds they need no full one.

The one is known from few seeds, the other from many images: so the quantile is Student's t of the seeds and the normal
one, each weighed by its variance (Cochran, 1964, https://doi.org/10.2307/2283090). Satterthwaite's degrees of freedom
miss too often with two or three seeds, which now and then happen to agree.

mean                          Wilson's, of as many images as would vary so; of all where these are fewer, or agree
difference, contrast, trend,  even on both sides; at least that of the images alone with half a pair added to each
between                       outcome (Agresti and Min, 2005, https://doi.org/10.1002/sim.1781), for a few images that
                              all agree prove little
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Z = 1.959964
"""Normal quantile of a 95 % interval."""


class Estimate(NamedTuple):
    """A mean with its 95 % interval, from n images and so many seeds; fractions."""

    value: float
    low: float
    high: float
    n: int
    seeds: int = 1

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    @property
    def counts(self) -> str:
        return f"n = {self.n:,}" + (f", {self.seeds} seeds" if self.seeds > 1 else "")

    def __str__(self) -> str:
        return f"{self.value:.1%} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


class Difference(Estimate):
    """A mean difference. In words it is one only where the interval does not span zero."""

    @property
    def is_seen(self) -> bool:
        return self.low > 0 or self.high < 0

    @property
    def short(self) -> str:
        """In words, without the counts."""
        if math.isnan(self.value):
            return "nothing to compare yet"
        points, half = round(100 * self.value, 1) + 0.0, 100 * self.half  # + 0.0: never "-0.0"
        if not self.is_seen:
            return f"no difference seen ({points:+.1f} ± {half:.1f} points)"
        return f"{'higher' if self.value > 0 else 'lower'} by {abs(points):.1f} ± {half:.1f} points"

    def __str__(self) -> str:
        if math.isnan(self.value):
            return self.short
        return f"{self.short[:-1]}, {self.counts})" if self.short.endswith(")") else f"{self.short} ({self.counts})"


class _Mean(NamedTuple):
    """A mean over n images, and what it is made of: how far each seed draws it away (S,), and each outcome the mean of
    its seed (S, N); 0 where nothing counts."""

    value: float
    n: int
    by_seed: NDArray[np.float64]
    by_outcome: NDArray[np.float64]


def _mean(outcomes: NDArray[np.floating]) -> _Mean:
    """Of outcomes (S, N), some of which count."""
    counted = ~np.isnan(outcomes)
    values, sizes = np.where(counted, outcomes, 0), counted.sum(1)
    value, of_seeds = values.sum() / sizes.sum(), values.sum(1) / np.maximum(sizes, 1)
    by_seed = sizes * (of_seeds - value) / sizes.sum()
    by_outcome = np.where(counted, values - of_seeds[:, None], 0) / sizes.sum()
    return _Mean(float(value), int(counted.any(0).sum()), by_seed, by_outcome)


def _variances(by_seed: NDArray[np.floating], by_outcome: NDArray[np.floating], seeds: int) -> tuple[float, float]:
    """Of a mean: what the seeds show, and what they share; their sum is its variance."""
    images = float((by_outcome.sum(0) ** 2).sum())
    if seeds == 1:
        return 0.0, images
    pairs = images - float((by_outcome**2).sum())  # an image's outcomes of two seeds, multiplied
    shown = float((by_seed**2).sum())
    return shown * seeds / (seeds - 1), max(0.0, pairs) * seeds / (seeds - 1)


def _quantile(shown: float, shared: float, seeds: int, among: int = 1) -> float:
    """Of a 95 % interval; of each of several that hold together (Bonferroni)."""
    tail = 0.025 / among
    t, z = -float(stdtrit(seeds - 1, tail)) if shown else 0.0, -float(ndtri(tail))
    return (t * shown + z * shared) / (shown + shared) if shown else z


def _few(shared: float, means: Sequence[tuple[float, int]], most: float, z: float) -> float:
    """Half an interval of a sum of means within ±most, by Agresti and Min, from the raw one; means: (value, n)."""
    variance = shared * min(n / (n + 2) for _, n in means) ** 2
    variance += sum((most / (n + 2)) ** 2 + 2 * n * value**2 / (n + 2) ** 3 for value, n in means)
    return z * math.sqrt(variance) + abs(sum(2 * value / (n + 2) for value, n in means))


def mean(outcomes: NDArray[np.floating]) -> Estimate:
    """Of outcomes (S, N) in [0, 1]: their share with its interval."""
    n, seeds = _counts(outcomes)
    if not n:
        return Estimate(math.nan, 0, 1, 0, seeds)
    found = _mean(outcomes)
    shown, shared = _variances(found.by_seed, found.by_outcome, seeds)
    share = Z * Z / n
    centre = (found.value + share / 2) / (1 + share)
    half = math.hypot(_quantile(shown, shared, seeds) * math.sqrt(shown + shared), share / 2) / (1 + share)
    return Estimate(found.value, max(0.0, centre - half), min(1.0, centre + half), n, seeds)


def difference(first: NDArray[np.floating], second: NDArray[np.floating], among: int = 1) -> Difference:
    """Mean of second - first, both (S, N), paired by seed and image; one among so many that hold together."""
    return contrast(np.stack([first, second]), np.array([-1.0, 1.0]), among)


def contrast(outcomes: NDArray[np.floating], weights: NDArray[np.floating], among: int = 1) -> Difference:
    """Mean of a weighted sum over the arms of outcomes (A, S, N), paired by seed and image; weights (A,) sum to 0."""
    sums = np.tensordot(weights, outcomes, 1)
    n, seeds = _counts(sums)
    if not n:
        return Difference(math.nan, math.nan, math.nan, 0, seeds)
    found = _mean(sums)
    shown, shared = _variances(found.by_seed, found.by_outcome, seeds)
    half = _half(shown, shared, seeds, among, [(found.value, n)], float(weights[weights > 0].sum()))
    return Difference(found.value, found.value - half, found.value + half, n, seeds)


def _half(
    shown: float, shared: float, seeds: int, among: int, means: Sequence[tuple[float, int]], most: float
) -> float:
    quantile = _quantile(shown, shared, seeds, among)
    return max(quantile * math.sqrt(shown + shared), _few(shared, means, most, _quantile(0, shared, seeds, among)))


def trend(outcomes: NDArray[np.floating], doses: NDArray[np.floating]) -> Difference:
    """Least-squares rise of outcomes (A, S, N) from dose 0 to dose 1, paired; doses (A,)."""
    centred = doses - doses.mean()
    return contrast(outcomes, centred / (centred**2).sum())


def between(first: NDArray[np.floating], second: NDArray[np.floating]) -> Difference:
    """Mean of second minus mean of first, both (S, N) within ±1, where other images count in one than in the other; of
    the seeds that both have."""
    known = ~(np.isnan(first).all(1) | np.isnan(second).all(1))[:, None]
    if not known.any():
        return Difference(math.nan, math.nan, math.nan, 0)
    a, b = (_mean(np.where(known, outcomes, np.nan)) for outcomes in (first, second))
    value, seeds = b.value - a.value, int(known.sum())
    shown, shared = _variances(b.by_seed - a.by_seed, b.by_outcome - a.by_outcome, seeds)
    half = _half(shown, shared, seeds, 1, [(b.value, b.n), (-a.value, a.n)], 1)
    return Difference(value, value - half, value + half, min(a.n, b.n), seeds)


def mcnemar(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Two-sided exact p of McNemar's test for one seed's outcomes (N,): as many images won as lost?

    McNemar, 1947, Psychometrika 12. Images of several seeds are not independent, so seeds are tested one by one.
    """
    won, lost = int(((second == 1) & (first == 0)).sum()), int(((second == 0) & (first == 1)).sum())
    tail = sum(math.comb(won + lost, k) for k in range(min(won, lost) + 1))
    return float(min(1.0, 2 * tail / 2 ** (won + lost)))


def wilson(successes: float, n: float, z: float = Z) -> tuple[float, float]:
    """Wilson score interval for a share, 95 % unless z says otherwise. Wilson, 1927, JASA 22."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def newcombe(a: float, n: int, b: float, m: int) -> tuple[float, float]:
    """95 % interval of a/n - b/m from both Wilson intervals. Newcombe, 1998, Statistics in Medicine 17, method 10."""
    p, q = a / n, b / m
    (low, high), (low2, high2) = wilson(a, n), wilson(b, m)
    return p - q - math.hypot(p - low, high2 - q), p - q + math.hypot(high - p, q - low2)


def _counts(outcomes: NDArray[np.floating]) -> tuple[int, int]:
    """Images that count for some seed, and seeds for which some image counts."""
    counted = ~np.isnan(outcomes)
    return int(counted.any(0).sum()), max(1, int(counted.any(1).sum()))
