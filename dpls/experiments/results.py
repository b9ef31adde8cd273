"""What every experiment's result is made of: lines with intervals, sentences, and the images concerned. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls import statistics
from dpls.experiments.outcomes import Outcomes
from dpls.statistics import Difference, Estimate

QUANTITIES = {
    "attacked_best": "attacked, best",
    "clean_best": "clean, best",
    "attacked_last": "attacked, last",
    "clean_last": "clean, last",
}
"""Columns of outcomes as people call them: the checkpoint chosen on validation images, or the last."""


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
    """What the article says, and what was seen here."""

    article: str
    seen: str


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
    suggested: float | None = None
    """A lambda_min, where one can be told from hard labels."""

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

    def text(self) -> str:
        """For a terminal, and as Markdown."""
        parts = [
            "| of | arm | accuracy of | value | difference | McNemar's p |\n|---|---|---|---|---|---|\n"
            + "\n".join(
                f"| {line.group} | {line.arm} | {line.quantity} | {line.estimate} |"
                f" {f'{line.difference}, against {line.against}' if line.difference else ''} | {line.p} |"
                for line in self.lines
            )
        ]
        for chart in self.charts:
            rows = [f"- {s.name}, {x:.3g}: {y}" for s in chart.series for x, y in zip(s.x, s.y, strict=True)]
            parts.append(f"{chart.title} ({chart.y} by {chart.x})\n\n" + "\n".join(rows))
        for title, table in self.tables.items():
            parts.append(f"{title}\n\n{table.to_string(index=False)}")
        parts += [f"The article: {claim.article}\n\nHere: {claim.seen}" for claim in self.claims]
        parts += [f"Note: {note}" for note in self.notes]
        return "\n\n".join(["", *parts])


def compare(
    o: Outcomes,
    group: str,
    names: Sequence[str],
    against: str,
    columns: Sequence[str] = tuple(QUANTITIES),
    split: str = "test",
) -> list[Line]:
    """Accuracies of arms on the same images, each with its paired difference to one of them; what is there so far."""
    found: list[Line] = []
    there = [name for name in (against, *names) if name in o.arms]
    for column in columns if set(there) - {against} else ():
        reference = o.right(against, column, split)
        for name in there:
            right = o.right(name, column, split)
            if np.isnan(right).all():
                continue
            line = Line(group, name, QUANTITIES[column], statistics.mean(right))
            if name != against and not np.isnan(right - reference).all():
                change = statistics.difference(reference, right)
                line = line._replace(difference=change, against=against, p=p_values(reference, right))
            found.append(line)
    return found


def dots_of(lines: Sequence[Line], title: str, quantities: Sequence[str], x: str, differences: bool) -> Dots:
    """Lines of a few quantities as a dot chart."""
    chosen = [line for line in lines if line.quantity in quantities]
    if differences:
        found = [Dot(line.arm, line.quantity, line.difference) for line in chosen if line.difference]
    else:
        compared_first = sorted(chosen, key=lambda line: line.difference is None)
        found = [Dot(line.arm, line.quantity, line.estimate) for line in compared_first]
    return Dots(title, x, found, differences)


def p_values(first: NDArray[np.floating], second: NDArray[np.floating]) -> str:
    """McNemar's p of each seed that has both."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not np.isnan(b - a).all()]
    return ", ".join(f"{statistics.mcnemar(a, b):.2g}" for a, b in pairs)


def seen(o: Outcomes, name: str, column: str, against: str) -> str:
    """A difference in words; '' where a run of it is missing."""
    if name not in o.arms or against not in o.arms:
        return ""
    first, second = o.right(against, column), o.right(name, column)
    return "" if np.isnan(second - first).all() else str(statistics.difference(first, second))


def ties(o: Outcomes, settings: dict[str, Any], which: Sequence[str]) -> list[str]:
    """How arbitrary the cut was: 0-1 scores take few values."""
    from dpls.subsets import Subset

    found = []
    for name in which:
        tied = []
        for place, seed in enumerate(o.seeds):
            difficulty, labels = o.score("difficulty")[place], o.score("label")[place]
            known = ~np.isnan(difficulty)
            subset = Subset(which=name, share=settings["share"], seed=seed)
            tied.append(subset.take(difficulty[known], labels[known].astype(np.int64)).tied)
        if any(tied):
            found.append(
                f"At the cut of the {name} {', '.join(f'{t:,}' for t in tied)} examples (seed by seed) were tied with"
                " one inside; the seed chose among them."
            )
    return found


def about(settings: dict[str, Any], o: Outcomes) -> list[str]:
    """What stands beside every number: attack, checkpoint, seeds, whose scores."""
    base = settings["base"]
    judge = settings.get("scores", "own")  # smoothing follows a run's own record, as DPLS does
    who = {
        "own": "the run itself",
        "another_seed": "a run of another seed",
        "folds": f"{settings.get('folds')} runs that each left a fold out",
        "same_seed": "the run itself (biased: it favours the effect)",
    }[judge]
    selection = base["selection"]
    return [
        f"Attacked means {o.attack}. Best is the checkpoint chosen by {selection['by']} accuracy on validation images"
        f" among the epochs after the border, last is epoch {base['phases'][-1]['until']}. Difficulty was counted up to"
        f" the border by {who}.",
        f"Intervals are 95 %, paired by image and seed ({len(o.seeds)} of {settings['seeds']} seeds so far)."
        + (" One seed says nothing about other seeds." if len(o.seeds) == 1 else "")
        + (" With fewer than 5 seeds they may be too narrow." if 1 < len(o.seeds) < 5 else ""),
    ]


def result_of(stored: Any) -> Result:
    """The result of an experiment's folder, from the runs that have finished."""
    from dpls.experiments import membership, pruning, smoothing, subsets

    summarise: dict[str, Callable[[dict[str, Any], Outcomes], Result]] = {
        "pruning": pruning.summarise,
        "subsets": subsets.summarise,
        "membership": membership.summarise,
        "smoothing": smoothing.summarise,
    }
    return summarise[stored.kind](stored.settings, stored.outcomes())
