"""Membership: what does a net get right only because it saw it? Include and exclude the hardest, easiest, random."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls import intervals
from dpls.experiments.outcomes import ALL, Outcomes, among, arm, dropped, percent
from dpls.experiments.result import (
    NOT_YET,
    QUANTITIES,
    Claim,
    Dot,
    Dots,
    Images,
    Line,
    Result,
    Verdict,
    about,
    planted_share,
    sentence,
    ties,
    verdict,
)
from dpls.intervals import Difference

SIDES = ("hardest", "easiest", "matched")
NAMES = {"hardest": "hardest", "easiest": "easiest", "matched": "random"}
BY_IMAGE = "Image by image"
ENOUGH = 20
"""Runs without an image from which on an answer about it alone has an interval narrower than half the scale."""


def summarise(settings: dict[str, Any], o: Outcomes) -> Result:
    """Accuracy on a share of the training images, with and without these in training; four cells; image by image."""
    share, lines = settings["share"], []
    for column in ("clean_last", "attacked_last"):
        for which in SIDES:
            lines += _gap(o, which, share, column, "adversarial")
            for planted in (True, False) if o.causes().any() and which == "hardest" else ():
                lines += _gap(o, which, share, column, "adversarial", planted=planted)
            if settings["standard"]:
                lines += _gap(o, which, share, column, "standard", standard=True)
            if settings["dpls"] and which != "easiest":
                lines += _gap(o, which, share, column, "DPLS", dpls=True)
    notes = about(settings, o) + ties(o, settings, ("hardest", "easiest"))
    notes.append("Training images are judged at the last epoch, un-augmented: memorization is complete at the end.")
    tables = {"Normal and hard, seen and unseen": _cells(settings, o)}
    by_image = answers(settings, o)
    if len(by_image):
        tables[BY_IMAGE] = by_image
        if len(o.seeds) < ENOUGH:
            notes.append(
                f"Image by image there are {len(o.seeds)} runs without each image: too few to tell memorized from not"
                f" for one image alone; {ENOUGH} or more seeds would."
            )
    dots = [_dots(lines, quantity) for quantity in ("clean", "attacked")]
    return Result(lines, _claims(settings, o), notes, _images(settings, o), [d for d in dots if d.dots], (), tables)


def _dots(lines: list[Line], quantity: str) -> Dots:
    """Each set's accuracy with and without it in training, in one row."""
    found = []
    for line in (line for line in lines if line.quantity == quantity):
        name, side = line.arm.rsplit(", ", 1)
        found.append(Dot(name if line.group == "adversarial" else f"{name}, {line.group}", side, line.estimate))
    return Dots(f"Training images, {quantity}", "accuracy at the last epoch", found)


def sets(
    o: Outcomes, which: str, share: float, *, planted: bool | None = None, standard: bool = False, dpls: bool = False
) -> NDArray[np.bool_]:
    """(S, N): the training examples that the excluding run left out; of these only planted or natural ones."""
    chosen = o.chosen(arm(dropped(which, share), standard=standard, dpls=dpls))
    return chosen if planted is None else chosen & (o.causes() == planted)


