"""Pruning at the decay: does leaving out the hardest help? Against leaving out the easiest, or as many at random."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from dpls import intervals
from dpls.component import Fractional, article
from dpls.experiments.base import HARDEST_AND_RANDOM, SIDES, ByDifficulty, Planned
from dpls.experiments.compare import about, agreement, compare, dots_of, planted_share, seen, sentence, ties
from dpls.experiments.outcomes import ALL, Outcomes, arm, dropped, percent, role_of
from dpls.experiments.result import Agreement, Chart, Claim, Dots, Images, Line, Result, Series
from dpls.intervals import Difference
from dpls.methods.objectives import Standard
from dpls.methods.subset import Which


class Pruning(ByDifficulty):
    """At the learning rate's decay drop the hardest, the easiest or a random share, and go on."""

    question: ClassVar[str] = (
        "When the learning rate falls, drop the hardest images, the easiest, or as many at random, and train on."
        " Does the network withstand attacks better without the hardest?"
    )
    asked_first: ClassVar[tuple[str, ...]] = ("share", "seeds", "scores", "standard", "equal_steps")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "classroom": {"seeds": 1, "sweep": [], "doses": [], "equal_steps": False, "standard": False}
    }

    kind: Literal["pruning"] = "pruning"
    share: Fractional = Field(
        0.2, gt=0, lt=0.9, title="Share dropped", description="share that is dropped", json_schema_extra=article("0.2")
    )
    sweep: tuple[Fractional, ...] = Field(
        (0.1, 0.4), title="Further shares", description="further shares: hardest and random"
    )
    equal_steps: bool = Field(
        True,
        title="Equal steps, too",
        description="the same with as many steps an epoch as before, so that only the examples differ",
    )
    doses: tuple[Fractional, ...] = Field(
        (0.25, 0.5, 0.75),
        title="Shares kept in",
        description="shares of the hardest that stay in, steps held; 0 and 1 come with equal_steps",
    )

    @model_validator(mode="after")
    def _shares(self) -> "Pruning":
        for name, values, high in (("sweep", self.sweep, 0.9), ("doses", self.doses, 1)):
            if any(not 0 < value < high for value in values):
                raise ValueError(f"{name} must lie between 0 and {high:g}, got {list(values)}")
        return self

    @property
    def cuts(self) -> list[tuple[Which, float]]:
        return [*super().cuts, *(("hardest", share) for share in self.sweep)]

    def arms(self, seed: int) -> Iterator[Planned]:
        for which in SIDES:
            yield self._branch(seed, which, self.share)
        for share in self.sweep:
            for which in HARDEST_AND_RANDOM:
                yield self._branch(seed, which, share)
        if self.equal_steps:
            for which in SIDES:
                yield self._branch(seed, which, self.share, refill=True)
        for dose in self.doses:
            yield self._branch(seed, "hardest", self.share, refill=True, spared=dose)
        if self.standard:
            yield Planned(arm(ALL, standard=True), seed, self.config(seed, Standard()))
            for which in SIDES:
                yield self._branch(seed, which, self.share, Standard())

    def _branch(self, seed: int, which: Which, share: float, objective: Any = None, **settings: Any) -> Planned:
        subset = self.subset(seed, which, share, **settings)
        name = arm(dropped(which, share, **settings), standard=objective is not None)
        after = role_of(arm(ALL, standard=objective is not None), seed)
        return Planned(name, seed, self.config(seed, objective, subset=subset), after)

    def summarise(self, o: Outcomes) -> Result:
        """Test accuracies by arm, the sweep over shares, the dose-response, and the images that made the difference."""
        groups = _groups(self.share, o)
        lines = [line for group in groups.values() for line in group]
        for share in self.sweep:
            names = [dropped(which, share) for which in HARDEST_AND_RANDOM]
            lines += compare(o, f"share {percent(share)}", names, ALL)
        dots = [chart for chart in _dots(groups) if chart.dots]
        charts = [chart for chart in (_sweep(self, o), _response(self, o)) if chart.series]
        claims = [_hardest(self, o), _easiest(self, o), *_standard(self, o), *_trend(self, o)]
        notes = about(self, o) + ties(self, o)
        return Result(lines, claims, notes, _images(self, o), dots, charts)


