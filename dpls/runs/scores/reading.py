"""A file of scores, read for the images of a run: each image gets its own score, or the file is refused."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.data import PARTS
from dpls.errors import UserError
from dpls.runs.scores import labels
from dpls.runs.scores.matching import KEYS, match
from dpls.runs.tables import is_text, numbers, read_table

SCORES = ("score", "scores", "difficulty")


class Brought(NamedTuple):
    """values: (N,), by id, higher = harder, NaN where the file has none; said: how they were found, and of how many."""

    values: NDArray[np.float64]
    said: str


def read_scores(file: Path, examples: pd.DataFrame, *, lower_is_harder: bool = False) -> Brought:
    """``examples``: id, hash, split, label, class and path of every image, in order of ids."""
    table = read_table(file)
    column = _score_column(table, file.name)
    scores = numbers(table[column], f"column {column!r} of {file.name!r}")
    table = table.drop(columns=column).assign(score=-scores if lower_is_harder else scores)
    found = match(table, file.name, examples)
    labels.check(table.iloc[found.rows], file.name, examples.iloc[found.ids])
    values = np.full(len(examples), np.nan)
    values[found.ids] = table["score"].to_numpy()[found.rows]
    _check_spread(values[(examples["split"] == "train").to_numpy()], file.name)
    return Brought(values, f"matched {found.how}. Scores of {_coverage(values, examples)}")


def _score_column(table: pd.DataFrame, name: str) -> str:
    named = [column for column in SCORES if column in table]
    others = [str(c) for c in table if c not in (*labels.LABELS, *KEYS) and not is_text(table[c])]
    if named or len(others) == 1:
        return (named or others)[0]
    listed = f"{len(others)} others ({', '.join(map(repr, others[:6]))})" if others else "no other numbers"
    raise UserError(f"{name!r} has no column 'score', but {listed}; call the one that counts so")


def _check_spread(known: NDArray[np.float64], name: str) -> None:
    known = known[~np.isnan(known)]
    if not len(known):
        raise UserError(f"{name!r} has no score for any training image of this run: it was made for other images")
    with np.errstate(over="ignore"):
        spread = known.max() - known.min()
    if spread == 0 or not np.isfinite(spread):
        why = "they tell no image from another" if spread == 0 else "their difference is no number any more"
        raise UserError(f"scores in {name!r} go from {known.min():g} to {known.max():g}; {why}")


def _coverage(values: NDArray[np.float64], examples: pd.DataFrame) -> str:
    """How many of how many images of each part have a score."""
    known, split = ~np.isnan(values), examples["split"].to_numpy()
    names = {"train": "training"}
    counts = [
        f"{known[split == part].sum():,} of {(split == part).sum():,} {names.get(part, part)} images" for part in PARTS
    ]
    return ", ".join(counts)
