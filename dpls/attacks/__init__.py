"""Attacks: settings with ``__call__(net, x, goal, noise) -> x_adv``. A new one is a file and a name in the union.

What is not here: who judges the result (``dpls.evaluations``) and which loss training uses (``dpls.methods``).

base     the threat set, and what an attack says of itself
goals    what an attack climbs, and when it has won (loads torch)
pgd      projected gradient descent
"""

from typing import TypeAlias

from dpls.attacks.base import Attack, Eps
from dpls.attacks.pgd import PGD

AnyAttack: TypeAlias = PGD
"""The family; a discriminated union on ``kind`` as soon as there are two."""

__all__ = ["PGD", "AnyAttack", "Attack", "Eps"]
