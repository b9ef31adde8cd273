"""Attacks: settings with ``__call__(net, x, goal, noise) -> x_adv``. A new one is a file and a name in the union.

What is not here: who judges the result (``dpls.evaluation``) and which loss training uses (``dpls.objectives``).
"""

import re
from typing import TypeAlias

from dpls.attacks.base import Attack, CrossEntropyAscent, Eps, Goal, KullbackLeiblerAscent, Misclassification
from dpls.attacks.pgd import PGD
from dpls.errors import UserError

AnyAttack: TypeAlias = PGD
"""The family; a discriminated union on ``kind`` as soon as there are two."""


def named(name: str) -> AnyAttack:
    """The attack a short name means: 'pgd20' is PGD with 20 steps of eps / 4 from a uniform start."""
    if match := re.fullmatch(r"pgd([1-9]\d{0,2})", name.lower()):
        return PGD(steps=int(match[1]))
    raise UserError(f"unknown attack {name!r}; choose from pgd10, pgd20, pgd50 (any number of steps up to 999)")


__all__ = [
    "PGD",
    "AnyAttack",
    "Attack",
    "CrossEntropyAscent",
    "Eps",
    "Goal",
    "KullbackLeiblerAscent",
    "Misclassification",
    "named",
]
