"""How large a person's file is once it is unpacked, and how large it may be: looked at before anything is unpacked.

What claims too much raises ValueError with both numbers; whoever reads the file says which it is.
"""

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MOST_PIXELS = 50_000_000
"""Of one image, as it is decoded."""
MOST_ARRAYS = 8 * 2**30
"""Bytes of the arrays of images in one .npz file, unpacked; of the images of parquet files, decoded."""
MOST_GROUP = 4 * 2**30
"""Bytes of a column in a row group of a parquet file of images, unpacked."""
MOST_SCORES = 2**30
"""Bytes of a file of scores, unpacked."""
MOST_FILE = 256 * 2**20
"""Bytes of a file of scores as it lies there."""
MOST_ROWS = 20_000_000
"""Rows of a file of scores, or of parquet files of images."""


class Claim(NamedTuple):
    """What the header of an array says of it."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"


def check_image(width: int, height: int) -> None:
    """Raises ValueError for an image that is too large to be decoded."""
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width:,} by {height:,} pixels; at most {MOST_PIXELS:,} are decoded")


def check_bytes(count: int, most: int, what: str) -> None:
    """Raises ValueError where there are more than ``most``; ``what``: e.g. ``its arrays have``."""
    if count > most:
        raise ValueError(f"{what} {in_words(count)}, and at most {in_words(most)} are read")


def in_words(count: int) -> str:
    """e.g. ``8.5 GiB``."""
    number, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:,.4g} {units[0]}"


def npz_claims(path: Path, most: int) -> dict[str, Claim]:
    """What is in an archive of arrays, by name, as its directory and the arrays' headers say; no array is read."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_bytes(sum(member.file_size for member in members), most, "unpacked it has")
        found = {}
        for member in members:
            if member.filename.endswith(".npy"):
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    found[name] = _claim(file, member.file_size, f"the array {name!r}")
        return found


def npy_claim(path: Path) -> Claim:
    """What the header of one array says; it cannot be more than the file holds."""
    with path.open("rb") as file:
        return _claim(file, path.stat().st_size, "the array")


def _claim(file: Any, size: int, what: str) -> Claim:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"{what} claims the shape {shape}")
    claimed = math.prod(shape) * max(1, dtype.itemsize)
    if claimed > size and not dtype.hasobject:
        raise ValueError(f"{what} claims {in_words(claimed)}, shape {shape}, but has {in_words(size)}")
    return Claim(tuple(shape), dtype)
