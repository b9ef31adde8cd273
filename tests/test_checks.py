"""The checks behind the trust card: an honest net passes them, broken defences fail, each for its own reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import candidate_of, make_tiny
from torch import Tensor, nn

from dpls.attacks import PGD, Attack
from dpls.attacks.goals import CrossEntropyAscent, MarginAscent
from dpls.data import TEST, TRAIN
from dpls.data.split import Split
from dpls.evaluations import Checks, named
from dpls.evaluations.conduct import SEED, evaluate, evaluation_name
from dpls.evaluations.trust import judged as trust
from dpls.evaluations.trust.card import Card, Line
from dpls.evaluations.trust.search import search
from dpls.nets.frozen import frozen_eval
from dpls.nets.networks import SmallCNN
from dpls.randomness import Noise, generator, mix
from dpls.runs.directory import Run

CPU = torch.device("cpu")
EPS = 30 / 255
CHECKED = 48


@pytest.fixture(scope="module")
def robust() -> nn.Module:
    """A SmallCNN for 8x8 grey images of 3 classes, adversarially trained."""
    split = Split.of(make_tiny(count=500, seed=1), TRAIN, CPU)
    net = SmallCNN(width=4)(1, 3, generator(0, "initialisation"), ([0.5], [0.2]))
    optimiser, attack = torch.optim.SGD(net.parameters(), 0.05, 0.9), PGD(steps=3, step=EPS / 2, eps=EPS)
    for epoch in range(6):
        for batch in split.batches(45):
            x_adv = attack(frozen_eval(net), batch.x, CrossEntropyAscent(batch.y), Noise(epoch, batch.rows))
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x_adv), batch.y).backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return net


@pytest.fixture(scope="module")
def images() -> Split:
    """Of the same classes, as many as an interval of ten points takes."""
    return Split.of(make_tiny(count=2100, seed=2), TEST, CPU)


class Behind(nn.Module):
    """The net, behind or before something that changes nothing but what attacks see."""

    def __init__(self, net: nn.Module, answer: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.answer = net, answer

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.net, x)


def scaled(net: nn.Module, x: Tensor) -> Tensor:
    return 1e4 * net(x)


def rounding(net: nn.Module, x: Tensor) -> Tensor:
    return net((x * 8).round() / 8)


def random(net: nn.Module, x: Tensor) -> Tensor:
    return net(x + 0.1 * torch.randn_like(x))


def with_batch_statistics(net: nn.Module, x: Tensor) -> Tensor:
    """As batch norm in training mode has it, whatever the mode."""
    logits = net(x)
    return (logits - logits.mean(0)) / (logits.std(0, correction=0) + 1e-3)


def probabilities(net: nn.Module, x: Tensor) -> Tensor:
    return net(x).softmax(1)


def cards_of(folder: Path, net: nn.Module, split: Split, *attacks: str) -> dict[str, Card]:
    """By name of the attack; of the images of a split, the first of which are checked."""
    run = Run(folder)
    run.evaluations.mkdir()
    for name in attacks:
        evaluate(run.evaluations, candidate_of(net), split, named(name).model_copy(update={"eps": EPS}))
    checked = split.take(torch.arange(min(len(split), CHECKED)))
    evaluate(run.evaluations, candidate_of(net), checked, Checks(eps=EPS))
    judged = {name: trust.Judged(run.evaluation(name), run.outcomes(name)) for name in run.evaluation_names()}
    return {name.split("_")[0]: card for name, card in trust.cards(judged).items()}


def line_of(card: Card, title: str) -> Line:
    return next(line for line in card.lines if line.title == title)


def test_an_honest_net_is_green(robust: nn.Module, images: Split, tmp_path: Path) -> None:
    found = cards_of(tmp_path, robust, images, "pgd20", "margins")
    assert found.keys() == {"pgd20", "margins10x6"}, "the checks are no accuracy of their own"
    card = found["margins10x6"]
    assert card.colour == "green", card.text()
    assert 0.3 < card.report.value < 0.9 and card.report.n == 420
    assert card.report.value <= min(c.accuracy.value for c in found.values())


@pytest.mark.parametrize(
    ("broken", "title", "reason"),
    [
        (scaled, "Gradients", "logits are so large"),
        (rounding, "Gradients", "something in the net, as rounding"),
        (random, "Randomness", "the net answers at random"),
        (with_batch_statistics, "Batch", "as batch norm in training mode does"),
    ],
)
def test_a_broken_defence_is_red_for_its_own_reason(
    broken: Callable[..., Tensor], title: str, reason: str, robust: nn.Module, images: Split, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    card = cards_of(tmp_path, Behind(robust, broken), images.take(torch.arange(CHECKED)), "pgd20")["pgd20"]
    assert card.colour == "red"
    assert line_of(card, title).sentence == card.reason and reason in card.reason, "it is the first of what is said"
    red = {line.title for line in card.doubts if line.colour == "red"}
    if broken is scaled:
        assert {"Gradients", "Loss by steps", "Unlimited", "Strongest attack"} == red, "margins have seen through it"
    if broken is rounding:
        assert {"Gradients", "Loss by steps", "Unlimited"} <= red


def of(folder: Path, net: nn.Module, split: Split, attack: Attack) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Outcomes of an evaluation, and what is said of it."""
    evaluate(folder, candidate_of(net), split, attack)
    file = folder / f"{evaluation_name(attack, 'best')}.json"
    return pd.read_parquet(file.with_suffix(".parquet")), json.loads(file.read_text())


