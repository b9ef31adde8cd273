"""Factors as a file that goes along to anyone's trainer: whose it is, difficulty, factor. No torch.

Whose: by the hash of its pixels, and of an image that came from a file by path and by the hash of the file's bytes, so
that it is found however it is decoded. Never by position, so a file cannot be read for other images.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.data.cache import image_hashes
from dpls.data.own.folder import Folder
from dpls.data.source import path_of
from dpls.data.unlabelled import PSEUDO
from dpls.errors import UserError
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.scores import paths
from dpls.runs.tables import numbers, read_table, whole_numbers

COLUMNS = ("id", "hash", "difficulty", "factor")
OF_FILES = ("path", "file_hash")


def sidecar(examples: pd.DataFrame, hashes: Mapping[str, str]) -> pd.DataFrame:
    """The training examples of a per-example table, without pseudo-labels: these columns alone.

    ``hashes``: those of files by path, as ``file_hashes`` gives them; "" where there is none.
    """
    chosen = (examples["split"] == "train") & (examples["cause"] != PSEUDO)
    table = examples.loc[chosen].reset_index(drop=True)
    if not table["path"].astype(bool).any():
        return table[list(COLUMNS)]
    table["file_hash"] = [hashes.get(path, "") for path in table["path"]]
    return table[[*COLUMNS[:2], *OF_FILES, *COLUMNS[2:]]]


def file_hashes(run: Run) -> dict[str, str]:
    """{path: hash of its bytes} of the image files of a run's folder; empty where there is none, or its files are not
    those that the run was trained on."""
    data = run.recipe().data
    if not isinstance(data.source, Folder):
        return {}
    try:
        fingerprint = data.fingerprint(data_root(run.path.parent))
        if fingerprint != run.config()["fingerprint"]:
            return {}
        root = path_of(data.source.path)
        return {path: _hash_of(root / path) for path in run.examples()["path"].astype(str)}
    except (UserError, OSError):  # the folder is gone, or was never here
        return {}


def _hash_of(file: str | Path) -> str:
    """The first 16 hex digits of sha256 over the bytes of a file; "" where there is no such file."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except (OSError, ValueError):
        return ""


