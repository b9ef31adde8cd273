"""Intervals and tests: against scipy and closed forms, over seeds in a simulation; in words only what was seen."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest

from dpls import intervals
from dpls.intervals import Difference, Estimate, between, contrast, difference, draws, mcnemar, mean, trend, wilson


def outcomes(shape: tuple[int, ...], share: float = 0.5, seed: int = 0) -> np.ndarray:
    """0 and 1, independent."""
    return (np.random.default_rng(seed).random(shape) < share).astype(float)


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So that a simulation takes no time."""
    monkeypatch.setattr(intervals, "RESAMPLES", 600)
    intervals._weights.cache_clear()
    yield
    intervals._weights.cache_clear()


def ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


# A difference


@pytest.mark.parametrize("shape", [(1, 50), (3, 50), (5, 400)])
def test_what_is_equal_does_not_differ_at_all(shape: tuple[int, int]) -> None:
    right = outcomes(shape)
    found = difference(right, right)
    assert found.value == 0 and found.low == -found.high and (found.n, found.seeds) == (shape[1], shape[0])
    assert not found.is_seen and str(found).startswith("no difference seen (+0.0 ± ")
    assert 0 < found.half < 3 / shape[1], "that a few images do not differ proves little"


@pytest.mark.parametrize("seeds", [1, 4])
def test_a_difference_is_second_minus_first_and_turns_with_its_sides(seeds: int) -> None:
    first, second = outcomes((seeds, 300), 0.4), outcomes((seeds, 300), 0.6, 1)
    found, turned = difference(first, second), difference(second, first)
    assert found.value == pytest.approx(second.mean() - first.mean()) and found.value > 0
    assert found.low < found.value < found.high
    assert ends(turned) == pytest.approx((-found.value, -found.high, -found.low))


def test_it_is_paired_by_image_and_by_seed() -> None:
    """The same two sets of outcomes, told apart only by which belongs to which."""
    first = outcomes((3, 500))
    second = first.copy()
    second[:, :10] = 1
    paired = difference(first, second)
    by_image = difference(first, np.roll(second, 1, axis=1))
    by_seed = difference(first, np.roll(second, 1, axis=0))
    assert by_image.value == pytest.approx(paired.value) and by_seed.value == pytest.approx(paired.value)
    assert paired.half < by_image.half / 3 and paired.half < by_seed.half / 3


def test_a_fixed_effect_of_every_image_cancels() -> None:
    noise, effect = np.random.default_rng(0).normal(size=(2, 4, 200)), 100 * np.arange(200.0)
    bare, with_effect = difference(*noise), difference(*(noise + effect))
    assert ends(with_effect) == pytest.approx(ends(bare), abs=1e-9)


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_does_not_count_does_not_count(seeds: int) -> None:
    first, second = outcomes((seeds, 200)), outcomes((seeds, 200), 0.8, 1)
    first[:, :30], second[:, 20:50] = np.nan, np.nan
    found = difference(first, second)
    assert (found.n, found.seeds) == (150, seeds)
    assert found.value == pytest.approx(second[:, 50:].mean() - first[:, 50:].mean())
    assert not math.isnan(found.low) and not math.isnan(found.high)
    whole = difference(first[:, 50:], second[:, 50:])
    assert found.half == pytest.approx(whole.half, rel=0.1)


def test_an_image_counts_where_some_seed_has_it_and_a_seed_where_it_has_some_image() -> None:
    right = np.full((4, 10), np.nan)
    right[0, :3], right[2, 2:5] = 1, 0
    found = mean(right)
    assert (found.n, found.seeds, found.value) == (5, 2, 0.5)


def test_nothing_is_no_difference_and_no_error() -> None:
    nothing = np.full((2, 5), np.nan)
    for found in (difference(nothing, nothing), between(nothing, outcomes((2, 5)))):
        assert math.isnan(found.value) and not found.is_seen and found.n == 0
        assert str(found) == "nothing to compare yet"
    found = mean(nothing)
    assert math.isnan(found.value) and (found.low, found.high, found.n) == (0, 1, 0)


# Intervals


