"""Membership: what does a net get right only because it saw it? Include and exclude the hardest, easiest, random."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dpls import intervals
from dpls.component import Fractional, article
from dpls.experiments.answers import by_image
from dpls.experiments.base import HARDEST_AND_RANDOM, SIDES, ByDifficulty, Planned
from dpls.experiments.compare import QUANTITIES, about, agreement, planted_share, sentence, ties
from dpls.experiments.outcomes import ALL, WHICH, Outcomes, among, arm, dropped, percent, role_of
from dpls.experiments.result import NOT_YET, Agreement, Claim, Dot, Dots, Images, Line, Result
from dpls.methods.labels import DPLS
from dpls.methods.objectives import Standard
from dpls.methods.subset import Subset, Which

CELLS = "Normal and hard, seen and unseen"
ENOUGH = 20
"""Runs without an image from which on an answer about it alone has an interval narrower than half the scale."""


class Membership(ByDifficulty):
    """Train with and without the hardest, the easiest or a random share; test on that share."""

    question: ClassVar[str] = (
        "Train with some images and without them, then test on exactly these. What a network gets right only"
        " when it saw it, it has memorized."
    )
    asked_first: ClassVar[tuple[str, ...]] = ("share", "seeds", "scores", "standard", "dpls", "answers")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "two-core": {"answers": 4},
        "classroom": {"seeds": 1, "dpls": False},
    }
    tells_best_from_last: ClassVar[bool] = False

    kind: Literal["membership"] = "membership"
    share: Fractional = Field(
        0.1,
        gt=0,
        lt=0.9,
        title="Share excluded",
        description="share that is excluded",
        json_schema_extra=article("0.1"),
    )
    standard: bool = Field(False, title="Standard training, too", description="the same with standard training")
    dpls: bool = Field(True, title="DPLS, too", description="the same under DPLS: does smoothing reduce memorization?")
    lambda_min: Fractional = Field(
        0.5,
        gt=0,
        le=1,
        title="lambda_min of DPLS",
        description="factor of the hardest under DPLS",
        json_schema_extra=article("0.5"),
    )
    answers: int = Field(
        0,
        ge=0,
        le=20,
        title="Folds for single images",
        description="folds for answers image by image, each a run without its fold, for each seed; 0: none",
    )

    @model_validator(mode="after")
    def _folds(self) -> "Membership":
        if self.answers == 1:
            raise ValueError("answers = 1: one fold would leave nothing to train on; 0 for none, or at least 2")
        return self

    def arms(self, seed: int) -> Iterator[Planned]:
        for objective in (None, Standard()) if self.standard else (None,):
            if objective:
                yield Planned(arm(ALL, standard=True), seed, self.config(seed, objective))
            for which in SIDES:
                name = arm(dropped(which, self.share), standard=objective is not None)
                yield Planned(name, seed, self.from_scratch(seed, self.subset(seed, which, self.share), objective))
        if self.dpls:
            rule = DPLS(lambda_min=self.lambda_min)
            yield Planned(arm(ALL, dpls=True), seed, self.config(seed, factors=rule), role_of(ALL, seed))
            for which in HARDEST_AND_RANDOM:
                name = dropped(which, self.share)
                config = self.from_scratch(seed, self.subset(seed, which, self.share), factors=rule)
                yield Planned(arm(name, dpls=True), seed, config, role_of(name, seed))
        for fold, name in enumerate(self.folds_left_out):
            left_out = Subset(which="random", share=1 / self.answers, fold=fold, seed=seed)
            yield Planned(name, seed, self.from_scratch(seed, left_out))

    @property
    def folds_left_out(self) -> list[str]:
        """Arms for answers image by image."""
        return [f"without fold {fold + 1} of {self.answers}" for fold in range(self.answers)]

    def summarise(self, o: Outcomes) -> Result:
        """Accuracy on a share of the training images, with and without these in training; four cells; by image."""
        lines = [line for column in ("clean_last", "attacked_last") for line in _lines(self, o, column)]
        notes = about(self, o) + ties(self, o)
        notes.append("Training images are judged at the last epoch, un-augmented: memorization is complete at the end.")
        single = by_image(o, self.folds_left_out)
        if single and len(o.seeds) < ENOUGH:
            notes.append(
                f"Image by image there are {len(o.seeds)} runs without each image: too few to tell memorized from not"
                f" for one image alone; {ENOUGH} or more seeds would."
            )
        dots = [chart for chart in (_dots(lines, quantity) for quantity in ("clean", "attacked")) if chart.dots]
        claims = [_seen_or_not(self.share, o), *_hardest_against_random(self.share, o), *_under_dpls(self, o)]
        tables = {CELLS: _cells(self.share, o)}
        return Result(lines, claims, notes, _images(self.share, o), dots, (), tables, single)


class Gap(NamedTuple):
    """Whether examples are right when excluded from training and when included: (S, N) each, NaN outside the set."""

    excluded: NDArray[np.float64]
    included: NDArray[np.float64]

    @property
    def gained(self) -> NDArray[np.float64]:
        """Included minus excluded: 1 where an example is right only because it was seen."""
        return self.included - self.excluded


def gap(
    o: Outcomes,
    which: str,
    share: float,
    column: str,
    *,
    planted: bool | None = None,
    standard: bool = False,
    dpls: bool = False,
) -> Gap | None:
    """Of the training examples that the excluding run left out; of these only planted or natural ones, where asked.

    None where a run is missing.
    """
    without, everything = (arm(n, standard=standard, dpls=dpls) for n in (dropped(which, share), ALL))
    if without not in o.arms or everything not in o.arms:
        return None
    rows = o.chosen(without) if planted is None else o.chosen(without) & (o.causes() == planted)
    excluded, included = (among(o.right(name, column, "train"), rows) for name in (without, everything))
    both = ~np.isnan(excluded + included)
    return Gap(among(excluded, both), among(included, both)) if both.any() else None


def _lines(e: Membership, o: Outcomes, column: str) -> Iterator[Line]:
    """Two for each gap that is there: excluded, included."""
    for which in SIDES:
        for group, how in _pairs(e, o, which):
            if found := gap(o, which, e.share, column, **how):
                name, quantity = f"{WHICH[which]} {percent(e.share)}", QUANTITIES[column].split(",")[0]
                if "planted" in how:
                    name += ", planted" if how["planted"] else ", natural"
                change = intervals.difference(*found)
                yield Line(group, f"{name}, excluded", quantity, intervals.mean(found.excluded))
                yield Line(group, f"{name}, included", quantity, intervals.mean(found.included), change, "excluded")


def _pairs(e: Membership, o: Outcomes, which: str) -> Iterator[tuple[str, dict[str, bool]]]:
    """What is compared on the examples of a choice: the group of its lines, and what ``gap`` is asked."""
    yield "adversarial", {}
    if which == "hardest" and o.causes().any():
        yield "adversarial", {"planted": True}
        yield "adversarial", {"planted": False}
    if e.standard:
        yield "standard", {"standard": True}
    if e.dpls and which in HARDEST_AND_RANDOM:
        yield "DPLS", {"dpls": True}


def _dots(lines: list[Line], quantity: str) -> Dots:
    """Each set's accuracy with and without it in training, in one row."""
    found = []
    for line in (line for line in lines if line.quantity == quantity):
        name, side = line.arm.rsplit(", ", 1)
        found.append(Dot(name if line.group == "adversarial" else f"{name}, {line.group}", side, line.estimate))
    return Dots(f"Training images, {quantity}", "accuracy at the last epoch", found)


