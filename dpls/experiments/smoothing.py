"""Smoothing: which lambda_min, and is proportion to difficulty worth anything? Against as much smoothing for others."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpls import intervals
from dpls.experiments.outcomes import ALL, CONTROLS, Outcomes, smoothed
from dpls.experiments.result import (
    NOT_YET,
    Chart,
    Claim,
    Dot,
    Dots,
    Line,
    Result,
    Series,
    about,
    compare,
    seen,
    sentence,
    verdict,
)
from dpls.intervals import Difference

HARDEST = 0.1
"""Share of the training images whose accuracy tells how much is memorized."""


class Suggestion(NamedTuple):
    """A lambda_min, or None where nothing can be told apart; what it gains over hard labels on validation images."""

    lambda_min: float | None
    gain: Difference
    against_uniform: Difference | None
    words: str


def summarise(settings: dict[str, Any], o: Outcomes) -> Result:
    """Accuracies by lambda_min and by mean factor, controls at one of them, memorization, and a suggestion."""
    grid, control = values(settings, o), settings["control"]
    lines = compare(o, "lambda_min", [smoothed(value) for value in grid], ALL)
    if control and smoothed(control) in o.arms:
        lines += compare(o, f"controls of {control:g}", [smoothed(control, how) for how in CONTROLS], smoothed(control))
    lines += _memorized(settings, o)
    charts = [
        chart
        for column in ("attacked", "clean")
        for chart in (_by(o, grid, column, "lambda_min"), _by(o, grid, column, "mean factor"))
        if chart.series
    ]
    dots = _controls(o, control) if control else []
    notes = [
        *about(settings, o),
        "All arms of a seed start from one state, that at the border. lambda_min = 1 means hard labels."
        + (f" The controls have the mean factor of lambda_min = {control:g}." if control else ""),
        "The suggestion looks at validation images alone; the interval of the best value is widened, for there were"
        " several.",
    ]
    suggested = suggest(settings, o).lambda_min if grid else None
    return Result(lines, _claims(settings, o), notes, (), dots, charts, suggested=suggested)


def values(settings: dict[str, Any], o: Outcomes) -> list[float]:
    """The lambda_min values tried, ascending, of those that are there."""
    wanted = {*settings["lambda_mins"], *([settings["control"]] if settings["control"] else [])}
    return [value for value in sorted(wanted) if smoothed(value) in o.arms]


def suggest(settings: dict[str, Any], o: Outcomes, column: str = "attacked_best") -> Suggestion:
    """The lambda_min that does best on the validation images, if the best can be told from hard labels at all.

    The interval of its gain is that of the largest gain of the grid when seeds and images are drawn again, so that
    luck among several values does not count as a gain.
    """
    grid = values(settings, o)
    hard = o.right(ALL, column, "validation")
    gains = np.stack([o.right(smoothed(value), column, "validation") - hard for value in grid])
    means = np.array([np.nanmean(gain) for gain in gains])
    best = int(np.nanargmax(means))
    drawn = np.stack([intervals.draws(gain) for gain in gains])
    drawn = drawn[:, ~np.isnan(drawn).all(0)]  # while seeds are missing a resample may hold none that is there
    excess = np.nanmax(drawn - means[:, None], axis=0)  # how far the luckiest of them was above its own mean
    by_value = [int((~np.isnan(gain)).any(1).sum()) for gain in gains]  # while runs are missing, not all seeds
    seeds, fewest = by_value[best], min(by_value)
    stretch = np.sqrt(fewest / (fewest - 1)) if fewest > 1 else 1.0
    half = float(stretch * np.nanquantile(excess, 0.975))
    n = int((~np.isnan(gains[best])).any(0).sum())
    gain = Difference(float(means[best]), float(means[best]) - half, float(means[best]) + half, n, seeds)
    if not gain.low > 0:
        tried = f"best of {len(grid)}: {_points(gain)}"
        words = f"No lambda_min is seen to do better than hard labels on the validation images ({tried})."
        return Suggestion(None, gain, None, words)
    against = _against_uniform(settings, o, grid[best], column)
    words = f"lambda_min = {grid[best]:g}: on validation images {_points(gain)} over hard labels"
    if against is None:
        return Suggestion(grid[best], gain, None, words + ".")
    better = "not distinguishable from uniform"
    if against.is_seen:
        better = "better than uniform" if against.value > 0 else "worse than uniform"
    return Suggestion(grid[best], gain, against, f"{words}; {better} smoothing of the same mean ({_points(against)}).")


def _points(difference: Difference) -> str:
    return f"{100 * difference.value:+.1f} ± {100 * difference.half:.1f} points, {difference.counts}"


def _against_uniform(settings: dict[str, Any], o: Outcomes, value: float, column: str) -> Difference | None:
    """DPLS minus its uniform control, where the value is the one that has controls."""
    uniform = smoothed(settings["control"] or 0, "uniform")
    if value != settings["control"] or uniform not in o.arms:
        return None
    change = intervals.difference(
        o.right(uniform, column, "validation"), o.right(smoothed(value), column, "validation")
    )
    return change if change.n else None


def mean_factor(o: Outcomes, name: str) -> float:
    """Mean factor of the training examples in an arm, over its seeds."""
    return float(np.nanmean(o.factors(name)))


def hardest_of(o: Outcomes) -> NDArray[np.bool_]:
    """(S, N): the hardest tenth of the training examples of each seed."""
    difficulty, found = o.score("difficulty"), np.zeros((len(o.seeds), o.count), dtype=bool)
    for place, row in enumerate(difficulty):
        order = np.argsort(-row, kind="stable")  # NaN last
        found[place, order[: round(HARDEST * int((~np.isnan(row)).sum()))]] = True
    return found


def _memorized(settings: dict[str, Any], o: Outcomes) -> list[Line]:
    """Accuracy of the hardest tenth of the training images at the last epoch."""
    hard, found = hardest_of(o), []
    control = settings["control"]
    names = [ALL, *(smoothed(value) for value in values(settings, o))]
    names += [smoothed(control, how) for how in CONTROLS] if control else []
    reference = np.where(hard, o.right(ALL, "clean_last", "train"), np.nan)
    for name in (name for name in names if name in o.arms):
        right = np.where(hard, o.right(name, "clean_last", "train"), np.nan)
        if np.isnan(right).all():
            continue
        line = Line("hardest tenth, training", name, "clean, last", intervals.mean(right))
        if name != ALL and not np.isnan(right - reference).all():
            line = line._replace(difference=intervals.difference(reference, right), against=ALL)
        found.append(line)
    return found


def _by(o: Outcomes, grid: list[float], column: str, against: str) -> Chart:
    """Difference to hard labels by lambda_min or by mean factor, best and last."""
    series = []
    for checkpoint in ("best", "last"):
        name = f"{column}_{checkpoint}"
        found = [intervals.difference(o.right(ALL, name), o.right(smoothed(value), name)) for value in grid]
        x = grid if against == "lambda_min" else [mean_factor(o, smoothed(value)) for value in grid]
        if found:
            series.append(Series(f"{column}, {checkpoint}", x, found))
    return Chart(f"{column.capitalize()}, by {against}", against, "difference to hard labels", series)


def _controls(o: Outcomes, control: float) -> list[Dots]:
    names = [smoothed(control), *(smoothed(control, how) for how in CONTROLS)]
    found = [
        Dot(name, title, intervals.difference(o.right(ALL, column), o.right(name, column)))
        for name in names
        if name in o.arms
        for column, title in (("attacked_best", "attacked, best"), ("attacked_last", "attacked, last"))
    ]
    title = "As much smoothing, given to others"
    return [Dots(title, "difference to hard labels", found, True)] if found else []


def _claims(settings: dict[str, Any], o: Outcomes) -> list[Claim]:
    grid, control = values(settings, o), settings["control"]
    if not grid:
        return [Claim("DPLS raises robust accuracy.", NOT_YET)]
    rule = "It has no rule for lambda_min but a mean factor of 0.8 to 0.9 for 10 classes."
    found = [Claim(rule, suggest(settings, o).words)]
    uniform = smoothed(control or 0, "uniform")
    changes = {end: seen(o, smoothed(control or 0), f"attacked_{end}", uniform) for end in ("best", "last")}
    if changes["best"]:
        told = "; ".join(f"{end}: {change.short}" for end, change in changes.items() if change)
        found.append(
            Claim(
                "CIFAR-10: DPLS 58.4% against 57.2% of uniform smoothing under PGD-20, 54.0% against 52.0% under a"
                " stronger attack.",
                sentence(
                    changes["best"],
                    higher=f"DPLS {control:g} withstands attacks more often than uniform smoothing of the same mean,",
                    lower=f"DPLS {control:g} withstands attacks less often than uniform smoothing of the same mean,",
                    unseen=f"DPLS {control:g} is not seen to differ from uniform smoothing of the same mean",
                ),
                verdict(changes["best"], "higher"),
                [f"DPLS {control:g} against uniform smoothing, attacked, {told} ({changes['best'].counts})."],
            )
        )
    return found
