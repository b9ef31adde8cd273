"""Whether difficulty may be believed: closed forms, and what must be noticed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpls.difficulty.causes import planted
from dpls.difficulty.measures import zero_one
from dpls.difficulty.scale import auroc
from dpls.difficulty.verdict import BAD, DOUBTFUL, GOOD, Verdict, chance_of, has_left_chance, spearman, verdict


def record(rates: np.ndarray, epochs: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Example i is wrong in each epoch with probability rates[i]."""
    wrong = np.random.default_rng(seed).random((epochs, len(rates))) < rates
    return {"correct": (~wrong).astype(np.uint8)}


def believed(d: dict[str, np.ndarray], labels: np.ndarray | None = None) -> Verdict:
    """Ten classes by turns, unless others are given."""
    return verdict(d, "zero_one", zero_one(d), np.arange(d["correct"].shape[1]) % 10 if labels is None else labels)


def levels(d: dict[str, np.ndarray], labels: np.ndarray | None = None) -> dict[str, str]:
    return {c.name: c.level for c in believed(d, labels).checks}


def test_a_long_record_of_a_net_that_learns_is_believed() -> None:
    rates = np.random.default_rng(1).beta(0.5, 1.5, 2000)
    assert levels(record(rates, 60)) == {"Accuracy": GOOD, "Length of T": GOOD, "Ties": GOOD, "Classes": GOOD}


def test_a_net_that_guesses_is_not_believed() -> None:
    """Every example is wrong nine times in ten: what difference there is, is luck."""
    found = levels(record(np.full(2000, 0.9), 30))
    assert found["Accuracy"] == BAD
    assert found["Length of T"] == BAD


def test_a_net_that_always_says_one_class_never_left_chance() -> None:
    """Also where that class is most of the images, so that most are right."""
    for shares in ([0.1] * 10, [0.7, 0.2, 0.1]):
        labels = np.repeat(np.arange(len(shares)), [round(1000 * share) for share in shares])
        d = {"correct": np.tile(labels == 0, (20, 1)).astype(np.uint8)}
        accuracy, *_, classes = believed(d, labels).checks
        assert accuracy.level == BAD and "never left chance" in accuracy.sentence
        assert f"{max(shares):.0%} of these images are right" in accuracy.sentence
        assert classes.level == BAD and "100%" in classes.sentence


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_chance_is_the_share_of_the_commonest_class(labels: list[int]) -> None:
    chance = chance_of(np.array(labels))
    assert chance == max(labels.count(k) for k in labels) / len(labels)
    assert has_left_chance(1, chance) and (chance == 1 or not has_left_chance(chance, chance))


def test_rarity_is_told_from_hardness() -> None:
    """Two classes of 950 and 50: the rare one always wrong; then both alike, its images no harder than others."""
    labels, rng = (np.arange(1000) >= 950).astype(int), np.random.default_rng(0)
    check = believed(record(np.where(labels == 1, 0.95, 0.02), 30), labels).checks[-1]
    assert check.level == BAD and "rarity" in check.sentence
    assert believed(record(rng.beta(0.5, 1.5, 1000), 30), labels).checks[-1].level == GOOD
    check = believed(record(np.where(labels == 1, 0.02, 0.95), 30), labels).checks[-1]
    assert check.level == BAD and "rarity" not in check.sentence, "rare, and easy"
    balanced = np.arange(1000) % 2
    check = believed(record(np.where(balanced == 1, 0.95, 0.02), 30), balanced).checks[-1]
    assert check.level == BAD and "rarity" not in check.sentence


@given(st.integers(0, 10_000))
def test_what_classes_explain_is_epsilon_squared(seed: int) -> None:
    """One less the mean square within classes over that of all."""
    rng = np.random.default_rng(seed)
    labels, rates = rng.integers(0, 4, 200), rng.random(4)
    d = record(rates[labels], 10, seed)
    scores, groups = zero_one(d), [zero_one(d)[labels == k] for k in np.unique(labels)]
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (200 - len(groups))
    explained = max(0.0, 1 - within / scores.var(ddof=1))
    assert f"{explained:.0%} of what" in believed(d, labels).checks[-1].sentence


def test_many_small_classes_explain_nothing_by_chance() -> None:
    """The share of the variance alone would be 43 %."""
    rates, labels = np.random.default_rng(0).random(200), np.arange(200) % 100
    explained = [
        int(
            believed(record(rates, 30, seed), np.random.default_rng(seed).permutation(labels))
            .checks[-1]
            .sentence[:2]
            .strip("%")
        )
        for seed in range(20)
    ]
    assert np.mean(explained) < 10


def test_the_worst_check_decides() -> None:
    rates = np.random.default_rng(1).beta(0.5, 1.5, 2000)
    good, short = believed(record(rates, 60)), believed(record(rates, 3))
    assert good.level == GOOD and not good.doubts and good.sentence == "This difficulty may be believed."
    assert short.level == BAD and "Length of T" in [c.name for c in short.doubts]


def test_few_epochs_are_not_enough() -> None:
    rates = np.random.default_rng(1).beta(0.5, 1.5, 2000)
    assert levels(record(rates, 3))["Length of T"] == BAD
    assert levels(record(rates, 4))["Length of T"] in (DOUBTFUL, BAD)


def test_ties_are_named() -> None:
    rates = np.where(np.arange(1000) < 700, 0.0, 0.5)
    d = record(rates, 30)
    (tie,) = [c for c in believed(d).checks if c.name == "Ties"]
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
