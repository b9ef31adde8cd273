"""Which images the rows of a file of scores are about: by file path, hash or id, and by position if all is silent.

Whatever might be read in two ways is refused with both named: a score on the wrong image looks like any other.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.errors import UserError
from dpls.runs.scores import paths
from dpls.runs.scores.agreement import check_keys
from dpls.runs.scores.ids import by_id
from dpls.runs.scores.labels import LABELS, agree
from dpls.runs.tables import is_text, whole_numbers

PATHS = ("path", "paths", "filepath", "file_path", "file", "filename", "file_name", "image", "image_path", "img_path")
KEYS = {
    *PATHS,
    "id",
    "hash",
    "name",
    "key",
    "guid",
    "uuid",
    "url",
    "uri",
    "img",
    "sample_id",
    "image_id",
    "split",
    "part",
}
KEYS |= {"index", "idx", "row", "unnamed: 0", "level_0"}
"""Names of columns that say which image a row is about, and hold no score."""


class Matched(NamedTuple):
    """rows, ids: (n,), which row of the file each of n images has its score from, no image twice; how: in words.

    column: the one that says so, "" if none does.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    how: str
    column: str = ""


def match(table: pd.DataFrame, name: str, examples: pd.DataFrame) -> Matched:
    """``table``: numbers in the column score, maybe labels, and whatever else the file ``name`` holds."""
    keys = table.drop(columns=["score", *LABELS], errors="ignore")
    texts = [str(column) for column in keys if _names_images(keys[column]) and is_text(keys[column])]
    found = (
        _by_path(table, texts, name, examples)
        or _by_hash(table, texts, examples)
        or _by_id(table, texts, name, examples)
        or _by_position(table, keys, name, examples)
    )
    if found.column:
        of_paths = [text for text in texts if text in PATHS]
        check_keys(table.iloc[found.rows], found.column, found.ids, of_paths, name, examples)
    return found


def _names_images(column: pd.Series) -> bool:
    """By its name, or because its values are all different, or look like files."""
    known = column.dropna()
    if str(column.name) in KEYS or len(known) < 2:
        return str(column.name) in KEYS
    if is_text(column):
        looks_like_files = known.astype(str).str.contains(r"[\\/]|\.[A-Za-z]\w{1,4}$").mean() > 0.5
        return known.nunique() > len(known) / 2 or bool(looks_like_files)
    return not np.isnan(whole_numbers(known)).any() and bool(known.is_unique)


def _by_path(table: pd.DataFrame, texts: list[str], name: str, examples: pd.DataFrame) -> Matched | None:
    known = examples["path"].astype(str).tolist()
    if not any(known):
        return None
    found = {column: paths.find(table[column].fillna(""), known) for column in texts}
    column = max(texts, key=lambda c: (found[c].ids >= 0).sum(), default="")
    if not column or (found[column].ids < 0).all():
        return None
    ids, doubtful = found[column]
    example = f"write it with its folders, as {known[ids.max()]!r}"
    if doubtful:
        said = table[column].iloc[doubtful[0]]
        raise UserError(f"the path {said!r} in {name!r} may mean several images of this run; {example}")
    rows = np.flatnonzero(ids >= 0)
    twice = pd.Series(ids[rows]).duplicated().to_numpy()
    if twice.any():
        said = table[column].iloc[rows[twice.argmax()]]
        raise UserError(f"two rows of {name!r} are about the image {known[ids[rows][twice.argmax()]]!r} ({said!r})")
    return Matched(rows, ids[rows], f"by file path (column {column!r}){_strangers(len(table), len(rows))}", column)


def _strangers(rows: int, mine: int) -> str:
    return f"; {rows - mine:,} of {rows:,} rows are about images that this run does not have" if mine < rows else ""


def _by_hash(table: pd.DataFrame, texts: list[str], examples: pd.DataFrame) -> Matched | None:
    known = examples["hash"].astype(str).str.lower()
    if not known.any():  # somebody's loop handed over no pixels
        return None
    said = {column: table[column].astype(str).str.strip().str.lower() for column in {*texts, *({"hash"} & {*table})}}
    column = max(sorted(said), key=lambda c: (int(said[c].isin(known).sum()), c == "hash"), default="")
    if not column or (column != "hash" and not said[column].isin(known).any()):
        return None
    rows = pd.DataFrame({"row": np.arange(len(table)), "hash": said[column].to_numpy(), "score": table["score"]})
    pairs = rows.merge(pd.DataFrame({"id": np.arange(len(known)), "hash": known.to_numpy()}), on="hash")
    told = _told_apart(pairs, table, examples)
    lost = pairs["id"].nunique() - len(told)
    how = f"by hash (column {column!r}){_strangers(len(table), pairs['row'].nunique())}"
    if lost:
        how += f"; {lost:,} images got no score, for others have the same content: a column path or id tells them apart"
    return Matched(told["row"].to_numpy(), told["id"].to_numpy(), how, column)


