"""Evaluation: intervals against scipy, the net never moved, the outcome a matter of example, attack and seed alone."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import candidate_of, make_tiny, probed
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.attacks import PGD
from dpls.attacks.goals import Misclassification
from dpls.data import TEST, TRAIN, VALIDATION
from dpls.data.split import Split
from dpls.evaluations.accuracy import Accuracy, accuracy
from dpls.evaluations.conduct import evaluate, evaluation_name
from dpls.evaluations.judge import correct
from dpls.intervals import wilson
from dpls.nets.frozen import frozen_eval
from dpls.randomness import Noise, mix
from dpls.runs.directory import Run
from dpls.runs.folder import create_run

MIXED = PGD(steps=5, eps=0.11)
"""An attack that breaks some of the trained net's test examples and not others."""


def make_split(device: str | torch.device = "cpu", part: int = TEST, count: int = 300) -> Split:
    return Split.of(make_tiny(count=count, seed=1), part, torch.device(device))


def empty_split(device: str | torch.device = "cpu") -> Split:
    split = make_split(device)
    return Split(split.images[:0], split.labels[:0], split.ids[:0], split.device)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", {}, 1)


# Intervals


@pytest.mark.parametrize("n", [1, 2, 7, 100, 360, 10_000])
def test_the_interval_is_wilsons(n: int) -> None:
    for k in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        expected = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
        low, high = wilson(k, n)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-8)
        assert 0 <= low <= k / n + 1e-15 and k / n - 1e-15 <= high <= 1


def test_the_interval_of_another_confidence() -> None:
    expected = binomtest(30, 100).proportion_ci(confidence_level=0.99, method="wilson")
    assert wilson(30, 100, 2.5758293035489004) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_accuracy_of_outcomes() -> None:
    found = accuracy(torch.tensor([True, False, True, True]))
    assert found.value == 0.75 and found.n == 4 and (found.low, found.high) == wilson(3, 4)
    assert str(Accuracy(0.5, 0.25, 0.75, 1234)) == "50.0% [25.0%, 75.0%] (n = 1,234)"


def test_defect_22_an_empty_split_has_no_accuracy_and_no_error(trained: nn.Module, device: torch.device) -> None:
    for attack in (None, MIXED):
        outcome = correct(trained.to(device), empty_split(device), attack)
        assert outcome.shape == (0,) and outcome.dtype == torch.bool
        found = accuracy(outcome)
        assert math.isnan(found.value) and (found.low, found.high, found.n) == (0, 1, 0)


def test_defect_22_ids_come_with_the_outcome(trained: nn.Module, run: Run) -> None:
    data = make_tiny(count=300, seed=1)
    split = Split.of(data, TEST, torch.device("cpu"))
    evaluate(run.evaluations, candidate_of(trained), split, MIXED)
    table = pd.read_parquet(next(run.evaluations.glob("*.parquet")))
    assert table["id"].tolist() == split.ids.tolist() == data.ids(TEST).tolist()
    assert table["correct"].tolist() == correct(trained, split, MIXED).tolist()


# The net is left alone


@pytest.mark.parametrize("attack", [None, MIXED], ids=["clean", "pgd"])
def test_defect_01_every_forward_is_in_eval_mode_while_the_net_stays_in_train_mode(
    trained: nn.Module, attack: PGD | None
) -> None:
    net, passes = probed(trained.train())
    correct(net, make_split(), attack, batch_size=20)
    assert len(passes) >= (3 if attack is None else 3 * 7)
    assert not any(p.training for p in passes)
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("training", [True, False])
def test_defect_02_nothing_of_the_net_is_changed(trained: nn.Module, training: bool, device: torch.device) -> None:
    net = trained.to(device).train(training)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    before = copy.deepcopy(net.state_dict())
    correct(net, make_split(device), MIXED, batch_size=25)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(m.training == training for m in net.modules())
    assert all(p.requires_grad and (p.grad == 1).all() for p in net.parameters())


def test_defect_02_the_outcome_does_not_depend_on_the_batch_size(trained: nn.Module, device: torch.device) -> None:
    split, net = make_split(device), trained.to(device)
    outcomes = [correct(net, split, MIXED, batch_size=size) for size in (7, 64, len(split))]
    assert 0.2 < outcomes[0].float().mean() < 0.95
    assert torch.equal(outcomes[0], outcomes[1]) and torch.equal(outcomes[0], outcomes[2])


def test_defect_02_the_outcome_does_not_depend_on_the_order_or_on_who_else_is_there(trained: nn.Module) -> None:
    split = make_split()
    outcome = correct(trained, split, MIXED)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:37]
    assert torch.equal(correct(trained, split.take(order), MIXED), outcome[order])


