"""Margins, then targets: the attack that judges."""

import re
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from dpls.attacks.base import Attack
from dpls.component import show_fraction

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dpls.attacks.goals import Goal
    from dpls.randomness import Noise


ENOUGH_STEPS, ENOUGH_TARGETS = 10, 5
"""With as many it was within a point of AutoAttack where both were measured (docs/results.md)."""


class Margins(Attack):
    """Ascent of the probability margin, then of each likely rival's logit over the label's, on what is not broken yet.

    Label smoothing leads PGD on the cross-entropy astray; differences of logits do not change with it. Steps
    fall from 2 eps along a cosine. Targets as in MultiTargeted (Gowal et al., 2019, https://arxiv.org/abs/1910.09338).
    """

    examples: ClassVar[str] = "margins (any number of steps: margins20)"

    kind: Literal["margins"] = "margins"
    steps: int = Field(ENOUGH_STEPS, ge=1, le=1000, description="gradient steps of each ascent")
    targets: int = Field(
        ENOUGH_TARGETS, ge=0, le=1000, description="rivals aimed at one after the other, the likeliest first"
    )

    @classmethod
    def named(cls, name: str) -> Self | None:
        """'margins20' has 20 steps an ascent."""
        match = re.fullmatch(r"margins([1-9][0-9]{0,2})?", name)
        return (cls(steps=int(match[1])) if match[1] else cls()) if match else None

    @property
    def name(self) -> str:
        return f"margins{self.steps}x{1 + self.targets}"

    @property
    def title(self) -> str:
        return f"Margins{self.steps}x{1 + self.targets}, eps {show_fraction(self.radius)}"

    @property
    def passes(self) -> float:
        return 2 * self.steps * (1 + self.targets)

    @property
    def doubts(self) -> list[str]:
        if self.steps >= ENOUGH_STEPS and self.targets >= ENOUGH_TARGETS:
            return []
        said = f"{self.steps} steps and {self.targets} targets are few for a reported robust accuracy"
        return [f"{said}; use {ENOUGH_STEPS} and {ENOUGH_TARGETS} or more"]

    def search(self, net: "nn.Module", x: "Tensor", goal: "Goal", noise: "Noise") -> "Tensor":
        import torch

        from dpls.attacks.ascent import ascend_in_turn, cosine, probability_margin, uniform
        from dpls.attacks.goals import TargetedAscent, rivals

        with torch.no_grad():
            targets = rivals(net(x), goal.y)[:, : self.targets]
        lengths = cosine(2 * self.radius, self.steps)
        ascents = [probability_margin(goal, 2 * self.radius, self.steps)]
        ascents += [[(TargetedAscent(goal, target), length) for length in lengths] for target in targets.unbind(1)]
        return ascend_in_turn(net, x, lambda: uniform(x, self.radius, noise), goal, ascents, self.project)