@pytest.mark.parametrize("images", [400, 2000, 12_000])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.6, 0.4), (0.93, 0.95)])
def test_one_seeds_interval_is_the_normal_paired_one(images: int, shares: tuple[float, float]) -> None:
    first, second = outcomes((1, images), shares[0]), outcomes((1, images), shares[1], 1)
    found, change = difference(first, second), second - first
    half = 1.959964 * change.std(ddof=1) / math.sqrt(images)
    assert found.half == pytest.approx(half, rel=0.07)
    assert (found.low, found.high) == pytest.approx((change.mean() - half, change.mean() + half), abs=0.15 * half)
    assert found.counts == f"n = {images:,}"


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
def test_seeds_alone_vary_by_their_standard_error(seeds: int) -> None:
    """All images alike: a bootstrap of S values, whose variance lacks the factor S / (S - 1)."""
    by_seed = np.random.default_rng(seeds).normal(size=(seeds, 1))
    drawn = draws(np.repeat(by_seed, 40, axis=1))
    assert drawn.std() == pytest.approx(by_seed.std() / math.sqrt(seeds), rel=0.06)
    low, high = intervals.interval(by_seed.mean(), drawn, seeds)
    bare = np.quantile(drawn, [0.025, 0.975])
    assert high - low == pytest.approx((bare[1] - bare[0]) * math.sqrt(seeds / (seeds - 1)))


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_images_alone_vary_by_theirs(seeds: int) -> None:
    """All seeds alike: more of them make nothing surer."""
    images = np.random.default_rng(0).normal(size=(1, 500))
    drawn = draws(np.repeat(images, seeds, axis=0))
    assert drawn.std() == pytest.approx(images.std() / math.sqrt(500), rel=0.06)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("seed_effect", [0.5, 2.0])
def test_the_interval_over_seeds_and_images_covers(seed_effect: float) -> None:
    """Truth 0, a random effect of every seed, one of every image, noise; 5 seeds, 300 images, 300 times."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(300):
        by_seed = rng.normal(0, seed_effect / math.sqrt(300), (5, 1))
        change = by_seed + 0.6 * rng.normal(size=(1, 300)) + 0.8 * rng.normal(size=(5, 300))
        found = difference(np.zeros((5, 300)), change)
        inside += found.low <= 0 <= found.high
    assert 0.9 <= inside / 300 <= 1


@pytest.mark.usefixtures("fewer_resamples")
def test_images_alone_would_not_cover_the_seeds() -> None:
    """That the test above can fail: taken as 1,500 images of one seed, the same outcomes look far too sure."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(100):
        change = rng.normal(0, 2 / math.sqrt(300), (5, 1)) + rng.normal(size=(5, 300))
        found = difference(np.zeros((1, 1500)), change.reshape(1, -1))
        inside += found.low <= 0 <= found.high
    assert inside < 80


def test_a_seed_more_that_varies_less_makes_it_surer() -> None:
    right = outcomes((8, 400))
    halves = [mean(right[:seeds]).half for seeds in (2, 4, 8)]
    assert halves == sorted(halves, reverse=True)


def test_the_same_outcomes_give_the_same_interval_every_time() -> None:
    first, second = outcomes((3, 250)), outcomes((3, 250), 0.6, 1)
    found = [ends(difference(first, second)) for _ in range(2)]
    for shape in range(2, 14):  # more shapes than are kept
        difference(outcomes((2, shape)), outcomes((2, shape), seed=1))
    assert ends(difference(first, second)) == found[0] == found[1]
    assert np.array_equal(draws(second), draws(second))


