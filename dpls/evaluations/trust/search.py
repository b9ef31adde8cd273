"""A small black box: squares at random places, kept where they help. Loads torch.

After Square (Andriushchenko et al., 2020, https://arxiv.org/abs/1912.00049), which sees logits, but no gradients.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dpls.attacks.goals import Goal
from dpls.randomness import Noise

SMALLEST = 16
"""The last squares have a side of one such part of the image's, the first of half of it."""


def search(
    answers: Callable[[Tensor], Tensor], x: Tensor, goal: Goal, eps: float, noise: Noise, queries: int
) -> Tensor:
    """(b, C, H, W), for images x: of each the one on which the goal is highest; who is broken is asked no more.

    answers: x -> logits (b, K), asked as often as ``queries`` says. noise: of these images.
    """
    channels, width = x.shape[1], x.shape[3]
    found = (x + eps * _signs(noise, channels, 1, width)).clamp_(0, 1)  # stripes
    highest = torch.full_like(x[:, 0, 0, 0], -torch.inf)
    here = torch.arange(len(x), device=x.device)
    for query in range(queries):
        if not len(here):
            break
        share = 0.5 * (2 / SMALLEST) ** (query / queries)
        tried = found if query == 0 else _with_square(found, x, eps, noise, share)
        logits = answers(tried[here])
        reached = goal.loss(logits, here)
        better = reached > highest[here]
        highest[here[better]] = reached[better]
        found[here[better]] = tried[here[better]]
        broken = goal.broken(tried[here], logits, here)
        found[here[broken]] = tried[here[broken]]
        here = here[~broken]
    return found


def _with_square(found: Tensor, x: Tensor, eps: float, noise: Noise, share: float) -> Tensor:
    """Found, but in one square each with x + eps or x - eps, a sign a channel."""
    _, channels, height, width = x.shape
    side = max(1, round(share * min(height, width)))
    corner = noise.uniform(2) * torch.tensor([height - side + 1, width - side + 1], device=x.device)
    top, left = corner.floor().unbind(1)
    row, column = (torch.arange(size, device=x.device) for size in (height, width))
    rows = (row >= top[:, None]) & (row < top[:, None] + side)
    columns = (column >= left[:, None]) & (column < left[:, None] + side)
    square = (rows[:, :, None] & columns[:, None, :])[:, None]
    return torch.where(square, (x + eps * _signs(noise, channels, 1, 1)).clamp_(0, 1), found)


def _signs(noise: Noise, *shape: int) -> Tensor:
    """(b, *shape): 1 or -1."""
    return (noise.uniform(*shape) < 0.5).float() * 2 - 1
