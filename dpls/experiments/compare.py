"""From outcomes to the parts of a result, as all kinds of experiments do it: arms compared, words for a difference."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dpls import intervals
from dpls.experiments.base import ByDifficulty, Experiment
from dpls.experiments.outcomes import ALL, Outcomes, percent
from dpls.experiments.result import NOT_YET, Agreement, Dot, Dots, Line
from dpls.intervals import Difference
from dpls.methods.subset import Subset

FEW = 200
"""Test images below which hardly any difference can be seen."""
FEW_SEEDS = 5

QUANTITIES = {
    "attacked_best": "attacked, best",
    "pgd_best": "PGD, best",
    "clean_best": "clean, best",
    "attacked_last": "attacked, last",
    "pgd_last": "PGD, last",
    "clean_last": "clean, last",
    "attacked_average": "attacked, average",
    "pgd_average": "PGD, average",
    "clean_average": "clean, average",
}
"""Columns of outcomes as people call them: the checkpoint chosen on validation images, the last, the weights' mean."""
HARDEST = 0.1
"""Share of the training images whose accuracy tells how much is memorized."""


def compare(o: Outcomes, group: str, names: Sequence[str], against: str) -> list[Line]:
    """Accuracies of arms on test images, each with its paired difference to one of them; what is there so far."""
    there = [name for name in (against, *names) if name in o.arms]
    if not set(there) - {against}:
        return []
    found = [_line(o, group, name, column, against) for column in QUANTITIES for name in there]
    return [line for line in found if line]


def _line(o: Outcomes, group: str, name: str, column: str, against: str) -> Line | None:
    """None where nothing is known of the arm. A mean of weights is compared with the last of who has none."""
    right, reference = o.right(name, column), o.right(against, column)
    if np.isnan(reference).all():
        reference = o.right(against, column.replace("_average", "_last"))
    if np.isnan(right).all():
        return None
    line = Line(group, name, QUANTITIES[column], intervals.mean(right))
    if name == against or np.isnan(right - reference).all():
        return line
    change = intervals.difference(reference, right)
    return line._replace(difference=change, against=against, p=p_values(reference, right))


def p_values(first: NDArray[np.floating], second: NDArray[np.floating]) -> str:
    """McNemar's p of each seed that has both; outcomes (S, N)."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not np.isnan(b - a).all()]
    return ", ".join(f"{intervals.mcnemar(a, b):.2g}" for a, b in pairs)


def seen(o: Outcomes, name: str, column: str, against: str) -> Difference | None:
    """An arm's accuracy minus another's on test images, paired; None where a run of it is missing."""
    if name not in o.arms or against not in o.arms:
        return None
    first, second = o.right(against, column), o.right(name, column)
    return None if np.isnan(second - first).all() else intervals.difference(first, second)


def hardest_of(o: Outcomes) -> NDArray[np.bool_]:
    """(S, N): the hardest tenth of the training examples of each seed."""
    difficulty, found = o.score("difficulty"), np.zeros((len(o.seeds), o.count), dtype=bool)
    for place, row in enumerate(difficulty):
        order = np.argsort(-row, kind="stable")  # NaN last
        found[place, order[: round(HARDEST * int((~np.isnan(row)).sum()))]] = True
    return found


def memorized(o: Outcomes, names: Sequence[str]) -> list[Line]:
    """Accuracy of the hardest tenth of the training images at the last epoch, of all images and of these arms."""
    hard, found = hardest_of(o), []
    reference = np.where(hard, o.right(ALL, "clean_last", "train"), np.nan)
    for name in (name for name in (ALL, *names) if name in o.arms):
        right = np.where(hard, o.right(name, "clean_last", "train"), np.nan)
        if np.isnan(right).all():
            continue
        line = Line("hardest tenth, training", name, "clean, last", intervals.mean(right))
        if name != ALL and not np.isnan(right - reference).all():
            line = line._replace(difference=intervals.difference(reference, right), against=ALL)
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


def agreement(change: Difference | None, expected: Literal["higher", "lower"]) -> Agreement:
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


def ties(e: ByDifficulty, o: Outcomes) -> list[str]:
    """How arbitrary each cut was, with the numbers of every seed: 0-1 scores take few values."""
    found = []
    for which, share in e.cuts:
        told: list[str] = []
        for place, seed in enumerate(o.seeds):
            difficulty, labels = o.score("difficulty")[place], o.score("label")[place]
            known = ~np.isnan(difficulty)
            subset = Subset(action=e.action, which=which, share=share, seed=seed)
            taken = subset.take(difficulty[known], labels[known].astype(np.int64))
            if taken.tied:
                words = f"of {taken.border:,}, {taken.inside:,}" if told else subset.ties_in_words(taken)
                told.append(f"{words} (seed {seed})")
        if told:
            found.append(f"Which are the {which} {percent(share)} is partly arbitrary: {'; '.join(told)}.")
    return found


def about(e: Experiment, o: Outcomes) -> list[str]:
    """What stands beside every number: attack, checkpoint, seeds, whose scores."""
    base, border = e.base, e.border
    standard = " (of standard training by clean accuracy)" if isinstance(e, ByDifficulty) and e.standard else ""
    by = base.difficulty.scores_name
    counted = (
        f"Difficulty is that of the scores {by!r}, computed elsewhere."
        if by
        else f"Difficulty was counted in epochs 1 to {border} {e.counted_in}."
    )
    beside = f" PGD, as in the article, is {o.pgd}." if o.pgd else ""
    if o.attack.startswith("PGD"):
        beside = " PGD alone flatters nets trained with smoothed labels: a stronger attack sees less of such gains."
    notes = [
        f"Attacked means {o.attack}.{beside} Best is the checkpoint chosen by {base.selection.by} accuracy on"
        f" validation images{standard} after epoch {border}, last is epoch {base.epochs}. {counted}",
        "Intervals are 95 %, paired by image and seed; n counts images that some seed had in the set. "
        + _seeds_in_words(min((o.seeds_of(name) for name in o.arms), default=0), e.seeds),
    ]
    count = int((o.scores[o.scores["seed"] == o.seeds[0]]["split"] == "test").sum())
    few = [f"There are {count:,} test images: too few to tell much."] if count < FEW else []
    return few + notes


def _seeds_in_words(there: int, planned: int) -> str:
    words = f"Of every arm at least {there} of {planned} seeds so far." if there < planned else f"Seeds: {there}."
    if there == 1:
        return words + " One seed says nothing about other seeds."
    return words + (" So few seeds make differences hard to see." if 1 < there < FEW_SEEDS else "")
