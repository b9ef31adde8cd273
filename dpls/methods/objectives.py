"""What training minimises, without anything around it: standard training, PGD-AT, TRADES, MART."""

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from dpls.attacks import PGD, AnyAttack
from dpls.component import article
from dpls.methods.objective import (
    Adversarial,
    Loss,
    Objective,
    Passes,
    climb_cross_entropy,
    loss_at,
    soft_cross_entropy,
)
from dpls.methods.single_step import FGSMRS, NFGSM

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise


class Standard(Objective):
    """Cross-entropy on clean images."""

    kind: Literal["standard"] = "standard"

    @property
    def title(self) -> str:
        return "standard training"

    @property
    def attacks(self) -> bool:
        return False

    @property
    def training(self) -> Passes:
        return Passes(1, 1)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        return Loss(soft_cross_entropy(forward(batch.x), labels), None)


class PGDAT(Adversarial):
    """Adversarial training: cross-entropy at the attacked images (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

    kind: Literal["pgd_at"] = "pgd_at"
    attack: AnyAttack = Field(PGD(), description="inner maximisation")

    @property
    def title(self) -> str:
        return "PGD-AT"

    @property
    def training(self) -> Passes:
        return Passes(1, 1)

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        return climb_cross_entropy(self.attack, net, batch, noise, dtype)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        return loss_at(forward, x_adv, labels)


class TRADES(Adversarial):
    """CE(f(x), label) + beta KL(p(x) || p(x')), gradient through both; x' climbs the KL from x + 0.001 N(0, I).

    Zhang et al., 2019, https://arxiv.org/abs/1901.08573. The label is smoothed, the reference p(x) of the KL is not.
    """

    kind: Literal["trades"] = "trades"
    beta: float = Field(6.0, ge=0, le=1000, description="weight of the robust term", json_schema_extra=article("6"))
    attack: AnyAttack = Field(PGD(start="gaussian"), description="inner maximisation")

    @property
    def title(self) -> str:
        return "TRADES"

    @property
    def crafting(self) -> Passes:
        steps = super().crafting
        return Passes(steps.forward + 1, steps.backward)  # the clean prediction that is climbed from

    @property
    def training(self) -> Passes:
        return Passes(2, 2)

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        import torch

        from dpls.attacks.goals import KullbackLeiblerAscent
        from dpls.nets.frozen import frozen_eval

        frozen = frozen_eval(net, dtype)
        with torch.no_grad():
            goal = KullbackLeiblerAscent(batch.y, frozen(batch.x))
        return self.attack(frozen, batch.x, goal, noise)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:
        from torch.nn import functional as F

        clean, adversarial = forward(batch.x), forward(x_adv)
        log_p, log_q = (z.float().log_softmax(1) for z in (clean, adversarial))
        divergence = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
        return Loss(soft_cross_entropy(clean, labels) + self.beta * divergence, adversarial)


class MART(Adversarial):
    """BCE(f(x'), label) + beta (1 - p_y(x)) KL(p(x) || p(x')); x' climbs the cross-entropy from x + 0.001 N(0, I).

    Wang et al., 2020, https://openreview.net/forum?id=rklOg6EFwS. BCE is the cross-entropy and, on top of it,
    -log(1 - the largest probability of a wrong class). The gradient flows through the weight, too, as in its authors'
    code; the small constants in that code's logarithms are not needed here. A smoothed label enters the cross-entropy
    alone.
    """

    kind: Literal["mart"] = "mart"
    beta: float = Field(6.0, ge=0, le=1000, description="weight of the divergence")
    attack: AnyAttack = Field(PGD(start="gaussian"), description="inner maximisation")

    @property
    def title(self) -> str:
        return "MART"

    @property
    def training(self) -> Passes:
        return Passes(2, 2)

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        return climb_cross_entropy(self.attack, net, batch, noise, dtype)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:
        import torch
        from torch.nn import functional as F

        clean, adversarial = forward(batch.x), forward(x_adv)
        log_p, log_q = (z.float().log_softmax(1) for z in (clean, adversarial))
        y = batch.y[:, None]
        rival = log_q.scatter(1, y, -torch.inf).argmax(1, keepdim=True)
        no_rival = log_q.scatter(1, rival, -torch.inf).logsumexp(1)  # log(1 - its probability), exact near 1
        divergence = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
        unsure = -log_p.gather(1, y).squeeze(1).expm1()
        return Loss(soft_cross_entropy(adversarial, labels) - no_rival + self.beta * unsure * divergence, adversarial)


Plain: TypeAlias = Standard | PGDAT | TRADES | MART | FGSMRS | NFGSM
"""What a wrapper may stand around."""
