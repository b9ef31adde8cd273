"""DiffPure: closed forms of the chain, exact gradients through all of it, known draws, a small model learnt once."""

import copy
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import candidate_of, make_tiny
from torch import Tensor, nn

from dpls.attacks.goals import CrossEntropyAscent, ascent_gradient
from dpls.data import TEST, TRAIN
from dpls.data.split import Split
from dpls.diffusion import learning
from dpls.diffusion.chain import LEVELS, level_of, noised, purify, signal, way_back
from dpls.diffusion.denoiser import Denoiser
from dpls.diffusion.learning import denoising_loss, learn, learnt
from dpls.evaluations import DiffPure, named
from dpls.evaluations.conduct import evaluate
from dpls.evaluations.evaluation import TrainedOn
from dpls.evaluations.procedures.diffpure_chunk import Purified, climb
from dpls.evaluations.store import Store
from dpls.evaluations.trust.judged import is_attacked
from dpls.jobs.evaluating import evaluate_run
from dpls.jobs.wanted import asked
from dpls.nets.frozen import frozen_eval, is_right
from dpls.randomness import Noise, generator
from dpls.runs.report import accuracies, best_of, cards, report
from tests.test_run import finish

EPS = 0.1
SMALL: dict[str, Any] = {"eps": EPS, "width": 4, "updates": 10, "steps": 2, "eot": 2, "chain": 3}


def split_of(part: int = TEST, count: int = 60) -> Split:
    return Split.of(make_tiny(count=count), part, torch.device("cpu"))


def silent(doing: str) -> None: ...


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    """Trained for a second."""
    return learn(split_of(TRAIN, 300), 4, 60, silent).eval().requires_grad_(False)


def judged(folder: Path, net: nn.Module, attack: DiffPure) -> pd.DataFrame:
    folder.mkdir(exist_ok=True)
    candidate = replace(candidate_of(net), trained_on=TrainedOn(split_of(TRAIN), folder))
    evaluate(folder, candidate, split_of(), attack)
    (table,) = folder.glob("*.parquet")
    return pd.read_parquet(table)


# The chain


def test_what_is_left_of_the_image_at_each_level() -> None:
    kept = signal()
    assert len(kept) == LEVELS + 1 and kept[0] == 1
    assert kept[100] == pytest.approx(0.8970, abs=5e-5), "that of the continuous schedule would be 0.8963"
    assert (1 - kept[100]) ** 0.5 == pytest.approx(0.321, abs=5e-4)
    assert all(a > b > 0 for a, b in itertools.pairwise(kept)) and kept[LEVELS] < 1e-4


def test_noise_has_the_variance_of_its_level() -> None:
    x = torch.full((2000, 1, 8, 8), 0.4)
    z = noised(x, torch.full((2000,), 150), Noise(0, torch.arange(2000)).normal(1, 8, 8))
    assert float(z.mean()) == pytest.approx(0.4 * signal()[150] ** 0.5, abs=0.01)
    assert float(z.var()) == pytest.approx(1 - signal()[150], rel=0.01)


@pytest.mark.parametrize(("level", "steps"), [(100, 10), (100, 20), (3, 20), (1, 5), (150, 7), (1000, 20)])
def test_the_way_back_ends_at_the_image(level: int, steps: int) -> None:
    levels = way_back(level, steps)
    assert levels[0] == level and levels[-1] == 0 and len(levels) == min(steps, level) + 1
    assert all(a > b for a, b in itertools.pairwise(levels))


