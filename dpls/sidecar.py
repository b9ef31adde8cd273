"""Factors as a file that goes along to anyone's trainer: id, hash of the image, difficulty, factor. No torch.

Examples are found by the hash of their pixels, never by position, so a file cannot be read for other images.
"""

import io
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
    table = _read(Path(path))
    factors: dict[str, list[float]] = {}
    for name, factor in zip(table["hash"].astype(str), table["factor"].astype(float), strict=True):
        factors.setdefault(name, []).append(factor)
    wanted = np.char.decode(image_hashes(images), "ascii")
    missing = [row for row, name in enumerate(wanted.tolist()) if name not in factors]
    if missing:
        raise UserError(
            f"{len(missing):,} of {len(images):,} images are not in {str(path)!r}, the first in row {missing[0]}: the"
            " file was made for other images, or these were changed"
        )
    seen: dict[str, int] = {}
    found = np.empty(len(images))
    for row, name in enumerate(wanted.tolist()):
        place = seen.get(name, 0)
        seen[name] = place + 1
        found[row] = factors[name][min(place, len(factors[name]) - 1)]
    return found


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype={"hash": str})
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                table = pd.DataFrame({name: arrays[name] for name in arrays.files})
        else:
            table = pd.read_parquet(path)
    except FileNotFoundError:
        how = "write one with `python -m dpls export RUN --factors --to FILE`"
        raise UserError(f"there is no file {str(path)!r}; {how}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}); choose a .parquet, .csv or .npz file") from None
    missing = [name for name in ("hash", "factor") if name not in table]
    if missing:
        raise UserError(f"{str(path)!r} has no column {missing[0]!r}; it needs hash and factor")
    return table
