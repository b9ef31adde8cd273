"""Agreement of measures, seeds and epochs: closed forms, ties, and what is suggested."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from dpls.difficulty.agreement import (
    MOST_EPOCHS,
    Stability,
    between,
    drawn,
    epochs_looked_at,
    membership,
    overlap,
    stability,
)
from dpls.difficulty.measures import MEASURES
from tests.test_difficulty import correctness, record

some = arrays(np.float64, st.integers(10, 60), elements=st.integers(0, 6).map(float))


def test_membership_of_a_tenth_by_hand() -> None:
    assert membership(np.arange(20.0)).tolist() == [0.0] * 18 + [1.0] * 2
    tied = np.array([5.0] + [3.0] * 4 + [0.0] * 15)  # one above, four share the place that is left
    assert membership(tied).tolist() == [1.0] + [0.25] * 4 + [0.0] * 15
    assert drawn(tied) == 0.5 and drawn(np.arange(20.0)) == 0
    assert membership(np.zeros(20)).tolist() == [0.1] * 20 and drawn(np.zeros(20)) == 1


def test_overlap_by_hand() -> None:
    a = np.arange(20.0)
    assert overlap(a, a) == 1 and overlap(a, -a) == 0
    b = a.copy()
    b[19] = -1  # of the two hardest one is another
    assert overlap(a, b) == 0.5
    assert overlap(np.zeros(20), np.zeros(20)) == 1, "ties agree with themselves"
    assert overlap(np.zeros(20), a) == pytest.approx(0.1), "what says nothing agrees by chance alone"


def test_unrelated_scores_overlap_by_about_the_share() -> None:
    rng = np.random.default_rng(0)
    assert overlap(rng.random(20_000), rng.random(20_000)) == pytest.approx(0.1, abs=0.015)


@given(scores=some, seed=st.integers(0, 99))
def test_membership_adds_up_and_overlap_is_symmetric_and_blind_to_scale(scores: np.ndarray, seed: int) -> None:
    other = np.random.default_rng(seed).permutation(scores)
    assert membership(scores).sum() == pytest.approx(max(1, round(0.1 * len(scores))))
    assert overlap(scores, scores) == pytest.approx(1)
    assert overlap(scores, other) == pytest.approx(overlap(other, scores))
    assert overlap(scores, other) == pytest.approx(overlap(np.exp(scores), 3 * other + 1))


def test_between_equals_scipy_on_the_images_that_all_know() -> None:
    rng = np.random.default_rng(0)
    scores = [rng.integers(0, 9, 50).astype(float) for _ in range(3)]
    scores[1][:5] = np.nan
    found = between([*scores, np.ones(50)])
    assert found.images == 45
    for a in range(3):
        for b in range(3):
            expected = stats.spearmanr(scores[a][5:], scores[b][5:]).statistic
            assert found.spearman[a, b] == pytest.approx(expected)
            assert found.overlap[a, b] == pytest.approx(overlap(scores[a][5:], scores[b][5:]))
    assert np.isnan(found.spearman[3]).all(), "what does not vary has no order"
    assert np.isnan(between([np.full(4, np.nan), np.arange(4.0)]).spearman).all()


def test_stability_by_hand() -> None:
    """Ten examples; the first is wrong throughout, the others only in the first epoch, but for one that comes late."""
    late = [[0, 1, 1, 0, 0, 0]]
    found = stability(correctness([0] * 6, *([[0] + [1] * 5] * 8), *late), "zero_one")
    assert found.epochs.tolist() == [1, 2, 3, 4, 5, 6]
    assert math.isnan(found.spearman[0]), "at first all are alike"
    assert found.overlap.tolist() == [pytest.approx(0.1), 1, 1, 1, 1, 1]
    assert found.spearman[-1] == pytest.approx(1) and found.spearman[1] < 1
    assert found.suggested == 2


def test_the_suggestion_is_the_first_epoch_from_which_on_it_holds() -> None:
    def of(*overlaps: float) -> int | None:
        known = np.array(overlaps)
        return Stability(np.arange(1, len(known) + 1), known, known).suggested

    assert of(0.5, 0.95, 0.8, 0.9, 0.93, 1) == 4, "what falls again does not count"
    assert of(0.9, 0.95, 1) == 1
    assert of(0.5, 0.6, 0.8, 1) is None and of(1.0) is None, "T agrees with itself always"
    assert of(math.nan, 0.95, 1) == 2


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_one_with_itself_at_the_end(name: str) -> None:
    found = stability(record(epochs=20), name)
    assert found.spearman[-1] == pytest.approx(1) and found.overlap[-1] == pytest.approx(1)
    assert (found.spearman[-5:] > found.spearman[1]).all()
    assert ((found.overlap >= 0) & (found.overlap <= 1 + 1e-12)).all()


@pytest.mark.parametrize("counted", [1, 2, 39, 40, 41, 110, 1000])
def test_epochs_looked_at_are_few_and_end_with_the_last(counted: int) -> None:
    found = epochs_looked_at(counted)
    assert found[0] == 1 and found[-1] == counted and len(found) == min(counted, MOST_EPOCHS)
