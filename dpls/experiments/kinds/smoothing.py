"""Smoothing: which lambda_min, and is proportion to difficulty worth anything? Against as much smoothing for others."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from dpls import intervals
from dpls.component import Fractional
from dpls.experiments.base import Experiment, Planned
from dpls.experiments.compare import about, agreement, compare, memorized, seen, sentence
from dpls.experiments.outcomes import ALL, CONTROLS, Outcomes, role_of, smoothed
from dpls.experiments.result import NOT_YET, Chart, Claim, Dot, Dots, Result, Series
from dpls.intervals import Difference
from dpls.methods.labels import DPLS, Control

WHY_PGD_DIFFERS = (
    "PGD sees other gains than the judge: smoothing leads the gradient of the cross-entropy astray, which PGD follows,"
    " and not the differences of logits that the judge follows. Of the two, the judge comes nearer to AutoAttack."
)


class Smoothing(Experiment):
    """From one start of the last phase: hard labels, DPLS at several lambda_min, as much smoothing given to others."""

    question: ClassVar[str] = (
        "From one state at the start of the last phase: hard labels, DPLS at several lambda\\_min, and as much"
        " smoothing given to others (to all alike, at random, to the easiest, to the hardest alone)."
    )
    asked_first: ClassVar[tuple[str, ...]] = ("lambda_mins", "control", "seeds")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"classroom": {"seeds": 1, "lambda_mins": [0.3, 0.6, 0.9]}}
    on_own_page: ClassVar[bool] = True

    kind: Literal["smoothing"] = "smoothing"
    lambda_mins: tuple[Fractional, ...] = Field(
        (0.3, 0.45, 0.6, 0.75, 0.9),
        min_length=1,
        title="Values of lambda_min",
        description="factors of the hardest to try",
    )
    control: Fractional | None = Field(
        0.6, gt=0, le=1, title="Controls match", description="lambda_min that the controls match; none: no controls"
    )

    @model_validator(mode="after")
    def _values(self) -> "Smoothing":
        if any(not 0 < value < 1 for value in self.lambda_mins):
            raise ValueError(f"lambda_mins must lie between 0 and 1, got {list(self.lambda_mins)}")
        return self

    @property
    def border(self) -> int:
        """T: where the base's last phase starts, or the first decay of a base with one phase."""
        return self.base.last_phase_start or super().border

    @property
    def values(self) -> list[float]:
        """The values of lambda_min to try, ascending, that of the controls among them."""
        return sorted({*self.lambda_mins, *([self.control] if self.control else [])})

    @property
    def controls(self) -> list[str]:
        """Arms with as much smoothing as DPLS at ``control``, the uniform one first."""
        return [smoothed(self.control, how) for how in CONTROLS] if self.control else []

    def arms(self, seed: int) -> Iterator[Planned]:
        for value in self.values:
            yield self._branch(seed, smoothed(value), DPLS(lambda_min=value))
        for how in CONTROLS if self.control else ():
            rule = Control(how=how, lambda_min=self.control, seed=seed)
            yield self._branch(seed, smoothed(self.control or 0, how), rule)

    def _branch(self, seed: int, name: str, factors: DPLS | Control) -> Planned:
        return Planned(name, seed, self.config(seed, factors=factors), role_of(ALL, seed))

    def summarise(self, o: Outcomes) -> Result:
        """Accuracies by lambda_min and by mean factor, controls at one of them, memorization, and a suggestion."""
        grid = tried(self, o)
        lines = compare(o, "lambda_min", [smoothed(value) for value in grid], ALL)
        if self.control in grid:
            lines += compare(o, f"controls of {self.control:g}", self.controls, smoothed(self.control or 0))
        lines += memorized(o, [smoothed(value) for value in self.values] + self.controls)
        suggestion = suggest(self, o)
        claims = [_rule(suggestion), *_against_uniform(self, o)] if suggestion else [_nothing_yet()]
        suggested = suggestion.lambda_min if suggestion else None
        notes = [*about(self, o), *_notes(self, o)]
        return Result(lines, claims, notes, (), _controls(self, o), _charts(o, grid), suggested=suggested)


def tried(e: Smoothing, o: Outcomes) -> list[float]:
    """The values of lambda_min that are there."""
    return [value for value in e.values if smoothed(value) in o.arms]


def _notes(e: Smoothing, o: Outcomes) -> list[str]:
    controls = f" The controls have the mean factor of lambda_min = {e.control:g}." if e.control else ""
    return [
        f"All arms of a seed start from one state, that at the border. lambda_min = 1 means hard labels.{controls}",
        *([WHY_PGD_DIFFERS] if o.pgd else []),
        "The suggestion looks at validation images alone; the interval of the best value is widened, for there were"
        " several.",
    ]


# What to take


class Suggestion(NamedTuple):
    """A lambda_min, or None where nothing can be told apart; what it gains over hard labels on validation images."""

    lambda_min: float | None
    gain: Difference
    against_uniform: Difference | None
    words: str


