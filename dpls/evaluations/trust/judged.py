"""Evaluations of one checkpoint side by side, and the card of one of them. No torch."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from dpls.component import show_fraction
from dpls.evaluations.accuracy import Accuracy, accuracy
from dpls.evaluations.trust.card import Card, Colour, Line, graded
from dpls.evaluations.trust.rules import lines_of

WIDE = 0.1
"""An interval wider than ten points tells few methods apart; evaluations warn of it, too."""
TOO_HIGH, FAR_TOO_HIGH = 0.03, 0.1
"""By how much an accuracy may lie above what all attacks together leave. Methods differ by two to four points, in
the article on DPLS as elsewhere: an accuracy that is off by three decides nothing. An honestly trained net loses some
five points from PGD-20 to AutoAttack; ten are seen where gradients are masked."""
WEAK = ("pgd", "rays")
"""Kinds after which one of another family must look: the cross-entropy alone, and queries alone."""
BY_CHANCE = 1
"""So many images more that another attack breaks say nothing."""
SAME = ("checkpoint", "split", "weights", "fingerprint")
"""What two evaluations have in common where one says something about the other."""


class Judged(NamedTuple):
    """An evaluation: what is said of it (``evaluations/*.json``), and a row per example with id and correct."""

    content: Mapping[str, Any]
    outcomes: pd.DataFrame

    @property
    def right(self) -> "pd.Series[bool]":
        """By id."""
        return self.outcomes.set_index("id")["correct"].astype(bool)

    @property
    def accuracy(self) -> Accuracy:
        return accuracy(self.outcomes["correct"].to_numpy())

    @property
    def short(self) -> str:
        """e.g. PGD20."""
        return short(str(self.content["attack"]))

    @property
    def is_weak(self) -> bool:
        """Whether it is of a kind after which one of another family must look."""
        settings = self.content["settings"]
        return settings.get("kind", "pgd") in WEAK or settings.get("version") in ("apgd-ce", "square")


def short(attack: str) -> str:
    """The title of an attack without its radius and settings, e.g. PGD20."""
    return re.split(r", eps| \(", attack)[0]


def is_checks(content: Mapping[str, Any]) -> bool:
    """Whether an evaluation says how the others came about, and is no accuracy itself."""
    return bool(content["settings"].get("kind") == "checks")


def is_attacked(content: Mapping[str, Any]) -> bool:
    """Whether an evaluation is a robust accuracy of the net itself."""
    return content["attack"] != "clean" and not is_checks(content) and not is_defended(content)


def is_defended(content: Mapping[str, Any]) -> bool:
    """Whether an evaluation is of the net behind a defence: another classifier, of which no card here speaks."""
    return bool(content["settings"].get("kind") == "diffpure")


def cards(judged: Mapping[str, Judged]) -> dict[str, Card]:
    """Of every robust accuracy among a run's evaluations, by name."""
    return {name: card(name, judged) for name, one in judged.items() if is_attacked(one.content)}


def card(name: str, judged: Mapping[str, Judged]) -> Card:
    """Of the robust accuracy with this name. judged: a run's evaluations; those of another checkpoint, part or eps have
    no say. Its causes come first, then what they lead to."""
    mine = judged[name]
    beside = [other for key, other in judged.items() if key != name and _is_beside(other.content, mine.content)]
    attacks = [mine, *(other for other in beside if is_attacked(other.content))]
    worst = worst_case(attacks)
    checks = max((other for other in beside if is_checks(other.content)), key=lambda c: len(c.outcomes), default=None)
    lines = [
        *(lines_of(checks.outcomes, mine.content["settings"].get("eps")) if checks else ()),
        _strongest(attacks, checks),
        *(() if checks else _unchecked(mine)),
        _images(mine, worst),
        _precision(mine.content),
        _checkpoint(str(mine.content["chosen_by"])),
        *_warnings(mine.content),
    ]
    attack, checkpoint = str(mine.content["attack"]), str(mine.content["checkpoint"])
    return Card(attack, checkpoint, mine.accuracy, worst, len(attacks), tuple(lines))


def _is_beside(other: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Same checkpoint, part, weights, images and eps, as far as both say so."""
    if any(other.get(entry, mine.get(entry)) != mine.get(entry, other.get(entry)) for entry in SAME):
        return False
    radii = [content["settings"].get("eps") for content in (other, mine)]
    return None in radii or abs(radii[0] - radii[1]) < 1e-9


def worst_case(attacks: list[Judged]) -> Accuracy:
    """An image counts as right only if every attack failed on it; of the images that all of them judged, or of the
    first's where there are none."""
    together = pd.concat([attack.right for attack in attacks], axis=1, join="inner")
    return accuracy(together.all(axis=1).to_numpy()) if len(together) else attacks[0].accuracy


def _images(mine: Judged, worst: Accuracy) -> Line:
    found, part = mine.accuracy, mine.content.get("split", "test")
    width = found.high - found.low
    said = f"{found.n:,} {part} images; the 95 % interval is {100 * width:.1f} points wide"
    if worst.n < found.n:
        width = worst.high - worst.low
        said += f"; all attacks have judged {worst.n:,} of these, where it is {100 * width:.1f}"
    if part == "train":
        return Line("Images", "red", f"{said}. The net was trained on these: it may know them by heart.")
    if part != "test":
        return Line("Images", "amber", f"{said}. The checkpoint was chosen by such images.")
    if width > WIDE:
        return Line("Images", "amber", f"{said}: so few tell little.")
    return Line("Images", "green", f"{said}.")


def _withstood(attacks: list[Judged]) -> pd.DataFrame:
    """A row per example that all judged: id, and whether it withstood all."""
    together = pd.concat([attack.right for attack in attacks], axis=1, join="inner").all(axis=1)
    return pd.DataFrame({"id": together.index, "correct": together.to_numpy()})


def _gap(mine: Judged, other: Judged) -> tuple[float, int]:
    """What another attack takes away from this accuracy, paired; on so many images that both judged."""
    both = pd.concat([mine.right, other.right], axis=1, join="inner").to_numpy()
    return (float((both[:, 0] & ~both[:, 1]).mean()), len(both)) if len(both) else (0.0, 0)


def _too_high(gap: float, n: int) -> Colour:
    return "green" if round(gap * n) <= BY_CHANCE else graded(gap, TOO_HIGH, FAR_TOO_HIGH)


def _strongest(attacks: list[Judged], checks: Judged | None) -> Line:
    title, (mine, *others) = "Strongest attack", attacks
    others += [checks] if checks else []
    if all(attack.is_weak for attack in (mine, *others)):
        return Line(title, "amber", f"No stronger attack has looked: {mine.short} alone may be fooled. Add margins.")
    if not others:
        return Line(title, "green", f"{mine.short} is the one attack that looked.")
    (gap, n), other = max(((_gap(mine, other), other) for other in others), key=lambda found: found[0])
    together = _gap(mine, mine._replace(outcomes=_withstood(attacks)))
    colour, of_all = _too_high(gap, n), _too_high(*together)
    if together[0] > gap and of_all not in ("green", colour):
        less = f"the others together broke as many more of the {together[1]:,} images that all judged"
        return Line(title, of_all, f"{mine.short} is {100 * together[0]:.1f} points too high here: {less}.")
    if colour != "green":
        less = f"{other.short} broke as many more of the {n:,} images that both judged"
        return Line(title, colour, f"{mine.short} is {100 * gap:.1f} points too high here: {less}.")
    more = f"No other broke more than {100 * gap:.1f} points" if gap else "No other broke an image"
    most = f"{more} that {mine.short} had left"
    return Line(title, colour, f"{most}{_beyond_pgd20(mine, others)}.")


def _beyond_pgd20(mine: Judged, others: list[Judged]) -> str:
    """How much higher PGD-20 stands."""
    for other in others:
        settings = other.content["settings"]
        if (settings.get("kind"), settings.get("steps")) == ("pgd", 20):
            both = pd.concat([mine.right, other.right], axis=1, join="inner").to_numpy()
            gap = 100 * float(both[:, 1].mean() - both[:, 0].mean()) if len(both) else 0.0
            return f"; {other.short} is {gap:.1f} points above it"
    return ""


def _unchecked(mine: Judged) -> Iterator[Line]:
    eps, checkpoint = mine.content["settings"].get("eps"), mine.content["checkpoint"]
    more = "" if eps is None else f" --set eps={show_fraction(eps)}"
    command = f"python -m dpls evaluate RUN --attack checks{more} --checkpoint {checkpoint}"
    yield Line("Gradients", "amber", f"Gradients have not been checked; do it with `{command}`.")


def _precision(content: Mapping[str, Any]) -> Line:
    proposed, judged = content.get("proposed_in"), content.get("judged_in")
    if judged is None:
        return Line("Precision", "amber", "In which precision it was judged is not written down.")
    colour: Colour = "green" if judged in ("float32", "float64") else "amber"
    doubt = "" if colour == "green" else ", whose rounding may decide between two classes"
    return Line(
        "Precision", colour, f"Attacks proposed in {proposed or 'an unknown precision'}; {judged} decided{doubt}."
    )


def _checkpoint(chosen_by: str) -> Line:
    if "test" in chosen_by.lower().replace(",", " ").split():
        sentence = f"Chosen by {chosen_by}: the luckiest on the images it is judged by. Choose by validation images."
        return Line("Checkpoint", "red", sentence)
    if chosen_by.startswith("validation"):
        return Line("Checkpoint", "green", f"Chosen by {chosen_by}; no test image had a say.")
    if chosen_by == "last epoch" or chosen_by.startswith("mean of the weights"):
        said = "The last epoch" if chosen_by == "last epoch" else f"{chosen_by[:1].upper()}{chosen_by[1:]}"
        return Line("Checkpoint", "green", f"{said}: nothing was chosen.")
    return Line("Checkpoint", "amber", f"{chosen_by[:1].upper()}{chosen_by[1:]}: by which images is not known here.")


def _warnings(content: Mapping[str, Any]) -> Iterator[Line]:
    for warning in content["warnings"]:
        if not warning.startswith("the interval is"):  # it is a line of its own
            yield Line("Evaluation", "amber", f"{warning[:1].upper()}{warning[1:]}.")
