"""What training minimises: settings with ``__call__(net, batch, labels, noise) -> Loss``.

Labels are soft, (B, K), and enter the outer loss only; the inner maximisation always climbs with the hard label.
Crafting goes through ``frozen_eval``: eval mode, so a step moves batch-norm statistics by its training forwards alone.
"""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.attacks import PGD, AnyAttack, CrossEntropyAscent, KullbackLeiblerAscent
from dpls.component import Component, article
from dpls.data.split import Batch
from dpls.models import frozen_eval
from dpls.randomness import Noise


class Loss(NamedTuple):
    """values (B,), averaged by the loop; the logits (B, K) the loss was computed from make the record free."""

    values: Tensor
    logits_adv: Tensor | None
    logits_clean: Tensor | None


def soft_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,): -sum_k labels_k log p_k, in float32; at least the entropy of the label."""
    return -(labels * F.log_softmax(logits.float(), 1)).sum(1)


class Objective(Component):
    """A training objective. ``dtype`` is the precision in which adversarial examples are crafted."""

    def __call__(self, net: nn.Module, batch: Batch, labels: Tensor, noise: Noise, dtype: torch.dtype) -> Loss:
        raise NotImplementedError


class Standard(Objective):
    """Cross-entropy on clean images."""

    kind: Literal["standard"] = "standard"

    def __call__(self, net: nn.Module, batch: Batch, labels: Tensor, noise: Noise, dtype: torch.dtype) -> Loss:  # noqa: ARG002
        logits = net(batch.x)
        return Loss(soft_cross_entropy(logits, labels), None, logits)


class PGDAT(Objective):
    """Adversarial training: cross-entropy at the attacked images (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

    kind: Literal["pgd_at"] = "pgd_at"
    attack: AnyAttack = Field(PGD(), description="inner maximisation")

    def __call__(self, net: nn.Module, batch: Batch, labels: Tensor, noise: Noise, dtype: torch.dtype) -> Loss:
        x_adv = self.attack(frozen_eval(net, dtype), batch.x, CrossEntropyAscent(batch.y), noise)
        logits = net(x_adv)
        return Loss(soft_cross_entropy(logits, labels), logits, None)


class TRADES(Objective):
    """CE(f(x), label) + beta KL(p(x) || p(x')), gradient through both; x' climbs the KL from x + 0.001 N(0, I).

    Zhang et al., 2019, https://arxiv.org/abs/1901.08573. The label is smoothed, the reference p(x) of the KL is not.
    """

    kind: Literal["trades"] = "trades"
    beta: float = Field(6.0, ge=0, le=1000, description="weight of the robust term", json_schema_extra=article("6"))
    attack: AnyAttack = Field(PGD(start="gaussian"), description="inner maximisation")

    def __call__(self, net: nn.Module, batch: Batch, labels: Tensor, noise: Noise, dtype: torch.dtype) -> Loss:
        frozen = frozen_eval(net, dtype)
        with torch.no_grad():
            goal = KullbackLeiblerAscent(batch.y, frozen(batch.x))
        x_adv = self.attack(frozen, batch.x, goal, noise)
        clean, adversarial = net(batch.x), net(x_adv)
        log_p, log_q = (F.log_softmax(z.float(), 1) for z in (clean, adversarial))
        divergence = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
        return Loss(soft_cross_entropy(clean, labels) + self.beta * divergence, adversarial, clean)


AnyObjective = Annotated[Standard | PGDAT | TRADES, Field(discriminator="kind")]
