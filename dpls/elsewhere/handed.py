"""What a training loop hands over (labels, and perhaps pixels, parts, names of classes and files) as a data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpls.data.cache import image_hashes
from dpls.data.dataset import PARTS, TRAIN, VALIDATION, Dataset
from dpls.data.doubles import doubles
from dpls.data.own.arrays import as_images
from dpls.errors import UserError
from dpls.text import display

PART_NAMES = {name: number for number, name in enumerate(PARTS)} | {"val": VALIDATION, "valid": VALIDATION}


def handed_over(labels: Any, images: Any = None, split: Any = None, classes: Any = None, paths: Any = None) -> Dataset:
    """A data set of arrays, tensors or lists; UserError where they do not fit together.

    labels: (N,), numbers from 0, the columns of the logits; or names of classes. images: (N, H, W), (N, H, W, C) or
    (N, C, H, W), uint8 or floats in [0, 1]; None: there are no pictures. split: (N,), train, validation or test (or 0,
    1, 2); None: all are training examples. classes: names by label; paths: (N,), files the images came from.
    """
    names = None if classes is None else [str(name) for name in _array("classes", classes).reshape(-1).tolist()]
    numbers = _labels(_array("labels", labels), names)
    count = len(numbers)
    names = names or [str(number) for number in range(int(numbers.max()) + 1)]
    pixels, said = np.zeros((count, 0, 1, 1), dtype=np.uint8), list[str]()
    if images is not None:
        found, said = as_images({"images": _of_length("images", images, count)}, None)
        pixels = found[0]
    files = None if paths is None else np.array([display(str(path)) for path in _of_length("paths", paths, count)])
    part = np.full(count, TRAIN, dtype=np.uint8) if split is None else _parts(_of_length("split", split, count))
    dataset = Dataset.of(pixels, numbers, part, tuple(map(display, names)), files)
    if not len(dataset.ids(TRAIN)):
        raise UserError("split names no training example; difficulty is measured on these")
    return dataset.saying(*said, *(doubles(dataset, image_hashes(pixels)) if dataset.has_images else ()))


def _array(name: str, given: Any) -> NDArray[Any]:
    """Of a tensor, on whatever device, too."""
    found = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if not found.size:
        raise UserError(f"{name} is empty")
    return found


def _of_length(name: str, given: Any, count: int) -> NDArray[Any]:
    found = _array(name, given)
    if len(found) != count:
        raise UserError(f"{name} has {len(found):,} entries, labels has {count:,}; each example needs one of both")
    return found


def _labels(labels: NDArray[Any], names: Sequence[str] | None) -> NDArray[np.int64]:
    """(N,), from 0. Unlike labels in files they are never numbered anew, for the logits have an order of their own."""
    if labels.ndim != 1:
        raise UserError(f"labels has shape {labels.shape}; it needs one number, or name of a class, for each example")
    if labels.dtype.kind in "US" and names:
        place = {name: number for number, name in enumerate(names)}
        if strange := sorted({str(label) for label in labels.tolist()} - place.keys()):
            raise UserError(f"labels holds {strange[0]!r}, which is not among the {len(names)} classes")
        return np.array([place[str(label)] for label in labels.tolist()], dtype=np.int64)
    if labels.dtype.kind not in "iu":
        raise UserError(f"labels has type {labels.dtype}; labels are numbers from 0, or names of the given classes")
    if labels.min() < 0:
        raise UserError(f"labels holds {labels.min()}; labels are numbers from 0, and each example needs one")
    if names and labels.max() >= len(names):
        raise UserError(f"labels holds {labels.max()}, but there are {len(names)} classes, counted from 0")
    return labels.astype(np.int64)


def _parts(split: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = PART_NAMES | {str(number): number for number in range(len(PARTS))}
    said = [str(name) for name in split.tolist()]
    if strange := sorted({name for name in said if name not in numbers}):
        raise UserError(f"split holds {strange[0]!r}; choose from {', '.join(PARTS)}")
    return np.array([numbers[name] for name in said], dtype=np.uint8)
