"""Randomness: uniform and normal by test, an example's numbers its own, and golden values that pin every recorded run."""

import hashlib
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from dpls.randomness import Noise, generator, mix


def draw(seed: int, count: int, *shape: int, device: str | torch.device = "cpu") -> Tensor:
    return Noise(seed, torch.arange(count, device=device)).uniform(*shape)


def correlation(a: Tensor, b: Tensor) -> float:
    """Of two equally long samples, in standard errors of independent ones."""
    a, b = a.flatten().double(), b.flatten().double()
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1]) * len(a) ** 0.5


# Seeds


def test_mix_has_golden_values() -> None:
    assert mix(0) == 5254295370254170289
    assert mix(1, 2, "crop") == 5827669138256936746
    assert mix(7, "attack") == 4552954931031202476


def test_generators_have_golden_values() -> None:
    first = torch.rand(2, generator=generator(0, "order"))
    assert first.tolist() == pytest.approx([0.23332053422927856, 0.6721929907798767], abs=1e-7)


def test_noise_has_golden_values() -> None:
    """Made of integer arithmetic alone, so the same on every machine and device."""
    expected = [
        [0.1439926028251648, 0.715151309967041],
        [0.8876199126243591, 0.10859346389770508],
        [0.2550482153892517, 0.6781715750694275],
    ]
    assert Noise(3, torch.tensor([0, 1, 2**31 - 1])).uniform(2).tolist() == expected


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(-(2**31), 2**63) | st.text(max_size=5), max_size=4))
def test_mix_is_the_head_of_a_sha256(seed: int, what: list[int | str]) -> None:
    digest = hashlib.sha256(repr((seed, *what)).encode()).hexdigest()
    assert mix(seed, *what) == int(digest[:16], 16) // 2 < 2**63


def test_mix_tells_everything_apart() -> None:
    calls = [(s, e, p) for s in range(20) for e in range(20) for p in ("attack", "order", 1, "1")]
    assert len({mix(*call) for call in calls} | {mix(1), mix(1, 2), mix(12), mix(1, "2")}) == len(calls) + 4


def test_nothing_touches_the_global_random_state() -> None:
    before = torch.get_rng_state()
    noise = Noise(0, torch.arange(3))
    noise.uniform(2)
    noise.normal(2)
    torch.rand(3, generator=generator(1))
    assert torch.equal(torch.get_rng_state(), before)


# Distribution


@pytest.mark.parametrize("seed", [0, 1, 2**62 + 17])
def test_uniform_draws_are_uniform(seed: int) -> None:
    u = draw(seed, 1000, 3, 16, 16)
    assert u.shape == (1000, 3, 16, 16) and u.dtype == torch.float32
    assert u.min() >= 0 and u.max() < 1
    n, u = u.numel(), u.double()
    assert abs(float(u.mean()) - 0.5) < 4 / (12 * n) ** 0.5
    assert abs(float(u.var()) - 1 / 12) < 4 / (180 * n) ** 0.5
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 1e-3


def test_each_of_the_24_bits_is_fair() -> None:
    whole = (draw(5, 1000, 300) * 2**24).long()
    for bit in range(24):
        share = float(((whole >> bit) & 1).double().mean())
        assert abs(share - 0.5) < 4.5 * 0.5 / 300_000**0.5, bit


def test_normal_draws_are_normal() -> None:
    z = Noise(0, torch.arange(1000)).normal(300)
    assert z.shape == (1000, 300) and z.dtype == torch.float32 and z.isfinite().all()
    z = z.double()
    n = z.numel()
    moments = [float((z**k).mean()) for k in (1, 2, 3, 4)]
    deviations = [1, 2**0.5, 15**0.5, 96**0.5]  # of z, z^2, z^3, z^4
    for moment, expected, deviation in zip(moments, (0, 1, 0, 3), deviations, strict=True):
        assert abs(moment - expected) < 4 * deviation / n**0.5
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 1e-3


def test_normal_draws_are_finite_at_both_ends() -> None:
    class Extremes(Noise):
        def uniform(self, *shape: int) -> Tensor:
            return torch.tensor([[0.0, 1 - 2.0**-24]])

    low, high = Extremes(0, torch.arange(1)).normal(2)[0].tolist()
    assert low == pytest.approx(stats.norm.ppf(2.0**-25), abs=1e-4)
    assert high == pytest.approx(stats.norm.ppf(1 - 2.0**-24), abs=1e-4)


