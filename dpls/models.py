"""Networks: WideResNet, PreActResNet-18, SmallCNN; and ``frozen_eval``, for every pass that is not a training step.

A net maps images in [0, 1], float (B, C, H, W), to logits (B, K). Normalisation is its first layer, so attacks and
eps live in pixel space.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Literal
from weakref import WeakKeyDictionary

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.component import Component


class Normalise(nn.Module):
    """(x - mean) / std by channel, always in float32; the result in ``dtype``, that of the layers behind it."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.std).to(self.dtype)


class PreActBlock(nn.Module):
    """Pre-activation basic block (He et al., 2016). A projection shortcut takes the *activated* input, as in the
    official WideResNet and PreActResNet code."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels_in)
        self.body = nn.Sequential(
            _conv(channels_in, channels, 3, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            _conv(channels, channels, 3, 1),
        )
        changes = stride != 1 or channels_in != channels
        self.shortcut = _conv(channels_in, channels, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn(x))
        skip = x if self.shortcut is None else self.shortcut(activated)
        return torch.add(self.body(activated), skip)


class GlobalMean(nn.Module):
    """Mean over height and width: (B, C, H, W) -> (B, C), for any image size; deterministic backward on CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def _conv(channels_in: int, channels: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False)


def _preact(stem: int, widths: Sequence[int], blocks: int, channels: int, classes: int) -> list[nn.Module]:
    """Stem, groups of pre-activation blocks (all but the first group halve the size), head."""
    layers: list[nn.Module] = [_conv(channels, stem, 3, 1)]
    width_in = stem
    for group, width in enumerate(widths):
        for block in range(blocks):
            layers.append(PreActBlock(width_in, width, 2 if group and not block else 1))
            width_in = width
    return [*layers, nn.BatchNorm2d(width_in), nn.ReLU(inplace=True), GlobalMean(), nn.Linear(width_in, classes)]


