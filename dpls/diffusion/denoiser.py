"""The net of a diffusion model: a U-Net of two sizes, with the level as a second input. Loads torch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.diffusion.chain import LEVELS
from dpls.randomness import mix

GROUPS = 4
FREQUENCIES = 16


class Denoiser(nn.Module):
    """Images (B, C, H, W) with noise, about [-1, 1], and levels int64 (B,) -> the noise in them, like the images.

    width: channels at full size, a multiple of 4; twice as many at half size. The weights are drawn from ``seed``.
    """

    def __init__(self, channels: int, width: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # nobody else shall notice
            torch.manual_seed(mix(seed, "denoiser"))
            self.level = nn.Sequential(nn.Linear(2 * FREQUENCIES, 4 * width), nn.SiLU())
            self.into = nn.Conv2d(channels, width, 3, padding=1)
            self.before = _Block(width, 4 * width)
            self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
            self.middle = nn.ModuleList([_Block(2 * width, 4 * width), _Block(2 * width, 4 * width)])
            self.up = nn.Conv2d(2 * width, width, 3, padding=1)
            self.after = _Block(width, 4 * width)
            self.out = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        said = self.level(_waves(level, z.dtype))
        fine = self.before(self.into(z), said)
        coarse = self.down(fine)
        for block in self.middle:
            coarse = block(coarse, said)
        grown = F.interpolate(self.up(coarse), size=fine.shape[2:], mode="nearest")
        noise: Tensor = self.out(self.after(fine + grown, said))
        return noise


class _Block(nn.Module):
    """Two convolutions beside a shortcut; the level shifts the channels between them."""

    def __init__(self, width: int, said: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        self.shift = nn.Linear(said, width)
        self.second = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor, said: Tensor) -> Tensor:
        return torch.add(self.second(self.first(x) + self.shift(said)[:, :, None, None]), x)


def _waves(level: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, 32): sines and cosines of the level, from half a turn over all levels to one in two levels."""
    frequencies = torch.logspace(0, math.log10(LEVELS), FREQUENCIES, dtype=torch.float64, device=level.device)
    angles = level.double()[:, None] / LEVELS * math.pi * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1).to(dtype)
