"""Signed gradient ascent inside the threat set, the loop that gradient attacks share. Loads torch."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from dpls.attacks.goals import Goal, LabelDescent, ProbabilityMarginAscent, RivalAscent, ascent_gradient
from dpls.randomness import Noise

Project: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x_adv, x) -> x_adv inside the threat set around x."""
Steps: TypeAlias = Sequence[tuple[Goal, float]]
"""For each step the goal whose loss it climbs, and its length."""


def ascend(
    net: nn.Module, x: Tensor, x_adv: Tensor, goal: Goal, rows: Tensor, steps: Steps, project: Project
) -> tuple[Tensor, Tensor]:
    """Signed steps from x_adv, projected around x after each.

    x, x_adv: (b, C, H, W), the images and where the ascent starts. rows: int64 (b,), which of the goal's examples they
    are. Where the goal stops, what is broken stays as it was found and takes no further step.

    Returns (b, C, H, W), and bool (b,): which were not seen broken; the image after the last step is not looked at.
    """
    found, here = x_adv.clone(), torch.arange(len(x), device=x.device)
    for climbed, length in steps:
        gradient, logits = ascent_gradient(net, x_adv, climbed, rows[here])
        if goal.stops:
            keep = ~goal.broken(x_adv, logits, rows[here])
            if not keep.all():
                found[here] = x_adv  # the broken ones stay as they are now
                here, x, x_adv, gradient = here[keep], x[keep], x_adv[keep], gradient[keep]
                if not len(here):
                    break
        goal.step(rows[here])
        x_adv = project(x_adv + length * gradient.sign(), x)
    found[here] = x_adv
    return found, torch.zeros(len(found), dtype=torch.bool, device=x.device).index_fill_(0, here, True)


def ascend_in_turn(
    net: nn.Module, x: Tensor, start: Callable[[], Tensor], goal: Goal, ascents: Sequence[Steps], project: Project
) -> Tensor:
    """(B, C, H, W): ascents, each from its own start (B, C, H, W), on what those before have not broken.

    Where the goal does not stop, of each example the image that came highest.
    """
    rows = torch.arange(len(x), device=x.device)
    found = x.clone(memory_format=memory_format(x))
    for turn, steps in enumerate(ascents):
        begun = start()[rows].contiguous(memory_format=memory_format(x))
        if goal.stops:  # what leaves the attack must lie inside the ball from the start
            begun = project(begun, x[rows])
        x_adv, left = ascend(net, x[rows], begun, goal, rows, steps, project)
        if goal.stops or not turn:
            found[rows] = x_adv
        else:
            higher = _height(net, x_adv, goal, rows) > _height(net, found, goal, rows)
            found[higher] = x_adv[higher]
        if goal.stops and turn < len(ascents) - 1:
            left[left.clone()] = ~goal.reached(x_adv[left], rows[left])
            rows = rows[left]
            if not len(rows):
                break
    return found


@torch.no_grad()
def _height(net: nn.Module, x: Tensor, goal: Goal, rows: Tensor) -> Tensor:
    return goal.loss(net(x), rows)


def cosine(first: float, steps: int) -> list[float]:
    """Lengths of steps that fall from ``first`` along half a cosine, towards 0 after the last."""
    return [first * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]


def memory_format(x: Tensor) -> torch.memory_format:
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def probability_margin(goal: Goal, first: float, steps: int, rival: bool = False) -> list[tuple[Goal, float]]:
    """Half of the steps bring down the label's probability, or bring up the best rival's; the others climb the margin
    between the two. In each half steps fall from ``first``."""
    half = steps // 2
    early = (RivalAscent if rival else LabelDescent)(goal)
    late = ProbabilityMarginAscent(goal)
    return [(early, length) for length in cosine(first, half)] + [
        (late, length) for length in cosine(first, steps - half)
    ]


def uniform(x: Tensor, eps: float, noise: Noise) -> Tensor:
    """Like x: each anywhere in its eps ball."""
    return x + (noise.uniform(*x.shape[1:]) * 2 - 1) * eps