def _initialise(net: nn.Module, generator: torch.Generator) -> None:
    """He initialisation (fan-out) of convolutions, 1 and 0 for batch norm, a small uniform linear layer."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.zeros_(module.bias)


class Architecture(Component):
    """A network's settings; called, it builds the network with weights drawn from ``generator``."""

    normalise: bool = Field(True, description="subtract the training images' mean and divide by their deviation")

    def layers(self, channels: int, classes: int) -> list[nn.Module]:
        raise NotImplementedError

    def __call__(
        self,
        channels: int,
        classes: int,
        generator: torch.Generator,
        statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> nn.Module:
        """``statistics``: mean and standard deviation by channel, used where ``normalise`` is set."""
        mean, std = statistics if self.normalise and statistics else ([0.0] * channels, [1.0] * channels)
        with torch.random.fork_rng(devices=[]):  # torch draws weights of its own first; nobody else shall notice
            net = nn.Sequential(Normalise(mean, std), *self.layers(channels, classes))
        _initialise(net, generator)
        return net


class WideResNet(Architecture):
    """WideResNet-depth-width without dropout (Zagoruyko and Komodakis, 2016, https://arxiv.org/abs/1605.07146)."""

    kind: Literal["wide_resnet"] = "wide_resnet"
    depth: int = Field(28, ge=10, le=106, description="6 n + 4 layers: n blocks in each of three groups")
    width: int = Field(10, ge=1, le=20, description="channels as a multiple of 16, 32 and 64")

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, depth: int) -> int:
        if (depth - 4) % 6:
            raise ValueError("depth must be 6 n + 4, for example 10, 16, 28 or 34")
        return depth

    def layers(self, channels: int, classes: int) -> list[nn.Module]:
        return _preact(16, [16 * self.width * m for m in (1, 2, 4)], (self.depth - 4) // 6, channels, classes)


class PreActResNet18(Architecture):
    """PreActResNet-18 with a final batch norm (He et al., 2016, https://arxiv.org/abs/1603.05027)."""

    kind: Literal["preact_resnet18"] = "preact_resnet18"

    def layers(self, channels: int, classes: int) -> list[nn.Module]:
        return _preact(64, (64, 128, 256, 512), 2, channels, classes)


class SmallCNN(Architecture):
    """Four 3×3 convolutions with batch norm, the second and third with stride 2, and a linear layer."""

    kind: Literal["small_cnn"] = "small_cnn"
    width: int = Field(
        32, ge=4, le=256, description="channels of the first layer; later ones have 2, 4 and 4 times as many"
    )

    def layers(self, channels: int, classes: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for multiple, stride in ((1, 1), (2, 2), (4, 2), (4, 1)):
            layers += [
                _conv(channels, self.width * multiple, 3, stride),
                nn.BatchNorm2d(self.width * multiple),
                nn.ReLU(inplace=True),
            ]
            channels = self.width * multiple
        return [*layers, GlobalMean(), nn.Linear(channels, classes)]


Net = Annotated[WideResNet | PreActResNet18 | SmallCNN, Field(discriminator="kind")]


class _Affine(nn.Module):
    """A batch norm in eval mode as one multiply-add by channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.register_buffer("shift", torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class _Twin:
    """A frozen copy of a net with batch norm folded away, and the means to bring it up to date."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        self.module = copy.deepcopy(net).requires_grad_(False)
        self._updates: list[Callable[[nn.Module], None]] = []
        folded = _fold(self.module, net, self._updates)
        self.module.eval().to(dtype)
        for module in self.module.modules():
            if isinstance(module, Normalise):
                module.float()
                module.dtype = dtype
        tensors = dict(self.module.named_parameters()) | dict(self.module.named_buffers())
        names = [n for n, _ in [*net.named_parameters(), *net.named_buffers()] if n.rpartition(".")[0] not in folded]
        self._copied = [(name, tensors[name]) for name in names]

    @torch.no_grad()
    def refresh(self, net: nn.Module) -> nn.Module:
        current = dict(net.named_parameters()) | dict(net.named_buffers())
        torch._foreach_copy_([t for _, t in self._copied], [current[name] for name, _ in self._copied])
        for update in self._updates:
            update(net)
        return self.module


def _fold(twin: nn.Module, net: nn.Module, updates: list[Callable[[nn.Module], None]]) -> set[str]:
    """Replaces the twin's batch norms; returns the names of all layers whose weights are now derived."""
    folded: set[str] = set()
    layers = dict(net.named_modules())
    for name, parent in [*net.named_modules()]:
        children = [(f"{name}.{child}".lstrip("."), m) for child, m in parent.named_children()]
        for i, (child, bn) in enumerate(children):
            if not isinstance(bn, nn.BatchNorm2d):
                continue
            before, conv = children[i - 1] if i else ("", None)
            if isinstance(parent, nn.Sequential) and isinstance(conv, nn.Conv2d) and conv.bias is None:
                fused = twin.get_submodule(before)
                assert isinstance(fused, nn.Conv2d)
                fused.bias = nn.Parameter(torch.zeros_like(bn.running_mean), requires_grad=False)  # type: ignore[arg-type]
                twin.set_submodule(child, nn.Identity())
                updates.append(_update_conv(before, child, fused))
                folded |= {before, child}
            else:
                affine = _Affine(bn.num_features).to(layers[child].weight.device)
                twin.set_submodule(child, affine)
                updates.append(_update_affine(child, affine))
                folded.add(child)
    return folded


def _scale_shift(bn: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(bn, nn.BatchNorm2d) and bn.running_mean is not None and bn.running_var is not None
    scale = torch.rsqrt(bn.running_var + bn.eps) * (bn.weight if bn.affine else 1)
    return scale, (bn.bias if bn.affine else 0) - bn.running_mean * scale


def _update_conv(conv: str, bn: str, fused: nn.Conv2d) -> Callable[[nn.Module], None]:
    def update(net: nn.Module) -> None:
        scale, shift = _scale_shift(net.get_submodule(bn))
        weight = net.get_submodule(conv).weight
        assert isinstance(weight, Tensor) and fused.bias is not None
        fused.weight.copy_(weight * scale.view(-1, 1, 1, 1))
        fused.bias.copy_(shift)

    return update


def _update_affine(bn: str, affine: _Affine) -> Callable[[nn.Module], None]:
    def update(net: nn.Module) -> None:
        scale, shift = _scale_shift(net.get_submodule(bn))
        affine.scale.copy_(scale.view(1, -1, 1, 1))
        affine.shift.copy_(shift.view(1, -1, 1, 1))

    return update


_twins: "WeakKeyDictionary[nn.Module, dict[tuple[torch.dtype, torch.device], _Twin]]" = WeakKeyDictionary()


def frozen_eval(net: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The net as it is now, in eval mode, without parameter gradients, batch norm folded, computing in ``dtype``.

    A twin is returned and the net itself is only read, so there is nothing to restore: its mode, its gradients and its
    batch-norm buffers cannot be moved by an attack or an evaluation. The twin goes stale with the next change of the
    weights; call again then (that refreshes the same twin, it does not build another). Logits are float32 or ``dtype``.
    """
    twins = _twins.setdefault(net, {})
    key = (dtype, next(net.parameters()).device)
    if key not in twins:
        twins[key] = _Twin(net, dtype)
    return twins[key].refresh(net)


def is_right(logits: Tensor, y: Tensor) -> Tensor:
    """bool (b,): the largest logit is the label's. A net that answers NaN or infinity is right about nothing."""
    return (logits.argmax(1) == y) & logits.isfinite().all(1)
