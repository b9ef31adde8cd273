"""Attacks: settings with ``__call__(net, x, goal, noise) -> x_adv``. A new one is a file and a name in the union.

What is not here: who judges the result (``dpls.evaluations``) and which loss training uses (``dpls.methods``).

base     the threat set, and what an attack says of itself
goals    what an attack climbs, and when it has won (loads torch)
ascent   signed steps along a gradient, one ascent after another (loads torch)
pgd      projected gradient descent
pma      the probability margin attack
margins  margins of logits, then targets: what judges
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from dpls.attacks.base import Attack, Eps
from dpls.attacks.margins import Margins
from dpls.attacks.pgd import PGD
from dpls.attacks.pma import PMA

AnyAttack: TypeAlias = Annotated[PGD | PMA | Margins, Field(discriminator="kind")]
"""The family that a configuration chooses from."""

__all__ = ["PGD", "PMA", "AnyAttack", "Attack", "Eps", "Margins"]
