"""Networks against published parameter counts and independent forward passes; frozen_eval only ever reads a net."""

import copy
import gc
import weakref

import pytest
import torch
from conftest import declared, double, lively, probed, small
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.component import members
from dpls.nets.frozen import frozen_eval
from dpls.nets.networks import Architecture, Net, PreActResNet18, SmallCNN, WideResNet
from dpls.randomness import generator

ARCHITECTURES = [a for a in members(Net) if a.is_chosen]
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.__name__)


def build(architecture: type[Architecture], channels: int = 3, classes: int = 4, seed: int = 0) -> nn.Module:
    return small(architecture)(
        channels, classes, generator(seed, "initialisation"), ([0.4] * channels, [0.3] * channels)
    )


def images(count: int = 3, channels: int = 3, size: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, channels, size, size, generator=generator(0, "images"), dtype=dtype)


def test_every_architecture_is_in_the_union() -> None:
    assert declared(Architecture) == set(members(Net))
    assert len({a.model_fields["kind"].default for a in ARCHITECTURES}) == len(ARCHITECTURES)


@every_architecture
def test_settings_survive_json(architecture: type[Architecture]) -> None:
    settings = small(architecture)
    assert TypeAdapter(Net).validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("settings", "channels", "classes", "count"),
    [
        (WideResNet(depth=28, width=10), 3, 10, 36_479_194),
        (WideResNet(depth=28, width=10), 3, 100, 36_536_884),
        (PreActResNet18(), 3, 10, 11_172_170),
        (WideResNet(depth=10, width=2), 3, 10, 303_706),
        (SmallCNN(), 3, 10, 242_474),
    ],
)
def test_number_of_parameters(settings: Architecture, channels: int, classes: int, count: int) -> None:
    net = nn.Sequential(*settings.layers(channels, classes))
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("depth", [11, 12, 27, 9, 4])
def test_a_wide_resnet_has_whole_blocks(depth: int) -> None:
    with pytest.raises(ValidationError):
        WideResNet(depth=depth)


@every_architecture
def test_defect_19_any_size_and_any_channels(architecture: type[Architecture], device: torch.device) -> None:
    for channels, classes in ((1, 2), (3, 10)):
        net = build(architecture, channels, classes).to(device)
        for size in (8, 28, 32, 96):
            x = images(2, channels, size).to(device)
            for logits in (net(x), frozen_eval(net)(x)):
                assert logits.shape == (2, classes) and logits.isfinite().all()


@every_architecture
def test_weights_come_from_the_generator_alone(architecture: type[Architecture]) -> None:
    torch.manual_seed(1)
    first = build(architecture).state_dict()
    torch.manual_seed(2)
    again, other = build(architecture).state_dict(), build(architecture, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name, value in first.items() if value.dim() > 1 and name.endswith("weight")]
    assert drawn and not any(torch.equal(first[name], other[name]) for name in drawn)


@every_architecture
def test_building_leaves_the_global_random_state_alone(architecture: type[Architecture]) -> None:
    before = torch.get_rng_state()
    build(architecture)
    assert torch.equal(torch.get_rng_state(), before)


def test_initial_weights_are_he_fan_out() -> None:
    net = PreActResNet18()(3, 10, generator(0))
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 50_000:
            expected = (2 / (module.out_channels * module.kernel_size[0] * module.kernel_size[1])) ** 0.5
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.02)
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


@every_architecture
def test_normalisation_is_the_first_layer(architecture: type[Architecture]) -> None:
    mean, std = [0.1, 0.5, 0.6], [0.2, 0.3, 0.9]
    settings, x = small(architecture), images(4)
    net = settings(3, 5, generator(3), (mean, std)).eval()
    plain = settings.model_copy(update={"normalise": False})(3, 5, generator(3), (mean, std)).eval()
    by_hand = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], 1)
    torch.testing.assert_close(net(x), plain(by_hand))
    assert not torch.allclose(net(x), plain(x))


# frozen_eval


@every_architecture
def test_frozen_eval_computes_what_the_net_computes_in_eval_mode(
    architecture: type[Architecture], device: torch.device
) -> None:
    net = lively(build(architecture)).to(device)
    x = images(5, size=12).to(device)
    expected = copy.deepcopy(net).eval()(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(frozen_eval(net)(x), expected, rtol=1e-5, atol=1e-5)


@every_architecture
def test_frozen_eval_folds_exactly(architecture: type[Architecture]) -> None:
    net, x = double(lively(build(architecture))), images(5, size=12, dtype=torch.float64)
    expected = copy.deepcopy(net).eval()(x)
    frozen = frozen_eval(net, torch.float64)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in frozen.modules())
    torch.testing.assert_close(frozen(x), expected, rtol=1e-11, atol=1e-11)


