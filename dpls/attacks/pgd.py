"""Projected gradient descent."""

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from dpls.attacks.base import Attack
from dpls.component import Fractional, article, show_fraction

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dpls.attacks.goals import Goal
    from dpls.randomness import Noise

ENOUGH_STEPS = 20
"""Steps from which on a PGD accuracy is commonly reported."""


class PGD(Attack):
    """L-infinity PGD: signed gradient steps, projected after each (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

    examples: ClassVar[str] = "pgd10, pgd20, pgd50 (any number of steps up to 999)"

    kind: Literal["pgd"] = "pgd"
    steps: int = Field(
        10,
        ge=0,
        le=1000,
        description="gradient steps",
        json_schema_extra=article("10 in training, 20 in evaluation"),
    )
    step: Fractional | None = Field(
        None, gt=0, le=1, description="length of a step; none: eps / 4", json_schema_extra=article("eps / 4 = 2/255")
    )
    start: Literal["uniform", "gaussian", "clean"] = Field(
        "uniform",
        description="uniform in the eps ball; Gaussian with deviation 0.001, as TRADES does; or the image itself",
    )
    restarts: int = Field(
        1, ge=1, le=100, description="how often it starts, each time on what it has not broken; the strongest counts"
    )

    @classmethod
    def named(cls, name: str) -> Self | None:
        """'pgd20' is PGD with 20 steps of eps / 4 from a uniform start."""
        match = re.fullmatch(r"pgd([1-9][0-9]{0,2})", name)
        return cls(steps=int(match[1])) if match else None

    @property
    def name(self) -> str:
        step = "" if self.step is None else f"-step-{show_fraction(self.step).replace('/', '-')}"
        restarts = "" if self.restarts == 1 else f"x{self.restarts}"
        return f"pgd{self.steps}{restarts}{step}{'' if self.start == 'uniform' else f'-{self.start}'}"

    @property
    def title(self) -> str:
        start = "" if self.start == "uniform" else f", {self.start} start"
        restarts = "" if self.restarts == 1 else f", {self.restarts} restarts"
        step = show_fraction(self.step_length)
        return f"PGD{self.steps}, eps {show_fraction(self.radius)}, step {step}{start}{restarts}"

    @property
    def step_length(self) -> float:
        return self.radius / 4 if self.step is None else self.step

    @property
    def passes(self) -> float:
        return 2 * self.steps * self.restarts

    @property
    def reported(self) -> dict[str, Any]:
        return super().reported | {"step": self.step_length}

    @property
    def doubts(self) -> list[str]:
        if self.steps >= ENOUGH_STEPS:
            return []
        return [f"{self.steps} steps are few for a reported robust accuracy; use {ENOUGH_STEPS} or more"]

    def first(self, x: "Tensor", noise: "Noise") -> "Tensor":
        """Where the attack starts."""
        if self.start == "uniform":
            return self.project(x + (noise.uniform(*x.shape[1:]) * 2 - 1) * self.radius, x)
        if self.start == "gaussian":
            return x + noise.normal(*x.shape[1:]) * 0.001
        return x.clone()

    def search(self, net: "nn.Module", x: "Tensor", goal: "Goal", noise: "Noise") -> "Tensor":
        from dpls.attacks.ascent import ascend_in_turn

        ascents = [[(goal, self.step_length)] * self.steps] * self.restarts
        return ascend_in_turn(net, x, lambda: self.first(x, noise), goal, ascents, self.project)
