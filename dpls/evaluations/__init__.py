"""Evaluations: which examples a net gets right, clean or attacked. A new one is a file and a name.

A name in ``AnyEvaluation`` can be asked for by a recipe and by the command line. Above the attacks stand procedures
(``base``), which take longer than a call and append their outcomes chunk by chunk.

accuracy     a share with its interval
base         the procedure
compared     finished ones side by side: worst case, accuracy against eps, by group, who flips
conduct      one evaluation from its first chunk to its files (loads torch)
evaluation   which examples are left, and what is known of the others (loads torch)
judge        what counts as right; the evaluation by an attack, or by none (loads torch)
procedures/  AutoAttack, A3, RayS; DiffPure, which defends
store        the files: chunks, then the table, then what is said of it
trust/       what speaks for and against a robust accuracy
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from dpls.attacks import AnyAttack
from dpls.component import members
from dpls.errors import UserError
from dpls.evaluations.procedures.a3 import A3
from dpls.evaluations.procedures.autoattack import AutoAttack
from dpls.evaluations.procedures.diffpure import DiffPure
from dpls.evaluations.procedures.rays import RayS
from dpls.evaluations.trust.checks import Checks

AnyEvaluation: TypeAlias = Annotated[
    AnyAttack | AutoAttack | A3 | RayS | DiffPure | Checks, Field(discriminator="kind")
]
"""What can be made beside the clean one."""


def named(name: str) -> AnyEvaluation:
    """The evaluation that a short name means: 'pgd20' is PGD with 20 steps of eps / 4 from a uniform start."""
    family: tuple[type[AnyEvaluation], ...] = members(AnyEvaluation)
    for kind in family:
        if found := kind.named(name.lower()):
            return found
    raise UserError(f"unknown attack {name!r}; choose from {', '.join(kind.examples for kind in family)}")


__all__ = ["A3", "AnyEvaluation", "AutoAttack", "Checks", "DiffPure", "RayS", "named"]
