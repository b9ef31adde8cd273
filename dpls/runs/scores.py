"""Scores computed elsewhere: matched to the images of a data set, kept beside the runs, shown like a measure. No torch.

A file's rows are matched by the hash of each image where it has one, else by id, else by their order: as many rows as
there are training images, or images in all. Labels in the file must be those of the images.
"""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.difficulty.measures import MEASURES
from dpls.errors import UserError
from dpls.runs.files import write_whole
from dpls.runs.sidecar import read_table

Array = NDArray[np.float64]
SCORES, LABELS = ("score", "scores", "difficulty"), ("label", "labels")
NAME = re.compile(r"[\w.() +-]{1,40}")


def read_scores(file: Path, examples: pd.DataFrame, *, lower_is_harder: bool = False) -> Array:
    """(N,), by id, higher = harder, NaN where the file has none.

    examples: id, hash, split and label of every image, in order of ids.
    """
    table = read_table(file)
    others = [str(name) for name in table if name not in (*LABELS, "id", "hash")]
    named = [name for name in SCORES if name in table] or (others if len(others) == 1 else [])
    if not named:
        raise UserError(f"{file.name!r} has no column 'score', but {len(others)} others; call the one that counts so")
    scores = _numbers(table[named[0]], f"column {named[0]!r} of {file.name!r}")
    scores = -scores if lower_is_harder else scores
    rows = _rows(table, file.name, examples)
    mine = rows >= 0
    _check_labels(table[mine], file.name, examples.iloc[rows[mine]])
    found = np.full(len(examples), np.nan)
    found[rows[mine]] = scores[mine]
    known = found[(examples["split"] == "train").to_numpy()]
    known = known[~np.isnan(known)]
    if not len(known):
        raise UserError(f"{file.name!r} has no score for any training image of this run: it was made for other images")
    with np.errstate(over="ignore"):
        spread = known.max() - known.min()
    if spread == 0 or not np.isfinite(spread):
        why = "they tell no image from another" if spread == 0 else "their difference is no number any more"
        raise UserError(f"scores in {file.name!r} go from {known.min():g} to {known.max():g}; {why}")
    return found


def _numbers(column: pd.Series, whose: str) -> Array:
    kind = column.dtype.kind
    try:
        if kind in "cmM":
            raise ValueError
        numbers = column.to_numpy(dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{whose} does not hold numbers") from None
    if np.isinf(numbers).any():
        raise UserError(f"row {int(np.isinf(numbers).argmax())} of {whose} is infinite")
    return numbers


def _rows(table: pd.DataFrame, name: str, examples: pd.DataFrame) -> NDArray[np.int64]:
    """(rows,): the example that each row of the file is about, -1 for an image that this run does not have.

    By hash: equal images are told apart by id, where the file has ids that fit, else by their order.
    """
    count, train = len(examples), np.flatnonzero(examples["split"] == "train")
    if "id" in table:
        ids = pd.to_numeric(table["id"], errors="coerce").to_numpy(dtype=float)
        wrong = ~((ids >= 0) & (ids < count) & (ids == np.floor(ids)))
    if "hash" in table:
        known = examples["hash"].astype(str).to_numpy()
        if "id" in table and not wrong.any() and (known[ids.astype(np.int64)] == table["hash"]).all():
            return _once(ids, name)
        return _by_hash(table["hash"].to_numpy(), known)
    if "id" in table:
        if wrong.any():
            raise UserError(f"{name!r} has the id {table['id'].iloc[wrong.argmax()]}; ids go from 0 to {count - 1:,}")
        return _once(ids, name)
    if len(table) in (len(train), count):
        return train if len(table) == len(train) else np.arange(count)
    raise UserError(
        f"{name!r} has {len(table):,} rows and neither hash nor id; without them it needs {len(train):,}, one for"
        f" each training image, or {count:,}, one for each image"
    )


def _once(ids: Array, name: str) -> NDArray[np.int64]:
    repeated = pd.Series(ids).duplicated()
    if repeated.any():
        raise UserError(f"{name!r} has an id twice: {int(ids[repeated.argmax()])}")
    return ids.astype(np.int64)


def _by_hash(hashes: np.ndarray, known: np.ndarray) -> NDArray[np.int64]:
    places: dict[str, list[int]] = {}
    for place, key in enumerate(known.tolist()):
        places.setdefault(key, []).append(place)
    return np.array([places[key].pop(0) if places.get(key) else -1 for key in hashes.tolist()], dtype=np.int64)


def _check_labels(table: pd.DataFrame, name: str, examples: pd.DataFrame) -> None:
    """By number or by name, where the file says labels at all."""
    column = next((column for column in LABELS if column in table), None)
    if column is None:
        return
    said = table[column].astype(str).to_numpy()
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    wrong = min((numbers != examples["label"].to_numpy(), said != examples["class"].to_numpy(str)), key=np.sum)
    if wrong.any():
        raise UserError(
            f"{int(wrong.sum()):,} of {len(table):,} labels in {name!r} are not those of this run's images, the first"
            f" in row {int(wrong.argmax())}: other images, or another order"
        )


def _folder(runs: Path, fingerprint: str) -> Path:
    return runs / "scores" / fingerprint


def names(runs: Path, fingerprint: str) -> list[str]:
    """Of all scores kept for these images."""
    return sorted(path.stem for path in _folder(runs, fingerprint).glob("*.parquet"))


def file_of(runs: Path, fingerprint: str, name: str) -> Path:
    return _folder(runs, fingerprint) / f"{name}.parquet"


def keep(runs: Path, fingerprint: str, name: str, scores: Array) -> None:
    """For all runs on these images; scores of the same name are replaced."""
    if not NAME.fullmatch(name) or name.startswith(".") or not name.strip():
        raise UserError(f"scores cannot be called {name!r}; use up to 40 letters, digits, spaces and .()+-")
    if name in MEASURES:
        raise UserError(f"{name!r} is the name of a measure; choose another")
    file = file_of(runs, fingerprint, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    pd.DataFrame({"id": np.arange(len(scores)), "score": scores}).to_parquet(buffer, index=False)
    write_whole(file, buffer.getvalue())


def load(file: Path) -> Array:
    """(N,), by id, higher = harder; NaN where there is none."""
    try:
        return pd.read_parquet(file)["score"].to_numpy(dtype=float)
    except (OSError, ValueError, KeyError):
        raise UserError(f"the scores {file.stem!r} are gone or cannot be read; import them again") from None
