"""What every objective shares: ``craft``, the inner maximisation, and ``loss``, the outer minimisation.

Labels are soft, (B, K), and enter the outer loss only; the inner maximisation always climbs with the hard label.
Crafting goes through ``frozen_eval``: eval mode, so a step moves batch-norm statistics by its training forwards alone.
Torch is loaded when one of them is used.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dpls.attacks import AnyAttack
from dpls.component import Component, show_fraction

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise


class Loss(NamedTuple):
    """values (B,), averaged by the loop; the adversarial logits (B, K) they were computed from make the record free."""

    values: "Tensor"
    logits_adv: "Tensor | None"


def soft_cross_entropy(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """(B,): -sum_k labels_k log p_k, in float32; at least the entropy of the label."""
    return -(labels * logits.float().log_softmax(1)).sum(1)


def loss_at(forward: "nn.Module", x_adv: "Tensor", labels: "Tensor") -> Loss:
    """The soft cross-entropy at attacked images alone."""
    logits = forward(x_adv)
    return Loss(soft_cross_entropy(logits, labels), logits)


def climb_cross_entropy(
    attack: AnyAttack, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype"
) -> "Tensor":
    """(B, C, H, W): the attack up the cross-entropy of the hard label, on the net in eval mode."""
    from dpls.attacks.goals import CrossEntropyAscent
    from dpls.nets.frozen import frozen_eval

    return attack(frozen_eval(net, dtype), batch.x, CrossEntropyAscent(batch.y), noise)


class Passes(NamedTuple):
    """Passes of one image through the net: forward, and back again."""

    forward: int
    backward: int


class Objective(Component):
    """A training objective, and what it says of itself."""

    @property
    def title(self) -> str:
        """What people call it."""
        raise NotImplementedError

    @property
    def attacks(self) -> bool:
        """Whether training shows attacked images."""
        return True

    @property
    def crafting(self) -> Passes:
        """Of ``craft``: back to the image."""
        return Passes(0, 0)

    @property
    def training(self) -> Passes:
        """Of ``loss`` and of what it is for: back to image and weights."""
        raise NotImplementedError

    @property
    def passes(self) -> float:
        """Forward passes' worth of a step for one image; back to the image costs one, to image and weights two."""
        crafting, training = self.crafting, self.training
        return crafting.forward + crafting.backward + training.forward + 2 * training.backward

    def in_words(self, eps: float) -> str:  # noqa: ARG002
        """Its title and, of what attacks, the radius; ``eps``: the run's."""
        return self.title

    def stopped_by(self, rows: Sequence[Mapping[str, Any]]) -> str:  # noqa: ARG002
        """Why training must not go on after these rows of metrics.jsonl, a sentence; empty where it may."""
        return ""

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":  # noqa: ARG002
        """(B, C, H, W): the images that ``loss`` is to be computed at; attacks propose in ``dtype``. ``net`` is only
        read."""
        return batch.x

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:
        """The loss of each example for its label (B, K), at the crafted images.

        ``forward``: what training goes through, the net or a module around it; it has the parameters that are trained,
        so whoever perturbs weights calls it with others in their place (``torch.func.functional_call``).
        """
        raise NotImplementedError


class Adversarial(Objective):
    """What trains on images that an attack makes."""

    attack: AnyAttack

    @property
    def crafting(self) -> Passes:
        steps = round(self.attack.passes / 2)
        return Passes(steps, steps)

    def in_words(self, eps: float) -> str:
        return f"{self.title} {show_fraction(eps if self.attack.eps is None else self.attack.eps)}"
