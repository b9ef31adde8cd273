"""The chain of noise levels, forward in one step and back in a few. Loads torch.

Ho et al., 2020, "Denoising Diffusion Probabilistic Models", https://arxiv.org/abs/2006.11239; with the variance
preserving schedule of Song et al., 2021, https://arxiv.org/abs/2011.13456.
"""

from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from dpls.randomness import Noise

LEVELS = 1000
FIRST, LAST = 0.1 / LEVELS, 20 / LEVELS
"""Variance that the first and the last level add; between them it rises linearly."""


@cache
def signal() -> tuple[float, ...]:
    """abar by level, 0 to 1000: the share of the variance that is still the image's; 1 at level 0, falling to 0."""
    added = torch.linspace(FIRST, LAST, LEVELS, dtype=torch.float64)
    return (1.0, *(1 - added).cumprod(0).tolist())


def noised(x: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """sqrt(abar) x + sqrt(1 - abar) noise; x, noise: (B, C, H, W), x in [-1, 1]; level: int64 (B,)."""
    kept = torch.tensor(signal(), dtype=torch.float64, device=x.device)[level].to(x.dtype).view(-1, 1, 1, 1)
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def level_of(t: float) -> int:
    """The level that a fraction of the chain means."""
    return round(t * LEVELS)


def way_back(level: int, steps: int) -> list[int]:
    """Levels from ``level`` down to 0 in so many strides of about one length, or of one level where there are fewer."""
    steps = min(steps, level)
    return [round(level * (steps - i) / steps) for i in range(steps + 1)] if level else [0]


def purify(denoiser: nn.Module | None, x: Tensor, level: int, steps: int, noise: Noise) -> Tensor:
    """Like x, (B, C, H, W) in [0, 1]: noised to ``level`` in one step, then back to 0 in at most ``steps`` strides.

    Each stride draws from the posterior of its end, given where it starts and the image that the denoiser sees there.
    Level 0 is the identity. Nothing is cut off at 0 and 1: gradients pass everywhere, and so some pixels lie a little
    outside. Nie et al., 2022, "Diffusion Models for Adversarial Purification", https://arxiv.org/abs/2205.07460
    """
    if not level:
        return x
    assert denoiser is not None, "only level 0 needs no denoiser"

    def drawn() -> Tensor:
        return noise.normal(*x.shape[1:]).to(x.dtype)

    z = noised(2 * x - 1, torch.full((len(x),), level, device=x.device), drawn())
    for here, there in pairwise(way_back(level, steps)):
        kept, next_kept = signal()[here], signal()[there]
        seen = denoiser(z, torch.full((len(x),), here, device=x.device))
        image = (z - (1 - kept) ** 0.5 * seen) / kept**0.5
        stride = kept / next_kept
        of_image = next_kept**0.5 * (1 - stride) / (1 - kept)
        of_here = stride**0.5 * (1 - next_kept) / (1 - kept)
        z = of_image * image + of_here * z
        if there:
            z = z + ((1 - next_kept) / (1 - kept) * (1 - stride)) ** 0.5 * drawn()
    return (z + 1) / 2
