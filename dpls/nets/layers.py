"""What networks are built of: normalisation, pre-activation blocks, their initial weights."""

from collections.abc import Sequence

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


class PreActBlock(nn.Module):
    """Pre-activation basic block (He et al., 2016). A projection shortcut takes the *activated* input, as in the
    official WideResNet and PreActResNet code."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels_in)
        self.body = nn.Sequential(
            conv(channels_in, channels, 3, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv(channels, channels, 3, 1),
        )
        changes = stride != 1 or channels_in != channels
        self.shortcut = conv(channels_in, channels, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn(x))
        skip = x if self.shortcut is None else self.shortcut(activated)
        return torch.add(self.body(activated), skip)


class GlobalMean(nn.Module):
    """Mean over height and width: (B, C, H, W) -> (B, C), for any image size; deterministic backward on CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def conv(channels_in: int, channels: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False)


def preact(stem: int, widths: Sequence[int], blocks: int, channels: int, classes: int) -> list[nn.Module]:
    """Stem, groups of pre-activation blocks (all but the first group halve the size), head."""
    layers: list[nn.Module] = [conv(channels, stem, 3, 1)]
    width_in = stem
    for group, width in enumerate(widths):
        for block in range(blocks):
            layers.append(PreActBlock(width_in, width, 2 if group and not block else 1))
            width_in = width
    return [*layers, nn.BatchNorm2d(width_in), nn.ReLU(inplace=True), GlobalMean(), nn.Linear(width_in, classes)]


def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """He initialisation (fan-out) of convolutions, 1 and 0 for batch norm, a small uniform linear layer."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.zeros_(module.bias)