def gap(
    o: Outcomes,
    which: str,
    share: float,
    column: str,
    *,
    planted: bool | None = None,
    standard: bool = False,
    dpls: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(S, N) each, NaN outside the excluded set: right when excluded, when included; None where a run is missing."""
    without, everything = (arm(n, standard=standard, dpls=dpls) for n in (dropped(which, share), ALL))
    if without not in o.arms or everything not in o.arms:
        return None
    rows = sets(o, which, share, planted=planted, standard=standard, dpls=dpls)
    excluded, included = (among(o.right(name, column, "train"), rows) for name in (without, everything))
    both = ~np.isnan(excluded + included)
    return (among(excluded, both), among(included, both)) if both.any() else None


def _gap(o: Outcomes, which: str, share: float, column: str, group: str, **settings: Any) -> list[Line]:
    found = gap(o, which, share, column, **settings)
    if found is None:
        return []
    excluded, included = found
    name = f"{NAMES[which]} {percent(share)}"
    if settings.get("planted") is not None:
        name += ", planted" if settings["planted"] else ", natural"
    quantity = QUANTITIES[column].split(",")[0]
    return [
        Line(group, f"{name}, excluded", quantity, intervals.mean(excluded)),
        Line(
            group,
            f"{name}, included",
            quantity,
            intervals.mean(included),
            intervals.difference(excluded, included),
            "excluded",
            "",
        ),
    ]


def memorized(o: Outcomes, which: str, share: float, column: str, **settings: Any) -> Difference | None:
    """Included minus excluded: the share of the set that is right only because it was seen."""
    found = gap(o, which, share, column, **settings)
    return intervals.difference(*found) if found else None


def _cells(settings: dict[str, Any], o: Outcomes) -> pd.DataFrame:
    """Accuracy of the run on all images: normal and hard, training and test; hard are as hard as the hardest share."""
    rows = []
    for split, title in (("train", "training"), ("test", "test")):
        difficulty, hard = o.score("difficulty", split), np.zeros((len(o.seeds), o.count), dtype=bool)
        for place in range(len(o.seeds)):
            train = o.score("difficulty")[place]
            train = np.sort(train[~np.isnan(train)])[::-1]
            cut = train[max(0, round(settings["share"] * len(train)) - 1)] if len(train) else np.nan
            hard[place] = difficulty[place] >= cut
        for kind, chosen in (("normal", ~hard & ~np.isnan(difficulty)), ("hard", hard)):
            row: dict[str, Any] = {"images": f"{kind}, {title}"}
            for column, name in (("clean_last", "clean"), ("attacked_last", "attacked")):
                values = among(o.right(ALL, column, split), chosen)
                row[name] = "none" if np.isnan(values).all() else str(intervals.mean(values))
            rows.append(row | {"images a seed": round(float(chosen.sum(1).mean()), 1)})
    return pd.DataFrame(rows)


def answers(settings: dict[str, Any], o: Outcomes, ids: Sequence[int] = ()) -> pd.DataFrame:
    """In how many runs that saw an image, and in how many that did not, it was right: these ids, or the 12 hardest.

    Empty where no run left a fold out.
    """
    folds = [f"without fold {k + 1} of {settings['answers']}" for k in range(settings["answers"])]
    folds = [name for name in folds if name in o.arms]
    if not folds:
        return pd.DataFrame()
    right = np.stack([o.right(name, "clean_last", "train") for name in folds])
    saw = np.stack([o.took_part(name) for name in folds])
    difficulty = o.mean_difficulty()
    rows = []
    for example in ids or np.argsort(-difficulty, kind="stable")[:12].tolist():
        values, inside = right[:, :, example].ravel(), saw[:, :, example].ravel() > 0
        known = ~np.isnan(values)
        ins, outs = values[known & inside], values[known & ~inside]
        if not len(ins) or not len(outs):
            continue
        low, high = _newcombe(ins.sum(), len(ins), outs.sum(), len(outs))
        rows.append(
            {
                "id": example,
                "difficulty": round(float(difficulty[example]), 2),
                "seen": f"{ins.sum():.0f} of {len(ins)}",
                "unseen": f"{outs.sum():.0f} of {len(outs)}",
                "memorized": f"{ins.mean() - outs.mean():+.0%} [{100 * low:+.0f}, {100 * high:+.0f}]",
            }
        )
    return pd.DataFrame(rows)


def _newcombe(a: float, n: int, b: float, m: int) -> tuple[float, float]:
    """95 % interval of a/n - b/m from both Wilson intervals. Newcombe, 1998, Statistics in Medicine 17, method 10."""
    p, q = a / n, b / m
    (low, high), (low2, high2) = intervals.wilson(a, n), intervals.wilson(b, m)
    return p - q - math.hypot(p - low, high2 - q), p - q + math.hypot(high - p, q - low2)


def _claims(settings: dict[str, Any], o: Outcomes) -> list[Claim]:
    share = settings["share"]
    gaps = {which: gap(o, which, share, "clean_last") for which in SIDES}
    told = []
    for which, found in gaps.items():
        if found:
            excluded, included = (intervals.mean(values) for values in found)
            told.append(f"{NAMES[which].capitalize()} {percent(share)}: {included} included, {excluded} excluded.")
    hard, other = gaps["hardest"], gaps["matched"]
    right = [intervals.mean(values).value for values in hard] if hard else []
    claims = [
        Claim(
            "CIFAR-10, the hardest 5,000 of 50,000 (10%): about 100% right when included, about 0% when excluded; the"
            " easiest are right either way.",
            f"Of the hardest {percent(share)}, {right[1]:.0%} are right when the network saw them in training, and"
            f" {right[0]:.0%} when it did not."
            if hard
            else NOT_YET,
            _memorized(gaps),
            [
                *told,
                "Clean accuracy on these training images at the last epoch.",
                *planted_share(o, dropped("hardest", share)),
            ]
            if told
            else (),
        )
    ]
    if hard and other and (change := intervals.between(other[1] - other[0], hard[1] - hard[0])).n:
        said = sentence(
            change,
            higher="To have been seen in training helps the hardest more than random ones,",
            lower="To have been seen in training helps the hardest less than random ones,",
            unseen="To have been seen in training is not seen to help the hardest more than random ones",
        )
        numbers = [f"Included minus excluded, the hardest against random: {change}."]
        claims.append(Claim("Hard examples are memorized, others learnt.", said, verdict(change, "higher"), numbers))
    smooth = gap(o, "hardest", share, "clean_last", dpls=True) if settings["dpls"] else None
    if hard and smooth and (change := intervals.between(hard[1] - hard[0], smooth[1] - smooth[0])).n:
        said = sentence(
            change,
            higher="With DPLS more of the hardest are memorized,",
            lower="With DPLS fewer of the hardest are memorized,",
            unseen="DPLS is not seen to change how many of the hardest are memorized",
        )
        numbers = [f"Included minus excluded of the hardest, DPLS against hard labels: {change}."]
        claims.append(Claim("DPLS reduces memorization.", said, verdict(change, "lower"), numbers))
    return claims


def _memorized(gaps: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]] | None]) -> Verdict:
    """Whether most of the hardest are right when included, most are not when excluded, and most of the easiest are
    right either way."""
    parts = []  # (a set's accuracy, whether it should lie above one half)
    for which, found in gaps.items():
        if found and which in ("hardest", "easiest"):
            excluded, included = (intervals.mean(values) for values in found)
            parts += [(included, True), (excluded, which == "easiest")]
    if any((e.high < 0.5) if above else (e.low > 0.5) for e, above in parts):
        return "disagrees"
    clear = all((e.low > 0.5) if above else (e.high < 0.5) for e, above in parts)
    return "agrees" if clear and gaps["hardest"] and gaps["easiest"] else "cannot tell"


def _images(settings: dict[str, Any], o: Outcomes) -> list[Images]:
    found = gap(o, "hardest", settings["share"], "clean_last")
    if found is None:
        return []
    difficulty = o.mean_difficulty()
    gained = np.nansum(found[1] - found[0], axis=0)
    known = np.isfinite(found[0]).sum(0) > 0
    by = np.lexsort((-difficulty, -gained))
    return [
        Images("Memorized", "Right only where they were seen: by how many seeds.", by[gained[by] > 0]),
        Images(
            "Hard, not memorized",
            "Seen in training or not, they were right as often.",
            by[(gained[by] == 0) & known[by]],
        ),
    ]