def _cells(share: float, o: Outcomes) -> pd.DataFrame:
    """Accuracy of the run on all images: normal and hard, training and test."""
    rows = []
    for split, title in (("train", "training"), ("test", "test")):
        known, hard = ~np.isnan(o.score("difficulty", split)), _as_hard(o, share, split)
        for kind, chosen in (("normal", ~hard & known), ("hard", hard)):
            row: dict[str, Any] = {"images": f"{kind}, {title}"}
            for column, name in (("clean_last", "clean"), ("attacked_last", "attacked")):
                values = among(o.right(ALL, column, split), chosen)
                row[name] = "none" if np.isnan(values).all() else str(intervals.mean(values))
            rows.append(row | {"images a seed": round(float(chosen.sum(1).mean()), 1)})
    return pd.DataFrame(rows)


def _as_hard(o: Outcomes, share: float, split: str) -> NDArray[np.bool_]:
    """(S, N): which examples are at least as hard as the hardest share of the training images."""
    hard = np.zeros((len(o.seeds), o.count), dtype=bool)
    for place, (train, difficulty) in enumerate(zip(o.score("difficulty"), o.score("difficulty", split), strict=True)):
        ordered = np.sort(train[~np.isnan(train)])[::-1]
        cut = ordered[max(0, round(share * len(ordered)) - 1)] if len(ordered) else np.nan
        hard[place] = difficulty >= cut
    return hard