class Knowing(nn.Module):
    """Sees the noise exactly, for it knows the image; x: (B, C, H, W) in [-1, 1]."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        kept = signal()[int(level[0])]
        noise: Tensor = (z - kept**0.5 * self.x) / (1 - kept) ** 0.5
        return noise


def test_who_sees_the_noise_finds_the_image() -> None:
    x = torch.rand(5, 3, 6, 7, generator=generator(0))
    found = purify(Knowing(2 * x - 1), x, 150, 10, Noise(0, torch.arange(5)))
    assert torch.allclose(found, x, atol=1e-5)


def test_strides_keep_the_variance_of_a_gaussian() -> None:
    """Pixels that are Gaussian: their best denoiser is linear, and who walks back by its means and draws is as wide."""

    class Gaussian(nn.Module):
        def forward(self, z: Tensor, level: Tensor) -> Tensor:
            noise: Tensor = (1 - signal()[int(level[0])]) ** 0.5 * z  # of unit variance: E[noise | z]
            return noise

    x = Noise(0, torch.arange(4000)).normal(1, 4, 4) / 2 + 0.5  # unit variance around 0, once in [-1, 1]
    few, many = (2 * purify(Gaussian(), x, 200, steps, Noise(1, torch.arange(4000))) - 1 for steps in (20, 200))
    # A stride that puts a point in the image's place keeps a little less than all of it, a long one more so.
    assert 0.92 < float(few.var()) < float(many.var()) and 0.98 < float(many.var()) < 1.01
    assert abs(float(many.mean())) < 0.01


def test_level_0_is_the_identity_exactly() -> None:
    x = split_of().batch(torch.arange(5)).x
    assert level_of(0) == 0 and torch.equal(purify(None, x, 0, 5, Noise(0, torch.arange(5))), x)


def test_purified_images_are_finite_and_about_in_range(denoiser: Denoiser) -> None:
    split = split_of()
    x = split.batch(torch.arange(len(split))).x
    for t in (0.001, 0.05, 0.1):
        found = purify(denoiser, x, level_of(t), 10, Noise(0, split.ids))
        assert found.isfinite().all() and found.shape == x.shape
        assert ((found > -0.2) & (found < 1.2)).float().mean() > 0.95
    near, far = (purify(denoiser, x, level_of(t), 10, Noise(0, split.ids)) for t in (0.02, 0.3))
    assert (near - x).abs().mean() < (far - x).abs().mean()


def test_an_image_is_purified_alike_in_any_company(denoiser: Denoiser) -> None:
    x, ids = torch.rand(6, 1, 8, 8, generator=generator(0)), torch.arange(6) + 40
    together = purify(denoiser, x, 100, 5, Noise(0, ids))
    alone = purify(denoiser, x[2:4], 100, 5, Noise(0, ids[2:4]))
    assert torch.allclose(together[2:4], alone, atol=1e-5)


# Gradients


def test_gradients_through_the_chain_are_exact() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)).double()
    slow, ids = Denoiser(1, 4).double(), torch.arange(2)
    whole = Purified(net, slow, 120, 6, lambda: Noise(3, ids))
    x = torch.rand(2, 1, 6, 6, generator=generator(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(whole, (x.requires_grad_(),), eps=1e-6, atol=1e-7, rtol=1e-5, fast_mode=True)
    direction = torch.randn(x.shape, generator=generator(2), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(whole(x)[:, 0].sum(), x)
    with torch.no_grad():
        ends = [whole(x + step * direction)[:, 0].sum() for step in (1e-6, -1e-6)]
    assert float((gradient * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_the_variance_of_averaged_gradients_falls_as_1_over_n(denoiser: Denoiser, trained: nn.Module) -> None:
    x, y = split_of().batch(torch.arange(1))[:2]
    copies, goal = 640, CrossEntropyAscent(y.expand(640))
    noise = Noise(0, torch.arange(copies))
    whole = Purified(frozen_eval(trained), denoiser, 100, 3, lambda: noise)
    gradients, _ = ascent_gradient(whole, x.expand(copies, -1, -1, -1), goal, torch.arange(copies))
    single = float(gradients.var(0).sum())
    for n in (4, 16):
        means = gradients.view(copies // n, n, *x.shape[1:]).mean(1)
        assert float(means.var(0).sum()) * n / single == pytest.approx(1, abs=0.35)


def test_a_known_draw_gives_the_same_logits_twice_and_others_do_not(denoiser: Denoiser, trained: nn.Module) -> None:
    split, net = split_of(), frozen_eval(trained)
    x = split.batch(torch.arange(len(split))).x
    known, drawn = Purified(net, denoiser, 100, 3, lambda: Noise(5, split.ids)), Noise(5, split.ids)
    anew = Purified(net, denoiser, 100, 3, lambda: drawn)
    assert torch.equal(known(x), known(x))
    assert torch.equal(anew(x), known(x)) and not torch.equal(anew(x), known(x))


def test_climbing_stays_inside_the_ball_and_climbs(denoiser: Denoiser, trained: nn.Module) -> None:
    split, attack = split_of(), DiffPure(eps=EPS)
    x, y, _ = split.batch(torch.arange(len(split)))
    net = Purified(frozen_eval(trained), denoiser, 50, 3, lambda: Noise(5, split.ids))
    x_adv, held = climb(attack, net, x, x, y, 5)
    assert (x_adv - x).abs().max() <= EPS + 1e-6 and x_adv.min() >= 0 and x_adv.max() <= 1
    loss, rows = CrossEntropyAscent(y).loss, torch.arange(len(x))
    assert loss(net(x_adv), rows).mean() > loss(net(x), rows).mean()
    assert not (held & ~is_right(net(x), y)).any()


# Learning


def test_training_sees_more_noise_and_is_the_same_by_seed() -> None:
    split = split_of(TRAIN, 300)
    first, again, other = (learn(split, 4, 40, silent, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.into.weight, other.into.weight)

    def loss(denoiser: Denoiser) -> float:
        g = generator(9)
        with torch.no_grad():
            return float(torch.stack([denoising_loss(denoiser, split, g) for _ in range(10)]).mean())

    assert loss(first) < 0.8 * loss(Denoiser(1, 4))


def test_training_leaves_the_randomness_of_others_alone() -> None:
    before = torch.random.get_rng_state()
    learn(split_of(TRAIN), 4, 2, silent)
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_learns_once_for_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split, said = split_of(TRAIN), list[str]()
    first = learnt(split, tmp_path, 4, 3, said.append)
    assert said == ["training the diffusion model, 0 of 3 updates"]
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    again = learnt(split, tmp_path, 4, 3, said.append)
    assert len(said) == 1 and not again.training and not any(p.requires_grad for p in again.parameters())
    for damaged in (content[:100], b""):
        file.write_bytes(damaged)
        anew = learnt(split, tmp_path, 4, 3, said.append)
        assert file.read_bytes() == content
    for others in (again, anew):
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), others.parameters(), strict=True))
    learnt(split, tmp_path, 4, 4, silent)
    assert len(list(tmp_path.iterdir())) == 2, "one with other settings is another"
    monkeypatch.setattr(learning, "ENGINE", -1)
    learnt(split, tmp_path, 4, 3, silent)
    assert len(list(tmp_path.iterdir())) == 3


def test_images_of_any_size_and_colour() -> None:
    for shape in ((2, 3, 9, 7), (1, 1, 8, 8), (2, 3, 1, 5)):
        found = Denoiser(shape[1], 4)(torch.zeros(shape), torch.full(shape[:1], 10))
        assert found.shape == shape and found.isfinite().all()


# The evaluation


def test_at_t_0_it_is_the_net_without_defence(trained: nn.Module, tmp_path: Path) -> None:
    table = judged(tmp_path, trained.eval(), DiffPure(**SMALL | {"t": 0}))
    assert table["clean"].equals(table["bare_clean"].rename("clean"))
    assert table["transferred"].equals(table["bare_pgd"].rename("transferred"))
    assert not list(tmp_path.glob("denoiser*")), "nothing is learnt for it"


def test_stopped_and_resumed_it_equals_one_that_was_not(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiffPure, "images_a_chunk", 4)
    net, attack = trained.eval(), DiffPure(t=0.1, **SMALL)
    before = copy.deepcopy(net.state_dict())
    table = judged(tmp_path / "whole", net, attack)
    real, count = Store.append, list[int]()

    def append(self: Store, chunk: dict[str, Any]) -> None:
        if len(count) == 1:
            raise KeyboardInterrupt
        count.append(1)
        real(self, chunk)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Store, "append", append)
        judged(tmp_path / "stopped", net, attack)
    pd.testing.assert_frame_equal(judged(tmp_path / "stopped", net, attack), table)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()) and not net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())

    assert (table["correct"] == (table["clean"] & table["eot"] & table["fixed"])).all()
    for column, clean in {"transferred": "clean", "eot": "clean", "fixed": "clean", "bare_pgd": "bare_clean"}.items():
        assert not (table[column] & ~table[clean]).any(), "clean errors are errors"
    (said,) = attack.warnings(table)
    assert f"behind it clean {table['clean'].mean():.1%}" in said


def test_a_run_brings_its_images_and_keeps_the_model_beside_them(tmp_path: Path) -> None:
    run = finish(tmp_path / "runs", "phases.0.until=1", "phases.1.until=2", "schedule={}", "evaluations=[]")
    settings = [f"{name}={value}" for name, value in SMALL.items() if name != "eps"]
    wanted = asked(run, "diffpure", ["t=0.1", *settings], images=5)
    said = list[str]()
    assert "DiffPure, t 0.1" in evaluate_run(run, wanted, lambda done, total, doing: said.append(doing))
    assert "training the diffusion model, 0 of 10 updates" in said
    assert list((tmp_path / "data" / run.config()["fingerprint"]).glob("denoiser-*.safetensors"))
    assert wanted.name in accuracies(run) and wanted.name not in cards(run)
    assert best_of(list(accuracies(run).values()), run.recipe().eps)[1] is None, (
        "the lowest is looked for among the net's own"
    )
    assert "compare its accuracy with no other's" in report(run)


def test_its_settings_are_its_name_and_its_doubts_are_said() -> None:
    plain = named("diffpure").model_copy(update={"eps": EPS})
    assert isinstance(plain, DiffPure) and plain.name == "diffpure-t0.1" and len(plain.doubts) == 3
    assert any("compare its accuracy with no other's" in doubt for doubt in plain.doubts)
    hasty = DiffPure(eps=EPS, t=0.15, eot=2, steps=5)
    assert hasty.name == "diffpure-t0.15-steps5-eot2" and len(hasty.doubts) == 5


def test_it_is_no_robust_accuracy_of_the_net() -> None:
    settings = DiffPure(eps=EPS).model_dump(mode="json")
    assert not is_attacked({"attack": "DiffPure", "settings": settings})