def test_defect_02_train_mode_would_have_given_another_number(trained: nn.Module) -> None:
    """That the tests above can fail: batch statistics and running statistics disagree on this net."""
    split = make_split()
    (batch,) = split.batches(100)
    odd = batch.x[batch.y == 0]  # a batch of one class
    train_mode = copy.deepcopy(trained).train()(odd).argmax(1)
    assert (frozen_eval(trained)(odd).argmax(1) == 0).float().mean() > 0.9
    assert (train_mode == 0).float().mean() < 0.9


# What counts as robust


def test_a_wrong_clean_answer_is_not_robust(trained: nn.Module) -> None:
    split = make_split()
    wrong = Split(split.images, (split.labels + 1) % 3, split.ids, split.device)
    assert not correct(trained, wrong).any()
    for attack in (MIXED, PGD(steps=0, eps=0), PGD(steps=5, eps=0)):
        assert not correct(trained, wrong, attack).any()


@pytest.mark.parametrize("attack", [MIXED, PGD(steps=0, eps=0.3), PGD(steps=3, eps=0.05), PGD(steps=3, eps=0)])
def test_robust_is_part_of_clean(trained: nn.Module, attack: PGD) -> None:
    split = make_split(part=TRAIN)
    noisy = Split(split.images, torch.where(split.ids % 7 == 0, 0, split.labels), split.ids, split.device)
    clean, robust = correct(trained, noisy), correct(trained, noisy, attack)
    assert not clean.all() and not (robust & ~clean).any()
    if attack.eps == 0:
        assert torch.equal(robust, clean)


def test_the_outcome_is_that_of_a_textbook_attack(trained: nn.Module) -> None:
    """Plain PGD on the unfolded net in eval mode, any iterate counting, nobody dropped."""
    split, net = make_split(), copy.deepcopy(trained).eval()
    (batch,) = split.batches(1000)
    x, y = batch.x, batch.y
    noise = Noise(mix(0, MIXED.name), split.ids)
    x_adv = (x + (noise.uniform(*x.shape[1:]) * 2 - 1) * 0.11).clamp(0, 1)
    right = net(x).argmax(1) == y
    for _ in range(5):
        x_adv = x_adv.detach().requires_grad_()
        logits = net(x_adv)
        right &= logits.argmax(1) == y
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), x_adv)
        x_adv = (x + (x_adv.detach() + 0.11 / 4 * gradient.sign() - x).clamp(-0.11, 0.11)).clamp(0, 1)
    right &= net(x_adv).argmax(1) == y
    assert torch.equal(correct(trained, split, MIXED), right)


def test_a_larger_ball_and_more_steps_break_more(trained: nn.Module) -> None:
    split = make_split(part=TRAIN)
    by_eps = [correct(trained, split, PGD(steps=10, eps=eps)).sum() for eps in (0.02, 0.08, 0.11, 0.14, 0.3)]
    assert by_eps == sorted(by_eps, reverse=True) and by_eps[0] > by_eps[-1]
    by_steps = [correct(trained, split, PGD(steps=steps, eps=0.11)).sum() for steps in (0, 2, 10)]
    assert by_steps == sorted(by_steps, reverse=True) and by_steps[0] > by_steps[-1]


def test_the_seed_fixes_the_outcome_whatever_the_global_seed(trained: nn.Module) -> None:
    net, passes = probed(trained)
    split = make_split()
    first = correct(net, split, MIXED, seed=3)
    seen = [p.x for p in passes]
    passes.clear()
    torch.rand(5)  # moves the global random state
    assert torch.equal(correct(net, split, MIXED, seed=3), first)
    assert all(torch.equal(a, p.x) for a, p in zip(seen, passes, strict=True))
    passes.clear()
    correct(net, split, MIXED, seed=4)
    assert not all(a.shape == p.x.shape and torch.equal(a, p.x) for a, p in zip(seen, passes, strict=False))