def suggest(e: Smoothing, o: Outcomes, column: str = "attacked_best") -> Suggestion | None:
    """The lambda_min that does best on the validation images, if the best can be told from hard labels at all.

    None where no seed has both yet.
    """
    hard = o.right(ALL, column, "validation")
    there = [(value, o.right(smoothed(value), column, "validation")) for value in tried(e, o)]
    there = [(value, right) for value, right in there if not np.isnan(right - hard).all()]
    if not there:
        return None
    gains = {value: intervals.difference(hard, right, among=len(there)) for value, right in there}
    best, gain = max(gains.items(), key=lambda found: found[1].value)
    if not gain.low > 0:
        found = f"best of {len(gains)}: {_points(gain)}"
        words = f"No lambda_min is seen to do better than hard labels on the validation images ({found})."
        return Suggestion(None, gain, None, words)
    words = f"lambda_min = {best:g}: on validation images {_points(gain)} over hard labels"
    against = _over_uniform(e, o, column) if best == e.control else None
    if against is None:
        return Suggestion(best, gain, None, words + ".")
    better = "not distinguishable from uniform"
    if against.is_seen:
        better = "better than uniform" if against.value > 0 else "worse than uniform"
    return Suggestion(best, gain, against, f"{words}; {better} smoothing of the same mean ({_points(against)}).")


def _over_uniform(e: Smoothing, o: Outcomes, column: str) -> Difference | None:
    """DPLS minus its uniform control on validation images; None where these are not there."""
    uniform, own = e.controls[0], smoothed(e.control or 0)
    if uniform not in o.arms:
        return None
    change = intervals.difference(o.right(uniform, column, "validation"), o.right(own, column, "validation"))
    return change if change.n else None


def _points(difference: Difference) -> str:
    return f"{100 * difference.value:+.1f} ± {100 * difference.half:.1f} points, {difference.counts}"


# Charts and claims


def _charts(o: Outcomes, grid: list[float]) -> list[Chart]:
    factors = [float(np.nanmean(o.factors(smoothed(value)))) for value in grid]
    found = [
        _by(o, grid, column, against, x)
        for column in ("attacked", "clean")
        for against, x in (("lambda_min", grid), ("mean factor", factors))
    ]
    return [chart for chart in found if chart.series]


def _by(o: Outcomes, grid: list[float], column: str, against: str, x: list[float]) -> Chart:
    """Difference to hard labels, best and last; x: where each value of the grid stands. PGD's beside the judge's."""
    series = []
    names = {"attacked": {"attacked": "attacked", "pgd": "PGD"}, "clean": {"clean": "clean"}}[column]
    for kind, checkpoint in ((kind, checkpoint) for kind in names for checkpoint in ("best", "last")):
        changes = [seen(o, smoothed(value), f"{kind}_{checkpoint}", ALL) for value in grid]
        there = [(place, change) for place, change in zip(x, changes, strict=True) if change]
        if there:
            places, known = zip(*there, strict=True)
            series.append(Series(f"{names[kind]}, {checkpoint}", places, known))
    return Chart(f"{column.capitalize()}, by {against}", against, "difference to hard labels", series)


def _controls(e: Smoothing, o: Outcomes) -> list[Dots]:
    names = [smoothed(e.control), *e.controls] if e.control else []
    found = [
        Dot(name, title, change)
        for name in names
        for column, title in (("attacked_best", "attacked, best"), ("attacked_last", "attacked, last"))
        if (change := seen(o, name, column, ALL))
    ]
    title = "As much smoothing, given to others"
    return [Dots(title, "difference to hard labels", found, True)] if found else []


def _nothing_yet() -> Claim:
    return Claim("DPLS raises robust accuracy.", NOT_YET)


def _rule(suggestion: Suggestion) -> Claim:
    return Claim("It has no rule for lambda_min but a mean factor of 0.8 to 0.9 for 10 classes.", suggestion.words)


def _against_uniform(e: Smoothing, o: Outcomes) -> list[Claim]:
    """No claim where either is not there yet."""
    if not e.control:
        return []
    best, last = (seen(o, smoothed(e.control), f"attacked_{end}", e.controls[0]) for end in ("best", "last"))
    if not best:
        return []
    told = "; ".join(f"{end}: {change.short}" for end, change in (("best", best), ("last", last)) if change)
    words = sentence(
        best,
        higher=f"DPLS {e.control:g} withstands attacks more often than uniform smoothing of the same mean,",
        lower=f"DPLS {e.control:g} withstands attacks less often than uniform smoothing of the same mean,",
        unseen=f"DPLS {e.control:g} is not seen to differ from uniform smoothing of the same mean",
    )
    numbers = [f"DPLS {e.control:g} against uniform smoothing, attacked, {told} ({best.counts})."]
    by_pgd = [(end, seen(o, smoothed(e.control), f"pgd_{end}", e.controls[0])) for end in ("best", "last")]
    numbers += [f"By PGD, {'; '.join(f'{end}: {change.short}' for end, change in by_pgd if change)}."] * any(
        change for _, change in by_pgd
    )
    article = (
        "CIFAR-10: DPLS 58.4% against 57.2% of uniform smoothing under PGD-20, 54.0% against 52.0% under a"
        " stronger attack."
    )
    return [Claim(article, words, agreement(best, "higher"), numbers)]
