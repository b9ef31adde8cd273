"""Finished evaluations of one net side by side: who withstood all, where accuracy falls, who flips. No torch."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.component import parse_fraction
from dpls.data import PARTS, TEST
from dpls.evaluations.trust import judged as trust
from dpls.evaluations.trust.card import Card
from dpls.intervals import Estimate, wilson

CLEAN = "clean"


class Judged(NamedTuple):
    """A finished evaluation: the name of its files, what is said of it, and a row per example, by id."""

    name: str
    said: Mapping[str, Any]
    outcomes: pd.DataFrame

    @property
    def right(self) -> "pd.Series[bool]":
        """By id, ids rising."""
        return self.outcomes["correct"]

    @property
    def attack(self) -> str:
        """Its short name, whatever eps: clean, pgd20."""
        return self.name.split("_")[0]

    @property
    def eps(self) -> str:
        """As its name says it: 8/255; nothing of a clean one."""
        return eps_of(self.name)

    @property
    def radius(self) -> float:
        return float(parse_fraction(self.eps or "0"))

    @property
    def is_clean(self) -> bool:
        return self.attack == CLEAN

    @property
    def title(self) -> str:
        """What it is called beside others of its eps: PGD20, AutoAttack light."""
        return trust.short(str(self.said["attack"]))

    @property
    def is_checks(self) -> bool:
        """Whether it looked at the net, for the trust card, and is no accuracy."""
        return trust.is_checks(self.said)

    @property
    def accuracy(self) -> Estimate:
        return share(self.right)

    def of(self, entry: str) -> float | None:
        """What is said of an image: of ``forward_passes``, ``backward_passes``; None where nobody counted."""
        counted = self.said.get(entry)
        return None if counted is None or not len(self.outcomes) else counted / len(self.outcomes)


def judged(name: str, said: Mapping[str, Any], outcomes: pd.DataFrame) -> Judged:
    return Judged(name, said, outcomes.set_index("id").sort_index().astype({"correct": "bool"}))


def eps_of(name: str) -> str:
    """That an evaluation of this name was made at: 8/255, 0.1; nothing where it says none."""
    said = name.split("_")[1:2]
    text = re.sub(r"^(\d+)-255$", r"\1/255", said[0]) if said else ""
    return text if isinstance(parse_fraction(text), float) else ""


def part_of(name: str) -> str:
    """Of the images an evaluation of this name was made on."""
    last = name.rpartition("_")[2]
    return last if last in PARTS else PARTS[TEST]


def share(right: "pd.Series[bool] | NDArray[np.bool_]") -> Estimate:
    """Of those that are right, with Wilson's interval."""
    count, n = int(right.sum()), len(right)
    return Estimate(count / n if n else math.nan, *wilson(count, n), n)


def largest(found: Sequence[Judged]) -> list[Judged]:
    """Of those of one attack and eps the one that looked at most images: a smaller sample is part of a larger one."""
    best: dict[tuple[str, str], Judged] = {}
    for one in found:
        known = best.get((one.attack, one.eps))
        if known is None or len(one.outcomes) > len(known.outcomes):
            best[one.attack, one.eps] = one
    return list(best.values())


def shared(found: Sequence[Judged]) -> "pd.Index[int]":
    """Ids of the examples that all have judged, rising."""
    ids = found[0].outcomes.index
    for one in found[1:]:
        ids = ids.intersection(one.outcomes.index)
    return ids.sort_values()


def worst_case(attacks: Sequence[Judged]) -> "pd.Series[bool]":
    """Who is broken by none of the attacks, by id; of the examples that all of them have judged."""
    ids = shared(attacks)
    held = np.all([one.right[ids].to_numpy(dtype=bool) for one in attacks], axis=0)
    return pd.Series(held.tolist(), index=ids, dtype=bool)


