"""How sure a number is: paired differences over seeds and images, with intervals. No torch.

Outcomes are (S, N): a row a seed, a column an image, NaN where an image does not count for a seed. There are three ways
to an interval: seeds and images drawn again together (Owen, 2007, "The pigeonhole bootstrap",
https://doi.org/10.1214/07-AOAS122); Student's t over the seeds, for a few seeds drawn again vary too little; and over
the images with half a pair added to each outcome (Agresti and Min, 2005, https://doi.org/10.1002/sim.1781), for a few
images that all agree prove little. With one seed each speaks of the images alone.

mean                      drawn again; Wilson's where there is one seed, or all outcomes are alike
difference, trend         the widest of the three
between                   the wider of the first two; it pairs seeds, but no images
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

RESAMPLES = 2000
MOST_GROUPS = 2000
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


def draws(outcomes: NDArray[np.floating]) -> NDArray[np.float64]:
    """(RESAMPLES,): the mean of outcomes (S, N), NaN left out, when seeds and images are drawn again.

    A resample's mean weighs every outcome by how often its seed and its image were drawn. The same draws for the same
    shape, so that two means over parts of the same images vary together.
    """
    counted, (seeds, images) = ~np.isnan(outcomes), outcomes.shape
    by_seed, by_group, group = _weights(seeds, images)
    sums, sizes = (
        np.stack([np.bincount(group, row, by_group.shape[1]) for row in table])
        for table in (np.where(counted, outcomes, 0), counted)
    )
    total = np.einsum("bs,bs->b", by_seed, by_group @ sums.T)
    weight = np.einsum("bs,bs->b", by_seed, by_group @ sizes.T)
    means: NDArray[np.float64] = np.divide(total, weight, out=np.full(RESAMPLES, np.nan), where=weight > 0)
    return means


@lru_cache(maxsize=8)
def _weights(seeds: int, images: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """How often each resample draws each seed (B, S) and each group of images (B, G); the group of each image (N,).

    Many images are drawn in random groups of several: that changes the spread of a mean by nothing worth its cost.
    """
    rng, groups = np.random.default_rng(0), min(images, MOST_GROUPS)
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES).astype(float)
    by_group = rng.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES).astype(float)
    return by_seed, by_group, rng.permutation(images) % groups


def interval(value: float, drawn: NDArray[np.floating], seeds: int) -> tuple[float, float]:
    """95 % percentile interval of resamples; of S seeds stretched by sqrt(S / (S - 1)), for so few draws vary less than
    the seeds do."""
    if np.isnan(drawn).all():
        return math.nan, math.nan
    stretch = math.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0
    low, high = value + stretch * (np.nanquantile(drawn, [0.025, 0.975]) - value)
    return float(low), float(high)


def around(value: float, drawn: NDArray[np.floating], by_seed: NDArray[np.floating]) -> tuple[float, float]:
    """Even on both sides by the wider half, so that value ± half says what the interval says; by_seed: means (S,)."""
    known = by_seed[~np.isnan(by_seed)]
    low, high = interval(value, drawn, len(known))
    half = max(high - value, value - low)
    if len(known) > 1:
        half = max(half, stdtrit(len(known) - 1, 0.975) * known.std(ddof=1) / math.sqrt(len(known)))
    return value - half, value + half


def _few(sums: NDArray[np.floating], most: float) -> float:
    """Half an interval of the mean of sums (S, N), each within ±most, by Agresti and Min, from the raw mean."""
    counted = ~np.isnan(sums)
    images = np.where(counted, sums, 0).sum(0)[counted.any(0)] / counted.sum(0)[counted.any(0)]
    n, total = len(images) + 2, float(images.sum())
    variance = (float((images**2).sum()) + most**2) / n - (total / n) ** 2
    return Z * math.sqrt(variance / n) + abs(float(images.mean()) - total / n)


def _by_seed(outcomes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Means (S,); NaN where a seed has none."""
    counted = ~np.isnan(outcomes)
    found = np.full(len(outcomes), np.nan)
    np.divide(np.where(counted, outcomes, 0).sum(1), counted.sum(1), out=found, where=counted.any(1))
    return found


def mean(outcomes: NDArray[np.floating]) -> Estimate:
    """Of outcomes (S, N) in [0, 1]: their share with its interval, Wilson's where one seed or all alike."""
    n, seeds = _counts(outcomes)
    value = float(np.nanmean(outcomes)) if n else math.nan
    if seeds == 1 or value in (0, 1):  # where all are alike, drawing again tells nothing
        return Estimate(value, *wilson(value * n if n else 0, n), n, seeds)
    low, high = interval(value, draws(outcomes), seeds)
    return Estimate(value, max(0.0, low), min(1.0, high), n, seeds)


def difference(first: NDArray[np.floating], second: NDArray[np.floating]) -> Difference:
    """Mean of second - first, both (S, N), paired by seed and image."""
    return contrast(np.stack([first, second]), np.array([-1.0, 1.0]))


def contrast(outcomes: NDArray[np.floating], weights: NDArray[np.floating]) -> Difference:
    """Mean of a weighted sum over the arms of outcomes (A, S, N), paired by seed and image; weights (A,) sum to 0."""
    sums = np.tensordot(weights, outcomes, 1)
    n, seeds = _counts(sums)
    if not n:
        return Difference(math.nan, math.nan, math.nan, 0, seeds)
    value = float(np.nanmean(sums))
    _, high = around(value, draws(sums), _by_seed(sums))
    half = max(high - value, _few(sums, float(weights[weights > 0].sum())))
    return Difference(value, value - half, value + half, n, seeds)


def trend(outcomes: NDArray[np.floating], doses: NDArray[np.floating]) -> Difference:
    """Least-squares rise of outcomes (A, S, N) from dose 0 to dose 1, paired; doses (A,)."""
    centred = doses - doses.mean()
    return contrast(outcomes, centred / (centred**2).sum())


def between(first: NDArray[np.floating], second: NDArray[np.floating]) -> Difference:
    """Mean of second minus mean of first, both (S, N), where other images count in one than in the other; of the seeds
    that both have."""
    known = ~(np.isnan(first).all(1) | np.isnan(second).all(1))[:, None]
    first, second = (np.where(known, outcomes, np.nan) for outcomes in (first, second))
    value = float(np.nanmean(second) - np.nanmean(first)) if known.any() else math.nan
    (n, seeds), (m, _) = _counts(first), _counts(second)
    by_seed = _by_seed(second) - _by_seed(first)
    return Difference(value, *around(value, draws(second) - draws(first), by_seed), min(n, m), seeds)


def mcnemar(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Two-sided exact p of McNemar's test for one seed's outcomes (N,): as many images won as lost?

    McNemar, 1947, Psychometrika 12. Images of several seeds are not independent, so seeds are tested one by one.
    """
    won, lost = int(((second == 1) & (first == 0)).sum()), int(((second == 0) & (first == 1)).sum())
    tail = sum(math.comb(won + lost, k) for k in range(min(won, lost) + 1))
    return float(min(1.0, 2 * tail / 2 ** (won + lost)))


def wilson(successes: float, n: int, z: float = Z) -> tuple[float, float]:
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