@pytest.mark.parametrize(("step", "expected"), [(None, 0.025), (0.0125, 0.0125), (0.05, 0.05)])
def test_defect_03_the_configured_step_is_the_one_taken(
    trained: nn.Module, step: float | None, expected: float
) -> None:
    net, passes = probed(trained)
    split = make_split()
    pale = Split(split.images // 4 + 96, split.labels, split.ids, split.device)  # no pixel within 0.1 of 0 or 1
    answers = frozen_eval(net)(next(iter(pale.batches(1000))).x).argmax(1)
    passes.clear()
    correct(net, Split(pale.images, answers, pale.ids, pale.device), PGD(steps=2, eps=0.1, step=step, start="clean"))
    clean, start, first = (p.x for p in passes[:3])
    assert torch.equal(clean, start) and first.shape == start.shape
    moved = (first - start).abs()
    assert float(moved.max()) == pytest.approx(expected, abs=1e-7)
    assert ((moved - expected).abs() < 1e-7).float().mean() > 0.9


def test_low_precision_proposes_and_float32_judges(trained: nn.Module, device: torch.device) -> None:
    split, net = make_split(device), trained.to(device)
    exact, low = (correct(net, split, MIXED, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert (exact == low).float().mean() > 0.9
    none = PGD(steps=5, eps=0.0)
    assert torch.equal(correct(net, split, none, dtype=torch.bfloat16), correct(net, split))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine to compare with")
def test_cuda_agrees_with_the_cpu(trained: nn.Module) -> None:
    on_cpu = correct(trained, make_split(part=TRAIN), MIXED)
    on_cuda = correct(copy.deepcopy(trained).cuda(), make_split("cuda:0", part=TRAIN), MIXED).cpu()
    assert (on_cpu == on_cuda).float().mean() > 0.98


def test_data_in_host_memory_gives_the_same_as_on_the_device(trained: nn.Module, device: torch.device) -> None:
    there = make_split(device)
    host = Split(there.images.cpu(), there.labels.cpu(), there.ids.cpu(), device)
    net = trained.to(device)
    assert torch.equal(correct(net, host, MIXED, batch_size=32), correct(net, there, MIXED, batch_size=32))


# What is written


def strict(path: Path) -> dict[str, object]:
    """JSON as the standard has it: NaN and Infinity are no numbers."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in {path.name}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_an_evaluation_is_written_with_all_that_decides_it(trained: nn.Module, run: Run) -> None:
    attack = PGD(steps=20, eps=8 / 255)
    data = make_tiny(count=300, seed=1)
    result = evaluate(run.evaluations, candidate_of(trained), make_split(), attack)
    assert run.evaluation_names() == ["pgd20_8-255_best"]
    written = strict(run.evaluations / "pgd20_8-255_best.json")
    assert (written["accuracy"], written["low"], written["high"], written["n"]) == tuple(result)
    assert written["n"] == len(data.ids(TEST)) == 60 and written["split"] == "test"
    assert written["checkpoint"] == "best" and written["epoch"] == 3
    assert written["chosen_by"] == "validation accuracy, clean"
    assert written["judged_in"] == "float32" and written["proposed_in"] == "float32"
    settings = written["settings"]
    assert settings["steps"] == 20 and settings["eps"] == 8 / 255 and settings["step"] == 2 / 255
    table = run.outcomes("pgd20_8-255_best")
    assert table["correct"].mean() == result.value and table["correct"].dtype == np.bool_


def test_a_clean_evaluation_of_another_part(trained: nn.Module, run: Run) -> None:
    evaluate(run.evaluations, candidate_of(trained), make_split(part=VALIDATION), part=VALIDATION)
    written = strict(run.evaluations / "clean_best_validation.json")
    assert written["attack"] == "clean" and written["split"] == "validation" and written["settings"] == {}


def test_attacks_that_differ_do_not_share_a_file() -> None:
    """Else one result overwrites the other, or an evaluation counts as done that never ran."""
    attacks = [
        PGD(steps=20, eps=8 / 255),
        PGD(steps=10, eps=8 / 255),
        PGD(steps=20, eps=4 / 255),
        PGD(steps=20, eps=8 / 255, step=1 / 255),
        PGD(steps=20, eps=8 / 255, start="clean"),
    ]
    assert evaluation_name(attacks[0], "best") == "pgd20_8-255_best"
    assert len({evaluation_name(attack, "best") for attack in attacks}) == len(attacks)


def test_a_split_of_one_example(trained: nn.Module) -> None:
    split = make_split().take(torch.arange(1))
    assert correct(trained, split, MIXED).shape == (1,)
    assert accuracy(torch.tensor([True])).n == 1


def logits_of(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net(x)


def test_a_net_that_answers_nan_is_right_about_nothing(trained: nn.Module) -> None:
    """argmax takes NaN for the largest, so a ruined net would score the share of class 0."""
    with torch.no_grad():
        trained[-1].weight.fill_(math.nan)
    split = make_split()
    assert logits_of(trained.eval(), next(iter(split.batches(4))).x).isnan().all()
    assert not correct(trained, split).any() and not correct(trained, split, MIXED).any()


def test_nothing_outside_the_ball_is_ever_taken_for_broken() -> None:
    """A Gaussian start leaves [0, 1]; an example that looks broken only there must go on being attacked."""

    class Watch(Misclassification):
        def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
            assert x.min() >= 0
            assert x.max() <= 8 / 255 + 1e-6
            return super().broken(x, logits, rows)

    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    black, y = torch.zeros(50, 1, 4, 4), torch.arange(50) % 3
    for start in ("clean", "gaussian", "uniform"):
        attack = PGD(eps=8 / 255, steps=3, start=start)
        attack(frozen_eval(net), black, Watch(y, frozen_eval(net)), Noise(0, torch.arange(50)))