def ladder(found: Sequence[Judged]) -> list[Judged]:
    """Clean first, then attacks from the weakest to the strongest, by the images that all have judged; of equals the
    one with fewer passes is the weaker."""
    attacks = [one for one in found if not one.is_clean]
    ids = shared(attacks) if attacks else pd.Index([])

    def strength(one: Judged) -> tuple[float, float, float, str]:
        own = float(one.right.mean())
        same = float(one.right[ids].mean()) if len(ids) else own
        return -same, -own, one.of("forward_passes") or 0, one.name

    return [one for one in found if one.is_clean] + sorted(attacks, key=strength)


def names(found: Sequence[Judged]) -> dict[str, str]:
    """What each attack is called, by its short name; of two with one title the short names tell them apart."""
    titles = {one.attack: one.title for one in found}
    alike = [title for title in titles.values() if list(titles.values()).count(title) > 1]
    return {attack: f"{title} ({attack})" if title in alike else title for attack, title in titles.items()}


def curves(found: Sequence[Judged]) -> dict[str, list[tuple[float, Estimate]]]:
    """By the short name of an attack: what was measured, eps rising."""
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    for one in sorted(found, key=lambda one: one.radius):
        if not one.is_clean:
            lines.setdefault(one.attack, []).append((one.radius, one.accuracy))
    return lines


def radius_curve(one: Judged, upto: float, points: int = 101) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eps from 0, and the share of examples whose nearest error that was found lies farther away."""
    radii = one.outcomes["radius"].astype("float64").fillna(np.inf).to_numpy()
    grid = np.linspace(0, upto, points)
    return grid, (radii[None] > grid[:, None]).mean(1)


def tenths(hardest_first: NDArray[np.int64], ids: "pd.Index[int]", parts: int = 10) -> "pd.Series[int]":
    """Which tenth an example belongs to, by id: 1 the easiest, 10 the hardest, as many in each as can be.

    hardest_first: ids in that order, of which those in ``ids`` count.
    """
    order = hardest_first[np.isin(hardest_first, ids)][::-1]
    groups = np.concatenate([np.full(len(part), k + 1) for k, part in enumerate(np.array_split(order, parts))])
    return pd.Series(groups.astype(int), index=order, dtype=int).sort_index()


def card(found: Sequence[Judged]) -> Card:
    """Of the strongest attack. found: ``ladder`` of one eps, and the checks of the same, if there are any."""
    last = next(one for one in found[::-1] if not (one.is_clean or one.is_checks))
    return trust.card(last.name, {one.name: trust.Judged(one.said, one.outcomes.reset_index()) for one in found})


def by_group(right: "pd.Series[bool]", group: "pd.Series[int]") -> dict[int, Estimate]:
    """Accuracy by group, groups rising; of the examples that have one."""
    ids = right.index.intersection(group.index)
    outcomes, places = right[ids].to_numpy(dtype=bool), group[ids].to_numpy(dtype=np.int64)
    return {int(k): share(outcomes[places == k]) for k in np.unique(places)}


class Flips(NamedTuple):
    """Ids, rising, of examples that both judged, n of them: right under the first and broken under the second; and the
    other way round."""

    lost: NDArray[np.int64]
    won: NDArray[np.int64]
    n: int


def flips(first: Judged, second: Judged) -> Flips:
    ids = shared([first, second])
    a, b = first.right[ids].to_numpy(), second.right[ids].to_numpy()
    known = ids.to_numpy(dtype=np.int64)
    return Flips(known[a & ~b], known[~a & b], len(ids))


def how_broken(one: Judged, ids: NDArray[np.int64]) -> dict[int, str]:
    """By what, and after how many steps or queries, as far as the evaluation kept it: ``square``, ``step 12``."""
    rows = one.outcomes.loc[ids].to_dict("records")
    return {example: _broken(one, row) for example, row in zip(ids.tolist(), rows, strict=True)}


def _broken(one: Judged, row: Mapping[Any, Any]) -> str:
    words = [str(row["broken_by"])] if _known(row, "broken_by") and row["broken_by"] != one.attack else []
    words += [f"step {int(row['steps'])}"] if _known(row, "steps") else []
    words += [f"query {int(row['queries']):,}"] if _known(row, "queries") and not row["correct"] else []
    return ", ".join(words)


def _known(row: Mapping[Any, Any], column: str) -> bool:
    return column in row and not pd.isna(row[column])
