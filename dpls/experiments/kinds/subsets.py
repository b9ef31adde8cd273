"""Subsets: what can be learnt from the hardest alone? Against the easiest, or as many at random."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from dpls import intervals
from dpls.component import Fractional, article
from dpls.experiments.base import SIDES, ByDifficulty, Planned
from dpls.experiments.compare import about, compare, dots_of, seen, sentence, ties
from dpls.experiments.outcomes import ALL, WHICH, Outcomes, arm, kept, percent
from dpls.experiments.result import NOT_YET, Agreement, Claim, Dots, Images, Line, Result
from dpls.intervals import Difference
from dpls.methods.objectives import Standard

COLLAPSE = "Has it collapsed? What the best checkpoint says of the test images"
HARDEST_ALONE = "CIFAR-10, the hardest 10,000 of 50,000 (20%) alone:"


class Subsets(ByDifficulty):
    """From scratch on the hardest, the easiest or a random share alone."""

    question: ClassVar[str] = (
        "Train from scratch on the hardest images alone, the easiest, or as many at random. What can be learnt"
        " from each?"
    )
    asked_first: ClassVar[tuple[str, ...]] = ("share", "seeds", "scores", "standard", "equal_steps")
    action: ClassVar[Literal["drop", "keep"]] = "keep"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"classroom": {"seeds": 1, "standard": False}}

    kind: Literal["subsets"] = "subsets"
    share: Fractional = Field(
        0.2,
        gt=0,
        lt=0.9,
        title="Share trained on",
        description="share that is trained on",
        json_schema_extra=article("0.2"),
    )
    equal_steps: bool = Field(
        True,
        title="Equal steps",
        description="an epoch has as many steps as with all images: those few are shown again",
    )

    def arms(self, seed: int) -> Iterator[Planned]:
        for objective in (None, Standard()) if self.standard else (None,):
            for which in SIDES:
                subset = self.subset(seed, which, self.share, action="keep", refill=self.equal_steps)
                name = arm(kept(which, self.share), standard=objective is not None)
                yield Planned(name, seed, self.from_scratch(seed, subset, objective))

    def summarise(self, o: Outcomes) -> Result:
        """Test accuracies by arm, and whether a net has collapsed to few classes."""
        hardest, easiest, random = (kept(which, self.share) for which in SIDES)
        lines = compare(o, "adversarial", [ALL, hardest, easiest], random)
        standard = [arm(name, standard=True) for name in (hardest, easiest, random)]
        standard_lines = compare(o, "standard", standard[:2], standard[2])
        collapse = _collapse(o, [ALL, hardest, easiest, random, *standard])
        claims = [_against_chance(self.share, o, collapse)]
        if any(name in o.arms for name in standard[:2]):
            claims.append(_against_easiest(self.share, o, collapse))
        notes = about(self, o) + ties(self, o)
        if self.equal_steps:
            notes.append(
                "Steps are held: an epoch shows the subset as often as needed to make as many steps as all images."
            )
        tables = {COLLAPSE: collapse} if len(collapse) else {}
        return Result(
            [*lines, *standard_lines], claims, notes, _images(self.share, o), _dots(lines, standard_lines), (), tables
        )


def _dots(lines: list[Line], standard: list[Line]) -> list[Dots]:
    found = [
        dots_of(lines, "Adversarial training", ("attacked, best", "clean, best"), "test accuracy", False),
        dots_of(standard, "Standard training", ("clean, best",), "test accuracy", False),
    ]
    return [chart for chart in found if chart.dots]


def _against_chance(share: float, o: Outcomes, collapse: pd.DataFrame) -> Claim:
    """Whether the hardest alone end below chance under attack; of a net that says one class alone nobody can tell."""
    article = f"{HARDEST_ALONE} adversarial training ends below 10% robust accuracy, below chance."
    name, numbers = kept("hardest", share), _numbers(share, o, collapse, False)
    right, chance = o.right(name, "attacked_best"), 1 / len(o.scores["class"].unique())
    if np.isnan(right).all():
        return Claim(article, NOT_YET, "cannot tell", numbers)
    found = intervals.mean(right)
    place = int(found.low > chance) - int(found.high < chance)
    than = ("not to be told from guessing", "more often than guessing would be", "less often than guessing would be")
    words = (
        f"Trained on the hardest alone, the network is right under attack in {found.value:.0%} of the"
        f" test images, {than[place]} ({chance:.0%})."
    )
    agrees: tuple[Agreement, ...] = ("cannot tell", "disagrees", "agrees")
    return Claim(article, words, "cannot tell" if _fallen(collapse, [name]) else agrees[place], numbers)


def _against_easiest(share: float, o: Outcomes, collapse: pd.DataFrame) -> Claim:
    """Whether standard training tells the hardest from the easiest; that it does not is no proof of being alike."""
    change = _hardest_against_easiest(share, o)
    words = sentence(
        change,
        higher="Standard training is right more often on the hardest alone than on the easiest alone,",
        lower="Standard training is right less often on the hardest alone than on the easiest alone,",
        unseen="Standard training on the hardest alone is not seen to differ from the easiest alone",
    )
    return Claim(
        f"{HARDEST_ALONE} standard training reaches about 78% clean, as much as on the easiest.",
        words,
        "disagrees" if change and change.is_seen else "cannot tell",
        _numbers(share, o, collapse, True),
    )


def _hardest_against_easiest(share: float, o: Outcomes) -> Difference | None:
    """In standard training, clean; None where a run of it is missing."""
    hardest, easiest = (arm(kept(which, share), standard=True) for which in ("hardest", "easiest"))
    return seen(o, hardest, "clean_best", easiest)


def _numbers(share: float, o: Outcomes, collapse: pd.DataFrame, standard: bool) -> list[str]:
    told = []
    column, kind = ("clean_best", "clean") if standard else ("attacked_best", "attacked")
    names = {arm(kept(which, share), standard=standard): WHICH[which] for which in SIDES}
    for name, which in names.items():
        if not np.isnan(right := o.right(name, column)).all():
            told.append(f"Only {which} {percent(share)}: {intervals.mean(right)} {kind}.")
    if fallen := _fallen(collapse, names):
        told.append(f"Collapsed to one class, so that its accuracy says little: {', '.join(fallen)}.")
    return told


def _fallen(collapse: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Of these arms those that have collapsed, in some seed."""
    return [str(row["arm"]) for row in collapse.to_dict("records") if row["collapsed"] != "no" and row["arm"] in names]


