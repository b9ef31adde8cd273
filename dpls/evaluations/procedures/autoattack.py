"""AutoAttack, a lighter ladder of its attacks, and these attacks one by one: settings."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from dpls.component import show_fraction
from dpls.errors import UserError
from dpls.evaluations.base import Procedure
from dpls.evaluations.procedures.stages import LADDERS, PUBLISHED, SINGLE, Ladder, Stage

if TYPE_CHECKING:
    import pandas as pd

    from dpls.evaluations.evaluation import Evaluation

PACKAGE = "pyautoattack"
SQUARE_MOST = 0.002
"""Share that Square may break after the attacks with gradients; the reference, too, warns where it is more."""
NEVER = "not to be reported as AutoAttack"


class AutoAttack(Procedure):
    """AutoAttack, L-infinity (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690), by the authors' implementation.

    The column ``broken_by`` names the attack that broke an example, "clean" where it was wrong before any, and is empty
    where it is right; the accuracy after each attack follows from it.
    """

    examples: ClassVar[str] = "autoattack, autoattack-plus, autoattack-rand, autoattack-light, " + ", ".join(SINGLE)
    images_a_chunk: ClassVar[int] = 100
    """Few, since an image takes thousands of passes."""

    kind: Literal["autoattack"] = "autoattack"
    version: Literal["standard", "plus", "rand", "light", Stage] = Field(
        "standard",
        description="standard, plus and rand as published; light, a shorter ladder for CPUs; or one of the attacks",
    )
    steps: int | None = Field(
        None, ge=1, le=10_000, description="of each attack with gradients; none: the version's, 100, of light 50"
    )
    targets: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="by apgd-t and fab-t, the likeliest first; all others at most; none: the version's, 9, of light 3",
    )
    queries: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="none: the version's, 5000, of light 500",
    )

    @classmethod
    def named(cls, name: str) -> Self | None:
        """'autoattack' is AutoAttack standard, 'autoattack-light' another version, 'apgd-ce' one attack by itself."""
        meant = {f"autoattack-{v}": v for v in LADDERS if v not in SINGLE} | {v: v for v in SINGLE}
        found = (meant | {"autoattack": "standard"}).get(name)
        return cls.model_validate({"version": found}) if found else None

    @property
    def ladder(self) -> Ladder:
        """The version's, with the numbers that are set in place of its own."""
        own = {"steps": self.steps, "targets": self.targets, "queries": self.queries}
        return LADDERS[self.version]._replace(**{name: value for name, value in own.items() if value is not None})  # type: ignore[arg-type]

    @property
    def _changed(self) -> dict[str, int]:
        """Numbers that are not the version's."""
        own, known = self.ladder._asdict(), LADDERS[self.version]._asdict()
        return {what: value for what, value in own.items() if value != known[what]}

    @property
    def name(self) -> str:
        name = self.version if self.version in SINGLE else f"autoattack-{self.version}".removesuffix("-standard")
        return "-".join([name, *(f"{what}-{value}" for what, value in self._changed.items())])

    @property
    def title(self) -> str:
        eps = f"eps {show_fraction(self.radius)}"
        if self.version in SINGLE:
            return f"{self.ladder}, {eps}"
        if self.version in PUBLISHED and not self._changed:
            return f"AutoAttack {self.version}, {eps}"
        return f"AutoAttack {self.version}{', changed' if self._changed else ''} ({self.ladder}), {eps}"

    @property
    def passes(self) -> float:
        return self.ladder.passes()

    @property
    def reported(self) -> dict[str, Any]:
        try:
            reference = f"{PACKAGE} {version(PACKAGE)}"
        except PackageNotFoundError:
            reference = None
        return super().reported | self.ladder._asdict() | {"reference": reference}

    @property
    def doubts(self) -> list[str]:
        if self.version in SINGLE:
            return [f"one attack by itself, where an ensemble finds more: {self.ladder}; {NEVER}"]
        if self.version not in PUBLISHED:
            return [f"a lighter ladder than AutoAttack standard, for CPUs: {self.ladder}; {NEVER}"]
        if self._changed:
            return [f"AutoAttack {self.version} with other numbers: {self.ladder}; {NEVER}"]
        if self.version == "rand":
            return ["AutoAttack rand is for nets that answer at random; this one does not, and standard finds more"]
        return []

    def warnings(self, table: "pd.DataFrame") -> list[str]:
        if self.version in SINGLE or table.empty:
            return []
        more = int((table["broken_by"] == "square").sum()) / len(table)
        if more <= SQUARE_MOST:
            return []
        return [
            f"Square, which needs no gradients, broke {more:.1%} of the images after attacks that do:"
            " gradients may be masked, and the accuracy too high"
        ]

    def check_installed(self) -> None:
        if find_spec(PACKAGE) is None:
            raise UserError(
                f"AutoAttack and its attacks need the package {PACKAGE}, which is not installed; install it with"
                f" `pip install {PACKAGE}`"
            )

    def run(self, evaluation: "Evaluation") -> None:
        self.check_installed()
        from dpls.evaluations.procedures.reference import climb

        climb(evaluation, self, self.ladder)
