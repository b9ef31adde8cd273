"""A test's own attack: one signed step over a share of the radius, from the image itself."""

from typing import ClassVar, Literal, Self

from pydantic import Field

from dpls.attacks.base import Attack
from dpls.component import show_fraction


class OneStep(Attack):
    """One step along the sign of the gradient."""

    examples: ClassVar[str] = "onestep"

    kind: Literal["one_step"] = "one_step"
    reach: float = Field(1.0, gt=0, le=1, description="length of the step, as a share of eps")

    @classmethod
    def named(cls, name: str) -> Self | None:
        return cls() if name == "onestep" else None

    @property
    def name(self) -> str:
        return "onestep" if self.reach == 1 else f"onestep-{self.reach:g}"

    @property
    def title(self) -> str:
        return f"OneStep, eps {show_fraction(self.radius)}"

    @property
    def passes(self) -> float:
        return 2

    def search(self, net, x, goal, noise):
        import torch

        from dpls.attacks.goals import ascent_gradient

        gradient, _ = ascent_gradient(net, x, goal, torch.arange(len(x), device=x.device))
        return x + self.reach * self.radius * gradient.sign()
