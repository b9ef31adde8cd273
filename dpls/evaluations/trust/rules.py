"""What the checks of a net say, a line each. No torch."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from dpls.component import show_fraction
from dpls.evaluations.trust.budget import POINTS, QUERIES, REPEATS
from dpls.evaluations.trust.card import Line, graded

FLAT = 0.99
"""An image has no gradient where it is exactly 0 at so many of its pixels: those at the border may have none anyway."""
FEW, MANY = 0.01, 0.1
"""Shares of images with which something must not happen. One in a hundred is one or two of those that are checked; one
in ten moves an accuracy by as much as the widest interval that goes through as green."""
RISES, HARDLY_RISES = 0.95, 0.8
"""Shares of images at which 20 steps must get higher than none; where the ascent works, it is nearly all."""
MORE_STEPS = 0.02
"""What 50 steps may break beyond 20. At a rate of eps / 4, PGD has long arrived by then."""
BLACK_BOX, BLACK_BOX_MOST = 0.002, 0.03
"""What may break without gradients, but not with them. AutoAttack warns above the first; above the second, the accuracy
is too high by as much as methods differ from each other."""
BY_CHANCE = 1
"""So many images are no news, however few there are."""
SAME = 1e-4
"""Of the logits' range, between two passes of one batch: a deterministic net computes the same bits."""
SAME_IN_COMPANY = 1e-2
"""Between two batches, whose sums may round otherwise; statistics of a batch move the logits by far more."""
ROUNDING = 1e-6
"""By which an image may leave the eps ball."""


def lines_of(checked: pd.DataFrame, eps: float | None) -> Iterator[Line]:
    """checked: the outcomes of ``Checks``, with its columns."""
    yield _randomness(checked)
    yield _company(checked)
    yield from _outputs(checked)
    right = checked[checked["clean"]]
    if right.empty:
        yield Line("Gradients", "amber", f"None of {len(checked):,} images is right without attack: nothing to check.")
        return
    yield _gradients(right)
    yield _steps(right)
    yield _black_box(right)
    yield _unlimited(right)
    yield _range(right, eps)


def _outputs(checked: pd.DataFrame) -> Iterator[Line]:
    """Only where there is something to say of them."""
    if (strange := int(checked["repeat"].isna().sum())) > 0:
        yield Line("Outputs", "red", f"The answers to {strange:,} of {len(checked):,} images are no finite numbers.")
    if checked["probabilities"].mean() > 0.5:
        sentence = "The outputs look like probabilities. Attacks expect logits; of these, losses have small gradients."
        yield Line("Outputs", "amber", sentence)


def _gradients(right: pd.DataFrame) -> Line:
    n = len(right)
    without = {name: _mean(right[name] >= FLAT) for name in ("zero_loss", "zero_margin")}
    colour = graded(max(without.values()), FEW, MANY)
    if colour == "green":
        return Line("Gradients", colour, f"{_some(without['zero_loss'])} of {n:,} images has a gradient of zero.")
    if without["zero_margin"] > FEW:
        why = "that of the margin, too: something in the net, as rounding, hides the way from every attack by gradients"
        share = without["zero_margin"]
    else:
        size = -_mean(right["margin_0"])
        why = f"logits are so large (the label leads by {size:,.0f}) that it saturates, and PGD does not move"
        share = without["zero_loss"]
    said = f"The gradient of the cross-entropy is zero at {share:.0%} of {n:,} images"
    return Line("Gradients", colour, f"{said}; {why}.")


