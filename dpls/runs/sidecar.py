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
from dpls.data.unlabelled import PSEUDO
from dpls.errors import UserError
from dpls.runs.tables import numbers, read_table, whole_numbers

COLUMNS = ("id", "hash", "difficulty", "factor")


def sidecar(examples: pd.DataFrame) -> pd.DataFrame:
    """The training examples of a per-example table, without pseudo-labels, these columns alone."""
    chosen = (examples["split"] == "train") & (examples["cause"] != PSEUDO)
    return examples.loc[chosen, list(COLUMNS)].reset_index(drop=True)


def to_bytes(table: pd.DataFrame) -> bytes:
    """As parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_factors(path: str | Path, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,): the factor of each of these images, uint8 (N, C, H, W), in their order.

    Refused where one of them is not in the file; equal images with different factors are told apart by their order,
    which is that of the file's ids where it has any.
    """
    table = read_table(Path(path), how="write one with `python -m dpls export RUN --factors --to FILE`")
    missing = [name for name in ("hash", "factor") if name not in table]
    if missing:
        raise UserError(f"{str(path)!r} has no column {missing[0]!r}; it needs hash and factor")
    if "id" in table:
        table = table.iloc[np.argsort(whole_numbers(table["id"]), kind="stable")]
    factors = numbers(table["factor"], f"column 'factor' of {str(path)!r}")
    found = by_hash(table["hash"].astype(str).str.lower(), factors, _names(images))
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
