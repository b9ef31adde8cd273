"""What training minimises: standard training, PGD-AT, TRADES; without anything around them."""

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from dpls.attacks import PGD, AnyAttack
from dpls.component import article
from dpls.methods.objective import Adversarial, Loss, Objective, soft_cross_entropy

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
    def passes(self) -> float:
        return 3

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
    def passes(self) -> float:
        return self.attack.passes + 3

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        from dpls.attacks.goals import CrossEntropyAscent
        from dpls.nets.frozen import frozen_eval

        return self.attack(frozen_eval(net, dtype), batch.x, CrossEntropyAscent(batch.y), noise)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        logits = forward(x_adv)
        return Loss(soft_cross_entropy(logits, labels), logits)


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
    def passes(self) -> float:
        return self.attack.passes + 7  # the clean prediction that is climbed from, and two forwards to train by

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


Plain: TypeAlias = Standard | PGDAT | TRADES
"""What a wrapper may stand around."""
