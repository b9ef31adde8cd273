"""Fast adversarial training: one gradient step from a random start, as FGSM-RS and N-FGSM take it.

Both overfit catastrophically where eps or the step is large: training accuracy under their own step goes up while that
under a real attack falls to nothing, within an epoch. Then training stops (``guard``): what it goes on with is no
adversarial training. The best checkpoint is chosen by an attack of many steps on validation images, so what came before
is kept.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from dpls.attacks import PGD, Eps
from dpls.component import Fractional, show_fraction
from dpls.methods.objective import Loss, Objective, Passes, climb_cross_entropy, loss_at

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise


class SingleStep(Objective):
    """Cross-entropy at images that one step of the gradient's sign has changed."""

    eps: Eps | None = Field(None, description="none: the run's eps")
    guard: Fractional = Field(
        0.2,
        gt=0,
        le=1,
        title="Overfitting guard",
        description="stop where validation accuracy under attack falls by more between two looks; 1: never",
    )

    @property
    def radius(self) -> float:
        """eps, once it is known."""
        assert self.eps is not None, "resolve the run configuration first: this objective has no eps of its own"
        return self.eps

    @property
    def crafting(self) -> Passes:
        return Passes(1, 1)

    @property
    def training(self) -> Passes:
        return Passes(1, 1)

    def in_words(self, eps: float) -> str:
        return f"{self.title} {show_fraction(eps if self.eps is None else self.eps)}"

    def stopped_by(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """The last two looks decide: a slower fall is robust overfitting, and a fall of both is a bad epoch."""
        looks = [row for row in rows if row["validation_robust"] is not None and row["train_robust"] is not None][-2:]
        if len(looks) < 2:
            return ""
        before, now = looks
        fall = before["validation_robust"] - now["validation_robust"]
        if fall <= self.guard or now["train_robust"] < before["train_robust"]:
            return ""
        return (
            f"catastrophic overfitting in epoch {now['epoch']}: validation accuracy under attack fell from"
            f" {before['validation_robust']:.1%} to {now['validation_robust']:.1%}, while that under the single step of"
            f" training rose to {now['train_robust']:.1%}; set a smaller eps or objective.step, take n_fgsm or pgd_at,"
            " or train on with objective.guard=1"
        )

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        return loss_at(forward, x_adv, labels)


class FGSMRS(SingleStep):
    """One step from a uniform start in the eps ball, projected onto it (Wong et al., 2020,
    https://arxiv.org/abs/2001.03994)."""

    kind: Literal["fgsm_rs"] = "fgsm_rs"
    step: float = Field(1.25, gt=0, le=10, description="length of the step, in multiples of eps")

    @property
    def title(self) -> str:
        return "FGSM-RS"

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        attack = PGD(steps=1, step=min(1.0, self.step * self.radius) or None, eps=self.radius)
        return climb_cross_entropy(attack, net, batch, noise, dtype)


class NFGSM(SingleStep):
    """One step from an image with noise added, not projected: it ends up to (noise + step) eps away.

    De Jorge et al., 2022, https://arxiv.org/abs/2202.01181. Only [0, 1] bounds it.
    """

    kind: Literal["n_fgsm"] = "n_fgsm"
    noise: float = Field(2.0, ge=0, le=10, description="largest noise, in multiples of eps; uniform")
    step: float = Field(1.0, gt=0, le=10, description="length of the step, in multiples of eps")

    @property
    def title(self) -> str:
        return "N-FGSM"

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        start = batch.x + (noise.uniform(*batch.x.shape[1:]) * 2 - 1) * self.noise * self.radius
        reach = min(1.0, self.step * self.radius)
        step = PGD(steps=1, step=reach or None, start="clean", eps=reach)
        return climb_cross_entropy(step, net, batch._replace(x=start), noise, dtype)