# Independence


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=12, unique=True), st.randoms(use_true_random=False))
def test_an_example_gets_the_same_numbers_in_any_batch(ids: list[int], random: object) -> None:
    together = Noise(9, torch.tensor(ids)).uniform(5)
    order = torch.tensor(random.sample(range(len(ids)), len(ids)))  # type: ignore[attr-defined]
    assert torch.equal(Noise(9, torch.tensor(ids)[order]).uniform(5), together[order])
    for i, ident in enumerate(ids):
        assert torch.equal(Noise(9, torch.tensor([ident])).uniform(5)[0], together[i])


def test_draws_seeds_and_ids_differ() -> None:
    noise = Noise(0, torch.arange(50))
    samples = [noise.uniform(64), noise.uniform(64), noise.uniform(64), draw(1, 50, 64)]
    samples.append(Noise(0, 2**31 - 1 - torch.arange(50)).uniform(64))
    for a, b in itertools.combinations(samples, 2):
        assert (a == b).double().mean() < 0.01
    rows = torch.cat(samples)
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)


def test_the_second_draw_does_not_depend_on_the_shape_of_the_first() -> None:
    a, b = Noise(0, torch.arange(4)), Noise(0, torch.arange(4))
    a.uniform(7)
    b.uniform(2, 2)
    assert torch.equal(a.uniform(3), b.uniform(3))
    assert torch.equal(draw(0, 4, 6).view(4, 2, 3), draw(0, 4, 2, 3))


@pytest.mark.parametrize("seed", [0, 12345])
def test_neighbours_are_not_correlated(seed: int) -> None:
    u = draw(seed, 600, 32, 32)
    noise = Noise(seed, torch.arange(600))
    noise.uniform(32, 32)
    pairs = {
        "ids": (u[1:], u[:-1]),
        "ids 64 apart": (u[64:], u[:-64]),
        "columns": (u[:, :, 1:], u[:, :, :-1]),
        "rows": (u[:, 1:], u[:, :-1]),
        "draws": (u, noise.uniform(32, 32)),
        "seeds": (u, draw(seed + 1, 600, 32, 32)),
        "powers": (u**2, (u.roll(1, 0) - 0.5).abs()),
    }
    for name, (a, b) in pairs.items():
        assert abs(correlation(a, b)) < 4, name


def test_means_of_examples_and_of_pixels_scatter_as_they_should() -> None:
    u = draw(3, 1000, 1000).double().numpy()
    for axis in (0, 1):
        z = (u.mean(axis) - 0.5) * (12 * 1000) ** 0.5
        assert stats.kstest(z, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(u[:300])[np.triu_indices(300, 1)]).max() < 5.5 / 1000**0.5


# Order


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=30, unique=True), st.randoms(use_true_random=False))
def test_an_order_is_of_ids_however_they_lie_and_whoever_is_left_out(ids: list[int], random: object) -> None:
    all_ids = torch.tensor(ids)
    order = Noise(4, all_ids).order()
    assert sorted(order.tolist()) == list(range(len(ids)))
    met = all_ids[order].tolist()
    some = torch.tensor(random.sample(ids, random.randint(1, len(ids))))  # type: ignore[attr-defined]
    assert some[Noise(4, some).order()].tolist() == [i for i in met if i in some.tolist()]


def test_every_place_in_the_order_is_as_likely() -> None:
    first = np.bincount([int(Noise(seed, torch.arange(10)).order()[0]) for seed in range(2000)], minlength=10)
    place = np.bincount([int(Noise(seed, torch.arange(10)).order().argmin()) for seed in range(2000)], minlength=10)
    assert stats.chisquare(first).pvalue > 1e-3 and stats.chisquare(place).pvalue > 1e-3
    a, b = (Noise(seed, torch.arange(5000)).order().double() for seed in (0, 1))
    assert abs(correlation(a, b)) < 4 and abs(correlation(a, torch.arange(5000))) < 4


def test_every_device_draws_the_same(device: torch.device) -> None:
    ids = torch.tensor([0, 5, 2**31 - 1])
    there, here = Noise(2, ids.to(device)), Noise(2, ids)
    assert there.uniform(3, 4).device == device
    here.uniform(3, 4)
    assert torch.equal(there.uniform(100).cpu(), here.uniform(100))
    assert torch.equal(there.order().cpu(), here.order())
    torch.testing.assert_close(there.normal(100).cpu(), here.normal(100), rtol=1e-5, atol=1e-6)
