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


class PMA(Attack):
    """Ascent of the probability margin max p_k - p_y in signed steps that fall from 2 eps along a cosine (Xie et al.,
    2024, https://arxiv.org/abs/2411.15210): where cross-entropy goes on pushing the label down, it finds the rival."""

    examples: ClassVar[str] = "pma (any number of steps: pma20, pma100)"

    kind: Literal["pma"] = "pma"
    steps: int = Field(100, ge=1, le=1000, description="gradient steps of each start")
    restarts: int = Field(1, ge=1, le=100, description="how often it starts, each time on what it has not broken")

    @classmethod
    def named(cls, name: str) -> Self | None:
        """'pma' has 100 steps, 'pma20' has 20."""
        match = re.fullmatch(r"pma([1-9][0-9]{0,2})?", name)
        return (cls(steps=int(match[1])) if match[1] else cls()) if match else None

    @property
    def name(self) -> str:
        return f"pma{self.steps}{'' if self.restarts == 1 else f'x{self.restarts}'}"

    @property
    def title(self) -> str:
        restarts = "" if self.restarts == 1 else f", {self.restarts} restarts"
        return f"PMA{self.steps}, eps {show_fraction(self.radius)}{restarts}"

    @property
    def passes(self) -> float:
        return 2 * self.steps * self.restarts

    def search(self, net: "nn.Module", x: "Tensor", goal: "Goal", noise: "Noise") -> "Tensor":
        from dpls.attacks.ascent import ascend_in_turn, cosine, uniform
        from dpls.attacks.goals import ProbabilityMarginAscent

        goals = [ProbabilityMarginAscent(goal)] * self.restarts
        lengths = cosine(2 * self.radius, self.steps)
        return ascend_in_turn(net, x, lambda: uniform(x, self.radius, noise), goals, lengths, self.project)
