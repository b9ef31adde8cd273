"""Which measure finds which planted cause: AUROC of every measure, clean and attacked, in the per-example table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.difficulty.measures import MEASURES, titles
from dpls.difficulty.scale import rank


class Found(NamedTuple):
    """How well one measure tells each cause's images from all others: {cause: AUROC in [0, 1], NaN where nothing is
    known of either}."""

    measure: str
    adversarial: bool
    by_cause: dict[str, float]

    @property
    def mean(self) -> float:
        """Over the causes, each counting once."""
        return float(np.mean(list(self.by_cause.values())))


def found_by(scores: NDArray[np.floating], members: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """{cause: AUROC of its members against all others}; NaN where there are none of one kind.

    scores: (n,), higher = harder, images without a score are left out; members: (n,) each.
    """
    known = ~np.isnan(scores)
    ranks, n = rank(scores[known], scores[known]) * known.sum(), int(known.sum())
    found = {}
    for name, mine in members.items():
        count = int(mine[known].sum())
        none = count in (0, n)
        found[name] = float("nan") if none else float((ranks[mine[known]].mean() - count / 2) / (n - count))
    return found


def planted(
    difficulty: NDArray[np.floating], causes: Sequence[str], code: NDArray[np.uint8]
) -> list[tuple[str, int, float]]:
    """(cause, how many, AUROC of its examples against all others), best found first; code 0 is no cause.

    ``difficulty`` (n,): higher = harder, no NaN; ``code`` (n,): index into causes.
    """
    members = {name: code == number for number, name in enumerate(causes) if number}
    found = found_by(difficulty, members)
    rows = [(name, int(members[name].sum()), value) for name, value in found.items() if not np.isnan(value)]
    return sorted(rows, key=lambda row: -row[2])


def planted_in(train: pd.DataFrame) -> dict[str, int]:
    """{cause: how many of the training images carry it}, the most frequent first."""
    counts = train["cause"].value_counts()
    return {str(name): int(count) for name, count in counts.items() if name}


def found_by_measures(
    measures: Iterable[tuple[str, bool, NDArray[np.floating]]], members: Mapping[str, NDArray[np.bool_]]
) -> list[Found]:
    """Of (name of a measure, whether on attacked images, its natural values (n,)) each; none of which nobody knows a
    value."""
    rows = []
    for name, adversarial, values in measures:
        if not np.isnan(values).all():
            turned = values if MEASURES[name].higher_is_harder else -values
            rows.append(Found(name, adversarial, found_by(turned, members)))
    return rows


def epochs_in(train: pd.DataFrame) -> int:
    """T, as the rows of a per-example table tell: in how many epochs the example that was seen most was seen; several
    where it does not say."""
    return int(train["visits"].max()) if "visits" in train else 2


def measures_in(train: pd.DataFrame) -> Iterator[tuple[str, bool, NDArray[np.floating]]]:
    """Those of the rows of a per-example table: clean, then attacked."""
    for adversarial, suffix in ((False, ""), (True, "_adv")):
        for name in titles(epochs_in(train)):
            if f"{name}{suffix}" in train:
                yield name, adversarial, train[f"{name}{suffix}"].to_numpy(float)


def as_table(found: list[Found], epochs: int) -> pd.DataFrame:
    """A row a measure over so many epochs, a column a cause: AUROC; and their mean."""
    rows = [
        {"measure": titles(epochs)[row.measure], "seen on": "attacked" if row.adversarial else "clean"}
        | row.by_cause
        | {"mean": row.mean}
        for row in found
    ]
    return pd.DataFrame(rows)


def of_difficulty(train: pd.DataFrame) -> list[str]:
    """For a terminal: how well a run's own difficulty finds each planted cause; nothing where none is planted."""
    train = train[train["difficulty"].notna()]
    counts = planted_in(train)
    if not counts:
        return []
    lines = ["Planted causes: how well difficulty tells them from all other training images (AUROC, 0.5 = not at all):"]
    difficulty, causes = train["difficulty"].to_numpy(), train["cause"].to_numpy(str)
    members = {name: causes == name for name in counts}
    found = found_by(difficulty, members)
    for name in sorted(counts, key=lambda name: -found[name]):
        mean = difficulty[members[name]].mean()
        lines.append(f"  {name:<10} {found[name]:.3f}  n = {counts[name]:>4}  mean difficulty {mean:.3f}")
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
    counts, causes = planted_in(train), train["cause"].to_numpy(str)
    found = found_by_measures(measures_in(train), {name: causes == name for name in counts})
    if not counts or not found:
        return []
    width = max(9, *(len(name) for name in counts))
    head = "".join(f" {name:>{width}}" for name in [*counts, "mean"])
    lines = [
        "Which measure finds which planted cause (AUROC against all other training images):",
        f"  {'':<27}{head}",
        f"  {'images':<27}" + "".join(f" {count:>{width},}" for count in counts.values()),
    ]
    for row in found:
        name = f"{titles(epochs_in(train))[row.measure]}, {'attacked' if row.adversarial else 'clean'}"
        lines.append(f"  {name:<27}" + "".join(f" {v:>{width}.3f}" for v in [*row.by_cause.values(), row.mean]))
    return lines
