"""Factors as a file that goes along to anyone's trainer: id, hash of the image, difficulty, factor. No torch.

Examples are found by the hash of their pixels, never by position, so a file cannot be read for other images.
"""

import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.data.cache import image_hashes
from dpls.errors import UserError

COLUMNS = ("id", "hash", "difficulty", "factor")


def sidecar(examples: pd.DataFrame) -> pd.DataFrame:
    """The training examples of a per-example table, these columns alone."""
    return examples.loc[examples["split"] == "train", list(COLUMNS)].reset_index(drop=True)


def to_bytes(table: pd.DataFrame) -> bytes:
    """As parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_factors(path: str | Path, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,): the factor of each of these images, uint8 (N, C, H, W), in their order.

    Refused where one of them is not in the file; equal images with different factors are told apart by their order.
    """
    table = read_table(Path(path), how="write one with `python -m dpls export RUN --factors --to FILE`")
    missing = [name for name in ("hash", "factor") if name not in table]
    if missing:
        raise UserError(f"{str(path)!r} has no column {missing[0]!r}; it needs hash and factor")
    found = by_hash(table["hash"], table["factor"].to_numpy(dtype=float), _names(images))
    unknown = np.flatnonzero(np.isnan(found))
    if len(unknown):
        raise UserError(
            f"{len(unknown):,} of {len(images):,} images are not in {str(path)!r}, the first in row {unknown[0]}: the"
            " file was made for other images, or these were changed"
        )
    return found


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


def read_table(path: Path, how: str = "choose another") -> pd.DataFrame:
    """Of a .parquet, .csv, .npz or .npy file, its columns in small letters; ``how``: what to do where there is none."""
    if not path.is_file():
        raise UserError(f"there is no file {str(path)!r}; {how}")
    try:
        table = _parse(path)
    except Exception as error:  # whatever a foreign file makes its reader raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(
            f"{str(path)!r} cannot be read ({reason}); choose a .parquet, .csv, .npz or .npy file"
        ) from None
    table.columns = [str(name).strip().lower() for name in table]
    if "hash" in table:
        table["hash"] = [name.decode() if isinstance(name, bytes) else str(name) for name in table["hash"]]
    return table


def _parse(path: Path) -> pd.DataFrame:
    match path.suffix.lower():
        case ".csv":
            table = pd.read_csv(path, dtype={"hash": str, "Hash": str, "HASH": str})
            if not isinstance(table.index, pd.RangeIndex):
                raise ValueError("its rows have more fields than its header")
            if all(_is_number(name) for name in table):
                raise ValueError("its first row has no names")
            return table
        case ".npy":
            return pd.DataFrame({"score": np.load(path, allow_pickle=False)})
        case ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return pd.DataFrame({name: arrays[name] for name in arrays.files})
    table = pd.read_parquet(path)
    return table.reset_index(drop=table.index.name is None)  # hashes are often its index


def _is_number(name: object) -> bool:
    try:
        float(str(name))
    except ValueError:
        return False
    return True
