"""Smoothing factors and soft labels: properties for any difficulty, and the closed forms of label smoothing."""

import math

import numpy as np
import pytest
import torch
from conftest import declared
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional as F

from dpls.component import members
from dpls.errors import UserError
from dpls.methods.labels import (
    DPLS,
    Control,
    FactorRule,
    Factors,
    Hard,
    Uniform,
    lambda_min_for,
    smoothing_factors,
    soft_labels,
)
from dpls.methods.objectives import soft_cross_entropy
from dpls.randomness import generator

RULES = members(Factors)
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
unit = st.floats(0, 1)
difficulties = arrays(np.float64, st.integers(1, 40), elements=unit)
with_unseen = arrays(np.float64, st.integers(1, 40), elements=unit | st.just(math.nan))
class_counts = st.integers(2, 1000)


# What every rule promises


def test_every_rule_is_in_the_union() -> None:
    assert declared(FactorRule) == set(RULES)
    assert len({r.model_fields["kind"].default for r in RULES}) == len(RULES)


@every_rule
def test_settings_survive_json(rule: type[FactorRule]) -> None:
    assert TypeAdapter(Factors).validate_json(rule().model_dump_json()) == rule()


@every_rule
@given(difficulty=with_unseen, classes=st.integers(2, 200))
def test_factors_lie_between_uniform_and_hard(rule: type[FactorRule], difficulty: np.ndarray, classes: int) -> None:
    before = difficulty.copy()
    rule().check(classes)  # the defaults fit any number of classes
    factors = rule()(difficulty, classes)
    assert factors.shape == difficulty.shape and factors.dtype == np.float64
    assert (factors >= 1 / classes).all() and (factors <= 1).all()
    assert np.array_equal(difficulty, before, equal_nan=True)


@every_rule
def test_only_rules_that_say_so_look_at_difficulty(rule: type[FactorRule]) -> None:
    low, high = (rule()(np.full(4, d), 10) for d in (0.1, 0.9))
    assert np.array_equal(low, high) == (not rule.needs_difficulty)


# DPLS


@given(difficulties, st.floats(0.001, 1))
def test_factors_fall_with_difficulty_from_one_to_lambda_min(difficulty: np.ndarray, lambda_min: float) -> None:
    factors = smoothing_factors(difficulty, lambda_min)
    assert (factors >= lambda_min - 1e-15).all() and (factors <= 1).all()
    assert (np.diff(factors[np.argsort(difficulty)]) <= 0).all()
    np.testing.assert_allclose(factors.mean(), 1 - (1 - lambda_min) * difficulty.mean(), rtol=0, atol=1e-14)
    assert smoothing_factors(np.array([0.0, 1.0]), lambda_min).tolist() == pytest.approx([1, lambda_min], abs=1e-15)


@given(with_unseen, st.floats(0.001, 1), st.randoms(use_true_random=False))
def test_permuting_examples_permutes_factors(difficulty: np.ndarray, lambda_min: float, random: object) -> None:
    order = np.array(random.sample(range(len(difficulty)), len(difficulty)))  # type: ignore[attr-defined]
    factors = smoothing_factors(difficulty, lambda_min)
    assert np.array_equal(smoothing_factors(difficulty[order], lambda_min), factors[order])


@given(with_unseen, st.floats(0.001, 1))
def test_defect_06_an_example_never_seen_keeps_its_hard_label(difficulty: np.ndarray, lambda_min: float) -> None:
    factors = smoothing_factors(difficulty, lambda_min)
    assert (factors[np.isnan(difficulty)] == 1).all() and not np.isnan(factors).any()


@pytest.mark.parametrize("wrong", [-0.01, 1.01, math.inf])
def test_difficulty_outside_the_unit_interval_is_refused(wrong: float) -> None:
    with pytest.raises(UserError, match="normalise"):
        smoothing_factors(np.array([0.5, wrong, math.nan]), 0.5)


@given(with_unseen, class_counts, st.floats(0.01, 1))
def test_defect_16_lambda_min_gives_exactly_the_mean_or_is_refused(
    difficulty: np.ndarray, classes: int, mean: float
) -> None:
    average = float(np.nan_to_num(difficulty).mean())
    lowest = 1 - (1 - 1 / classes) * average
    assume(abs(mean - lowest) > 1e-9 and (mean == 1 or mean < 1 - 1e-9))
    if mean < lowest:
        with pytest.raises(UserError, match="no lambda_min"):
            lambda_min_for(mean, difficulty, classes)
        return
    found = lambda_min_for(mean, difficulty, classes)
    assert 1 / classes <= found <= 1
    assert smoothing_factors(difficulty, found).mean() == pytest.approx(mean, abs=1e-12)
    assert DPLS(mean=mean)(difficulty, classes).mean() == pytest.approx(mean, abs=1e-12)


