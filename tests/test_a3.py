"""A3: closed forms on linear nets, where its steps go, and what it learns of directions."""

import copy
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import candidate_of, lively, make_tiny
from torch import Tensor, nn

from dpls.attacks import PGD
from dpls.data import TEST
from dpls.data.split import Split
from dpls.evaluations import A3
from dpls.evaluations.conduct import evaluate
from dpls.evaluations.evaluation import Evaluation
from dpls.evaluations.judge import correct
from dpls.evaluations.procedures import a3_chunk
from dpls.evaluations.procedures.a3_chunk import ROUNDS, Chunk, Experience, Round, annealed, margin
from dpls.evaluations.store import Store
from dpls.nets.frozen import frozen_eval, is_right
from dpls.nets.networks import SmallCNN
from dpls.randomness import generator

EPS = 0.11
"""Breaks some of the trained net's test examples and not others."""


def split_of(count: int = 300) -> Split:
    return Split.of(make_tiny(count=count, seed=1), TEST, torch.device("cpu"))


def chunk_of(net: nn.Module, eps: float = EPS, steps: int = 35, split: Split | None = None, **candidate: Any) -> Chunk:
    """All of a split as one chunk; ``candidate``: seed and dtype."""
    split = split or split_of()
    evaluation = Evaluation(net, split, Store(Path("nowhere"), "a3", {}), images_a_chunk=len(split), **candidate)
    return Chunk(A3(eps=eps), steps, evaluation, torch.arange(len(split)))


def attacked(net: nn.Module, **settings: Any) -> Chunk:
    chunk = chunk_of(net, **settings)
    chunk.attack()
    return chunk


def made(folder: Path, net: nn.Module, attack: A3, split: Split | None = None) -> pd.DataFrame:
    evaluate(folder, candidate_of(net), split or split_of(), attack)
    (table,) = folder.glob("*.parquet")
    return pd.read_parquet(table)


def random_net(classes: int) -> nn.Module:
    """Untrained, for grey images of 8x8 pixels; every class is said of some noise."""
    net = lively(SmallCNN(width=4)(1, classes, generator(classes))).eval().requires_grad_(False)
    logits, head = net(torch.rand(100, 1, 8, 8, generator=generator(1))), net[-1]
    head.weight.mul_(3 / logits.std(0).mean())
    head.bias.copy_(-(logits.mean(0) - head.bias) * 3 / logits.std(0).mean())
    return net


# Closed forms