# A mean


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (3, 10), (300, 1000)])
def test_one_seeds_mean_has_wilsons_interval(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    for others in (0, 2):  # seeds without an outcome change nothing
        values = np.full((1 + others, n + 5), np.nan)
        values[0, :n] = np.arange(n) < right
        found = mean(values)
        assert ends(found) == pytest.approx((right / n, expected.low, expected.high), abs=1e-6)
        assert (found.n, found.seeds) == (n, 1)


@given(st.integers(0, 1000), st.integers(2, 5), st.floats(0, 1))
def test_a_mean_over_seeds_lies_in_its_interval_and_this_in_0_1(seed: int, seeds: int, share: float) -> None:
    right = outcomes((seeds, 30), share, seed)
    found = mean(right)
    assert found.value == pytest.approx(right.mean())
    assert 0 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1


# Contrasts and trends


def test_a_contrast_weighs_its_arms() -> None:
    arms, weights = outcomes((4, 3, 200)), np.array([0.5, 0.5, -0.25, -0.75])
    found = contrast(arms, weights)
    assert found.value == pytest.approx(weights @ arms.mean((1, 2)))
    assert ends(contrast(arms, 3 * weights)) == pytest.approx(tuple(3 * v for v in ends(found)))
    shared = np.random.default_rng(0).normal(size=(3, 200))
    assert ends(contrast(arms + shared, weights)) == pytest.approx(ends(found))  # weights sum to 0
    assert ends(contrast(arms[:2], np.array([-1.0, 1.0]))) == ends(difference(*arms[:2]))


@given(slope=st.floats(-2, 2), doses=st.lists(st.integers(0, 20), min_size=2, max_size=6, unique=True))
def test_a_trend_recovers_a_line(slope: float, doses: list[int]) -> None:
    x, height = np.array(doses) / 20, np.random.default_rng(0).normal(size=(3, 40))
    found = trend(height + slope * x[:, None, None], x)
    assert found.value == pytest.approx(slope, abs=1e-9)
    assert found.low <= slope <= found.high


@given(st.integers(0, 1000), st.sampled_from([(0.0, 1.0), (0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.1, 1.0)]))
def test_a_trend_is_the_least_squares_slope_of_the_arms_means(seed: int, doses: tuple[float, ...]) -> None:
    arms, x = outcomes((len(doses), 2, 60), 0.5, seed), np.array(doses)
    assert trend(arms, x).value == pytest.approx(np.polyfit(x, arms.mean((1, 2)), 1)[0], abs=1e-9)


def test_a_trend_of_two_arms_is_their_difference() -> None:
    arms = outcomes((2, 3, 100))
    assert ends(trend(arms, np.array([0.0, 1.0]))) == pytest.approx(ends(difference(*arms)))


# Between sets of images


def parts(seeds: int = 3, images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes on the first third of the images, and on the others."""
    right, first = outcomes((seeds, images), 0.3), np.arange(images) < images // 3
    right[:, ~first] = outcomes((seeds, int((~first).sum())), 0.7, 1)
    return np.where(first, right, np.nan), np.where(first, np.nan, right)


@pytest.mark.parametrize("seeds", [1, 3])
def test_between_disjoint_images_is_the_difference_of_means(seeds: int) -> None:
    first, second = parts(seeds)
    found = between(first, second)
    assert found.value == pytest.approx(np.nanmean(second) - np.nanmean(first))
    assert found.low < found.value < found.high and found.is_seen and (found.n, found.seeds) == (100, seeds)
    turned = between(second, first)
    assert ends(turned) == pytest.approx((-found.value, -found.high, -found.low)) and turned.n == 100


def test_between_one_seeds_disjoint_images_has_welchs_interval() -> None:
    first, second = parts(1, 3000)
    spread = sum(np.nanvar(part) / np.isfinite(part).sum() for part in (first, second))
    assert between(first, second).half == pytest.approx(1.96 * math.sqrt(spread), rel=0.06)


def test_between_the_same_images_is_the_paired_difference() -> None:
    first, second = outcomes((3, 200)), outcomes((3, 200), 0.7, 1)
    assert ends(between(first, second)) == pytest.approx(ends(difference(first, second)))
    assert ends(between(first, first)) == (0, 0, 0)


def test_between_compares_the_seeds_that_both_have() -> None:
    first, second = parts(3)
    first[2], second[0] = np.nan, np.nan
    found = between(first, second)
    assert found.value == pytest.approx(np.nanmean(second[1]) - np.nanmean(first[1])) and found.seeds == 1


# McNemar's test


def discordant(won: int, lost: int) -> tuple[np.ndarray, np.ndarray]:
    """One seed's outcomes, with images that neither or both get right, and some that do not count."""
    first = np.r_[np.zeros(won), np.ones(lost), 0, 0, 1, 1, np.nan, 1, np.nan]
    second = np.r_[np.ones(won), np.zeros(lost), 0, 0, 1, 1, 1, np.nan, np.nan]
    return first, second


@pytest.mark.parametrize("won", [0, 1, 2, 5, 13, 40, 700])
def test_mcnemar_is_the_exact_binomial_test(won: int) -> None:
    for lost in sorted({0, 1, 3, 5, 8, won, won + 1, won + won // 5}):
        first, second = discordant(won, lost)
        expected = binomtest(min(won, lost), won + lost, 0.5).pvalue if won + lost else 1
        assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9, abs=0)
        assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_knows_nothing_of_images_that_both_get_right_or_wrong() -> None:
    right = outcomes((50,))
    assert mcnemar(right, right) == 1
    assert mcnemar(*discordant(0, 0)) == 1
    first, second = discordant(9, 2)
    assert mcnemar(np.r_[first, right], np.r_[second, right]) == mcnemar(first, second)


# In words

FINITE = st.floats(-1, 1)


@given(st.tuples(FINITE, FINITE, FINITE).map(sorted), st.integers(1, 10**6), st.integers(1, 9))
def test_in_words_a_difference_is_one_only_where_the_interval_does_not_span_zero(
    sides: list[float], n: int, seeds: int
) -> None:
    low, value, high = sides
    found = Difference(value, low, high, n, seeds)
    words, spans = str(found), low <= 0 <= high
    assert found.is_seen is not spans
    assert words.startswith("no difference seen (") is spans
    assert words.startswith("higher by ") is (low > 0) and words.startswith("lower by ") is (high < 0)
    assert not spans or ("higher" not in words and "lower" not in words)
    assert f"n = {n:,}" in words and (f"{seeds} seeds" in words) is (seeds > 1)


def test_words_of_numbers() -> None:
    assert str(Difference(0.015, 0.004, 0.026, 2000, 5)) == "higher by 1.5 ± 1.1 points (n = 2,000, 5 seeds)"
    assert str(Difference(-0.2, -0.3, -0.1, 10)) == "lower by 20.0 ± 10.0 points (n = 10)"
    assert str(Difference(-0.004, -0.02, 0.012, 10)) == "no difference seen (-0.4 ± 1.6 points, n = 10)"
    assert str(Estimate(0.5, 0.25, 0.75, 1234)) == "50.0% [25.0, 75.0]"


def test_a_few_images_that_all_agree_prove_little() -> None:
    for n in (1, 2):
        found = difference(np.zeros((1, n)), np.ones((1, n)))
        assert found.value == 1 and not found.is_seen, n
    assert difference(np.zeros((1, 40)), np.ones((1, 40))).is_seen
    assert mean(np.ones((3, 19))).low == pytest.approx(wilson(19, 19)[0])


def test_seeds_that_disagree_make_no_difference() -> None:
    """Student's t over five seeds: -33, -24, -8, +8, -30 points on many images each."""
    rng = np.random.default_rng(0)
    shifts = np.array([-0.33, -0.24, -0.08, 0.08, -0.30])[:, None]
    first = (rng.random((5, 900)) < 0.6).astype(float)
    second = (rng.random((5, 900)) < 0.6 + shifts).astype(float)
    found = difference(first, second)
    assert not found.is_seen
    expected = stats.t.ppf(0.975, 4) * (second - first).mean(1).std(ddof=1) / 5**0.5
    assert found.half >= expected - 1e-12


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 10), (0.6075, 1.0000)),
    ],
)
def test_the_interval_of_two_shares_is_newcombes(
    cells: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    """Method 10 of table II of the article."""
    a, n, b, m = cells
    low, high = intervals.newcombe(a, n, b, m)
    assert (low, high) == pytest.approx(expected, abs=5.1e-5)
    assert intervals.newcombe(b, m, a, n) == pytest.approx((-high, -low))
    assert -1 <= low <= a / n - b / m <= high <= 1
