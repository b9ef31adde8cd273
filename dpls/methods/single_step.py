"""Fast adversarial training: one gradient step from a random start, as FGSM-RS and N-FGSM take it.

Both overfit catastrophically where eps or the step is large: training accuracy under their own step goes up while that
under a real attack falls to nothing. The best checkpoint is chosen by an attack of many steps on validation images, so
what came before is kept, and ``runs.report.concerns`` says so while it happens.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dpls.attacks import PGD, Eps
from dpls.component import show_fraction
from dpls.methods.objective import Loss, Objective, Passes, climb_cross_entropy, loss_at

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise


class SingleStep(Objective):
    """Cross-entropy at images that one step of the gradient's sign has changed."""

    eps: Eps | None = Field(None, description="none: the run's eps")

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