class Line(nn.Module):
    """Two logits, 0 and w x + b; the middle of the box lies on the line between the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(64, generator=generator(5)))

    def forward(self, x: Tensor) -> Tensor:
        z = (x.flatten(1) - 0.5) @ self.w
        return torch.stack([torch.zeros_like(z), z], 1)


@torch.no_grad()
def near_the_line(wrong: int = 0) -> Split:
    """80 images of noise with the labels that a Line says; of the first few the other label."""
    images = torch.randint(0, 256, (80, 1, 8, 8), generator=generator(2), dtype=torch.uint8)
    labels = Line()(images / 255).argmax(1)
    labels[:wrong] = 1 - labels[:wrong]
    return Split(images, labels, torch.arange(80), torch.device("cpu"))


def test_on_a_linear_net_it_breaks_exactly_what_lies_within_eps() -> None:
    net, split = Line(), near_the_line()
    labels = split.labels
    with torch.no_grad():
        x, towards = split.images / 255, torch.where(labels == 1, -1, 1)[:, None] * net.w.sign()
        z = net((x + 0.03 * towards.view_as(x)).clamp(0, 1))[:, 1]  # the box is in the way of some pixels
    held = (z > 0) == (labels == 1)
    chunk = attacked(net, eps=0.03, split=split)
    assert chunk.left.tolist() == held.tolist() and 20 < held.sum() < 70
    assert torch.allclose(-chunk.best[held], z[held].abs(), atol=1e-4), "and it comes as near as one can to the others"


def test_margin_is_the_lead_over_the_label() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 7.5]])
    assert margin(logits, torch.tensor([0, 1])).tolist() == [-1.0, 2.5]
    assert margin(logits.bfloat16(), torch.tensor([2, 2])).dtype == torch.float32


def test_steps_shrink_by_half_a_cosine() -> None:
    lengths = [annealed(t, 15) for t in range(15)]
    assert lengths[0] == 1 and lengths == sorted(lengths, reverse=True)
    assert lengths[8] == pytest.approx(0.001 + 0.999 / 2) and 0.001 < lengths[-1] < 0.04
    assert annealed(8, 8) == pytest.approx(0.1 + 0.9 * (1 + math.cos(8 * math.pi / 9)) / 2)


# What it promises


def test_columns_agree(tmp_path: Path) -> None:
    split = near_the_line(wrong=7)
    table = made(tmp_path, Line(), A3(eps=0.05, steps=60), split)
    assert list(table.columns) == ["id", "correct", "broken_by", "steps"]
    assert table["broken_by"].isna().equals(table["correct"]) and table["steps"].isna().equals(table["correct"])
    assert (table["broken_by"] == "clean").fillna(False).tolist() == [True] * 7 + [False] * 73
    assert set(table["broken_by"].dropna()) == {"clean", "noise", "a3"}
    assert (table["steps"][table["broken_by"].isin(["clean", "noise"])] == 0).all()
    assert table["steps"].max() > 0 and 0.1 < table["correct"].mean() < 0.8


def test_it_breaks_what_pgd_breaks_and_more(trained: nn.Module) -> None:
    pgd = correct(trained, split_of(), PGD(steps=20, eps=EPS))
    left = attacked(trained, steps=150).left
    assert not (left & ~pgd).any() and left.sum() < pgd.sum()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_any_number_of_classes(classes: int) -> None:
    net, images = random_net(classes), torch.rand(60, 1, 8, 8, generator=generator(3))
    labels = net(images.mul(255).byte() / 255).argmax(1)
    split = Split(images.mul(255).byte(), labels, torch.arange(60), torch.device("cpu"))
    chunk = attacked(net, eps=0.02, split=split)
    pgd = correct(net, split, PGD(steps=20, eps=0.02))
    assert chunk.left.sum() <= pgd.sum() and 0 < chunk.left.sum() < 60


def test_accuracy_only_falls_and_the_nearest_are_attacked(trained: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a3_chunk, "FEWEST", 1)
    monkeypatch.setattr(a3_chunk, "MUCH", 1)  # discarding stands
    monkeypatch.setattr(a3_chunk, "ROUNDS", tuple(r._replace(restarts=1) for r in ROUNDS))
    chunk, before, shares = chunk_of(trained, steps=200), [torch.ones(60, dtype=torch.bool)], []
    real = Chunk._climb

    def climb(self: Chunk, rows: Tensor, now: Round, number: int) -> None:
        left = int(self.left.sum())
        steps = self.steps.clone()
        others = self.left.clone()
        others[rows] = False
        assert self.left[rows].all() and len(rows) == math.ceil(now.share * left)
        assert not others.any() or self.best[others].max() <= self.best[rows].min()
        real(self, rows, now, number)
        assert not (self.left & ~before[-1]).any()
        assert self.left[others].all() and torch.equal(self.steps[others], steps[others]), "who is not attacked stands"
        before.append(self.left.clone())
        shares.append(len(rows) / left)

    monkeypatch.setattr(Chunk, "_climb", climb)
    chunk.attack()
    assert len(shares) == len(ROUNDS) and shares[-1] < 0.2
    assert before[-1].sum() < before[1].sum()


@pytest.mark.parametrize("steps", [1, 8, 29, 30, 100])
def test_there_are_never_more_steps_than_allowed(trained: nn.Module, steps: int) -> None:
    chunk = attacked(trained, steps=steps)
    left = int(chunk.left.sum())
    assert chunk.steps.sum() <= steps * 60
    assert chunk.steps[chunk.left].sum() <= steps * left
    assert chunk.steps[chunk.left].sum() > (steps - 61) * left, "and they are used"


def test_eps_zero_is_clean_accuracy(trained: nn.Module) -> None:
    assert attacked(trained, eps=0).left.equal(correct(trained, split_of()))


def test_large_logits_change_nothing(trained: nn.Module) -> None:
    """Where a softmax says 1 and its gradient is 0. By 1024, which changes no rounding."""
    scaled = copy.deepcopy(trained)
    with torch.no_grad():
        scaled[-1].weight *= 1024
        scaled[-1].bias *= 1024
    first, second = attacked(trained), attacked(scaled)
    assert first.left.equal(second.left) and first.steps.equal(second.steps)
    assert torch.equal(first.best * 1024, second.best)


def test_the_judge_decides(trained: nn.Module) -> None:
    """What the proposer takes for broken counts once the judge agrees."""

    class Pessimist(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -judge(x)

    judge, chunk = frozen_eval(trained), chunk_of(trained, eps=0.001)
    chunk.evaluation.proposer = Pessimist()
    chunk.attack()
    assert chunk.left.equal(attacked(trained, eps=0.001).left) and chunk.left.any()


def test_what_the_judge_sees_lies_in_the_ball_and_the_box(trained: nn.Module) -> None:
    chunk = chunk_of(trained, steps=30)
    judge, x = frozen_eval(trained), chunk.x
    low, high = (x - EPS).clamp(0, 1).amin(0), (x + EPS).clamp(0, 1).amax(0)

    def inside(images: Tensor) -> Tensor:
        assert (low <= images).all() and (images <= high).all()
        distance = (images[:, None] - x).flatten(2).abs().amax(2).amin(1)
        assert distance.max() <= EPS + 1e-6
        return judge(images)

    chunk.evaluation.judge = inside
    chunk.attack()
    assert not is_right(judge(x), chunk.y)[[i for i, by in enumerate(chunk.broken_by) if by == "clean"]].any()


def test_low_precision_proposes_and_float32_judges(trained: nn.Module) -> None:
    low = attacked(trained, dtype=torch.bfloat16)
    assert float(low.left.float().mean()) == pytest.approx(float(attacked(trained).left.float().mean()), abs=0.1)


def test_it_repeats_itself_and_seeds_differ(trained: nn.Module) -> None:
    first, again, other = attacked(trained), attacked(trained), attacked(trained, seed=1)
    assert first.left.equal(again.left) and first.steps.equal(again.steps) and first.best.equal(again.best)
    assert not first.best.equal(other.best)


def test_the_net_and_all_randomness_are_left_alone(trained: nn.Module, tmp_path: Path) -> None:
    before, state = {n: v.clone() for n, v in trained.state_dict().items()}, torch.get_rng_state()
    made(tmp_path, trained, A3(eps=EPS, steps=30))
    assert trained.training and all(torch.equal(v, before[n]) for n, v in trained.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in trained.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_to_attack() -> None:
    net, images = Line(), torch.randint(0, 256, (5, 1, 8, 8), generator=generator(2), dtype=torch.uint8)
    labels = 1 - net(images / 255).argmax(1)
    chunk = attacked(net, split=Split(images, labels, torch.arange(5), torch.device("cpu")))
    assert not chunk.left.any() and chunk.broken_by == ["clean"] * 5 and chunk.steps.sum() == 0


# Directions


def test_experience_overrules_what_is_usual_only_where_it_is_sure() -> None:
    y, fallen = torch.zeros(50, dtype=torch.int64), torch.ones(50, dtype=torch.int64)
    found = Experience()
    assert not found.label_up and not found.target_down and not found.directions_suffice
    found.learn(torch.tensor([[0.9, -0.9]]), y[:1], fallen[:1])
    assert not found.label_up and not found.target_down, "one example is no experience"
    found.learn(torch.tensor([[0.9, -0.9]]).expand(49, 2), y[1:], fallen[1:])
    assert found.label_up and found.target_down
    found.learn(torch.tensor([[-0.9, 0.9]]).expand(50, 2), y, fallen)
    assert not found.label_up and not found.target_down


@pytest.mark.parametrize(("classes", "scale"), [(2, 1), (3, 1), (10, 1), (40, 4)])
def test_directions_push_the_label_down_and_a_target_up(classes: int, scale: float) -> None:
    net, images = random_net(classes), torch.rand(60, 1, 8, 8, generator=generator(3))
    split = Split(images.mul(255).byte(), net(images).argmax(1), torch.arange(60), torch.device("cpu"))
    chunk, rows, now = chunk_of(net, split=split), torch.arange(60), Round(1, 7, 15, targets=4)
    chunk.likeliest = net(chunk.x).argsort(1, descending=True)
    uniform = torch.rand(60, classes, generator=generator(0))
    assert torch.equal(chunk._directions(rows, uniform, now, 1), uniform * 2 - 1)
    turns = []
    for chunk.runs in range(2, 10):
        v = chunk._directions(rows, uniform, now, 5)
        label = v.gather(1, chunk.y[:, None])
        assert -0.5 * scale <= label.min() < -0.3 * scale and 0 < label.max() <= 0.1 * scale
        v = v.scatter(1, chunk.y[:, None], 0)
        assert torch.equal((v.abs() * (v == 0.8 * scale)).amax(1), torch.full((60,), 0.8 * scale))
        target = (v == 0.8 * scale).float().argmax(1)
        turns.append((chunk.likeliest == target[:, None]).float().argmax(1).unique().tolist())
    count = min(4, classes - 1)
    assert turns == [[1 + i % count] for i in range(8)]
    chunk.experience.label, chunk.experience.fallen, chunk.experience.count = 9.0, -9.0, 10
    v = chunk._directions(rows, uniform, now, 5)
    assert v.gather(1, chunk.y[:, None]).max() > 0.3 * scale and (v == -0.8 * scale).any(1).all()


class Masked(nn.Module):
    """The lead of the other class is flat where the label stands, so the margin leads nowhere; a third logit shows the way."""

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean((1, 2, 3))
        return torch.stack([torch.ones_like(z), 2.0 * (z > 0.53), 0.1 * z - 5], 1)


def test_where_directions_break_much_they_are_tried_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = [], Chunk._climb

    def climb(self: Chunk, rows: Tensor, now: Round, number: int) -> None:
        asked.append(now)
        real(self, rows, now, number)

    monkeypatch.setattr(Chunk, "_climb", climb)
    net = nn.Sequential(nn.Identity(), Masked())
    net.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    images = torch.full((10, 1, 4, 4), 127, dtype=torch.uint8)
    split = Split(images, torch.zeros(10, dtype=torch.int64), torch.arange(10), torch.device("cpu"))
    chunk = attacked(net, eps=0.05, steps=300, split=split)
    assert chunk.experience.directions_suffice and not chunk.left.any()
    assert [(r.share, r.directed) for r in asked[1:4]] == [(1, 7), (1, 7), (1, 12)]


# What it says of itself


def test_names_tell_settings_apart() -> None:
    assert A3(eps=0.1).name == "a3" and A3(eps=0.1, steps=50).name == "a3-steps-50"
    assert A3(eps=0.1).doubts == [] and len(A3(eps=0.1, steps=50).doubts) == 1
    assert A3(steps=100).passes == 200