def _groups(share: float, o: Outcomes) -> dict[str, list[Line]]:
    """The share itself, as short as it gets, with as many steps as before, and in standard training."""
    short, long = ([dropped(which, share, refill=refill) for which in SIDES] for refill in (False, True))
    standard = [arm(name, standard=True) for name in short]
    return {
        "adversarial": compare(o, "adversarial", short, ALL),
        "equal steps": compare(o, "equal steps", long, ALL),
        "standard": compare(o, "standard", standard, arm(ALL, standard=True)),
    }


def _dots(groups: Mapping[str, list[Line]]) -> list[Dots]:
    attacked, clean = ("attacked, best", "attacked, last", "clean, best"), ("clean, best", "clean, last")
    return [
        dots_of(groups[name], title, quantities, "difference to all images", True)
        for name, title, quantities in (
            ("adversarial", "Adversarial training", attacked),
            ("equal steps", "The same with as many steps as before", attacked),
            ("standard", "Standard training, clean", clean),
        )
    ]


def _sweep(e: Pruning, o: Outcomes) -> Chart:
    """Difference to all images by the share dropped."""
    shares, series = sorted({e.share, *e.sweep}), []
    for which, name in (("hardest", "hardest dropped"), ("matched", "random dropped")):
        for column, title in (("attacked_best", "best"), ("attacked_last", "last")):
            there = [s for s in shares if dropped(which, s) in o.arms]
            found = {s: intervals.difference(o.right(ALL, column), o.right(dropped(which, s), column)) for s in there}
            found = {s: change for s, change in found.items() if change.n}
            if len(found) > 1:
                series.append(Series(f"{name}, {title}", list(found), list(found.values())))
    return Chart("How much to drop", "share dropped", "difference to all images", series)


def doses(e: Pruning, o: Outcomes) -> tuple[list[float], list[str]]:
    """Shares of the hardest that stayed in, ascending, steps held, and the arms they are; what is there so far."""
    named = {0.0: dropped("hardest", e.share, refill=True), 1.0: ALL}
    named |= {dose: dropped("hardest", e.share, refill=True, spared=dose) for dose in e.doses}
    there = [dose for dose in sorted(named) if named[dose] in o.arms]
    return there, [named[dose] for dose in there]


def _response(e: Pruning, o: Outcomes) -> Chart:
    """Accuracy by dose."""
    x, names = doses(e, o)
    columns = {"attacked_best": "attacked, best", "attacked_last": "attacked, last", "clean_last": "clean, last"}
    series = [
        Series(title, x, [intervals.mean(o.right(name, column)) for name in names])
        for column, title in columns.items()
        if len(x) > 2 and not any(np.isnan(o.right(name, column)).all() for name in names)
    ]
    return Chart("Dose and response", "share of the hardest included", "test accuracy", series)


def _hardest(e: Pruning, o: Outcomes) -> Claim:
    hardest, random = (dropped(which, e.share) for which in HARDEST_AND_RANDOM)
    change, over_random = (seen(o, hardest, "attacked_best", against) for against in (ALL, random))
    numbers = [
        *_numbers(o, {"hardest": hardest, "matched": random}, "attacked"),
        *([f"The hardest against as many at random, best: {over_random}."] if over_random else []),
        *planted_share(o, hardest),
    ]
    return Claim(
        "CIFAR-10, the hardest 10,000 of 50,000 (20%) dropped after epoch 100 of 110: robust accuracy rises by more"
        " than 1.5 points. (Its own table has -0.3 under PGD-20 and +0.8 under a"
        " stronger attack for 10%.)",
        _sentence(change, "hardest", "the network withstands attacks"),
        _rises(change, over_random),
        numbers if change else (),
    )


def _rises(change: Difference | None, over_random: Difference | None) -> Agreement:
    found = agreement(change, "higher")
    # Any fewer images may do it: it is the hardest that the claim is about.
    return "cannot tell" if found == "agrees" and agreement(over_random, "higher") != "agrees" else found


