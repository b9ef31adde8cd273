"""Whether difficulty may be believed: closed forms, and what must be noticed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpls.difficulty.measures import zero_one
from dpls.difficulty.scale import auroc
from dpls.difficulty.verdict import BAD, DOUBTFUL, GOOD, checks, planted, spearman


def record(rates: np.ndarray, epochs: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Example i is wrong in each epoch with probability rates[i]."""
    wrong = np.random.default_rng(seed).random((epochs, len(rates))) < rates
    return {"correct": (~wrong).astype(np.uint8)}


def levels(d: dict[str, np.ndarray], classes: int = 10) -> dict[str, str]:
    return {c.name: c.level for c in checks(d, "zero_one", zero_one(d), classes)}


def test_a_long_record_of_a_net_that_learns_is_believed() -> None:
    rates = np.random.default_rng(1).beta(0.5, 1.5, 2000)
    assert levels(record(rates, 60)) == {"Accuracy": GOOD, "Length of T": GOOD, "Ties": GOOD}


def test_a_net_that_guesses_is_not_believed() -> None:
    """Every example is wrong nine times in ten: what difference there is, is luck."""
    found = levels(record(np.full(2000, 0.9), 30))
    assert found["Accuracy"] == BAD
    assert found["Length of T"] == BAD


def test_few_epochs_are_not_enough() -> None:
    rates = np.random.default_rng(1).beta(0.5, 1.5, 2000)
    assert levels(record(rates, 3))["Length of T"] == BAD
    assert levels(record(rates, 4))["Length of T"] in (DOUBTFUL, BAD)


def test_ties_are_named() -> None:
    rates = np.where(np.arange(1000) < 700, 0.0, 0.5)
    d = record(rates, 30)
    (tie,) = [c for c in checks(d, "zero_one", zero_one(d), 10) if c.name == "Ties"]
    assert tie.level == DOUBTFUL
    assert "shared by 70%" in tie.sentence
    constant = {"correct": np.ones((30, 50), dtype=np.uint8)}
    assert levels(constant)["Ties"] == BAD
    assert levels(constant)["Length of T"] == BAD


def test_nothing_seen_is_said_and_does_not_break() -> None:
    unseen = {"correct": np.full((10, 5), 255, dtype=np.uint8)}
    assert set(levels(unseen).values()) == {BAD}


@given(st.integers(0, 10_000))
def test_spearman_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, 40).astype(float), rng.integers(0, 6, 40).astype(float)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_planted_is_the_auroc_of_each_cause() -> None:
    rng = np.random.default_rng(0)
    difficulty, code = rng.integers(0, 9, 300) / 8, rng.choice([0, 0, 0, 1, 2], 300).astype(np.uint8)
    found = planted(difficulty, ("", "blur", "flip", "absent"), code)
    assert {name: score for name, _, score in found} == {
        "blur": pytest.approx(auroc(difficulty, code == 1)),
        "flip": pytest.approx(auroc(difficulty, code == 2)),
    }
    assert [score for _, _, score in found] == sorted((score for _, _, score in found), reverse=True)
