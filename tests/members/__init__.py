"""Members of families that only tests know: each is a file here, which goes into its room, and a name in the registry."""

from typing import NamedTuple


class Member(NamedTuple):
    """A file of this folder, the room it goes to, and what makes it known: a text of the registry, and that with its name."""

    file: str
    room: str
    registry: str
    before: str
    after: str


MEMBERS: tuple[Member, ...] = (
    Member(
        "one_step.py",
        "dpls/attacks",
        "dpls/attacks/__init__.py",
        "AnyAttack: TypeAlias = Annotated[PGD | PMA | Margins,",
        "from dpls.attacks.one_step import OneStep\n\nAnyAttack: TypeAlias = Annotated[PGD | PMA | Margins | OneStep,",
    ),
    Member(
        "half_and_half.py",
        "dpls/methods",
        "dpls/methods/objectives.py",
        "Plain: TypeAlias = Standard | PGDAT",
        "from dpls.methods.half_and_half import HalfAndHalf\n\nPlain: TypeAlias = HalfAndHalf | Standard | PGDAT",
    ),
    Member(
        "worst_loss.py",
        "dpls/difficulty",
        "dpls/difficulty/measures.py",
        "MEASURES: dict[str, Measure] = {\n",
        "from dpls.difficulty.worst_loss import worst_loss\n\n"
        'MEASURES: dict[str, Measure] = {\n    "worst_loss": Measure(worst_loss, True, "Worst loss"),\n',
    ),
    Member(
        "halves.py",
        "dpls/experiments/kinds",
        "dpls/experiments/kinds/__init__.py",
        "= (Pruning, Subsets, Membership, Methods, Smoothing, CScore)",
        "= (Pruning, Subsets, Membership, Methods, Smoothing, CScore, __import__('dpls.experiments.kinds.halves', fromlist=['_']).Halves)",
    ),
)
