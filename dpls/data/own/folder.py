"""A folder of images, one folder a class, as a source."""

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from dpls.data.dataset import Dataset
from dpls.data.found import Found, counted, first
from dpls.data.own.decoding import Broken, decode
from dpls.data.own.layout import LAYOUT, Listed, Listing, list_images
from dpls.data.own.levels import FULL, Kind, Levels, balance
from dpls.data.source import DataSource, path_of
from dpls.errors import UserError
from dpls.text import display

SMALL_FILE = 32 * 1024  # bytes
CHUNK = 128  # files a thread decodes before it asks for more
MOST_BROKEN = 0.5  # share of files that cannot be read; beyond it the folder is not what it seems
NAMED = 30  # broken files that are named


class Seen(NamedTuple):
    """What decoding tells of a file. levels: None where it is broken; why says how then."""

    levels: Levels | None
    is_grey: bool = True
    several: bool = False
    why: str = ""


def _threads(files: Sequence[Listed]) -> int:
    """Threads to decode with. Small files are bound by the interpreter: two threads took a third longer than one."""
    some = files[:: max(1, len(files) // 100)]
    mean_size = sum(file.size for file in some) / len(some)
    return 1 if mean_size < SMALL_FILE else min(8, os.cpu_count() or 1)


def _decode_into(
    images: NDArray[np.uint8], start: int, files: Sequence[Listed], white: Mapping[Kind, float]
) -> list[Seen]:
    """Fill rows start, start + 1, ... but those of broken files. images: uint8 (N, 1 or 3, size, size)."""
    channels, size = images.shape[1:3]
    seen = []
    for row, file in enumerate(files, start):
        try:
            image, levels, several = decode(file.path, size, white)
        except Broken as error:
            seen.append(Seen(None, why=str(error)))
            continue
        seen.append(Seen(levels, image.mode == "L", several))
        pixels = np.asarray(image.convert("L") if channels == 1 else image)
        images[row] = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels
    return seen


class Folder(DataSource):
    """Images, one folder a class, in the folder itself or in train/ and, where there are any, val/ and test/.

    Images of any size: each is turned as its EXIF says, its short side is resized to ``size`` with antialiasing and
    its centre is cropped. Transparency is laid over white, 16 bits become 8, of several frames the first is taken.
    Labels follow the sorted names of the class folders, numbers by their value. What is left out is said.
    """

    kind: Literal["folder"] = "folder"
    path: str = Field(description=f"Folder of images: {LAYOUT}.")
    size: int = Field(
        32, ge=8, le=96, description="Height and width in pixels; the short side is resized to it, the centre is kept."
    )
    channels: Literal["auto", 1, 3] = Field("auto", description="1: grey, 3: colour; auto: 1 if every file is grey.")
    smallest_class: int = Field(1, ge=1, description="Leave out classes with fewer training images than this.")

    def __call__(self) -> Dataset:
        """Every image that can be read, by part, class and file name. Raises UserError where most cannot."""
        files = self._listing.files
        images, seen = self._decoded(FULL)
        broken = [f"{self._name(file)} ({one.why})" for file, one in zip(files, seen, strict=True) if not one.levels]
        if len(broken) > MOST_BROKEN * len(files):
            raise UserError(
                f"{len(broken):,} of {len(files):,} files in {display(self.path)!r} cannot be read as images:"
                f" {first(broken, NAMED)}; replace or remove them"
            )
        white, said = balance(one.levels for one in seen if one.levels)
        if white != FULL:
            images, seen = self._decoded(white)
        kept = np.array([one.levels is not None for one in seen])
        if self.channels == "auto" and all(one.is_grey for one in seen):
            images = images[:, :1].copy()
        dataset = Dataset.of(
            images,
            np.array([file.label for file in files], dtype=np.int64),
            np.array([file.part for file in files], dtype=np.uint8),
            self._listing.classes,
            np.array([self._name(file) for file in files]),
        )
        return (dataset.take(kept) if broken else dataset).saying(*_left_out(broken), *said, *_frames(seen))

    def _decoded(self, white: Mapping[Kind, float]) -> tuple[NDArray[np.uint8], list[Seen]]:
        """uint8 (N, C, size, size), black where a file is broken, and what was seen in each."""
        files = self._listing.files
        images = np.zeros((len(files), 1 if self.channels == 1 else 3, self.size, self.size), dtype=np.uint8)
        starts = range(0, len(files), CHUNK)
        chunks = (files[start : start + CHUNK] for start in starts)
        with warnings.catch_warnings(), ThreadPoolExecutor(_threads(files)) as pool:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
            seen = list(chain.from_iterable(pool.map(_decode_into, repeat(images), starts, chunks, repeat(white))))
        return images, seen

    def stamp(self) -> str:
        """Path, size and time of every image file: what the images depend on beside the settings."""
        return "\n".join(f"{self._name(file)} {file.size} {file.changed}" for file in self._listing.files)

    def found(self) -> Found:
        """How many images of each class, by part; what is left out, and why."""
        return self._listing.found()

    @property
    def title(self) -> str:
        return display(self.path).rstrip("/").rsplit("/", 1)[-1] or self.kind

    @property
    def _root(self) -> str:
        return str(path_of(self.path))

    def _name(self, file: Listed) -> str:
        """The path of a file in the folder, as any table can hold it."""
        return display(file.path.removeprefix(self._root).lstrip("/"))

    @cached_property
    def _listing(self) -> Listing:
        """Looked for once, so that stamp and pixels are of the same files; ``Data`` asks a fresh object each time."""
        if not self.path.strip():
            raise UserError(f"data.source.path is empty; give the path of a folder that holds {LAYOUT}")
        root = Path(self._root)
        if display(self.path) != self.path:
            raise UserError(
                f"the path {display(self.path)} is not UTF-8 text; rename that folder, what is in it may stay"
            )
        if root.is_file():
            other = "; set data.source.kind=npz to read arrays" if self.path.endswith(".npz") else "; unpack it first"
            raise UserError(f"{self.path!r} is a file and no folder{other}")
        if not root.is_dir():
            raise UserError(f"there is no folder {self.path!r}; give the path of a folder that holds {LAYOUT}")
        return list_images(self._root, self.smallest_class)


def _left_out(broken: Sequence[str]) -> list[str]:
    if not broken:
        return []
    return [f"Left out, cannot be read as an image: {counted(len(broken), 'file')}, namely {first(broken, NAMED)}."]


def _frames(seen: Sequence[Seen]) -> list[str]:
    count = sum(one.several for one in seen)
    return [f"{counted(count, 'file')} with several frames or pages: the first was taken."] if count else []
