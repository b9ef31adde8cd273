"""RayS: closed forms on linear nets, labels alone, every query counted, and no example that knows of another."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import candidate_of, make_tiny, probed
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.data import TEST
from dpls.data.split import Split
from dpls.evaluations import RayS
from dpls.evaluations.conduct import evaluate
from dpls.evaluations.judge import correct
from dpls.evaluations.procedures import rays
from dpls.nets.frozen import frozen_eval, is_right
from dpls.randomness import generator

FINE = rays.TOLERANCE / 8
"""Of images with 64 pixels, as an L-infinity distance."""


def split_of(count: int = 60) -> Split:
    return Split.of(make_tiny(count=count, seed=1), TEST, torch.device("cpu"))


def made(folder: Path, net: nn.Module, attack: RayS, split: Split | None = None) -> pd.DataFrame:
    evaluate(folder, candidate_of(net), split or split_of(), attack)
    (table,) = folder.glob("*.parquet")
    return pd.read_parquet(table)


class Line(nn.Module):
    """Two logits, 0 and w x + b, of images of 8x8 pixels; every weight well away from 0. The middle of the box lies at
    an L-infinity distance of ``side``, positive for class 1."""

    def __init__(self, seed: int = 0, side: float = 0.0) -> None:
        super().__init__()
        draws = torch.rand(2, 64, generator=generator(seed))
        self.w = nn.Parameter((draws[0] + 0.5) * (draws[1] - 0.5).sign())
        self.b = nn.Parameter(side * self.w.detach().abs().sum() - 0.5 * self.w.detach().sum())

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(z), z], 1)


def greys(count: int = 12) -> Tensor:
    """Far from the ends of [0, 1], so that none of the box is in the way."""
    return 0.4 + 0.2 * torch.rand(count, 1, 8, 8, generator=generator(1))


class OneHot(nn.Module):
    """Says its label and no more; no gradient passes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        return F.one_hot(logits.argmax(1), logits.shape[1]).float()


# Closed forms


@pytest.mark.parametrize("side", [0.04, -0.04])
@torch.no_grad()
def test_on_a_linear_net_it_finds_the_distance_and_the_direction(side: float) -> None:
    net, x = Line(side=side), greys()
    y = net(x).argmax(1)
    assert (y == (side > 0)).all()
    found = rays.search(net, x, y, 10_000, 0)
    expected = net(x)[:, 1].abs() / net.w.abs().sum()
    assert (found.radius >= expected - 1e-6).all()
    assert (found.radius <= expected + 2 * FINE).all()
    towards = net.w.sign().expand(12, -1) * (-1 if side > 0 else 1)
    assert torch.equal(found.sign.flatten(1), towards)
    assert (found.queries < 2000).all(), "once no pixel's sign is worth changing, nothing more is asked"


@torch.no_grad()
def test_what_it_returns_is_an_error_at_that_radius_and_within_it() -> None:
    net, x = Line(3), torch.rand(20, 1, 8, 8, generator=generator(2))
    y = net(x).argmax(1)
    found = rays.search(net, x, y, 3000, 0)
    x_adv = (x + found.radius[:, None, None, None] * found.sign).clamp(0, 1)
    assert not is_right(net(x_adv), y).any()
    assert (found.radius < 1).all() and (found.sign.abs() == 1).all()


def test_blocks_are_halved_down_to_single_pixels() -> None:
    """A net that is always right lets every flip fail: so each query shows the block that is flipped."""
    net, passes = probed(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)))
    with torch.no_grad():
        net[1][1].weight.zero_()
        net[1][1].bias.copy_(torch.tensor([1.0, 0.0]))
    found = rays.search(net, torch.full((1, 1, 2, 3), 0.5), torch.tensor([0]), 1000, 0)
    flipped = [(p.x.flatten() == 0).nonzero().flatten().tolist() for p in passes[1:]]
    assert flipped[:6] == [[0, 1, 2, 3, 4, 5], [0, 1, 2], [3, 4, 5], [0, 1], [2, 3], [4, 5]]
    assert flipped[6:] == [[0], [1], [2], [3], [4], [5]], "and it gives up after a round of single pixels in vain"
    assert found.queries.tolist() == [13] and found.radius.tolist() == [rays.NOTHING_FOUND]


# What it promises


def test_radii_only_shrink_with_more_queries(trained: nn.Module) -> None:
    net, batch = frozen_eval(trained), split_of().batch(torch.arange(12))
    before = torch.full((12,), rays.NOTHING_FOUND)
    for queries in (1, 2, 3, 5, 8, 20, 50, 120):
        found = rays.search(net, batch.x, batch.y, queries, 0)
        assert (found.radius <= before).all() and (found.queries <= queries).all()
        before = found.radius
    assert (before < 1).all()


