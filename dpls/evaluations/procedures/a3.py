"""A3, the Adaptive Auto Attack: as strong as AutoAttack up to a fraction of a point, at a tenth of its passes."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from dpls.component import show_fraction
from dpls.evaluations.base import Procedure

if TYPE_CHECKING:
    from dpls.evaluations.evaluation import Evaluation

ENOUGH_STEPS = 250
"""The article allows 1,000. With these its accuracy was never above AutoAttack's on seven small nets, for a twentieth
of the passes with ten classes and a twelfth with three."""


class A3(Procedure):
    """Restarted ascent of the margin, each from a random direction of the logits that experience makes better.

    Steps go where they may still break something: each round attacks those examples alone that have come nearest to
    breaking. Liu et al., CVPR 2022, "Practical Evaluation of Adversarial Robustness via Adaptive Auto Attack",
    https://arxiv.org/abs/2203.05154
    """

    examples: ClassVar[str] = "a3"

    kind: Literal["a3"] = "a3"
    steps: int = Field(
        ENOUGH_STEPS,
        ge=1,
        le=10_000,
        description="most gradient steps, on average over all images and over those not broken yet",
    )

    @classmethod
    def named(cls, name: str) -> Self | None:
        return cls() if name == "a3" else None

    @property
    def name(self) -> str:
        return "a3" if self.steps == ENOUGH_STEPS else f"a3-steps-{self.steps}"

    @property
    def title(self) -> str:
        return f"A3, eps {show_fraction(self.radius)}, at most {self.steps} steps on average"

    @property
    def passes(self) -> float:
        return 2 * self.steps

    @property
    def doubts(self) -> list[str]:
        if self.steps >= ENOUGH_STEPS:
            return []
        return [f"{self.steps} steps on average are few for A3; use {ENOUGH_STEPS} or more"]

    def run(self, evaluation: "Evaluation") -> None:
        """Columns: ``broken_by`` (clean, noise or a3), ``steps`` (those an example was given until it broke)."""
        import pandas as pd

        from dpls.evaluations.procedures.a3_chunk import Chunk

        ids = evaluation.split.ids.cpu()
        for rows in evaluation.left():
            chunk = Chunk(self, self.steps, evaluation, rows)
            chunk.attack()
            right = chunk.left.cpu()
            steps = [None if held else s for held, s in zip(right.tolist(), chunk.steps.tolist(), strict=True)]
            evaluation.append(
                ids[rows],
                right,
                broken_by=pd.array(chunk.broken_by, dtype="string"),
                steps=pd.array(steps, dtype="Int64"),
            )
