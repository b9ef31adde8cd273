"""What every attack shares: the threat set, enforced here once, and what it says of itself. Settings: no torch."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field

from dpls.component import Component, Fractional

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dpls.attacks.goals import Goal
    from dpls.randomness import Noise

Eps = Annotated[
    Fractional,
    Field(ge=0, le=1, description="largest change of a pixel, images in [0, 1]; 8/255 may be written"),
]


class Attack(Component):
    """An L-infinity attack. Called on a frozen net, it returns images inside the eps ball and [0, 1]."""

    examples: ClassVar[str]
    """Short names that it understands, for the sentence that refuses others."""

    eps: Eps | None = Field(None, description="none: the run's eps")

    @classmethod
    def named(cls, name: str) -> Self | None:  # noqa: ARG003
        """The attack that a short name in small letters means, if it means one of this kind."""
        return None

    @property
    def name(self) -> str:
        """Short name, as in ``pgd20``, that tells attacks of the same eps apart."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """For tables and sentences: everything that makes the attack."""
        raise NotImplementedError

    @property
    def passes(self) -> float:
        """Forward passes' worth of attacking one image to the end; one back to it costs as much."""
        raise NotImplementedError

    @property
    def radius(self) -> float:
        """eps, once it is known."""
        assert self.eps is not None, "resolve the run configuration first: this attack has no eps of its own"
        return self.eps

    @property
    def reported(self) -> dict[str, Any]:
        """What stands beside an accuracy: every setting, those filled in that follow from others."""
        return self.model_dump(mode="json")

    @property
    def doubts(self) -> list[str]:
        """Why a robust accuracy under this attack may be too high, a sentence each."""
        return []

    def check_installed(self) -> None:
        """Raises UserError where a package that it needs is missing; asked before anything long begins."""

    def search(self, net: "nn.Module", x: "Tensor", goal: "Goal", noise: "Noise") -> "Tensor":
        """(B, C, H, W): the attack itself. It may return anything; ``__call__`` keeps the promise."""
        raise NotImplementedError

    def __call__(self, net: "nn.Module", x: "Tensor", goal: "Goal", noise: "Noise") -> "Tensor":
        return self.project(self.search(net, x, goal, noise).detach(), x)

    def project(self, x_adv: "Tensor", x: "Tensor") -> "Tensor":
        """Onto the eps ball around x, then onto [0, 1]."""
        return x_adv.clamp(x - self.radius, x + self.radius).clamp_(0, 1)