def test_what_is_kept_of_each_image(robust: nn.Module, images: Split, tmp_path: Path) -> None:
    split = images.take(torch.arange(CHECKED))
    labels = split.labels.clone()
    labels[:6] = (labels[:6] + 1) % 3
    split = replace(split, labels=labels)
    found, _ = of(tmp_path, robust, split, Checks(eps=EPS))
    right = found[found["clean"]]
    assert 0 < found["correct"].sum() < len(right) < CHECKED
    assert not (found["correct"] & ~(found["clean"] & found["gradients"].fillna(False))).any(), "fail-closed"
    assert (right["queries"].notna() == right["gradients"]).all(), "asked where gradients failed"
    assert (right["margin_20"] > right["margin_0"]).all() and right["change"].max() == pytest.approx(EPS, abs=1e-6)
    wrong = found[~found["clean"]]
    assert wrong[["zero_loss", "margin_0", "gradients", "noise", "unlimited", "change"]].isna().all(axis=None)
    assert (found["repeat"] == 0).all() and (found["company"] < 1e-4).all()

    # The ascent is that of PGD-20, from the same start: so the last image is the same.
    batch, net, pgd = split.batch(torch.arange(CHECKED)), frozen_eval(robust), PGD(steps=20, eps=EPS)
    goal = CrossEntropyAscent(batch.y)
    margins = MarginAscent(goal).loss(net(pgd(net, batch.x, goal, Noise(mix(SEED, pgd.name), split.ids))), batch.rows)
    known = found["clean"].to_numpy(dtype=bool)
    assert found["margin_20"][known].to_numpy(dtype=float) == pytest.approx(margins[known].numpy(), abs=1e-3)


def test_checks_cost_eight_times_pgd20_at_most(robust: nn.Module, images: Split, tmp_path: Path) -> None:
    """Where everybody withstands everything."""
    split = images.take(torch.arange(10))
    passes = [of(tmp_path, robust, split, attack)[1] for attack in (PGD(steps=20, eps=1e-4), Checks(eps=1e-4))]
    pgd20, checks = (content["forward_passes"] + content["backward_passes"] for content in passes)
    assert 0.9 * Checks().passes * len(split) < checks <= 8 * pgd20, "PGD that may change everything soon stops"


def test_outputs_that_are_probabilities_or_no_numbers_are_seen(
    robust: nn.Module, images: Split, tmp_path: Path
) -> None:
    few = images.take(torch.arange(20))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    card = cards_of(tmp_path / "a", Behind(robust, probabilities), few, "pgd20")["pgd20"]
    assert "look like probabilities" in line_of(card, "Outputs").sentence
    card = cards_of(tmp_path / "b", Behind(robust, lambda net, x: net(x) * torch.nan), few, "pgd20")["pgd20"]
    assert "20 of 20 images are no finite numbers" in line_of(card, "Outputs").sentence and card.colour == "red"
    assert "None of 20 images is right" in line_of(card, "Gradients").sentence


def test_the_black_box_finds_what_a_line_hides(images: Split) -> None:
    """A net with no gradient at all: its answer is whether an image is brighter than a level."""
    x = torch.full((40, 1, 8, 8), 0.5)
    y = torch.zeros(40, dtype=torch.int64)

    def answers(x: Tensor) -> Tensor:
        above = x.mean((1, 2, 3)) - 0.55
        return torch.stack([-above, above], 1)

    found = search(answers, x, MarginAscent(CrossEntropyAscent(y)), 0.1, Noise(0, torch.arange(40)), 100)
    assert (answers(found).argmax(1) == 1).float().mean() > 0.9
    assert (found - x).abs().max() <= 0.1 + 1e-6 and found.min() >= 0 and found.max() <= 1
    again = search(answers, x, MarginAscent(CrossEntropyAscent(y)), 0.1, Noise(0, torch.arange(40)), 100)
    assert torch.equal(found, again)
