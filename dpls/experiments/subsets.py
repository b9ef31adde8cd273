"""Subsets: what can be learnt from the hardest alone? Against the easiest, or as many at random."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from dpls import intervals
from dpls.experiments.outcomes import ALL, Outcomes, arm, kept, percent
from dpls.experiments.result import (
    NOT_YET,
    Claim,
    Images,
    Result,
    Verdict,
    about,
    compare,
    dots_of,
    seen,
    sentence,
    ties,
)
from dpls.intervals import Difference

SIDES = ("hardest", "easiest", "matched")


def summarise(settings: dict[str, Any], o: Outcomes) -> Result:
    """Test accuracies by arm, and whether a net has collapsed to few classes."""
    share = settings["share"]
    random = kept("matched", share)
    lines = compare(o, "adversarial", [ALL, *(kept(which, share) for which in SIDES[:2])], random)
    standard = [arm(kept(which, share), standard=True) for which in SIDES[:2]]
    standard_lines = compare(o, "standard", standard, arm(random, standard=True))
    dots = [
        dots_of(lines, "Adversarial training", ("attacked, best", "clean, best"), "test accuracy", False),
        dots_of(standard_lines, "Standard training", ("clean, best",), "test accuracy", False),
    ]
    names = [kept(which, share) for which in SIDES] + [arm(kept(which, share), standard=True) for which in SIDES]
    collapse = _collapse(o, [ALL, *names])
    few = "CIFAR-10, the hardest 10,000 of 50,000 (20%) alone:"
    claims = [
        Claim(
            f"{few} adversarial training ends below 10% robust accuracy, below chance.",
            _against_chance(settings, o),
            _below_chance(settings, o, collapse),
            _numbers(settings, o, collapse, False),
        )
    ]
    if any(name in o.arms for name in standard):
        claims.append(
            Claim(
                f"{few} standard training reaches about 78% clean, as much as on the easiest.",
                sentence(
                    _hardest_against_easiest(settings, o),
                    higher="Standard training is right more often on the hardest alone than on the easiest alone,",
                    lower="Standard training is right less often on the hardest alone than on the easiest alone,",
                    unseen="Standard training on the hardest alone is not seen to differ from the easiest alone",
                ),
                _alike(settings, o),
                _numbers(settings, o, collapse, True),
            )
        )
    tables = {"Has it collapsed? What the best checkpoint says of the test images": collapse} if len(collapse) else {}
    notes = about(settings, o) + ties(o, settings, ("hardest", "easiest"))
    if settings["equal_steps"]:
        notes.append(
            "Steps are held: an epoch shows the subset as often as needed to make as many steps as all images."
        )
    shown = [chart for chart in dots if chart.dots]
    return Result([*lines, *standard_lines], claims, notes, _images(settings, o), shown, (), tables)


def _below_chance(settings: dict[str, Any], o: Outcomes, collapse: pd.DataFrame) -> Verdict:
    """Whether the hardest alone end below chance under attack; of a net that says one class alone nobody can tell."""
    name = kept("hardest", settings["share"])
    if name in _fallen(collapse, [name]) or (place := _place(settings, o)) == 0:
        return "cannot tell"
    return "agrees" if place < 0 else "disagrees"


def _place(settings: dict[str, Any], o: Outcomes) -> int:
    """-1: the hardest alone are right under attack less often than chance, 1: more often, 0: not to be told."""
    right = o.right(kept("hardest", settings["share"]), "attacked_best")
    if np.isnan(right).all():
        return 0
    found, chance = intervals.mean(right), _chance(o)
    return int(found.low > chance) - int(found.high < chance)


def _fallen(collapse: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Of these arms those that have collapsed, in some seed."""
    return [str(row["arm"]) for row in collapse.to_dict("records") if row["collapsed"] != "no" and row["arm"] in names]


def _chance(o: Outcomes) -> float:
    return 1 / len(o.scores["class"].unique())


def _against_chance(settings: dict[str, Any], o: Outcomes) -> str:
    right = o.right(kept("hardest", settings["share"]), "attacked_best")
    if np.isnan(right).all():
        return NOT_YET
    than = {-1: "less often than guessing would be", 1: "more often than guessing would be"}
    compared = than.get(_place(settings, o), "not to be told from guessing")
    return (
        f"Trained on the hardest alone, the network is right under attack in {intervals.mean(right).value:.0%} of the"
        f" test images, {compared} ({_chance(o):.0%})."
    )


def _alike(settings: dict[str, Any], o: Outcomes) -> Verdict:
    """Whether standard training tells the hardest from the easiest; that it does not is no proof of being alike."""
    change = _hardest_against_easiest(settings, o)
    return "disagrees" if change and change.is_seen else "cannot tell"


def _hardest_against_easiest(settings: dict[str, Any], o: Outcomes) -> Difference | None:
    """In standard training, clean; None where a run of it is missing."""
    easiest, hardest = (arm(kept(which, settings["share"]), standard=True) for which in ("easiest", "hardest"))
    return seen(o, hardest, "clean_best", easiest)


def _numbers(settings: dict[str, Any], o: Outcomes, collapse: pd.DataFrame, standard: bool) -> list[str]:
    share, told = settings["share"], []
    column, kind = ("clean_best", "clean") if standard else ("attacked_best", "attacked")
    names = {arm(kept(which, share), standard=standard): which for which in SIDES}
    for name, which in names.items():
        if not np.isnan(right := o.right(name, column)).all():
            told.append(
                f"Only {'random' if which == 'matched' else which} {percent(share)}: {intervals.mean(right)} {kind}."
            )
    if fallen := _fallen(collapse, names):
        told.append(f"Collapsed to one class, so that its accuracy says little: {', '.join(fallen)}.")
    return told


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


def _images(settings: dict[str, Any], o: Outcomes) -> list[Images]:
    found = []
    difficulty = o.mean_difficulty()
    for which, title in (("hardest", "Hardest"), ("easiest", "Easiest")):
        name = kept(which, settings["share"])
        if name in o.arms:
            often = (o.took_part(name) > 0).sum(0)
            order = np.lexsort((-difficulty if which == "hardest" else difficulty, -often))
            explanation = f"What the {which} {percent(settings['share'])} are: by how many seeds, then by difficulty."
            found.append(Images(title, explanation, order[: int((often > 0).sum())]))
    return found
