"""Measures against worked examples and plain loops; normalises without losing an example."""

import itertools
import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from dpls.difficulty.measures import MEASURES, visits
from dpls.difficulty.record import SIGNALS, Epoch, signals, unseen
from dpls.difficulty.scale import NORMALISERS, Difficulty, NormaliserName, auroc, normalise, rank
from dpls.difficulty.signals import Dynamics, signals_of
from dpls.errors import UserError

every_measure = pytest.mark.parametrize("name", MEASURES)
every_normaliser = pytest.mark.parametrize("name", NORMALISERS)
scores = arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 1)))


def record(epochs: int = 12, count: int = 60, classes: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Logits of examples that are learnt earlier or later, through the record's own signals; the last is never seen."""
    rng = np.random.default_rng(seed)
    speed = np.linspace(1.2, -0.2, count)
    y = torch.from_numpy(rng.integers(classes, size=count))
    found: list[dict[str, np.ndarray]] = []
    for t in range(epochs):
        logits = rng.normal(0, 1, (count, classes))
        logits[np.arange(count), y] += speed * t
        epoch = Epoch(count, torch.device("cpu"))
        ids = torch.from_numpy(rng.permutation(count - 1)[: count - 4])  # three others are missed in each epoch
        epoch.put(ids, torch.from_numpy(logits)[ids], y[ids])
        found.append(epoch.numpy())
    return {name: np.stack([e[name] for e in found]) for name in SIGNALS}


def of_logits(logits: list[list[float]], y: int) -> Dynamics:
    """The record of one example over epochs."""
    s = signals(torch.tensor(logits, dtype=torch.float64), torch.full((len(logits),), y))
    return {name: value.numpy()[:, None] for name, value in s.items()}


def correctness(*rows: list[int]) -> Dynamics:
    """A record in which only ``correct`` matters; a row an example."""
    correct = np.array(rows, dtype=np.uint8).T
    seen = np.where(correct == 255, np.nan, 0.5)
    return {name: correct if name == "correct" else seen for name in SIGNALS}


# Tables


def test_the_names_equal_the_tables() -> None:
    assert get_args(Difficulty.model_fields["measure"].annotation) == tuple(MEASURES)
    assert all(measure.title for measure in MEASURES.values())
    assert get_args(NormaliserName) == tuple(NORMALISERS)


# What every measure promises


@every_measure
def test_defect_06_never_seen_is_nan_and_not_easy(name: str) -> None:
    d = record()
    values = MEASURES[name].compute(d)
    assert values.shape == (60,) and values.dtype == np.float64
    assert np.isnan(values[-1]) and np.isfinite(values[:-1]).all()


@every_measure
def test_permuting_examples_permutes_scores(name: str) -> None:
    d = record()
    order = np.random.default_rng(1).permutation(60)
    permuted = MEASURES[name].compute({k: np.ascontiguousarray(v[:, order]) for k, v in d.items()})
    assert np.array_equal(permuted, MEASURES[name].compute(d)[order], equal_nan=True)


@every_measure
def test_an_epoch_in_which_nobody_was_seen_changes_nothing(name: str) -> None:
    d = record()
    learnt = (d["correct"] == 1).any(0)  # forgetting counts epochs for the others
    blank = {k: np.insert(v, 5, unseen(SIGNALS[k]), axis=0) for k, v in d.items()}
    before, after = MEASURES[name].compute(d)[learnt], MEASURES[name].compute(blank)[learnt]
    np.testing.assert_allclose(after, before, rtol=1e-14, atol=0)


@every_measure
def test_measures_leave_the_record_as_it_is(name: str) -> None:
    d = record()
    copies = {k: v.copy() for k, v in d.items()}
    MEASURES[name].compute(d)
    assert all(np.array_equal(d[k], copies[k], equal_nan=True) for k in d)


@every_measure
def test_the_direction_agrees_with_how_late_an_example_was_learnt(name: str) -> None:
    values = MEASURES[name].compute(record(epochs=40, count=300))[:-1] * (1 if MEASURES[name].higher_is_harder else -1)
    speed_rank = np.arange(299)  # the later, the slower
    if name in ("variability", "forgetting"):  # high for the ambiguous: the hopeless are neither learnt nor forgotten
        values, speed_rank = values[:200], speed_rank[:200]
    assert stats.spearmanr(values, speed_rank).statistic > 0.4


PLAIN = {
    "zero_one": lambda c, p, loss, m, e: 1 - np.mean(c),
    "cross_entropy": lambda c, p, loss, m, e: np.mean(loss),
    "el2n": lambda c, p, loss, m, e: np.mean(e),
    "forgetting": lambda c, p, loss, m, e: sum(a == 1 and b == 0 for a, b in itertools.pairwise(c)),
    "aum": lambda c, p, loss, m, e: np.mean(m),
    "confidence": lambda c, p, loss, m, e: np.mean(p),
    "variability": lambda c, p, loss, m, e: np.std(p),
}


@pytest.mark.parametrize("name", PLAIN)
def test_measures_equal_a_loop_over_visits(name: str) -> None:
    d = record()
    values = MEASURES[name].compute(d)
    for i in range(59):
        seen = d["correct"][:, i] != 255
        columns = (d[s][seen, i].astype(np.float64) for s in ("correct", "p_true", "loss", "margin", "error_norm"))
        expected = PLAIN[name](*columns)
        if name == "forgetting" and not (d["correct"][seen, i] == 1).any():
            expected = len(d["correct"])
        assert values[i] == pytest.approx(expected, rel=1e-6, abs=1e-7)


# Worked examples


def test_a_sequence_by_hand() -> None:
    d = correctness([0, 1, 0, 1, 1])
    assert MEASURES["forgetting"].compute(d).tolist() == [1]
    assert MEASURES["zero_one"].compute(d).tolist() == [2 / 5]
    assert visits(d).tolist() == [5]


def test_never_learnt_is_forgotten_as_often_as_there_are_epochs() -> None:
    d = correctness([0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0], [255, 0, 255, 0], [255, 255, 255, 255], [1, 255, 0, 255])
    assert MEASURES["forgetting"].compute(d).tolist() == pytest.approx([4, 0, 2, 4, math.nan, 1], nan_ok=True)


def test_defect_06_rates_are_per_visit() -> None:
    d = correctness([0, 1, 255, 255], [0, 1, 0, 1], [255, 255, 255, 255], [0, 255, 255, 255])
    assert visits(d).tolist() == [2, 4, 0, 1]
    assert MEASURES["zero_one"].compute(d).tolist() == pytest.approx([0.5, 0.5, math.nan, 1], nan_ok=True)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_el2n_of_right_wrong_and_undecided(classes: int) -> None:
    right, wrong, even = ([60.0 * (k == c) for k in range(classes)] for c in (0, 1, classes))
    for logits, expected in ((right, 0), (wrong, 2**0.5), (even, (1 - 1 / classes) ** 0.5)):
        assert float(MEASURES["el2n"].compute(of_logits([logits], 0))[0]) == pytest.approx(expected, abs=1e-7)


def test_a_model_that_is_always_right_and_sure_finds_nothing_hard() -> None:
    d = of_logits([[60.0, 0.0, 0.0]] * 5, 0)
    for name in ("zero_one", "cross_entropy", "el2n", "forgetting", "variability"):
        assert float(MEASURES[name].compute(d)[0]) == pytest.approx(0, abs=1e-12)
    assert float(MEASURES["confidence"].compute(d)[0]) == 1 and float(MEASURES["aum"].compute(d)[0]) == 60


def test_aum_by_hand() -> None:
    d = of_logits([[3.0, 1.0, -1.0], [0.0, 4.0, 5.0]], 0)
    assert float(MEASURES["aum"].compute(d)[0]) == pytest.approx((2 - 5) / 2)


@every_measure
def test_every_measure_has_an_adversarial_version_of_the_other_half_of_the_record(name: str) -> None:
    clean, attacked = record(), record(seed=1)
    attacked = {k: np.where(np.arange(12)[:, None] < 3, unseen(SIGNALS[k]), v) for k, v in attacked.items()}  # warm-up
    both = clean | {f"{k}_adv": v for k, v in attacked.items()}
    assert signals_of(both, False).keys() == signals_of(both, True).keys() == SIGNALS.keys()
    ids, found = np.arange(60), {}
    for adversarial, half in ((False, clean), (True, attacked)):
        found[adversarial] = Difficulty(measure=name, adversarial=adversarial)(both, ids)
        assert np.array_equal(found[adversarial], Difficulty(measure=name)(half, ids), equal_nan=True)
    assert not np.array_equal(found[False], found[True], equal_nan=True)
    assert visits(signals_of(both, True)).max() == 9, "epochs without attack are no visits"


@every_measure
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_difficulty_is_in_the_unit_interval_and_higher_means_harder(name: str, normaliser: str) -> None:
    d = record()
    found = Difficulty(measure=name, normaliser=normaliser)(d, np.arange(60))
    natural = MEASURES[name].compute(d)[:-1]
    assert np.isnan(found[-1]) and found[:-1].min() >= 0 and found[:-1].max() <= 1
    expected = 1 if MEASURES[name].higher_is_harder else -1
    assert stats.spearmanr(found[:-1], natural).statistic == pytest.approx(expected)


def test_difficulty_is_scaled_by_the_reference_alone() -> None:
    d = correctness([0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1])
    assert Difficulty()(d, np.array([1, 2])).tolist() == [1, 1, 0, 0]
    assert Difficulty()(d, np.arange(4)).tolist() == [1, 0.5, 0.25, 0]


# Normalisers


@every_normaliser
@given(data=scores)
def test_normalised_scores_keep_their_order_and_their_nan(name: NormaliserName, data: np.ndarray) -> None:
    if data.min() == data.max():
        data = np.append(data, data[0] + 1)
    with_nan = np.append(data, math.nan)
    found = normalise(with_nan, name)
    assert np.isnan(found[-1]) and np.array_equal(found[:-1], normalise(data, name))
    order = np.argsort(data, kind="stable")
    assert (np.diff(found[order]) >= 0).all() and found[order[0]] >= 0 and found[order[-1]] <= 1
    assert (found[:-1][data == data[0]] == found[0]).all()
    new = np.array([data.min() - 1, data.max() + 1])
    below, above = normalise(new, name, data)
    assert (below, above) == (0, 1)


@given(data=scores)
def test_min_max_is_linear_between_its_extremes(data: np.ndarray) -> None:
    data = np.append(data, [-2000, 2000])
    np.testing.assert_allclose(normalise(data, "min_max"), (data + 2000) / 4000, rtol=0, atol=1e-15)


@given(data=scores)
def test_ranks_average_exactly_one_half(data: np.ndarray) -> None:
    found = rank(data, data)
    assert found.sum() == len(data) / 2 or found.mean() == pytest.approx(0.5, abs=1e-15)
    np.testing.assert_allclose(found, (stats.rankdata(data) - 0.5) / len(data), rtol=0, atol=1e-15)


@every_normaliser
def test_defect_17_scores_that_do_not_differ_are_refused(name: NormaliserName) -> None:
    for constant in (np.zeros(5), np.full(5, 0.3), np.array([0.2, math.nan, 0.2])):
        with pytest.raises(UserError, match="same difficulty score"):
            normalise(constant, name)
    with pytest.raises(UserError, match="no example has a difficulty score"):
        normalise(np.full(3, math.nan), name)
    with pytest.raises(UserError):  # the reference is what must differ
        normalise(np.array([0.0, 1.0, 1.0]), name, np.array([1.0, 1.0]))


def test_defect_17_one_outlier_moves_min_max_but_not_ranks() -> None:
    ordinary = np.linspace(0, 1, 101)
    outlier = np.append(ordinary, 1000.0)
    assert normalise(outlier, "min_max")[100] < 0.01
    assert normalise(outlier, "rank")[100] > 0.98


def test_quantile_clip_is_min_max_between_the_first_and_the_last_percentile() -> None:
    even = np.arange(101.0)
    expected = np.clip((even - 1) / 98, 0, 1)
    np.testing.assert_allclose(normalise(even, "quantile_clip"), expected, rtol=0, atol=1e-15)
    outlier = np.append(np.arange(200.0), 1e9)
    assert normalise(outlier, "min_max")[199] < 1e-6 and normalise(outlier, "quantile_clip")[197] > 0.98
    assert np.isnan(normalise(np.append(even, math.nan), "quantile_clip")[-1])
    with pytest.raises(UserError, match=r"percentile of the difficulty scores are both 0.*min_max or rank"):
        normalise(np.append(np.zeros(500), 1.0), "quantile_clip")


# AUROC


@given(data=scores, seed=st.integers(0, 99))
def test_auroc_equals_scikit_learn(data: np.ndarray, seed: int) -> None:
    positive = np.random.default_rng(seed).random(len(data)) < 0.4
    positive[:2] = [True, False]
    assert auroc(data, positive) == pytest.approx(roc_auc_score(positive, data), abs=1e-12)


def test_auroc_of_one_kind_only_is_nan() -> None:
    assert math.isnan(auroc(np.arange(3.0), np.zeros(3, dtype=bool)))
    assert math.isnan(auroc(np.arange(3.0), np.ones(3, dtype=bool)))


def test_auroc_of_a_perfect_and_an_inverted_order() -> None:
    positive = np.array([False, False, True])
    assert auroc(np.array([0.1, 0.2, 0.3]), positive) == 1 and auroc(np.array([0.3, 0.2, 0.1]), positive) == 0
    assert auroc(np.zeros(3), positive) == 0.5
