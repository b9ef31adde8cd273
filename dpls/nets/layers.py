"""What networks are built of: normalisation, pre-activation blocks, their initial weights."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


class Form(NamedTuple):
    """In what pre-activation networks differ between codebases."""

    shortcut: str = "activated"
    activation: str = "relu"
    padding: str = "even"

    def active(self) -> nn.Module:
        return nn.SiLU(inplace=True) if self.activation == "silu" else nn.ReLU(inplace=True)


class PreActBlock(nn.Module):
    """Pre-activation basic block (He et al., 2016). A projection shortcut takes the *activated* input, as in the
    official WideResNet and PreActResNet code, unless the form says raw."""

    def __init__(self, channels_in: int, channels: int, stride: int, form: Form) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels_in)
        self.active = form.active()
        first = EndPadded if stride > 1 and form.padding == "end" else conv
        self.body = nn.Sequential(
            first(channels_in, channels, 3, stride),
            nn.BatchNorm2d(channels),
            form.active(),
            conv(channels, channels, 3, 1),
        )
        changes = stride != 1 or channels_in != channels
        self.shortcut = conv(channels_in, channels, 1, stride) if changes else None
        self.raw = form.shortcut == "raw"

    def forward(self, x: Tensor) -> Tensor:
        activated = self.active(self.bn(x))
        skip = x if self.shortcut is None else self.shortcut(x if self.raw else activated)
        return torch.add(self.body(activated), skip)


class EndPadded(nn.Conv2d):
    """A 3x3 convolution with stride 2 whose zeros stand below and to the right alone, as TensorFlow pads even sizes."""

    def __init__(self, channels_in: int, channels: int, size: int, stride: int) -> None:
        super().__init__(channels_in, channels, size, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class GlobalMean(nn.Module):
    """Mean over height and width: (B, C, H, W) -> (B, C), for any image size; deterministic backward on CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def conv(channels_in: int, channels: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False)


def preact(
    stem: int,
    widths: Sequence[int],
    blocks: int,
    channels: int,
    classes: int,
    form: Form = Form(),  # noqa: B008 - it cannot be changed
    final_norm: bool = True,
) -> list[nn.Module]:
    """Stem, groups of pre-activation blocks (all but the first group halve the size), head."""
    layers: list[nn.Module] = [conv(channels, stem, 3, 1)]
    width_in = stem
    for group, width in enumerate(widths):
        for block in range(blocks):
            layers.append(PreActBlock(width_in, width, 2 if group and not block else 1, form))
            width_in = width
    norm = [nn.BatchNorm2d(width_in), form.active()] if final_norm else []
    return [*layers, *norm, GlobalMean(), nn.Linear(width_in, classes)]


def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """He initialisation (fan-out) of convolutions, 1 and 0 for batch norm, a small uniform linear layer."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.zeros_(module.bias)
