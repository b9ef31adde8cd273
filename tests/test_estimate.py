"""Estimates: the arithmetic counted, and what a known speed makes of it."""

from pathlib import Path

import pytest
import torch

from dpls.data.source import Outline
from dpls.disk import size_in_words
from dpls.jobs.estimate import (
    ATTACKED_SHARE,
    epoch_passes,
    estimate,
    forward_operations,
    in_words,
    passes_a_step,
    sizes_of,
    speed,
    total_passes,
)
from dpls.jobs.room import bytes_of_run
from dpls.nets.networks import SmallCNN, WideResNet
from dpls.recipe import make_config, override, preset_names, read_settings
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs
from tests.test_run import config, finish


@pytest.mark.parametrize("net", [SmallCNN(width=8), WideResNet(depth=10, width=1)])
def test_operations_grow_with_the_square_of_the_side(net: SmallCNN | WideResNet) -> None:
    counts = (10, 10, 10)
    small, large = (forward_operations(net, Outline(counts, 3, size, 10)) for size in (16, 32))
    assert large / small == pytest.approx(4, rel=0.02)


def test_operations_of_a_convolution_net_in_closed_form() -> None:
    """WRN-10-1 on 32 px: two multiply-adds a weight and pixel; shortcuts where widths change."""
    found = forward_operations(WideResNet(depth=10, width=1), Outline((1, 1, 1), 3, 32, 10))
    convolutions = [(3, 16, 32, 3)]
    for before, after, size in ((16, 16, 32), (16, 32, 16), (32, 64, 8)):
        convolutions += [(before, after, size, 3), (after, after, size, 3)]
        convolutions += [(before, after, size, 1)] if before != after else []
    assert found == sum(2 * a * b * s * s * k * k for a, b, s, k in convolutions) + 2 * 64 * 10


def test_passes_of_a_step() -> None:
    def passes(*assignments: str) -> float:
        c = config(*assignments).resolved()
        return passes_a_step(c, c.phases[0], 1)

    assert passes("objective.kind=standard") == 3
    assert passes("objective.attack.steps=10") == 2 * 10 + 3
    assert passes("objective.attack.steps=10", "attack_warmup=1") == 3, "an epoch of clean images"
    assert passes("objective.kind=trades") == 2 * 10 + 7
    assert passes("objective.attack.steps=10", "observing=presentation") == 2 * 10 + 3 + 1


def test_a_run_costs_its_epochs_and_its_evaluations() -> None:
    c, counts = config().resolved(), (80, 20, 20)
    epochs = 4 * epoch_passes(c, c.phases[0], counts, 1) + 2 * epoch_passes(c, c.phases[1], counts, 5)
    evaluations = 2 * 20 * (1 + (2 + 2 * 3 * ATTACKED_SHARE))  # both checkpoints, clean and under 3 steps
    assert total_passes(c, counts) == pytest.approx(epochs + evaluations)


def test_pseudo_labelled_images_cost_what_an_epoch_shows_of_them() -> None:
    """Of 1,000 beside 100 labelled ones an epoch shows 100 at a share of a half; all of them are looked at."""
    c = config("data.pseudo.run=2026-01-31_101500_ab12").resolved()
    counts, phase = (1100, 20, 20), c.phases[0]
    plain = config().resolved()
    shown, labelled = epoch_passes(c, phase, counts, 1, 1000), epoch_passes(plain, phase, (100, 20, 20), 1)
    assert shown - labelled == 100 * passes_a_step(c, phase, 1) + 1000
    total = total_passes(c, counts, 1000) - total_passes(plain, (100, 20, 20))
    assert total == pytest.approx(6 * (shown - labelled))


def test_an_estimate_is_exact_for_the_run_it_comes_from(tmp_path: Path) -> None:
    run = finish(tmp_path / "runs")
    found = estimate(config(), [run], tmp_path / "data")
    assert found is not None
    seconds = sum(row["seconds"] for row in run.metrics())
    c = config().resolved()
    sizes = sizes_of(c, tmp_path / "data")
    assert sizes == Outline((80, 20, 20), 3, 32, 10)
    assert speed(c, sizes, seconds, 6) > 0
    epochs = sum((p.until - start) * epoch_passes(c, p, sizes.counts, p.until) for start, p in c.phases_after(0))
    training = found.seconds * epochs / total_passes(c, sizes.counts)
    assert training == pytest.approx(seconds, rel=0.5), "the median epoch stands for all"
    assert "here" in found.basis
    assert found.size == bytes_of_run(c, sizes)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_whose_images_are_known_has_an_estimate(preset: str, tmp_path: Path) -> None:
    settings = read_settings(preset)
    c = make_config(override(settings, ["device=cpu"]))
    if not c.data.source.is_embedded:
        return
    found = estimate(c, list_runs(RECORDED), tmp_path / "data")
    assert (found is None) == (c.data.source.kind == "digits"), "digits are not known before they are read once"
    if found:
        assert 10 < found.seconds < 3600
        assert "another machine" in found.basis


def test_nothing_to_go_by(tmp_path: Path) -> None:
    assert estimate(config(), [], tmp_path) is None
    assert estimate(config(), [Run(tmp_path / "gone")], tmp_path) is None
    if torch.cuda.is_available():
        assert estimate(config("device=cuda"), list_runs(RECORDED), tmp_path) is None


def test_words() -> None:
    assert [size_in_words(s) for s in (700, 300_000, 41e6, 1.54e9)] == ["1 kB", "300 kB", "41 MB", "1.5 GB"]
    assert [in_words(s) for s in (3, 47, 150, 9000)] == ["10 s", "50 s", "2 min", "2.5 h"]
