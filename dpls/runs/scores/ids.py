"""Ids in a file of scores: those that `export` writes, and not others that look like them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.errors import UserError
from dpls.runs.scores import paths
from dpls.runs.scores.labels import agree, says_any
from dpls.runs.tables import whole_numbers


def by_id(table: pd.DataFrame, name: str, examples: pd.DataFrame) -> NDArray[np.int64]:
    """(rows,): the ids of a table that has a column id.

    Refused where they may as well count from 1, or the training images alone, or name files, and no label decides.
    """
    said = whole_numbers(table["id"])
    known = (said >= 0) & (said < len(examples))
    if not known.all():
        wrong = table["id"].iloc[(~known).argmax()]
        raise _several(name, f"it has the id {wrong}, but ids go from 0 to {len(examples) - 1:,}", examples)
    ids = said.astype(np.int64)
    twice = pd.Series(ids).duplicated()
    if twice.any():
        raise UserError(f"{name!r} has an id twice: {ids[twice.argmax()]}")
    doubt = _doubt(ids, examples)
    if doubt and not _labels_decide(table, ids, examples):
        raise _several(name, doubt, examples)
    files = paths.find(table["id"].astype(str), examples["path"].astype(str).tolist())
    if (files.ids >= 0).all() and not np.array_equal(files.ids, ids):
        raise _several(name, "they are names of this run's files, too", examples)
    return ids


def _several(name: str, why: str, examples: pd.DataFrame) -> UserError:
    train = int((examples["split"] == "train").sum())
    return UserError(
        f"the ids in {name!r} may be read as those of all {len(examples):,} images, counted from 0 as `python -m"
        f" dpls export` writes them, or as counted from 1, or as numbers of the {train:,} training images or of files:"
        f" {why}; write the ids of `export` for every training image, or a column path, hash or label"
    )


def _doubt(ids: NDArray[np.int64], examples: pd.DataFrame) -> str:
    """What speaks against ids as `export` writes them, in words; "" if nothing does."""
    listed = np.zeros(len(examples), dtype=bool)
    listed[ids] = True
    if len(ids) > 1 and not listed[0] and ids.max() == len(ids):
        return f"they are 1 to {len(ids):,}, without 0"
    split = examples["split"].to_numpy()
    train = split == "train"
    from_one = len(ids) > 0 and ids.min() == 1 and train[ids - 1].sum() >= train[ids].sum()
    if from_one and listed[train].mean() >= 0.9:
        return "they start at 1, and nearly all training images are there; if they count from 0, add a row for id 0"
    left, other = train & ~listed, ~train & listed
    if left.any() and other.any():
        first = int(other.argmax())
        return f"training image {left.argmax()} would have no score, {split[first]} image {first} would have one"
    return ""


def _labels_decide(table: pd.DataFrame, ids: NDArray[np.int64], examples: pd.DataFrame) -> bool:
    """Whether labels fit these ids and no other reading of them."""
    train = np.flatnonzero(examples["split"] == "train")
    others = [ids - 1] if ids.min() > 0 else []
    others += [train[ids]] if ids.max() < len(train) else []
    fits = agree(table, examples.iloc[ids]).all() and says_any(table)
    others = [other for other in others if not np.array_equal(other, ids)]
    return bool(fits and not any(agree(table, examples.iloc[other]).all() for other in others))