def _told_apart(pairs: pd.DataFrame, table: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Of images with one content, each with a row of its own: by ids that all fit, by labels, or with equal scores."""
    ids = whole_numbers(table["id"])[pairs["row"]] if "id" in table else np.full(len(pairs), np.nan)
    fits = pairs["id"].to_numpy() == ids
    if pairs["row"][fits].nunique() == pairs["row"].nunique():
        pairs = pairs[fits | ~_shared(pairs)]
    labels = agree(table.iloc[pairs["row"]], examples.iloc[pairs["id"]])
    pairs = pairs[labels | ~_shared(pairs)]
    groups = pairs.groupby("hash")
    equal = groups["score"].transform("nunique", dropna=False) == 1
    enough = groups["row"].transform("nunique") >= groups["id"].transform("nunique")
    return pairs[~_shared(pairs) | (equal & enough)].drop_duplicates("id")


def _shared(pairs: pd.DataFrame) -> NDArray[np.bool_]:
    """Where a row may be about several images, or an image may be meant by several rows."""
    return (pairs["row"].duplicated(keep=False) | pairs["id"].duplicated(keep=False)).to_numpy()


def _by_id(table: pd.DataFrame, texts: list[str], name: str, examples: pd.DataFrame) -> Matched | None:
    if "id" not in table or np.isnan(whole_numbers(table["id"])).all():
        return None
    strange = [column for column in texts if column in PATHS]
    if strange and examples["path"].astype(bool).any():
        raise _not_understood(table, strange[0], name, examples)
    return Matched(np.arange(len(table)), by_id(table, name, examples), "by id", "id")


def _not_understood(table: pd.DataFrame, column: str, name: str, examples: pd.DataFrame) -> UserError:
    path = next(filter(None, examples["path"].astype(str)), "")
    ways = [f"path (as {path!r})"] * bool(path) + ["hash", "id"]
    return UserError(
        f"{name!r} has a column {column!r} (as {str(table[column].iloc[0])[:60]!r}) that seems to say which image a row"
        f" is about, but not of this run's; name the images in a column {', '.join(ways[:-1])} or id, as"
        " `python -m dpls export` writes them, or leave the column out if the rows are in the order of the images"
    )


def _by_position(table: pd.DataFrame, keys: pd.DataFrame, name: str, examples: pd.DataFrame) -> Matched:
    counts = []
    for column in map(str, keys):
        if not _names_images(keys[column]) or keys[column].isna().all():
            continue
        if not np.array_equal(whole_numbers(keys[column]), np.arange(len(table))):
            raise _not_understood(table, column, name, examples)
        counts.append(column)
    ids, whose = _of_as_many(len(table), name, examples)
    _refuse_sorted(table, name, examples.iloc[ids])
    how = f"by position, for no column names the images: the rows are taken to be {whose}, in their order"
    how += f" (column {counts[0]!r} only counts the rows)" if counts else ""
    return Matched(np.arange(len(table)), ids, how)


def _of_as_many(rows: int, name: str, examples: pd.DataFrame) -> tuple[NDArray[np.int64], str]:
    """The images that may be meant by so many rows, and in words. Ids are in the order of the source."""
    split = examples["split"].to_numpy()
    choices = {
        "the training images": np.flatnonzero(split == "train"),
        "the training and validation images": np.flatnonzero(split != "test"),
        "all images": np.arange(len(examples)),
    }
    for whose, ids in choices.items():
        if len(ids) == rows:
            return ids, whose
    needed = ", or ".join(f"{len(ids):,}, for {whose}" for whose, ids in choices.items())
    raise UserError(f"{name!r} has {rows:,} rows and neither path, hash nor id; without them it needs {needed}")


def _refuse_sorted(table: pd.DataFrame, name: str, examples: pd.DataFrame) -> None:
    """Scores that rise or fall from row to row, overall or within each class, have lost the order of the images."""
    known = table["score"].notna().to_numpy()
    labels, scores = examples["label"].to_numpy()[known], table["score"].to_numpy()[known]
    order = np.argsort(labels, kind="stable")
    steps = np.diff(scores[order])[np.diff(labels[order]) == 0]
    if len(steps) >= 10 and steps.any() and ((steps >= 0).all() or (steps <= 0).all()):
        raise UserError(
            f"{name!r} is sorted by score and has neither path, hash nor id, so whose score is whose is lost; write"
            " one of these columns, or save the scores in the order of the images"
        )