@given(difficulties, class_counts, st.floats(0, 0.999))
def test_defect_16_lambda_min_for_inverts_the_mean(difficulty: np.ndarray, classes: int, share: float) -> None:
    assume(difficulty.mean() > 0.01)
    lambda_min = 1 / classes + share * (1 - 1 / classes)  # dense down to 1 / classes: nothing is clipped on the way
    mean = float(smoothing_factors(difficulty, lambda_min).mean())
    assert lambda_min_for(mean, difficulty, classes) == pytest.approx(lambda_min, abs=1e-12)


@pytest.mark.parametrize("average", [0.05, 0.1, 0.15])
def test_defect_16_a_mean_of_085_cannot_be_reached_where_difficulty_is_low(average: float) -> None:
    with pytest.raises(UserError, match="rank"):
        lambda_min_for(0.85, np.full(10, average), 10)


def test_a_mean_out_of_reach_names_only_remedies_that_work() -> None:
    """Ranks have a mean of one half, so they reach down to 0.55 with 10 classes, and no further."""
    low, half = np.array([0.1, 0.2]), np.array([0.0, 1.0])
    for mean, difficulty, helps in ((0.6, low, True), (0.5, low, False), (0.5, half, False), (1.2, low, False)):
        with pytest.raises(UserError, match="choose a mean in between") as refused:
            lambda_min_for(mean, difficulty, 10)
        assert ("rank normaliser" in str(refused.value)) is helps
    lambda_min_for(0.6, half, 10)


def test_lambda_min_for_worked_examples() -> None:
    assert lambda_min_for(0.85, np.array([0.25, 0.75, 0.5]), 10) == pytest.approx(0.7)
    assert lambda_min_for(1, np.zeros(3), 10) == 1
    for wrong in (math.nan, 1.2):
        with pytest.raises(UserError):
            lambda_min_for(wrong, np.array([0.5]), 10)


@pytest.mark.parametrize(
    ("rule", "classes"),
    [(DPLS(lambda_min=0.09), 10), (DPLS(lambda_min="1/3"), 2), (Uniform(factor=0.05), 10), (DPLS(mean=0.04), 20)],
)
def test_defect_16_a_true_class_that_would_be_the_least_likely_is_refused(rule: FactorRule, classes: int) -> None:
    with pytest.raises(UserError):
        rule.check(classes)
    with pytest.raises(UserError):
        rule(np.array([0.2, 1.0]), classes)


def test_one_over_classes_itself_is_allowed() -> None:
    assert DPLS(lambda_min="1/10")(np.array([1.0]), 10) == pytest.approx(0.1, abs=1e-15)
    assert Uniform(factor=0.5)(np.zeros(2), 2).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "wrong", [{"lambda_min": 0.5, "mean": 0.8}, {"lambda_min": 0}, {"lambda_min": 1.1}, {"mean": -1}]
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        DPLS.model_validate(wrong)


def test_the_default_lambda_min_is_one_half() -> None:
    assert DPLS()(np.array([0, 0.5, 1, math.nan]), 10).tolist() == [1, 0.75, 0.5, 1]


