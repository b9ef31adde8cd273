"""Many encoded images, in files or in tables, to one array; broken ones are left out and said."""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dpls.data.found import counted, first
from dpls.data.own.decoding import Broken, Encoded, decode
from dpls.data.own.levels import FULL, Kind, Levels, balance
from dpls.errors import UserError

SMALL_FILE = 32 * 1024  # bytes
CHUNK = 128  # images a thread decodes before it asks for more
MOST_BROKEN = 0.5  # share of images that cannot be read; beyond it the data set is not what it seems
NAMED = 30  # broken images that are named


class Seen(NamedTuple):
    """What decoding tells of an image. levels: None where it is broken; why says how then."""

    levels: Levels | None
    is_grey: bool = True
    several: bool = False
    why: str = ""


class Gathered(NamedTuple):
    """images: uint8 (n, 1 or 3, size, size), without broken ones; kept: bool (N,), which these are; said: sentences."""

    images: NDArray[np.uint8]
    kept: NDArray[np.bool_]
    said: list[str]


class Encodings(NamedTuple):
    """Images as they lie there. ``read`` gives all of them in order, some at a time, as often as it is called."""

    read: Callable[[], Iterable[Sequence[Encoded]]]
    names: Sequence[str]
    mean_size: float
    """Of an image, in bytes."""
    where: str
    """What they are in, to be shown."""


def gather(encodings: Encodings, size: int, channels: str | int) -> Gathered:
    """Every image that can be read. channels: 1, 3, or "auto": 1 if all are grey. UserError where most cannot."""
    names = encodings.names
    images, seen = _decoded(encodings, size, channels, FULL)
    broken = [f"{name} ({one.why})" for name, one in zip(names, seen, strict=True) if not one.levels]
    if len(broken) > MOST_BROKEN * len(names):
        raise UserError(
            f"{len(broken):,} of {len(names):,} files in {encodings.where!r} cannot be read as images:"
            f" {first(broken, NAMED)}; replace or remove them"
        )
    white, said = balance(one.levels for one in seen if one.levels)
    if white != FULL:
        images, seen = _decoded(encodings, size, channels, white)
    kept = np.array([one.levels is not None for one in seen])
    if channels == "auto" and all(one.is_grey for one in seen):
        images = images[:, :1].copy()
    return Gathered(images[kept] if broken else images, kept, [*_left_out(broken), *said, *_frames(seen)])


def _decoded(
    encodings: Encodings, size: int, channels: str | int, white: Mapping[Kind, float]
) -> tuple[NDArray[np.uint8], list[Seen]]:
    """uint8 (N, C, size, size), black where an image is broken, and what was seen in each."""
    images = np.zeros((len(encodings.names), 1 if channels == 1 else 3, size, size), dtype=np.uint8)
    seen: list[Seen] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(_threads(encodings.mean_size)) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
        for some in encodings.read():
            starts = range(0, len(some), CHUNK)
            chunks = (some[start : start + CHUNK] for start in starts)
            rows = (len(seen) + start for start in starts)
            seen += chain.from_iterable(pool.map(_decode_into, repeat(images), rows, chunks, repeat(white)))
    return images, seen


def _threads(mean_size: float) -> int:
    """Threads to decode with. Small files are bound by the interpreter: two threads took a third longer than one."""
    return 1 if mean_size < SMALL_FILE else min(8, os.cpu_count() or 1)


def _decode_into(
    images: NDArray[np.uint8], start: int, some: Sequence[Encoded], white: Mapping[Kind, float]
) -> list[Seen]:
    """Fill rows start, start + 1, ... but those of broken images. images: uint8 (N, 1 or 3, size, size)."""
    channels, size = images.shape[1:3]
    seen = []
    for row, encoded in enumerate(some, start):
        try:
            image, levels, several = decode(encoded, size, white)
        except Broken as error:
            seen.append(Seen(None, why=str(error)))
            continue
        seen.append(Seen(levels, image.mode == "L", several))
        pixels = np.asarray(image.convert("L") if channels == 1 else image)
        images[row] = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels
    return seen


def _left_out(broken: Sequence[str]) -> list[str]:
    if not broken:
        return []
    return [f"Left out, cannot be read as an image: {counted(len(broken), 'file')}, namely {first(broken, NAMED)}."]


def _frames(seen: Sequence[Seen]) -> list[str]:
    count = sum(one.several for one in seen)
    return [f"{counted(count, 'file')} with several frames or pages: the first was taken."] if count else []