def _collapse(o: Outcomes, names: list[str]) -> pd.DataFrame:
    """Entropy of the classes said, in bits of how many could be, and the class said most: a net that has given up says
    one class, and its accuracy is that class's frequency. Collapsed: more than halfway from even to one class alone.

    Seed by seed: nets that each say another class alone would look even together.
    """
    rows = []
    test = o.outcomes[o.outcomes["split"] == "test"]
    classes = len(o.scores["class"].unique())
    for name in (name for name in names if name in o.arms):
        said = test[test["arm"] == name].groupby("seed")["predicted"]
        shares = [predicted.value_counts(normalize=True) for _, predicted in said]
        values = [of_classes.to_numpy(dtype=float) for of_classes in shares]
        entropy = float(np.mean([(v * np.log2(1 / v)).sum() for v in values]))
        collapsed = sum(v[0] > (1 + 1 / classes) / 2 for v in values)
        rows.append(
            {
                "arm": name,
                "entropy": f"{entropy:.2f} of {np.log2(classes):.2f} bits",
                "said most": "; ".join(f"{of_classes.index[0]}, {of_classes.iloc[0]:.0%}" for of_classes in shares),
                "collapsed": {0: "no", len(shares): "yes"}.get(collapsed, f"{collapsed} of {len(shares)} seeds"),
            }
        )
    return pd.DataFrame(rows)


def _images(share: float, o: Outcomes) -> list[Images]:
    found = []
    difficulty = o.mean_difficulty()
    for which, title in (("hardest", "Hardest"), ("easiest", "Easiest")):
        name = kept(which, share)
        if name in o.arms:
            often = (o.took_part(name) > 0).sum(0)
            order = np.lexsort((-difficulty if which == "hardest" else difficulty, -often))
            explanation = f"What the {which} {percent(share)} are: by how many seeds, then by difficulty."
            found.append(Images(title, explanation, order[: int((often > 0).sum())]))
    return found