# Soft labels


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20), class_counts, st.integers(0, 2**31))
def test_rows_sum_to_one_and_the_true_class_leads_iff_its_factor_exceeds_uniform(
    factors: list[float], classes: int, seed: int
) -> None:
    assume(all(abs(f - 1 / classes) > 1e-9 for f in factors))
    y = torch.randint(classes, (len(factors),), generator=generator(seed))
    factor = torch.tensor(factors, dtype=torch.float64)
    labels = soft_labels(y, factor, classes)
    assert labels.shape == (len(factors), classes) and labels.min() >= 0
    torch.testing.assert_close(labels.sum(1), torch.ones_like(factor), rtol=0, atol=1e-12)
    assert torch.equal(labels[torch.arange(len(y)), y], factor)
    rest = labels[~F.one_hot(y, classes).bool()].view(len(y), classes - 1)
    assert (rest == rest[:, :1]).all()
    assert torch.equal(labels.argmax(1) == y, factor > 1 / classes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_factor_one_is_the_one_hot_label_bit_for_bit(classes: int, dtype: torch.dtype, device: torch.device) -> None:
    y = torch.arange(classes, device=device)
    for rule in (Hard(), Uniform(factor=1), DPLS(lambda_min=1)):
        factor = torch.from_numpy(rule(np.linspace(0, 1, classes), classes)).to(device, dtype)
        assert torch.equal(soft_labels(y, factor, classes), F.one_hot(y, classes).to(dtype))


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("lambda_min", [0.5, 0.7, 0.95, 1.0])
def test_the_hardest_example_gets_torch_label_smoothing(classes: int, lambda_min: float) -> None:
    g = generator(0, classes)
    z, y = torch.randn(20, classes, generator=g, dtype=torch.float64), torch.randint(classes, (20,), generator=g)
    smoothing = (1 - lambda_min) * classes / (classes - 1)
    expected = F.cross_entropy(z, y, label_smoothing=smoothing, reduction="none")
    dpls = torch.from_numpy(smoothing_factors(np.ones(20), lambda_min))
    uniform = torch.from_numpy(Uniform(factor=lambda_min)(np.zeros(20), classes))
    for factor in (dpls, uniform):
        labels = soft_labels(y, factor, classes)
        torch.testing.assert_close(-(labels * z.log_softmax(1)).sum(1), expected, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(soft_cross_entropy(z, labels), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("factor", "entropy"), [(0.5, math.log(6)), (0.7, 1.2700), (1.0, 0.0)])
def test_the_entropy_of_a_label_of_ten_classes(factor: float, entropy: float) -> None:
    label = soft_labels(torch.tensor([3]), torch.tensor([factor], dtype=torch.float64), 10)
    assert float(torch.special.entr(label).sum()) == pytest.approx(entropy, abs=5e-5 if factor == 0.7 else 1e-14)


@pytest.mark.parametrize(
    ("classes", "factor", "gap"),
    [(10, 0.9, 4.394), (10, 0.7, 3.045), (10, 0.5, 2.197), (100, 0.9, 6.792), (100, 0.7, 5.442), (100, 0.5, 4.595)],
)
def test_the_optimal_logit_gap(classes: int, factor: float, gap: float) -> None:
    """At the gap log(factor (K - 1) / (1 - factor)) the loss has no gradient and equals the label's entropy."""
    assert math.log(factor * (classes - 1) / (1 - factor)) == pytest.approx(gap, abs=5e-4)
    z = torch.zeros(1, classes, dtype=torch.float64)
    z[0, 2] = math.log(factor * (classes - 1) / (1 - factor))
    z.requires_grad_()
    labels = soft_labels(torch.tensor([2]), torch.tensor([factor], dtype=torch.float64), classes)
    loss = -(labels * z.log_softmax(1)).sum()
    loss.backward()
    assert z.grad is not None and z.grad.abs().max() < 1e-14
    assert float(loss.detach()) == pytest.approx(float(torch.special.entr(labels).sum()), abs=1e-14)


# Controls


@given(difficulty=difficulties, lambda_min=st.floats(0.2, 1), seed=st.integers(0, 99))
def test_every_control_takes_as_much_from_labels_as_dpls(difficulty: np.ndarray, lambda_min: float, seed: int) -> None:
    proportional = smoothing_factors(difficulty, lambda_min)
    for how in ("uniform", "permuted", "inverted", "hardest"):
        factors = Control(how=how, lambda_min=lambda_min, seed=seed)(difficulty, 10)
        assert factors.mean() == pytest.approx(proportional.mean(), abs=1e-9)
        assert factors.min() >= lambda_min - 1e-9
        assert factors.max() <= 1 + 1e-9
        if how in ("permuted", "inverted"):
            assert np.array_equal(np.sort(factors), np.sort(proportional))


def test_controls_give_smoothing_to_others() -> None:
    difficulty = np.linspace(0, 1, 11)
    factors = {how: Control(how=how, lambda_min=0.5)(difficulty, 10) for how in ("uniform", "inverted", "hardest")}
    assert np.ptp(factors["uniform"]) == 0
    np.testing.assert_allclose(factors["inverted"], smoothing_factors(difficulty, 0.5)[::-1])
    np.testing.assert_allclose(factors["hardest"], [1, 1, 1, 1, 1, 0.75, *[0.5] * 5])
    permuted = [Control(how="permuted", lambda_min=0.5, seed=seed)(difficulty, 10) for seed in (0, 0, 1)]
    assert np.array_equal(permuted[0], permuted[1])
    assert not np.array_equal(permuted[0], permuted[2])
