"""Factors as a file that goes along to anyone's trainer: id, hash of the image, difficulty, factor. No torch.

Examples are found by the hash of their pixels, never by position, so a file cannot be read for other images.
"""

import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

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
    found = by_hash(table["hash"], table["factor"].to_numpy(dtype=float), np.char.decode(image_hashes(images), "ascii"))
    unknown = np.flatnonzero(np.isnan(found))
    if len(unknown):
        raise UserError(
            f"{len(unknown):,} of {len(images):,} images are not in {str(path)!r}, the first in row {unknown[0]}: the"
            " file was made for other images, or these were changed"
        )
    return found


def by_hash(hashes: Iterable[str], values: NDArray[np.float64], wanted: Iterable[str]) -> NDArray[np.float64]:
    """The value of each image that is wanted, NaN where its hash is not there; equal images in their order."""
    known: dict[str, list[float]] = {}
    for name, value in zip(hashes, values.tolist(), strict=True):
        known.setdefault(str(name), []).append(value)
    seen: Counter[str] = Counter()
    found = []
    for name in wanted:
        of_it = known.get(str(name), [np.nan])
        found.append(of_it[min(seen[name], len(of_it) - 1)])
        seen[name] += 1
    return np.array(found)


def read_table(path: Path, how: str = "choose another") -> pd.DataFrame:
    """Of a .parquet, .csv, .npz or .npy file; ``how`` says what to do where there is none."""
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype={"hash": str})
        if path.suffix == ".npy":
            return pd.DataFrame({"score": np.load(path, allow_pickle=False)})
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return pd.DataFrame({name: arrays[name] for name in arrays.files})
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"there is no file {str(path)!r}; {how}") from None
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(
            f"{str(path)!r} cannot be read ({_line(error)}); choose a .parquet, .csv, .npz or .npy file"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
