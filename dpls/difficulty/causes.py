"""Which measure finds which planted cause: AUROC of every measure, clean and attacked, in the per-example table."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.data.unlabelled import PSEUDO
from dpls.difficulty.measures import MEASURES
from dpls.difficulty.scale import auroc


class Found(NamedTuple):
    """How well one measure tells each cause's images from all others: {cause: AUROC in [0, 1], NaN where it has too
    many unknown}."""

    measure: str
    adversarial: bool
    by_cause: dict[str, float]

    @property
    def mean(self) -> float:
        """Over the causes, each counting once."""
        return float(np.mean(list(self.by_cause.values())))


def found_by(scores: NDArray[np.floating], causes: NDArray[np.str_], names: list[str]) -> dict[str, float]:
    """{cause: AUROC} of scores (n,), higher = harder; images without a score are left out."""
    known = ~np.isnan(scores)
    return {name: auroc(scores[known], causes[known] == name) for name in names}


def with_own_labels(train: pd.DataFrame) -> pd.DataFrame:
    """Without the images whose label is a pseudo-label: nobody planted that."""
    return train[train["cause"] != PSEUDO]


def planted_in(train: pd.DataFrame) -> dict[str, int]:
    """{cause: how many of the training images carry it}, the most frequent first."""
    counts = with_own_labels(train)["cause"].value_counts()
    return {str(name): int(count) for name, count in counts.items() if name}


def found_by_measures(train: pd.DataFrame) -> list[Found]:
    """Of the training rows of a per-example table: every measure, then the same on attacked images; none where nothing
    was planted."""
    train = with_own_labels(train)
    names, causes = list(planted_in(train)), train["cause"].to_numpy(str)
    if not names:
        return []
    rows = []
    for adversarial, suffix in ((False, ""), (True, "_adv")):
        for name, measure in MEASURES.items():
            if f"{name}{suffix}" in train and not train[f"{name}{suffix}"].isna().all():
                values = train[f"{name}{suffix}"].to_numpy(float)
                turned = values if measure.higher_is_harder else -values
                rows.append(Found(name, adversarial, found_by(turned, causes, names)))
    return rows


def as_table(found: list[Found]) -> pd.DataFrame:
    """A row a measure, a column a cause: AUROC; and their mean."""
    rows = [
        {"measure": MEASURES[row.measure].title, "seen on": "attacked" if row.adversarial else "clean"}
        | row.by_cause
        | {"mean": row.mean}
        for row in found
    ]
    return pd.DataFrame(rows)


def of_difficulty(train: pd.DataFrame) -> list[str]:
    """For a terminal: how well a run's own difficulty finds each planted cause; nothing where none is planted."""
    train = with_own_labels(train[train["difficulty"].notna()])
    planted = planted_in(train)
    if not planted:
        return []
    lines = ["Planted causes: how well difficulty tells them from all other training images (AUROC, 0.5 = not at all):"]
    difficulty, causes = train["difficulty"].to_numpy(), train["cause"].to_numpy(str)
    found = found_by(difficulty, causes, list(planted))
    for name in sorted(planted, key=lambda name: -found[name]):
        mean = difficulty[causes == name].mean()
        lines.append(f"  {name:<10} {found[name]:.3f}  n = {planted[name]:>4}  mean difficulty {mean:.3f}")
    unplanted = difficulty[causes == ""]
    lines.append(
        f"  {'(none)':<10}        n = {len(unplanted):>4}"
        f"  mean difficulty {unplanted.mean():.3f}, above one half {np.mean(unplanted > 0.5):.1%}"
    )
    return lines


def of_measures(train: pd.DataFrame) -> list[str]:
    """For a terminal: the table in lines, with how many images there are of each cause; nothing where none is planted.

    ``train``: the training rows of a per-example table.
    """
    found, counts = found_by_measures(train), planted_in(train)
    if not found:
        return []
    width = max(9, *(len(name) for name in counts))
    head = "".join(f" {name:>{width}}" for name in [*counts, "mean"])
    lines = [
        "Which measure finds which planted cause (AUROC against all other training images):",
        f"  {'':<27}{head}",
        f"  {'images':<27}" + "".join(f" {count:>{width},}" for count in counts.values()),
    ]
    for row in found:
        name = f"{MEASURES[row.measure].title}, {'attacked' if row.adversarial else 'clean'}"
        lines.append(f"  {name:<27}" + "".join(f" {v:>{width}.3f}" for v in [*row.by_cause.values(), row.mean]))
    return lines
