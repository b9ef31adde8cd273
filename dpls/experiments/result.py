"""What every experiment's result is made of: lines with intervals, sentences, charts, images; as text. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.evaluations.trust.card import Line as TrustLine
from dpls.intervals import Difference, Estimate

Agreement = Literal["agrees", "disagrees", "cannot tell", ""]
NOT_YET = "Not finished yet."


class Line(NamedTuple):
    """A number of an arm: an accuracy, and its difference to what it is compared with."""

    group: str
    arm: str
    quantity: str
    estimate: Estimate
    difference: Difference | None = None
    against: str = ""
    p: str = ""
    """McNemar's p, seed by seed."""


class Claim(NamedTuple):
    """What the article says, what was seen here, and whether that agrees; '' where it is no question of yes or no."""

    article: str
    seen: str
    """One plain sentence."""
    agreement: Agreement = ""
    numbers: Sequence[str] = ()
    """What the sentence rests on, a line each."""

    @property
    def badge(self) -> Agreement:
        """The agreement, where there is something to judge."""
        return "" if self.seen == NOT_YET else self.agreement

    @property
    def words(self) -> str:
        return "\n\n".join((self.seen, *self.numbers))


class Images(NamedTuple):
    """Some examples worth looking at: ids, the most telling first."""

    title: str
    explanation: str
    ids: NDArray[np.int64]


class Dot(NamedTuple):
    """A number with its interval, in the row ``label`` of a dot chart."""

    label: str
    series: str
    estimate: Estimate


class Dots(NamedTuple):
    """A dot chart: differences around 0, or accuracies."""

    title: str
    x: str
    dots: Sequence[Dot]
    differences: bool = False


class Series(NamedTuple):
    """Points of a line chart: x, and what was seen there."""

    name: str
    x: Sequence[float]
    y: Sequence[Estimate]


class Chart(NamedTuple):
    """A line chart of series against a share."""

    title: str
    x: str
    y: str
    series: Sequence[Series]


class ByImage(NamedTuple):
    """A table with a row an image, first of some images, and of others where somebody asks for them."""

    title: str
    table: pd.DataFrame
    of: Callable[[Sequence[int]], pd.DataFrame]
    """The same table of these ids; no row for an image about which nothing is known."""
    ids_below: int


@dataclass(frozen=True)
class Result:
    """What has been seen so far."""

    lines: Sequence[Line]
    claims: Sequence[Claim]
    notes: Sequence[str] = ()
    images: Sequence[Images] = ()
    dots: Sequence[Dots] = ()
    charts: Sequence[Chart] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    by_image: ByImage | None = None
    suggested: float | None = None
    """A lambda_min, where one can be told from hard labels."""
    trust: Sequence[TrustLine] = ()
    """What speaks for and against its robust accuracies."""

    def table(self) -> pd.DataFrame:
        """Lines as a table for people and for export."""
        return pd.DataFrame(
            [
                {
                    "of": line.group,
                    "arm": line.arm,
                    "accuracy of": line.quantity,
                    "value": str(line.estimate),
                    "difference": str(line.difference) if line.difference else "",
                    "against": line.against,
                    "McNemar's p by seed": line.p,
                    "n": line.estimate.n,
                    "seeds": line.estimate.seeds,
                }
                for line in self.lines
            ]
        )

    def numbers(self) -> pd.DataFrame:
        """Lines as numbers, for programs; fractions."""
        rows = []
        for line in self.lines:
            row = {"of": line.group, "arm": line.arm, "accuracy_of": line.quantity, **line.estimate._asdict()}
            change = line.difference
            row |= {
                f"difference_{name}": getattr(change, name) if change else None for name in ("value", "low", "high")
            }
            rows.append(row | {"against": line.against, "mcnemar_p_by_seed": line.p})
        return pd.DataFrame(rows)

    def text(self) -> str:
        """For a terminal, and as Markdown."""
        head = "| of | arm | accuracy of | value | difference | McNemar's p |\n|---|---|---|---|---|---|\n"
        tables = dict(self.tables)
        if self.by_image:
            tables[self.by_image.title] = self.by_image.table
        parts = [
            "",
            head + "\n".join(_line_as_text(line) for line in self.lines),
            *(_chart_as_text(chart) for chart in self.charts),
            *(f"{title}\n\n{table.to_string(index=False)}" for title, table in tables.items()),
            *(_claim_as_text(claim) for claim in self.claims),
            *(f"Note: {note}" for note in self.notes),
            "\n".join(f"- Trust, {line.title.lower()}: {line.colour}. {line.sentence}" for line in self.trust),
        ]
        return "\n\n".join(parts).rstrip()


def _line_as_text(line: Line) -> str:
    change = f"{line.difference}, against {line.against}" if line.difference else ""
    return f"| {line.group} | {line.arm} | {line.quantity} | {line.estimate} | {change} | {line.p} |"


def _chart_as_text(chart: Chart) -> str:
    rows = [f"- {s.name}, {x:.3g}: {y}" for s in chart.series for x, y in zip(s.x, s.y, strict=True)]
    return f"{chart.title} ({chart.y} by {chart.x})\n\n" + "\n".join(rows)


def _claim_as_text(claim: Claim) -> str:
    said = f" ({claim.badge})" if claim.badge else ""
    return f"The article: {claim.article}\n\nHere{said}: {claim.words}"