def to_bytes(table: pd.DataFrame) -> bytes:
    """As parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_factors(
    path: str | Path, images: NDArray[np.uint8] | None = None, files: Sequence[str | Path] | None = None
) -> NDArray[np.float64]:
    """(N,): the factor of each of these images, in their order.

    ``images``, uint8 (N, C, H, W), are found by their pixels, so they must have been decoded as here; equal images with
    different factors are told apart by their order, which is that of the file's ids where it has any. ``files``, (N,),
    their paths, are found whoever decodes them: by the path (with other folders before it, or cut short where that is
    plain), else by the bytes of the file; given both, what no file tells is found by its pixels. Refused, with counts,
    where an image is not in the file, or may be several that have different factors.
    """
    table = read_table(Path(path), how="write one with `python -m dpls export RUN --factors --to FILE`")
    _check_columns(table, str(path), images is not None, files is not None)
    if images is not None and files is not None and len(images) != len(files):
        raise UserError(f"there are {len(images):,} images and {len(files):,} files; give one file an image")
    if "id" in table:
        table = table.iloc[np.argsort(whole_numbers(table["id"]), kind="stable")]
    factors = numbers(table["factor"], f"column 'factor' of {str(path)!r}")
    if files is None:
        assert images is not None
        found = by_hash(_texts(table, "hash"), factors, _names(images))
        remedy = "changed, or decoded in another way" + ("; give files=, their paths" if "path" in table else "")
        _refuse(_Matched(found), str(path), [f"in row {row}" for row in range(len(found))], remedy)
        return found
    matched = _by_files(table, factors, [str(file) for file in files])
    left = np.flatnonzero(np.isnan(matched.factors))
    if images is not None and "hash" in table:
        by_pixels = _unless_several(_texts(table, "hash"), factors, _names(images[left]))
        matched.factors[left] = by_pixels.factors
        matched = matched._replace(several=[*matched.several, *left[list(by_pixels.several)].tolist()])
    _refuse(matched, str(path), [repr(str(file)) for file in files], "renamed and changed")
    return matched.factors


class _Matched(NamedTuple):
    """factors: (n,), NaN where none was found; rows that may mean several images, and rows whose path contradicts their
    bytes."""

    factors: NDArray[np.float64]
    several: Sequence[int] = ()
    torn: Sequence[int] = ()


def _check_columns(table: pd.DataFrame, name: str, by_pixels: bool, by_files: bool) -> None:
    if not by_pixels and not by_files:
        raise UserError("read_factors finds factors by images=, by files=, or by both; give one of them")
    keys = [*["hash"] * by_pixels, *OF_FILES * by_files]
    if "factor" not in table or not any(key in table for key in keys):
        missing = "factor" if "factor" not in table else keys[0]
        raise UserError(f"{name!r} has no column {missing!r}; it needs {' or '.join(keys)}, and factor")


def _texts(table: pd.DataFrame, column: str) -> list[str]:
    return [str(text).lower() for text in table[column]]


def _by_files(table: pd.DataFrame, factors: NDArray[np.float64], files: list[str]) -> _Matched:
    """By path where one means an image, else by bytes."""
    known = table["path"].fillna("").astype(str).tolist() if "path" in table else []
    by_path = paths.find(pd.Series(files, dtype=object), known)
    rows = by_path.ids.copy()
    rows[by_path.doubtful] = -1
    hashes = _texts(table, "file_hash") if "file_hash" in table else [""] * len(table)
    mine = [_hash_of(file) if any(hashes) else "" for file in files]
    by_bytes = _unless_several(hashes, factors, mine)
    there = set(hashes) - {""}
    torn = [k for k, row in enumerate(rows) if row >= 0 and hashes[row] and mine[k] in there - {hashes[row]}]
    found = by_bytes.factors
    found[rows >= 0] = factors[rows[rows >= 0]]
    return _Matched(found, [*by_path.doubtful, *by_bytes.several], torn)


def _unless_several(keys: list[str], factors: NDArray[np.float64], wanted: list[str]) -> _Matched:
    """The factor of each image that is wanted, unless images with its key have different ones."""
    known: dict[str, set[float]] = {}
    for key, factor in zip(keys, factors.tolist(), strict=True):
        known.setdefault(key, set()).add(factor)
    known.pop("", None)
    of_each = [known.get(key, set()) for key in wanted]
    found = np.array([next(iter(one)) if len(one) == 1 else np.nan for one in of_each], dtype=np.float64)
    return _Matched(found, [k for k, one in enumerate(of_each) if len(one) > 1])


def _refuse(matched: _Matched, name: str, called: Sequence[str], changed: str) -> None:
    """Raises UserError with how many images of how many are not in the file, and which is the first."""
    lost = np.isnan(matched.factors)
    several = sorted({row for row in matched.several if lost[row]})
    unknown = sorted({*np.flatnonzero(lost).tolist()} - {*several})
    said = [
        f"{len(rows):,} of {len(lost):,} images {what}, the first {called[rows[0]]}"
        for rows, what in (
            (unknown, f"are not in {name!r}"),
            (several, f"may be several of {name!r}, with different factors"),
            (matched.torn, f"have the path of one image of {name!r} and the bytes of another"),
        )
        if rows
    ]
    if said:
        raise UserError(f"{'; '.join(said)}: the file was made for other images, or these were {changed}")


def _names(images: NDArray[np.uint8]) -> list[str]:
    return [str(name) for name in np.char.decode(image_hashes(images), "ascii")]


def by_hash(keys: Iterable[object], values: NDArray[np.float64], wanted: Iterable[object]) -> NDArray[np.float64]:
    """The value of each image that is wanted, NaN where its key is not there; equal images in their order."""
    known: dict[object, list[float]] = {}
    for key, value in zip(keys, values.tolist(), strict=True):
        known.setdefault(key, []).append(value)
    seen: Counter[object] = Counter()
    found = []
    for key in wanted:
        of_it = known.get(key, [np.nan])
        found.append(of_it[min(seen[key], len(of_it) - 1)])
        seen[key] += 1
    return np.array(found)