def test_labels_are_enough(trained: nn.Module, tmp_path: Path) -> None:
    attack = RayS(eps=0.1, queries=100)
    (tmp_path / "labels").mkdir()
    pd.testing.assert_frame_equal(
        made(tmp_path, trained, attack), made(tmp_path / "labels", OneHot(trained), attack), check_exact=True
    )


@pytest.mark.parametrize("stops", [True, False])
def test_queries_are_the_images_that_the_net_was_shown(trained: nn.Module, tmp_path: Path, stops: bool) -> None:
    net, passes = probed(trained)
    table = made(tmp_path, net, RayS(eps=0.1, queries=150, stop_when_broken=stops))
    assert table["queries"].sum() == sum(len(p.x) for p in passes) > 100
    assert table["queries"].between(1, 150).all() and not any(p.training for p in passes)
    assert (table["queries"] == 1)[table["broken_by"] == "clean"].all()
    assert all(p.x.min() >= 0 and p.x.max() <= 1 for p in passes)


def test_columns_agree(trained: nn.Module, tmp_path: Path) -> None:
    table = made(tmp_path, trained, RayS(eps=0.1, queries=150))
    clean = correct(trained, split_of()).tolist()
    assert list(table.columns) == ["id", "correct", "broken_by", "queries", "radius"]
    assert table["broken_by"].isna().equals(table["correct"]) and 0 < table["correct"].mean() < 1
    assert ((table["broken_by"] == "clean").fillna(False) == ~pd.Series(clean)).all()
    assert ((table["radius"] == 0) == ~pd.Series(clean)).all()
    assert ((table["radius"] > 0.1).fillna(True) == table["correct"]).all()


def test_radii_are_worth_more_queries(trained: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    first = made(tmp_path, trained, RayS(eps=0.1, queries=150))
    whole = made(tmp_path / "all", trained, RayS(eps=0.1, queries=150, stop_when_broken=False))
    assert whole["correct"].equals(first["correct"])
    assert (whole["radius"] <= first["radius"]).all() and whole["radius"].mean() < first["radius"].mean()


def test_eps_zero_is_clean_accuracy(trained: nn.Module, tmp_path: Path) -> None:
    table = made(tmp_path, trained, RayS(eps=0, queries=50))
    assert table["correct"].tolist() == correct(trained, split_of()).tolist()


def test_no_example_knows_of_another(trained: nn.Module) -> None:
    net, batch = frozen_eval(trained), split_of().batch(torch.arange(12))
    whole = rays.search(net, batch.x, batch.y, 150, 0.1)
    for rows in ([3], [7, 2, 9], range(11, -1, -1)):
        rows = torch.tensor([*rows])
        found = rays.search(net, batch.x[rows], batch.y[rows], 150, 0.1)
        # how a batch is multiplied may round otherwise, and with it the last halving
        assert torch.allclose(found.radius, whole.radius[rows], atol=FINE)


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_any_number_of_classes_and_channels(classes: int) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 25, classes)).requires_grad_(False)
    x = torch.rand(10, 3, 5, 5, generator=generator(0)).contiguous(memory_format=torch.channels_last)
    found = rays.search(net, x, net(x).argmax(1), 500, 0)
    assert found.radius.shape == (10,) and found.sign.shape == x.shape and (found.radius > 0).all()


def test_a_net_that_answers_nan_is_wrong(tmp_path: Path) -> None:
    class Silent(Line):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * torch.nan

    table = made(tmp_path, Silent(), RayS(eps=0.1))
    assert not table["correct"].any() and (table["broken_by"] == "clean").all()


def test_the_net_and_all_randomness_are_left_alone(trained: nn.Module, tmp_path: Path) -> None:
    before, state = {n: v.clone() for n, v in trained.state_dict().items()}, torch.get_rng_state()
    made(tmp_path, trained, RayS(eps=0.1, queries=50))
    assert trained.training and all(torch.equal(v, before[n]) for n, v in trained.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in trained.parameters())
    assert torch.equal(torch.get_rng_state(), state)


# What it says of itself


def test_names_tell_settings_apart() -> None:
    variants: list[dict[str, Any]] = [{}, {"queries": 40_000}, {"stop_when_broken": False}, {"queries": 5}]
    assert len({RayS(eps=0.1, **v).name for v in variants}) == 4
    assert RayS(eps=0.1).name == "rays" and RayS(queries=40_000).passes == 40_000


def test_it_is_doubted() -> None:
    (weak,) = RayS(eps=0.1).doubts
    assert "upper bound" in weak and "masked" in weak
    assert len(RayS(eps=0.1, queries=9999).doubts) == 2
