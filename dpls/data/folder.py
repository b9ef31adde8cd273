"""A folder of images, one folder a class: `train/<class>/*`, and if there are any `val/` and `test/` beside it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field

from dpls.data.dataset import Dataset
from dpls.data.source import DataSource
from dpls.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")
FOLDERS = {"train": 0, "val": 1, "validation": 1, "test": 2}
LAYOUT = "one folder a class inside train/ (and val/ and test/, if there are any)"
SMALL_FILE = 32 * 1024  # bytes
CHUNK = 128  # files a thread decodes before it asks for more
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")


class Listed(NamedTuple):
    """An image file with the part and the class its folders say, as it was found."""

    path: Path
    part: int
    label: int
    size: int
    """In bytes."""
    changed: int
    """When, in nanoseconds."""


def _class_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _image_files(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = [e for e in entries if not e.name.startswith(".") and e.name.lower().endswith(SUFFIXES) and e.is_file()]
    return sorted(found, key=lambda e: e.name)


def _listed(entry: os.DirEntry[str], part: int, label: int) -> Listed:
    stat = entry.stat()
    return Listed(Path(entry.path), part, label, stat.st_size, stat.st_mtime_ns)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Mode L where the file is grey, else RGB; 16 bits to 8, and transparency laid over white."""
    if image.mode.startswith("I"):
        return Image.fromarray(np.rint(np.asarray(image, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
    grey = image.mode in GREY_MODES
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        shape = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shape.size, "white"), shape)
    return image.convert("L" if grey else "RGB")


def decode(path: Path, size: int) -> Image.Image:
    """The image of a file, L or RGB, size × size: turned as its EXIF says, its centred square resized, antialiased."""
    try:
        with Image.open(path) as file:
            # JPEG can decode at 1/2, 1/4 or 1/8; twice the wanted size is left for the resize to average.
            file.draft(None, (2 * size, 2 * size))
            image = _to_eight_bits(ImageOps.exif_transpose(file))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace or remove the file") from error
    if image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _threads(files: Sequence[Listed]) -> int:
    """Threads to decode with. Small files are bound by the interpreter: two threads took a third longer than one."""
    some = files[:: max(1, len(files) // 100)]
    mean_size = sum(file.size for file in some) / len(some)
    return 1 if mean_size < SMALL_FILE else min(8, os.cpu_count() or 1)


def _decode_into(images: NDArray[np.uint8], start: int, files: Sequence[Listed]) -> bool:
    """Fill rows start, start + 1, ...; whether all the files were grey. images: uint8 (N, 1 or 3, size, size)."""
    channels, size = images.shape[1:3]
    all_grey = True
    for row, file in enumerate(files, start):
        image = decode(file.path, size)
        all_grey &= image.mode == "L"
        pixels = np.asarray(image.convert("L") if channels == 1 else image)
        images[row] = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels
    return all_grey


class Folder(DataSource):
    """PNG and JPEG images, one folder a class, inside train/ and, where there are any, val/ (or validation/) and test/.

    Images of any size: each is turned as its EXIF says, its short side is resized to ``size`` with antialiasing and
    its centre is cropped. Transparency is laid over white, 16 bits become 8. Labels follow the sorted names of the
    folders in train/. Hidden files and other types of file are left out.
    """

    kind: Literal["folder"] = "folder"
    path: str = Field(description=f"Folder of PNG or JPEG images: {LAYOUT}.")
    size: int = Field(
        32, ge=8, le=96, description="Height and width in pixels; the short side is resized to it, the centre is kept."
    )
    channels: Literal["auto", 1, 3] = Field("auto", description="1: grey, 3: colour; auto: 1 if every file is grey.")

    def __call__(self) -> Dataset:
        """Every image, by part, class and file name."""
        files, classes = self._listing
        channels = 1 if self.channels == 1 else 3
        images = np.empty((len(files), channels, self.size, self.size), dtype=np.uint8)
        starts = range(0, len(files), CHUNK)
        with ThreadPoolExecutor(_threads(files)) as pool:
            chunks = (files[start : start + CHUNK] for start in starts)
            all_grey = all(list(pool.map(_decode_into, repeat(images), starts, chunks)))
        if all_grey and self.channels == "auto":
            images = images[:, :1].copy()
        labels = np.array([file.label for file in files], dtype=np.int64)
        part = np.array([file.part for file in files], dtype=np.uint8)
        names = np.array([file.path.relative_to(self._root).as_posix() for file in files])
        return Dataset.of(images, labels, part, classes, names)

    def stamp(self) -> str:
        """Path, size and time of every image file: what the images depend on beside the settings."""
        files, _ = self._listing
        return "\n".join(f"{file.path.relative_to(self._root).as_posix()} {file.size} {file.changed}" for file in files)

    @property
    def _root(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def title(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1] or self.kind

    def found(self) -> str:
        """How many images of each class, by part."""
        files, classes = self._listing
        names = {number: name for name, number in FOLDERS.items() if name != "validation"}
        parts = []
        for part in sorted({file.part for file in files}):
            mine = [file.label for file in files if file.part == part]
            counts = [f"{name} {mine.count(label):,}" for label, name in enumerate(classes)]
            more = f" and {len(counts) - 12} more classes" if len(counts) > 12 else ""
            parts.append(f"{len(mine):,} images in {names[part]}/ ({', '.join(counts[:12])}{more})")
        return "; ".join(parts)

    def _part_folders(self) -> list[str]:
        if not self.path.strip():
            raise UserError(f"data.source.path is empty; give the path of a folder that holds {LAYOUT}")
        if not self._root.is_dir():
            raise UserError(f"there is no folder {self.path!r}; give the path of a folder that holds {LAYOUT}")
        found = _class_folders(self._root)
        if "train" not in found:
            inside = ", ".join(found[:8]) or "no folders"
            raise UserError(f"{self.path!r} holds no folder train/ (it holds {inside}); expected is {LAYOUT}")
        if {"val", "validation"} <= set(found):
            raise UserError(f"{self.path!r} holds both val/ and validation/; keep one of them")
        return [name for name in FOLDERS if name in found]

    @cached_property
    def _listing(self) -> tuple[list[Listed], tuple[str, ...]]:
        """Every image file, and the names of the classes.

        Looked for once, so that stamp and pixels are of the same files; ``Data`` asks a fresh object each time.
        """
        parts = self._part_folders()
        classes = _class_folders(Path(self._root, "train"))
        if len(classes) < 2:
            raise UserError(f"{self.path}/train holds {len(classes)} class folders; at least 2 are needed: {LAYOUT}")
        files: list[Listed] = []
        for name in parts:
            for group in _class_folders(Path(self._root, name)):
                if group not in classes:
                    raise UserError(
                        f"{self.path}/{name} holds the class {group!r} that train/ does not; "
                        f"choose from {', '.join(classes)} or add it to train/"
                    )
                found = _image_files(Path(self._root, name, group))
                if not found:
                    raise UserError(f"the class folder {self.path}/{name}/{group} holds no PNG or JPEG image; add some")
                files += [_listed(entry, FOLDERS[name], classes.index(group)) for entry in found]
        return files, tuple(classes)
