"""Images and labels of arrays, in the ways in which people save them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dpls.data.found import counted, first
from dpls.data.own.decoding import square, to_bytes
from dpls.data.own.layout import in_order
from dpls.data.own.levels import FULL, Kind, Levels, balance, narrow
from dpls.errors import UserError
from dpls.text import display

SMALLEST, LARGEST, RESIZED = 8, 96, 32
SHAPES = "(N, H, W), (N, H, W, 1, 3 or 4) or (N, 1, 3 or 4, H, W)"


class Labels(NamedTuple):
    """Labels of each part, names of the classes, and how they were understood."""

    parts: list[NDArray[np.int64]]
    classes: tuple[str, ...]
    said: list[str]


def layout_of(name: str, shape: tuple[int, ...]) -> tuple[bool, int, int, int]:
    """Whether channels come last, and channels, height and width. Raises UserError where a shape is none of images."""
    if 0 in shape[1:]:
        raise UserError(f"{name} has shape {shape}; its images have no pixels")
    if len(shape) == 3:
        return True, 1, shape[1], shape[2]
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        return True, shape[3], shape[1], shape[2]
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return False, shape[1], shape[2], shape[3]
    raise UserError(f"{name} has shape {shape}; expected is {SHAPES}")


def is_fit(height: int, width: int) -> bool:
    """Whether images of a size are taken as they are."""
    return height == width and SMALLEST <= height <= LARGEST


def as_images(arrays: Mapping[str, NDArray[Any]], size: int | None) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """uint8 (N, C, H, W) of each array, all scaled alike, and what there is to say of it, in sentences.

    size: height and width they are resized to; None: to 32 unless all are square and of 8 to 96 pixels.
    """
    moved = {name: _channels_first(name, x) for name, x in arrays.items()}
    kinds = _kinds(moved)
    levels = [Levels(kinds[_sort(x)], float(x.min()), float(x.max()), FULL[kinds[_sort(x)]]) for x in moved.values()]
    white, said = balance(levels)
    said += _narrow_beside_others(list(moved), levels, white)
    images = [_scaled(x, white[one.kind]) for x, one in zip(moved.values(), levels, strict=True)]
    if any(x.shape[1] == 4 for x in images):
        said.append("Transparency was laid over white.")
        images = [_over_white(x) for x in images]
    shapes = sorted({x.shape[2:] for x in images})
    wanted = size or (None if len(shapes) == 1 and is_fit(*shapes[0]) else RESIZED)
    if wanted and shapes != [(wanted, wanted)]:
        found = first([f"{width} by {height}" for height, width in shapes])
        said.append(f"Of images of {found} pixels the centred square was resized to {wanted} (data.source.size).")
        images = [resized(x, wanted) for x in images]
    if len({x.shape[1] for x in images}) > 1:  # grey beside colour
        images = [np.repeat(x, 3, axis=1) if x.shape[1] == 1 else x for x in images]
    return [np.ascontiguousarray(x) for x in images], said


def _narrow_beside_others(names: Sequence[str], levels: Sequence[Levels], white: Mapping[Kind, float]) -> list[str]:
    """Warnings of arrays that lie within a part of the range that others of their kind fill."""
    found = []
    for name, one in zip(names, levels, strict=True):
        wide = any(
            other.kind == one.kind and not narrow("", other.low, other.high, white[one.kind]) for other in levels
        )
        if wide and (words := narrow(name, one.low, one.high, white[one.kind])):
            found.append(words)
    return found


def _channels_first(name: str, x: NDArray[Any]) -> NDArray[Any]:
    last, channels, height, width = layout_of(name, x.shape)
    return x.reshape(len(x), height, width, channels).transpose(0, 3, 1, 2) if last else x


def _sort(x: NDArray[Any]) -> str:
    """Arrays of one sort share their range: a test array may lack the values that tell what they all are."""
    return "uint16" if x.dtype == np.uint16 else x.dtype.kind.replace("u", "i")


def _kinds(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Kind]:
    """How the values of each sort of array are meant. Raises UserError where they cannot be the levels of pixels."""
    found: dict[str, Kind] = {}
    for name, x in arrays.items():
        if x.dtype.kind not in "biuf":
            raise UserError(f"{name} has type {x.dtype}; images are whole numbers from 0 to 255, or floats from 0 to 1")
        alike = [other for other in arrays.values() if _sort(other) == _sort(x)]
        found[_sort(x)] = _kind(name, x.dtype, float(min(a.min() for a in alike)), float(max(a.max() for a in alike)))
    return found


def _kind(name: str, dtype: np.dtype[Any], low: float, high: float) -> Kind:
    if dtype.kind == "b" or (dtype.kind == "f" and low >= 0 and high <= 1):
        return "floats"
    if dtype.kind in "iu" and low >= 0 and high <= 255:
        return "bytes"
    if dtype.kind == "f" and low >= 0 and 128 <= high <= 255:
        return "bytes"
    if dtype == np.uint16:
        return "words"
    what = "floats" if dtype.kind == "f" else f"{dtype} values"
    raise UserError(f"{name} holds {what} from {low:g} to {high:g}; scale them to [0, 1] or save uint8 from 0 to 255")


def _scaled(x: NDArray[Any], white: float) -> NDArray[np.uint8]:
    return x if x.dtype == np.uint8 and white == 255 else to_bytes(x, white)


def _over_white(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (N, 3, H, W) of (N, 4, H, W); anything else as it is."""
    if x.shape[1] != 4:
        return x
    alpha = x[:, 3:].astype(np.float32) / 255
    return np.rint(x[:, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def resized(x: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 (N, C, size, size), as files are."""
    found = np.empty((len(x), x.shape[1], size, size), dtype=np.uint8)
    for row, image in enumerate(x):
        pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        small = np.asarray(square(Image.fromarray(pixels), size))
        found[row] = small if small.ndim == 2 else small.transpose(2, 0, 1)
    return found


def as_labels(arrays: Mapping[str, NDArray[Any]], names: NDArray[Any] | None) -> Labels:
    """int64 (N,) of each array, from 0, as the training labels (the first array) and the names of classes say.

    Raises UserError where what they mean cannot be told.
    """
    one_hot = [name for name, y in arrays.items() if _is_one_hot(y)]
    flat = {name: _flat(name, y) for name, y in arrays.items()}
    train, y = next(iter(flat.items()))
    values = np.unique(y).tolist()
    given = None if names is None else [_text(name) for name in names.reshape(-1).tolist()]
    meant = _meaning(train, in_order(values) if y.dtype.kind == "U" else values, given)
    if len(meant) < 2:
        raise UserError(f"{train} has {counted(len(meant), 'class')}; at least 2 classes are needed")
    said = [f"Labels of {', '.join(one_hot)} are one-hot: the place of the 1 is the class."] if one_hot else []
    if [*meant] != list(range(len(meant))):
        pairs = [name if str(value) == name else f"{value} is {name}" for value, name in meant.items()]
        said.append(f"Labels of {train} are {first(pairs, 12)}.")
    if absent := [name for name in given or [] if name not in meant.values()]:
        said.append(f"Classes without a training image are left out: {first(absent, 8)}.")
    return Labels(
        [_numbered(name, y, [*meant], train) for name, y in flat.items()], tuple(map(display, meant.values())), said
    )


def _text(name: Any) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)


def _is_one_hot(y: NDArray[Any]) -> bool:
    """Whether each of at least two columns is a class, and each row has a single 1 among zeros."""
    shaped = y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf"
    return bool(shaped and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def _flat(name: str, y: NDArray[Any]) -> NDArray[Any]:
    """(N,), int64 or text."""
    if _is_one_hot(y):
        return np.asarray(y.argmax(axis=1), dtype=np.int64)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise UserError(
            f"{name} has shape {y.shape}; it needs one label for each image, or one-hot rows with a single 1"
        )
    if y.dtype.kind == "S":
        return np.array([_text(value) for value in y.tolist()])
    if y.dtype.kind == "U":
        return np.asarray(y)
    whole = y.dtype.kind in "biu" or (y.dtype.kind == "f" and bool((np.isfinite(y) & (y == np.rint(y))).all()))
    if not whole:
        raise UserError(f"{name} has type {y.dtype}; labels are integers from 0, names of classes, or one-hot rows")
    if len(y) and y.min() < 0:
        raise UserError(f"{name} holds the label {y.min():g}; labels are integers from 0, or names of classes")
    if len(y) and y.max() > np.iinfo(np.int32).max:
        raise UserError(f"{name} holds the label {y.max():g}; labels are integers from 0, or names of classes")
    numbers: NDArray[np.int64] = y.astype(np.int64)
    return numbers


def _meaning(train: str, values: Sequence[Any], given: Sequence[str] | None) -> dict[Any, str]:
    """The name of each label, in the order of the classes.

    Without names the labels are their own. Else they are names, or count them from 0, or (the highest says so) from 1.
    """
    if given is None:
        return {value: str(value) for value in values}
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise UserError(f"two classes have the name {twice[0]!r}; give each a name of its own")
    if all(str(value) in given for value in values):
        own = {str(value): value for value in values}
        return {own[name]: name for name in given if name in own}
    if values and isinstance(values[0], int) and values[-1] < len(given):
        return {value: given[value] for value in values}
    if values and isinstance(values[0], int) and values[0] >= 1 and values[-1] == len(given):
        return {value: given[value - 1] for value in values}
    strange = [str(value) for value in values if str(value) not in given]
    raise UserError(
        f"{train} holds the label {strange[-1]}, but the {len(given)} classes are {first(given, 8)}; labels are their"
        " names, or count them from 0 or 1"
    )


def _numbered(name: str, y: NDArray[Any], values: Sequence[Any], train: str) -> NDArray[np.int64]:
    """int64 (N,), the place of each label among the values."""
    number = {value: place for place, value in enumerate(values)}
    if unknown := [value for value in np.unique(y).tolist() if value not in number]:
        raise UserError(
            f"{name} holds the label {unknown[-1]}, which {train} does not ({first([str(v) for v in values], 12)})"
        )
    return np.array([number[value] for value in y.tolist()], dtype=np.int64)
