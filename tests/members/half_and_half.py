"""A test's own objective: the mean of the cross-entropies at the clean and at the attacked image."""

from typing import Literal

from pydantic import Field

from dpls.attacks import PGD, AnyAttack
from dpls.methods.objective import Adversarial, Loss, Passes, soft_cross_entropy


class HalfAndHalf(Adversarial):
    """Half clean, half attacked."""

    kind: Literal["half_and_half"] = "half_and_half"
    attack: AnyAttack = Field(PGD(), description="inner maximisation")

    @property
    def title(self) -> str:
        return "Half and half"

    @property
    def training(self) -> Passes:
        return Passes(2, 2)

    def craft(self, net, batch, noise, dtype):
        from dpls.attacks.goals import CrossEntropyAscent
        from dpls.nets.frozen import frozen_eval

        return self.attack(frozen_eval(net, dtype), batch.x, CrossEntropyAscent(batch.y), noise)

    def loss(self, forward, batch, x_adv, labels):
        clean, adversarial = forward(batch.x), forward(x_adv)
        both = soft_cross_entropy(clean, labels) + soft_cross_entropy(adversarial, labels)
        return Loss(both / 2, adversarial)
