"""What training minimises: settings with ``craft``, the inner maximisation, and ``loss``, the outer minimisation.

Labels are soft, (B, K), and enter the outer loss only; the inner maximisation always climbs with the hard label.
Crafting goes through ``frozen_eval``: eval mode, so a step moves batch-norm statistics by its training forwards alone.
Torch is loaded when one of them is used.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from dpls.attacks import PGD, AnyAttack
from dpls.component import Component, article, show_fraction

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise

Forward = Callable[["Tensor"], "Tensor"]
"""Images (B, C, H, W) to logits (B, K), as a training step computes them: the net, or what stands around it."""


class Loss(NamedTuple):
    """values (B,), averaged by the loop; the adversarial logits (B, K) they were computed from make the record free."""

    values: "Tensor"
    logits_adv: "Tensor | None"


def soft_cross_entropy(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """(B,): -sum_k labels_k log p_k, in float32; at least the entropy of the label."""
    return -(labels * logits.float().log_softmax(1)).sum(1)


class Objective(Component):
    """A training objective, and what it says of itself."""

    title: ClassVar[str]
    """What people call it."""
    attacks: ClassVar[bool] = True
    """Whether training shows attacked images."""

    @property
    def passes(self) -> float:
        """Forward passes' worth of a step for one image; one to input and weights and back again is worth three."""
        raise NotImplementedError

    def in_words(self, eps: float) -> str:  # noqa: ARG002
        """Its title and, of what attacks, the radius; ``eps``: the run's."""
        return self.title

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":  # noqa: ARG002
        """(B, C, H, W): the images that ``loss`` is to be computed at; attacks propose in ``dtype``. ``net`` is only
        read."""
        return batch.x

    def loss(self, forward: Forward, batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:
        """The loss of each example for its label (B, K), at the crafted images."""
        raise NotImplementedError


class Standard(Objective):
    """Cross-entropy on clean images."""

    title: ClassVar[str] = "standard training"
    attacks: ClassVar[bool] = False
    kind: Literal["standard"] = "standard"

    @property
    def passes(self) -> float:
        return 3

    def loss(self, forward: Forward, batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        return Loss(soft_cross_entropy(forward(batch.x), labels), None)


class Adversarial(Objective):
    """What trains on attacked images."""

    attack: AnyAttack

    def in_words(self, eps: float) -> str:
        return f"{self.title} {show_fraction(eps if self.attack.eps is None else self.attack.eps)}"


class PGDAT(Adversarial):
    """Adversarial training: cross-entropy at the attacked images (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

    title: ClassVar[str] = "PGD-AT"
    kind: Literal["pgd_at"] = "pgd_at"
    attack: AnyAttack = Field(PGD(), description="inner maximisation")

    @property
    def passes(self) -> float:
        return self.attack.passes + 3

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        from dpls.attacks.goals import CrossEntropyAscent
        from dpls.nets.frozen import frozen_eval

        return self.attack(frozen_eval(net, dtype), batch.x, CrossEntropyAscent(batch.y), noise)

    def loss(self, forward: Forward, batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        logits = forward(x_adv)
        return Loss(soft_cross_entropy(logits, labels), logits)


class TRADES(Adversarial):
    """CE(f(x), label) + beta KL(p(x) || p(x')), gradient through both; x' climbs the KL from x + 0.001 N(0, I).

    Zhang et al., 2019, https://arxiv.org/abs/1901.08573. The label is smoothed, the reference p(x) of the KL is not.
    """

    title: ClassVar[str] = "TRADES"
    kind: Literal["trades"] = "trades"
    beta: float = Field(6.0, ge=0, le=1000, description="weight of the robust term", json_schema_extra=article("6"))
    attack: AnyAttack = Field(PGD(start="gaussian"), description="inner maximisation")

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

    def loss(self, forward: Forward, batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:
        from torch.nn import functional as F

        clean, adversarial = forward(batch.x), forward(x_adv)
        log_p, log_q = (z.float().log_softmax(1) for z in (clean, adversarial))
        divergence = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
        return Loss(soft_cross_entropy(clean, labels) + self.beta * divergence, adversarial)


AnyObjective = Annotated[Standard | PGDAT | TRADES, Field(discriminator="kind")]
