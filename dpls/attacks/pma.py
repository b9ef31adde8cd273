"""Probability margin attack."""

import re
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from dpls.attacks.base import Attack
from dpls.component import show_fraction

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dpls.attacks.goals import Goal
    from dpls.randomness import Noise


ENOUGH_STEPS = 20
"""As many as PGD takes where it is reported."""


class PMA(Attack):
    """Ascent of the probability margin max p_k - p_y (Xie et al., 2024, https://arxiv.org/abs/2411.15210): where
    cross-entropy goes on pushing the label down, it finds the rival.

    As in the authors' code, each start spends half of its steps on one of the two probabilities, the label's and the
    best rival's in turn, and then climbs the margin; in each half signed steps fall from 2 eps along a cosine.
    """

    examples: ClassVar[str] = "pma (any number of steps: pma20, pma100)"

    kind: Literal["pma"] = "pma"
    steps: int = Field(100, ge=1, le=1000, description="gradient steps, those of all starts")
    starts: int = Field(2, ge=1, le=100, description="how often it starts, each time on what it has not broken")

    @classmethod
    def named(cls, name: str) -> Self | None:
        """'pma' has 100 steps, 'pma20' has 20."""
        match = re.fullmatch(r"pma([1-9][0-9]{0,2})?", name)
        return (cls(steps=int(match[1])) if match[1] else cls()) if match else None

    @property
    def name(self) -> str:
        return f"pma{self.steps}{'' if self.starts == 2 else f'-starts-{self.starts}'}"

    @property
    def title(self) -> str:
        starts = "" if self.starts == 2 else f", {self.starts} start{'s' if self.starts > 1 else ''}"
        return f"PMA{self.steps}, eps {show_fraction(self.radius)}{starts}"

    @property
    def passes(self) -> float:
        return 2 * self.steps

    @property
    def doubts(self) -> list[str]:
        if self.steps >= ENOUGH_STEPS:
            return []
        return [f"{self.steps} steps are few for a reported robust accuracy; use {ENOUGH_STEPS} or more"]

    def search(self, net: "nn.Module", x: "Tensor", goal: "Goal", noise: "Noise") -> "Tensor":
        from dpls.attacks.ascent import ascend_in_turn, probability_margin, uniform

        each, more = divmod(self.steps, self.starts)
        counts = [each + (start < more) for start in range(self.starts)]
        ascents = [probability_margin(goal, 2 * self.radius, n, rival=i % 2 == 1) for i, n in enumerate(counts)]
        return ascend_in_turn(net, x, lambda: uniform(x, self.radius, noise), goal, ascents, self.project)