def _easiest(e: Pruning, o: Outcomes) -> Claim:
    name = dropped("easiest", e.share)
    change = seen(o, name, "attacked_best", ALL)
    words = _sentence(change, "easiest", "the network withstands attacks")
    numbers = _numbers(o, {"easiest": name}, "attacked")
    return Claim("Dropping the easiest lowers it.", words, agreement(change, "lower"), numbers)


def _standard(e: Pruning, o: Outcomes) -> list[Claim]:
    """None where there is no standard training."""
    if not e.standard:
        return []
    everything, arms = arm(ALL, standard=True), {w: arm(dropped(w, e.share), standard=True) for w in SIDES}
    change = seen(o, arms["hardest"], "clean_best", everything)
    words = _sentence(change, "hardest", "standard training is right on clean images")
    numbers = _numbers(o, arms, "clean", everything)
    return [Claim("In standard training the effect is visibly smaller.", words, numbers=numbers)]


def _trend(e: Pruning, o: Outcomes) -> list[Claim]:
    """From none of the hardest to all; no claim where these two and one between are not there yet."""
    x, names = doses(e, o)
    if len(x) < 3 or (x[0], x[-1]) != (0, 1):
        return []
    best, last = (
        intervals.trend(np.stack([o.right(name, f"attacked_{end}") for name in names]), np.array(x))
        for end in ("best", "last")
    )
    told = "; ".join(f"{end}: {slope.short}" for end, slope in (("best", best), ("last", last)) if slope.n)
    words = sentence(
        best,
        higher="On the whole, the more of the hardest stay in, the more often the network withstands attacks,"
        " from none to all",
        lower="On the whole, the more of the hardest stay in, the less often the network withstands attacks,"
        " from none to all",
        unseen="From none to all of the hardest, no trend is seen in how often the network withstands attacks",
    )
    numbers = [f"Attacked accuracy from none to all, {told} ({best.counts})."] if told else ()
    article = "More hard examples, less robust accuracy on normal ones (its theory)."
    return [Claim(article, words, agreement(best, "lower"), numbers)]


def _sentence(change: Difference | None, which: str, does: str) -> str:
    return sentence(
        change,
        higher=f"Without the {which}, {does} more often,",
        lower=f"Without the {which}, {does} less often,",
        unseen=f"Without the {which}, no difference is seen in how often {does}",
    )


def _numbers(o: Outcomes, arms: Mapping[Which, str], kind: str, against: str = ALL) -> list[str]:
    """A line for each that was dropped: what it changed against all images, at the best and the last checkpoint."""
    names = {"hardest": "the hardest", "easiest": "the easiest", "matched": "as many at random"}
    told = []
    for which, name in arms.items():
        changes = {end: seen(o, name, f"{kind}_{end}", against) for end in ("best", "last")}
        if known := {end: change for end, change in changes.items() if change}:
            parts = "; ".join(f"{end}: {change.short}" for end, change in known.items())
            told.append(f"Without {names[which]}, {kind}, {parts} ({next(iter(known.values())).counts}).")
    return told


def _images(e: Pruning, o: Outcomes) -> list[Images]:
    name = dropped("hardest", e.share)
    if name not in o.arms:
        return []
    often, difficulty = o.chosen(name).sum(0), o.mean_difficulty()
    pruned = np.lexsort((-difficulty, -often))[: int((often > 0).sum())]
    easiest = np.argsort(difficulty, kind="stable")
    kept = easiest[~np.isnan(difficulty[easiest]) & (often[easiest] == 0)]
    change = np.nansum(o.right(name, "attacked_last") - o.right(ALL, "attacked_last"), axis=0)
    order = np.argsort(-change, kind="stable")
    lost = order[::-1]
    return [
        Images("Pruned", "Dropped as the hardest: by how many seeds, then by difficulty.", pruned),
        Images("Kept, easiest", "Dropped by no seed.", kept),
        Images(
            "Rescued", "Test images that withstand the attack more often without the hardest.", order[change[order] > 0]
        ),
        Images("Lost", "Test images that withstand it less often.", lost[change[lost] < 0]),
    ]