@every_architecture
def test_frozen_eval_has_the_same_input_gradient(architecture: type[Architecture]) -> None:
    net, x = double(lively(build(architecture))), images(3, dtype=torch.float64).requires_grad_()
    plain = copy.deepcopy(net).eval()
    gradients = [
        torch.autograd.grad(F.cross_entropy(n(x), torch.arange(3)), x)[0]
        for n in (plain, frozen_eval(net, torch.float64))
    ]
    assert gradients[0].abs().max() > 1e-6
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-13)


@every_architecture
def test_an_example_does_not_depend_on_its_batch(architecture: type[Architecture]) -> None:
    frozen, x = frozen_eval(double(lively(build(architecture))), torch.float64), images(6, dtype=torch.float64)
    alone = torch.cat([frozen(x[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(frozen(x), alone, rtol=1e-12, atol=1e-12)


@every_architecture
def test_the_twin_is_fresh_at_each_call_and_stale_between(
    architecture: type[Architecture], device: torch.device
) -> None:
    net, x = build(architecture).to(device), images(4).to(device)
    frozen = frozen_eval(net)
    old = frozen(x)
    net.train()
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    F.cross_entropy(net(x), torch.arange(4, device=device)).backward()  # moves batch-norm statistics
    optimiser.step()  # moves weights
    assert torch.equal(frozen(x), old)
    assert frozen_eval(net) is frozen
    expected = copy.deepcopy(net).eval()(x)
    assert not torch.allclose(expected, old, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(frozen(x), expected, rtol=1e-5, atol=1e-5)


@every_architecture
def test_the_twin_follows_loaded_weights(architecture: type[Architecture]) -> None:
    net, other, x = build(architecture), lively(build(architecture, seed=7)), images()
    frozen_eval(net)
    net.load_state_dict(other.state_dict())
    torch.testing.assert_close(frozen_eval(net)(x), other.eval()(x), rtol=1e-5, atol=1e-5)


@every_architecture
@pytest.mark.parametrize("training", [True, False])
def test_the_net_is_left_exactly_as_found(
    architecture: type[Architecture], training: bool, device: torch.device
) -> None:
    net, x = lively(build(architecture)).to(device).train(training), images(4).to(device)
    list(net.modules())[-1].train(not training)  # not even a mixed mode is changed
    next(net.parameters()).requires_grad_(False)
    for p in net.parameters():
        p.grad = torch.full_like(p, 0.5) if p.requires_grad else None

    def picture() -> list[object]:
        return [
            [m.training for m in net.modules()],
            [p.requires_grad for p in net.parameters()],
            [None if p.grad is None else p.grad.clone() for p in net.parameters()],
            {name: value.clone() for name, value in net.state_dict().items()},
        ]

    before = picture()
    frozen = frozen_eval(net)
    leaf = x.clone().requires_grad_()
    frozen(leaf).sum().backward()
    frozen_eval(net, torch.bfloat16)(x)
    after = picture()
    assert leaf.grad is not None and leaf.grad.abs().max() > 0
    assert before[:2] == after[:2]
    for a, b in zip(before[2], after[2], strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
    assert before[3].keys() == after[3].keys() and all(torch.equal(before[3][k], after[3][k]) for k in before[3])


@every_architecture
def test_the_twin_has_no_parameter_gradients_and_stays_in_eval_mode(architecture: type[Architecture]) -> None:
    frozen = frozen_eval(build(architecture).train())
    frozen(images().requires_grad_()).sum().backward()
    assert not any(m.training for m in frozen.modules())
    assert not any(p.requires_grad or p.grad is not None for p in frozen.parameters())


@every_architecture
def test_the_twin_in_bfloat16_is_close_and_separate(architecture: type[Architecture], device: torch.device) -> None:
    net, x = lively(build(architecture)).to(device), images(8).to(device)
    exact, low = frozen_eval(net), frozen_eval(net, torch.bfloat16)
    assert {p.dtype for p in low.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in exact.parameters()} == {torch.float32}
    expected, found = exact(x), low(x).float()
    assert (found - expected).abs().max() < 0.05 * (expected.max() - expected.min())
    assert not torch.equal(found, expected)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(low(leaf).float().logsumexp(1).sum(), leaf)
    assert gradient.dtype == torch.float32 and gradient.abs().max() > 0


def test_a_twin_does_not_keep_its_net_alive() -> None:
    net = build(SmallCNN)
    frozen, alive = frozen_eval(net), weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None and frozen(images()).shape == (3, 4)


def test_nets_that_are_not_ours_are_frozen_too() -> None:
    class Foreign(nn.Module):
        """Batch norm before, beside and behind convolutions with a bias, called out of order."""

        def __init__(self) -> None:
            super().__init__()
            self.bn_b, self.conv_a, self.bn_a = nn.BatchNorm2d(5), nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(3)
            self.body = nn.Sequential(nn.Conv2d(5, 4, 1, bias=True), nn.BatchNorm2d(4), nn.Dropout(0.5))
            self.grouped = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2, bias=False), nn.BatchNorm2d(8))

        def forward(self, x: Tensor) -> Tensor:
            x = self.bn_b(self.conv_a(self.bn_a(x)))
            return self.grouped(self.body(x.relu())).mean((2, 3))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = lively(Foreign()).double()
    x = images(dtype=torch.float64)
    expected = copy.deepcopy(net).eval()(x)
    torch.testing.assert_close(frozen_eval(net, torch.float64)(x), expected, rtol=1e-12, atol=1e-12)
    assert net.training


def test_frozen_eval_passes_are_in_eval_mode_while_the_net_trains() -> None:
    net, passes = probed(build(SmallCNN))
    net.train()
    frozen_eval(net)(images())
    net(images())
    assert [p.training for p in passes] == [False, True]


# Against the official structure


def reference_wide_resnet(w: dict[str, Tensor], x: Tensor, raw_shortcut: bool) -> Tensor:
    """WideResNet-10 by hand, eval mode. ``raw_shortcut``: the defect, where a projection takes the input as it is."""

    def bn(name: str, x: Tensor) -> Tensor:
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        scale = w[f"{name}.weight"] / (var + 1e-5).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]

    x = (x - w["0.mean"]) / w["0.std"]
    x = F.conv2d(x, w["1.weight"], padding=1)
    for i, stride in ((2, 1), (3, 2), (4, 2)):
        activated = bn(f"{i}.bn", x).clamp(min=0)
        inner = bn(f"{i}.body.1", F.conv2d(activated, w[f"{i}.body.0.weight"], stride=stride, padding=1)).clamp(min=0)
        out = F.conv2d(inner, w[f"{i}.body.3.weight"], padding=1)
        if (key := f"{i}.shortcut.weight") in w:
            x = F.conv2d(x if raw_shortcut else activated, w[key], stride=stride)
        x = x + out
    return F.adaptive_avg_pool2d(bn("5", x).clamp(min=0), 1).flatten(1) @ w["8.weight"].T + w["8.bias"]


@pytest.mark.parametrize("width", [1, 2])  # width 1: the first block has no projection
def test_defect_18_a_projection_shortcut_takes_the_activated_input(width: int) -> None:
    net = double(lively(WideResNet(depth=10, width=width)(3, 4, generator(0), ([0.4] * 3, [0.3] * 3)))).eval()
    x = images(3, size=16, dtype=torch.float64)
    weights = dict(net.state_dict())
    torch.testing.assert_close(net(x), reference_wide_resnet(weights, x, False), rtol=1e-11, atol=1e-11)
    assert (net(x) - reference_wide_resnet(weights, x, True)).abs().max() > 1e-2


def test_defect_18_preact_resnet18_shortcuts_take_the_activated_input() -> None:
    net = double(lively(PreActResNet18()(3, 4, generator(0)))).eval()
    block = next(m for m in net if getattr(m, "shortcut", None) is not None)
    x = torch.randn(2, 64, 6, 6, dtype=torch.float64, generator=generator(1))
    activated = block.bn(x).clamp(min=0)
    torch.testing.assert_close(block(x) - block.body(activated), F.conv2d(activated, block.shortcut.weight, stride=2))
    strides = [m.body[0].stride[0] for m in net if hasattr(m, "body")]
    assert strides == [1, 1, 2, 1, 2, 1, 2, 1]