def _seen_or_not(share: float, o: Outcomes) -> Claim:
    gaps = {which: gap(o, which, share, "clean_last") for which in SIDES}
    told = [
        f"{WHICH[which].capitalize()} {percent(share)}: {intervals.mean(found.included)} included,"
        f" {intervals.mean(found.excluded)} excluded."
        for which, found in gaps.items()
        if found
    ]
    if told:
        told += ["Clean accuracy on these training images at the last epoch."]
        told += planted_share(o, dropped("hardest", share))
    words = NOT_YET
    if hard := gaps["hardest"]:
        words = (
            f"Of the hardest {percent(share)}, {intervals.mean(hard.included).value:.0%} are right when the network saw"
            f" them in training, and {intervals.mean(hard.excluded).value:.0%} when it did not."
        )
    article = (
        "CIFAR-10, the hardest 5,000 of 50,000 (10%): about 100% right when included, about 0% when excluded; the"
        " easiest are right either way."
    )
    return Claim(article, words, _memorized(gaps), told)


def _memorized(gaps: Mapping[Which, Gap | None]) -> Agreement:
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


def _hardest_against_random(share: float, o: Outcomes) -> list[Claim]:
    """No claim where the two have no seed in common."""
    hard, other = (gap(o, which, share, "clean_last") for which in HARDEST_AND_RANDOM)
    if not hard or not other or not (change := intervals.between(other.gained, hard.gained)).n:
        return []
    said = sentence(
        change,
        higher="To have been seen in training helps the hardest more than random ones,",
        lower="To have been seen in training helps the hardest less than random ones,",
        unseen="To have been seen in training is not seen to help the hardest more than random ones",
    )
    numbers = [f"Included minus excluded, the hardest against random: {change}."]
    return [Claim("Hard examples are memorized, others learnt.", said, agreement(change, "higher"), numbers)]


def _under_dpls(e: Membership, o: Outcomes) -> list[Claim]:
    """No claim where the two have no seed in common, or none is trained with DPLS."""
    hard, smooth = (gap(o, "hardest", e.share, "clean_last", dpls=dpls) for dpls in (False, True))
    if not e.dpls or not hard or not smooth or not (change := intervals.between(hard.gained, smooth.gained)).n:
        return []
    said = sentence(
        change,
        higher="With DPLS more of the hardest are memorized,",
        lower="With DPLS fewer of the hardest are memorized,",
        unseen="DPLS is not seen to change how many of the hardest are memorized",
    )
    numbers = [f"Included minus excluded of the hardest, DPLS against hard labels: {change}."]
    return [Claim("DPLS reduces memorization.", said, agreement(change, "lower"), numbers)]


def _images(share: float, o: Outcomes) -> list[Images]:
    found = gap(o, "hardest", share, "clean_last")
    if found is None:
        return []
    gained, known = np.nansum(found.gained, axis=0), np.isfinite(found.excluded).sum(0) > 0
    by = np.lexsort((-o.mean_difficulty(), -gained))
    same = "Seen in training or not, they were right as often."
    return [
        Images("Memorized", "Right only where they were seen: by how many seeds.", by[gained[by] > 0]),
        Images("Hard, not memorized", same, by[(gained[by] == 0) & known[by]]),
    ]