def _steps(right: pd.DataFrame) -> Line:
    start, early, late = (right[f"margin_{steps}"] for steps in (POINTS[0], POINTS[-2], POINTS[-1]))
    rise, more = _mean(early > start), _mean(late > 0) - _mean(early > 0)
    means = ", ".join(_number(_mean(right[f"margin_{steps}"])) for steps in POINTS)
    said = f"The best rival's lead after {', '.join(map(str, POINTS))} steps of PGD: {means} on average"
    if rise < RISES:
        only = f"it rises with the steps at only {rise:.0%} of {len(right):,} images"
        return Line("Loss by steps", "red" if rise < HARDLY_RISES else "amber", f"{said}; {only}.")
    if more > MORE_STEPS:
        return Line("Loss by steps", "amber", f"{said}; {POINTS[-1]} steps break {100 * more:.1f} points more than 20.")
    return Line("Loss by steps", "green", f"{said}; it rises at {rise:.0%} of {len(right):,} images.")


def _black_box(right: pd.DataFrame) -> Line:
    held, n = right[_is(right["gradients"], True)], len(right)
    broken = int((_is(held["noise"], False) | _is(held["queries"], False)).sum())
    colour = "green" if broken <= BY_CHANCE else graded(broken / n, BLACK_BOX, BLACK_BOX_MOST)
    what = f"Noise and {QUERIES} queries without gradients broke"
    if colour == "green":
        return Line("Black box", colour, f"{what} {broken} of the {len(held):,} images that gradients left.")
    points = f"{100 * broken / n:.1f} points of the accuracy come from gradients that attacks cannot use"
    return Line("Black box", colour, f"{what} {broken:,} of the {len(held):,} images that gradients left: {points}.")


def _unlimited(right: pd.DataFrame) -> Line:
    share, n = _mean(_is(right["unlimited"], True)), len(right)
    colour = graded(share, FEW, MANY)
    if colour == "green":
        left = "all" if not share else "nearly all"
        return Line("Unlimited", colour, f"PGD that may change everything breaks {left} of {n:,} images, as it must.")
    return Line(
        "Unlimited",
        colour,
        f"PGD that may change everything fails at {share:.0%} of {n:,} images: its gradients lead nowhere.",
    )


def _randomness(checked: pd.DataFrame) -> Line:
    most, passes = _most(checked["repeat"]), REPEATS + 1
    if most > SAME:
        return Line(
            "Randomness",
            "red",
            f"{passes} passes of one image differ by up to {most:.0%} of the logits' range: the net answers at random,"
            " and an attack that does not average over draws (EOT) climbs noise.",
        )
    return Line("Randomness", "green", f"An image gets the same answer in {passes} passes.")


def _company(checked: pd.DataFrame) -> Line:
    most = _most(checked["company"])
    if most <= SAME_IN_COMPANY:
        return Line("Batch", "green", "An image gets the same answer whatever else is in its batch.")
    if _most(checked["repeat"]) > SAME:
        return Line("Batch", "amber", "Whether answers depend on the batch cannot be told, for they are random.")
    return Line(
        "Batch",
        "red",
        f"Answers depend on the other images of the batch, by up to {most:.0%} of the logits' range: the net uses the"
        " batch's statistics, as batch norm in training mode does.",
    )


def _range(right: pd.DataFrame, eps: float | None) -> Line:
    most, inside = _most(right["change"]), bool(_is(right["inside"], True).all())
    radius = "its eps" if eps is None else f"eps {show_fraction(eps)}"
    if inside and (eps is None or most <= eps + ROUNDING):
        return Line("Range", "green", f"Every image that was tried lies within {radius} and in [0, 1].")
    return Line("Range", "red", f"Images were changed by up to {most:.4g} or leave [0, 1]; allowed is {radius}.")


def _is(column: pd.Series, value: bool) -> Any:
    """bool: where a column of truths that may be missing has this one."""
    return (column == value).fillna(False).astype(bool)


def _mean(column: pd.Series) -> float:
    """Of those known; 0 of none."""
    return float(column.mean()) if column.notna().any() else 0.0


def _most(column: pd.Series) -> float:
    """Of those known; 0 of none."""
    return float(column.max()) if column.notna().any() else 0.0


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _some(share: float) -> str:
    return f"{share:.1%}" if share else "None"
