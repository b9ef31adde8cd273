"""One .npz file of arrays: `x_train, y_train`, and if there are any `x_val, y_val`, `x_test, y_test` and `classes`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.data.dataset import Dataset
from dpls.data.source import DataSource
from dpls.errors import UserError

SMALLEST, LARGEST = 8, 96
SUFFIXES = ("train", "val", "test")
ARRAYS = "x_train and y_train, and optionally x_val, y_val, x_test, y_test and classes"


def _to_uint8(name: str, x: NDArray[Any]) -> NDArray[np.uint8]:
    if x.dtype == np.uint8:
        return x.astype(np.uint8, copy=False)
    if not np.issubdtype(x.dtype, np.floating):
        raise UserError(f"{name} has type {x.dtype}; images are uint8, or floats in [0, 1]")
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        raise UserError(f"{name} holds floats from {low:g} to {high:g}; scale them to [0, 1] or save uint8")
    pixels: NDArray[np.uint8] = np.rint(x * x.dtype.type(255)).astype(np.uint8)
    return pixels


def as_images(name: str, x: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) from (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1]."""
    shape = x.shape
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and shape[-1] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise UserError(f"{name} has shape {shape}; expected is (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)")
    height, width = x.shape[2:]
    if height != width or not SMALLEST <= height <= LARGEST:
        raise UserError(
            f"{name} holds images of {height} by {width} pixels; they must be square and {SMALLEST} to {LARGEST} wide"
        )
    return np.ascontiguousarray(_to_uint8(name, x))


def as_labels(name: str, y: NDArray[Any], count: int) -> NDArray[np.int64]:
    """int64 (N,), checked to be as many as the images and whole numbers from 0."""
    if y.shape != (count,):
        raise UserError(f"{name} has shape {y.shape}; it needs one label for each of the {count} images")
    if not np.issubdtype(y.dtype, np.integer):
        raise UserError(f"{name} has type {y.dtype}; labels are integers from 0")
    if count and y.min() < 0:
        raise UserError(f"{name} holds the label {y.min()}; labels are integers from 0")
    return y.astype(np.int64)


def _class_names(arrays: Mapping[str, NDArray[Any]], train_labels: NDArray[np.int64]) -> tuple[str, ...]:
    present = np.unique(train_labels)
    if "classes" in arrays:
        names = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in arrays["classes"].reshape(-1).tolist())
    else:
        names = tuple(str(label) for label in range(present[-1] + 1 if len(present) else 0))
    absent = sorted(set(range(len(names))) - set(present.tolist()))
    if absent or len(names) < 2:
        what = f"no image of class {absent[0]}" if absent else f"{len(names)} class"
        raise UserError(f"y_train has {what}; at least 2 classes are needed, numbered from 0 without gaps")
    return names


class Npz(DataSource):
    """Arrays of square images with their labels, as NumPy saves them (`numpy.savez`); nothing is resized."""

    kind: Literal["npz"] = "npz"
    path: str = Field(description=f"File with {ARRAYS}; images of 8 to 96 pixels, uint8 or floats in [0, 1].")

    def __call__(self) -> Dataset:
        """The parts the file has, train first."""
        arrays = self._arrays()
        images, labels, part = [], [], []
        for index, suffix in enumerate(SUFFIXES):
            x, y = f"x_{suffix}", f"y_{suffix}"
            if (x in arrays) != (y in arrays) or (index == 0 and x not in arrays):
                missing = y if x in arrays else x
                raise UserError(f"{self.path} holds {', '.join(sorted(arrays))} and no {missing}; it needs {ARRAYS}")
            if x in arrays:
                images.append(as_images(x, arrays[x]))
                labels.append(as_labels(y, arrays[y], len(images[-1])))
                part.append(np.full(len(images[-1]), index, dtype=np.uint8))
        names = _class_names(arrays, labels[0])
        if len({x.shape[1:] for x in images}) > 1:
            raise UserError(f"the parts of {self.path} hold images of different shapes; they must be equal")
        if (highest := max(y.max(initial=0) for y in labels)) >= len(names):
            raise UserError(f"{self.path} holds the label {highest}, but its classes end at {len(names) - 1}")
        return Dataset.of(np.concatenate(images), np.concatenate(labels), np.concatenate(part), names)

    def stamp(self) -> str:
        """Size and time of the file."""
        self._check_path()
        stat = self._file.stat()
        return f"{stat.st_size} {stat.st_mtime_ns}"

    @property
    def _file(self) -> Path:
        return Path(self.path).expanduser()

    def _check_path(self) -> None:
        if not self._file.is_file():
            raise UserError(f"there is no file {self.path!r}; give the path of an .npz file with {ARRAYS}")

    def _arrays(self) -> dict[str, NDArray[Any]]:
        self._check_path()
        try:
            with np.load(self._file, allow_pickle=False) as file:
                if isinstance(file, np.ndarray):
                    raise UserError(f"{self.path} holds a single array; save {ARRAYS} with numpy.savez")
                return {name: file[name] for name in file.files}
        except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self.path} cannot be read ({error}); save {ARRAYS} with numpy.savez") from error
