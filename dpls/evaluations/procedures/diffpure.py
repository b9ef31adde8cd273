"""DiffPure: the net behind purification by a small diffusion model, attacked end to end."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from dpls.component import Fractional, show_exactly, show_fraction
from dpls.evaluations.base import Procedure

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from dpls.evaluations.evaluation import Evaluation

ENOUGH_DRAWS = 20
"""Draws of the defence that published attacks average a gradient over (AutoAttack's version for random nets)."""
ENOUGH_STEPS = 20
CURVES = {
    "bare_clean": "without it clean",
    "bare_pgd": "under PGD",
    "clean": "behind it clean",
    "transferred": "under the same PGD",
    "eot": "under attack of the whole, averaged over draws",
    "fixed": "knowing the draw",
}
"""Columns of its outcomes, in words."""


class DiffPure(Procedure):
    """The net behind purification: noise to t, the way back by a diffusion model, then the net; PGD through all of it.

    A defence, not an attack: right is who is right behind it, clean and under both attacks end to end. One evaluation
    is one t; several make the curve. The model is small and learns from the run's training images, once for a data
    set. Nie et al., 2022, "Diffusion Models for Adversarial Purification", https://arxiv.org/abs/2205.07460; an attack
    that knows the draws breaks most of it: https://arxiv.org/abs/2505.22839.
    """

    examples: ClassVar[str] = "diffpure"
    images_a_chunk: ClassVar[int] = 50
    """Few, for the graph of the whole chain lies in memory."""

    kind: Literal["diffpure"] = "diffpure"
    t: Fractional = Field(
        0.1, ge=0, le=1, description="how far images are noised, as a fraction of the chain; 0: the net without defence"
    )
    chain: int = Field(5, ge=1, le=20, description="strides back; gradients go through all of them")
    steps: int = Field(ENOUGH_STEPS, ge=1, le=1000, description="gradient steps of each attack")
    eot: int = Field(ENOUGH_DRAWS, ge=1, le=1000, description="draws of the defence that a gradient is averaged over")
    width: int = Field(16, ge=4, le=256, multiple_of=4, description="channels of the diffusion model")
    updates: int = Field(1500, ge=1, le=1_000_000, description="training steps of the diffusion model, 64 images each")

    @classmethod
    def named(cls, name: str) -> Self | None:
        return cls() if name == "diffpure" else None

    @property
    def name(self) -> str:
        fields, values = type(self).model_fields, self.model_dump(include={"chain", "steps", "eot", "width", "updates"})
        others = [f"{name}{value}" for name, value in values.items() if value != fields[name].default]
        return "-".join(["diffpure", f"t{show_exactly(self.t)}".replace("/", "-"), *others])

    @property
    def title(self) -> str:
        attack = f"PGD{self.steps} end to end, eps {show_fraction(self.radius)}, EOT {self.eot} and known draws"
        return f"DiffPure, t {self.t:g}, {attack}"

    @property
    def passes(self) -> float:
        """A pass through the denoiser counts as one through the net."""
        return 2 * self.steps * (1 + (self.eot + 1) * (1 + self.chain))

    @property
    def doubts(self) -> list[str]:
        found = [
            "behind DiffPure stands another classifier: compare its accuracy with no other's, unless that, too, was"
            " attacked end to end",
            "its answers are random: each image was judged by one draw, and another would give other outcomes",
            "its diffusion model is small; what it costs and saves says little of large ones",
        ]
        if self.eot < ENOUGH_DRAWS:
            found.append(f"gradients of {self.eot} draws are few; use {ENOUGH_DRAWS} or more")
        if self.steps < ENOUGH_STEPS:
            found.append(f"{self.steps} steps are few for a reported robust accuracy; use {ENOUGH_STEPS} or more")
        return found

    def warnings(self, table: "pd.DataFrame") -> list[str]:
        """The curves at this t, so that nobody reads one without the others."""
        said = ", ".join(f"{words} {table[column].mean():.1%}" for column, words in CURVES.items())
        return [f"DiffPure at t {self.t:g}: {said}"] if len(table) else []

    def run(self, evaluation: "Evaluation") -> None:
        """Columns, bool; who is wrong on the clean image is wrong in those after it, too:

        ``bare_clean``, ``bare_pgd``: the net without purification, clean and on the last images of PGD; ``clean``;
        ``transferred``, on the very images of ``bare_pgd``; ``eot``, on the last images of PGD along gradients averaged
        over draws; ``fixed``, on every image of PGD that knows the draw. The last four are judged by the same draw.
        """
        from dpls.diffusion.chain import level_of
        from dpls.evaluations.procedures.diffpure_chunk import Plan, outcomes

        left, level = evaluation.left(), level_of(self.t)
        denoiser = self.denoiser(evaluation) if left and level else None
        plan = Plan(denoiser, level, self.chain, self.steps, self.eot)
        for rows in left:
            found = outcomes(plan, self, evaluation, rows)
            right = found["clean"] & found["eot"] & found["fixed"]
            evaluation.append(evaluation.split.ids.cpu()[rows], right, **found)

    def denoiser(self, evaluation: "Evaluation") -> "nn.Module":
        from dpls.diffusion.learning import learnt

        trained_on = evaluation.trained_on
        assert trained_on is not None, "whoever evaluates says which images the diffusion model may learn from"
        return learnt(trained_on.split, trained_on.folder, self.width, self.updates, evaluation.say)
