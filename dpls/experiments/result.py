"""What every experiment's result is made of: lines with intervals, sentences, and the images concerned. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls import intervals
from dpls.experiments.outcomes import Outcomes
from dpls.intervals import Difference, Estimate
from dpls.methods.subset import Subset

FEW = 200
"""Test images below which hardly any difference can be seen."""
Verdict = Literal["agrees", "disagrees", "cannot tell", ""]

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


NOT_YET = "Not finished yet."


class Claim(NamedTuple):
    """What the article says, what was seen here, and whether that agrees; '' where it is no question of yes or no."""

    article: str
    seen: str
    """One plain sentence."""
    verdict: Verdict = ""
    numbers: Sequence[str] = ()
    """What the sentence rests on, a line each."""

    @property
    def badge(self) -> Verdict:
        """The verdict, where there is something to judge."""
        return "" if self.seen == NOT_YET else self.verdict

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
        for claim in self.claims:
            said = f" ({claim.badge})" if claim.badge else ""
            parts.append(f"The article: {claim.article}\n\nHere{said}: {claim.words}")
        parts += [f"Note: {note}" for note in self.notes]
        return "\n\n".join(["", *parts])


def compare(o: Outcomes, group: str, names: Sequence[str], against: str) -> list[Line]:
    """Accuracies of arms on test images, each with its paired difference to one of them; what is there so far."""
    found: list[Line] = []
    there = [name for name in (against, *names) if name in o.arms]
    for column in QUANTITIES if set(there) - {against} else ():
        reference = o.right(against, column)
        for name in there:
            right = o.right(name, column)
            if np.isnan(right).all():
                continue
            line = Line(group, name, QUANTITIES[column], intervals.mean(right))
            if name != against and not np.isnan(right - reference).all():
                change = intervals.difference(reference, right)
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


def verdict(change: Difference | None, expected: Literal["higher", "lower"]) -> Verdict:
    """Whether a difference is seen, and goes where it should."""
    if change is None or not change.is_seen:
        return "cannot tell"
    return "agrees" if (change.value > 0) == (expected == "higher") else "disagrees"


def sentence(change: Difference | None, *, higher: str, lower: str, unseen: str) -> str:
    """What a difference means, in one plain sentence with its size."""
    if change is None or not change.n:
        return NOT_YET
    if not change.is_seen:
        return f"{unseen} ({round(100 * change.value, 1) + 0.0:+.1f} ± {100 * change.half:.1f} points)."
    return f"{higher if change.value > 0 else lower} by {100 * abs(change.value):.1f} ± {100 * change.half:.1f} points."


def planted_share(o: Outcomes, name: str) -> list[str]:
    """How many of the hardest that an arm left out are hard on purpose: of wrong labels much would be no surprise."""
    if name not in o.arms or not o.causes().any():
        return []
    chosen = o.chosen(name)
    share = float((chosen & o.causes()).sum() / max(1, chosen.sum()))
    return [f"{share:.0%} of the hardest were made hard on purpose (wrong labels and such)."]


def p_values(first: NDArray[np.floating], second: NDArray[np.floating]) -> str:
    """McNemar's p of each seed that has both."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not np.isnan(b - a).all()]
    return ", ".join(f"{intervals.mcnemar(a, b):.2g}" for a, b in pairs)


def seen(o: Outcomes, name: str, column: str, against: str) -> Difference | None:
    """A paired difference on test images; None where a run of it is missing."""
    if name not in o.arms or against not in o.arms:
        return None
    first, second = o.right(against, column), o.right(name, column)
    return None if np.isnan(second - first).all() else intervals.difference(first, second)


def ties(o: Outcomes, settings: dict[str, Any], which: Sequence[str]) -> list[str]:
    """How arbitrary the cut was: 0-1 scores take few values."""
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
                f"Which are the {name} is partly arbitrary: {', '.join(f'{t:,}' for t in tied)} images (seed by seed)"
                " were as hard as the last one chosen, and the seed decided."
            )
    return found


def about(settings: dict[str, Any], o: Outcomes) -> list[str]:
    """What stands beside every number: attack, checkpoint, seeds, whose scores."""
    base = settings["base"]
    who = {
        "own": "in the run itself",  # smoothing follows a run's own record, as DPLS does
        "another_seed": "in a run of another seed",
        "folds": f"in {settings.get('folds')} runs that each left a fold out",
        "same_seed": "in the run itself (biased: it favours the effect)",
    }[settings.get("scores", "own")]
    border, selection = border_of(settings), base["selection"]
    seeds = min((o.seeds_of(name) for name in o.arms), default=0)
    standard = " (of standard training by clean accuracy)" if settings.get("standard") else ""
    notes = [
        f"Attacked means {o.attack}. Best is the checkpoint chosen by {selection['by']} accuracy on validation images"
        f"{standard} after epoch {border}, last is epoch {base['phases'][-1]['until']}. Difficulty was counted in"
        f" epochs 1 to {border} {who}.",
        "Intervals are 95 %, paired by image and seed; n counts images that some seed had in the set. "
        + (
            f"Of every arm at least {seeds} of {settings['seeds']} seeds so far."
            if seeds < settings["seeds"]
            else f"Seeds: {seeds}."
        )
        + (" One seed says nothing about other seeds." if seeds == 1 else "")
        + (" So few seeds make differences hard to see." if 1 < seeds < 5 else ""),
    ]
    count = int((o.scores[o.scores["seed"] == o.seeds[0]]["split"] == "test").sum())
    if count < FEW:
        notes.insert(0, f"There are {count:,} test images: too few to tell much.")
    return notes


def border_of(settings: dict[str, Any]) -> int:
    """T: the epoch up to which difficulty was counted, as ``plan.Experiment.border`` has it."""
    ends, decays = [phase["until"] for phase in settings["base"]["phases"]], settings["base"]["schedule"]["decays"]
    first = next((decay for decay in decays if decay < ends[-1]), 0)
    last = ends[-2] if len(ends) > 1 else 0
    return (last or first) if settings["kind"] == "smoothing" else (first or last)


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
