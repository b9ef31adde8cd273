"""Adversarial weight perturbation, around any objective."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from dpls.methods.objective import Loss, Objective, Passes
from dpls.methods.objectives import PGDAT, Plain

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise


class AWP(Objective):
    """The loss of another objective at weights that were moved against it (Wu et al., 2020,
    https://arxiv.org/abs/2004.05884).

    Every weight of more than one dimension goes up its gradient by gamma times its own length; biases and batch norm
    stay. The images are crafted on the weights as they are. Labels are smoothed in both, the ascent and the loss. The
    net itself is never moved: its gradient is taken at the perturbed weights, as if they had been restored, and the
    ascent leaves its batch-norm statistics alone. For epochs without it at the start, begin with a phase of the inner
    objective.
    """

    kind: Literal["awp"] = "awp"
    inner: Annotated[Plain, Field(discriminator="kind")] = Field(PGDAT(), description="what is minimised")
    gamma: float = Field(
        0.01, ge=0, le=1, description="length of the perturbation, in multiples of a weight's own; TRADES: 0.005"
    )

    @property
    def title(self) -> str:
        return f"{self.inner.title} + AWP"

    @property
    def attacks(self) -> bool:
        return self.inner.attacks

    @property
    def crafting(self) -> Passes:
        return self.inner.crafting

    @property
    def training(self) -> Passes:
        once = self.inner.training
        return Passes(2 * once.forward, 2 * once.backward)

    def in_words(self, eps: float) -> str:
        return f"{self.inner.in_words(eps)} + AWP"

    def stopped_by(self, rows: Sequence[Mapping[str, Any]]) -> str:
        return self.inner.stopped_by(rows)

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        return self.inner.craft(net, batch, noise, dtype)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:
        import torch

        from dpls.nets.elsewhere import Elsewhere

        weights = {name: weight for name, weight in forward.named_parameters() if weight.dim() > 1}
        statistics = {name: buffer.clone() for name, buffer in forward.named_buffers()}
        before = self.inner.loss(Elsewhere(forward, statistics), batch, x_adv, labels).values.mean()
        gradients = torch.autograd.grad(before, list(weights.values()))
        moved = {
            name: weight + self.gamma * weight.detach().norm() / (gradient.norm() + 1e-20) * gradient
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
        return self.inner.loss(Elsewhere(forward, moved), batch, x_adv, labels)
