"""One .npz file of arrays, as a source: images and labels of each part, under the names that people give them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.data.dataset import TRAIN, Dataset
from dpls.data.found import Found, missing, needed, too_few
from dpls.data.own.arrays import LARGEST, SMALLEST, Labels, as_images, as_labels, layout_of
from dpls.data.own.layout import FOLDERS
from dpls.data.sizes import MOST_ARRAYS, npz_claims
from dpls.data.source import DataSource, path_of
from dpls.errors import UserError
from dpls.text import display

ARRAYS = "x_train and y_train, and optionally x_val, y_val, x_test, y_test and classes"
IMAGES, LABELS = ("x", "images", "image", "imgs", "data"), ("y", "labels", "label", "targets", "target")
CLASSES = ("classes", "class_names", "label_names", "names")
_ROLE, _PART = "|".join((*IMAGES, *LABELS)), "|".join(FOLDERS)
NAME = re.compile(rf"(?P<first>{_ROLE})(_?(?P<part>{_PART}))?|(?P<before>{_PART})_?(?P<last>{_ROLE})")
"""x_train, train_images, Xtrain, labels ..."""


class Npz(DataSource):
    """Arrays of images with their labels, as NumPy saves them (`numpy.savez`).

    Square images of 8 to 96 pixels are taken as they are, others are resized and cropped as those of a folder. Without
    validation or test arrays these are taken from the training images.
    """

    kind: Literal["npz"] = "npz"
    path: str = Field(
        description=f"File with {ARRAYS}; also train_images and train_labels, or x and y alone. Images are uint8, or"
        " floats in [0, 1]; labels integers, names or one-hot."
    )
    size: int | None = Field(
        None,
        ge=SMALLEST,
        le=LARGEST,
        description="Height and width in pixels, as for a folder; none: square images of 8 to 96 stay as they are,"
        " others become 32.",
    )

    def __call__(self) -> Dataset:
        """The parts the file has, train first."""
        self._check_lengths()
        labels = self._labels
        images, said = as_images(
            {self._keys[part][0]: self._read(self._keys[part][0]) for part in self._keys}, self.size
        )
        counts = [len(x) for x in images]
        part = np.repeat(np.array([*self._keys], dtype=np.uint8), counts)
        dataset = Dataset.of(np.concatenate(images), np.concatenate(labels.parts), part, labels.classes)
        return dataset.saying(*said)

    def found(self) -> Found:
        """How many images of each class, by array, and how labels and names were understood; images are not read."""
        self._check_lengths()
        taken, labels = {}, self._labels
        for (x, _), y in zip(self._keys.values(), labels.parts, strict=True):
            counts = np.bincount(y, minlength=len(labels.classes)).tolist()
            taken[x] = dict(zip(labels.classes, counts, strict=True))
        few = too_few(next(iter(taken.values())), needed(self._keys))
        used = {name for pair in self._keys.values() for name in pair} | {_classes_key(self._shapes)}
        unused = {"arrays that are none of a part": sorted(set(self._shapes) - used)}
        notes = (*labels.said, *missing(self._keys))
        return Found(taken, unused, notes, (f"{few[:1].upper()}{few[1:]}.",) if few else ())

    def stamp(self) -> str:
        """Size and time of the file."""
        self._check_path()
        stat = self._file.stat()
        return f"{stat.st_size} {stat.st_mtime_ns}"

    @property
    def title(self) -> str:
        return display(self.path).rsplit("/", 1)[-1] or self.kind

    @property
    def _file(self) -> Path:
        return path_of(self.path)

    def _check_path(self) -> None:
        if not self.path.strip():
            raise UserError(f"data.source.path is empty; give the path of an .npz file with {ARRAYS}")
        file = self._file
        if display(self.path) != self.path:
            raise UserError(f"the path {display(self.path)} is not UTF-8 text; rename it")
        if not file.is_file():
            raise UserError(f"there is no file {self.path!r}; give the path of an .npz file with {ARRAYS}")

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array; no array is read."""
        self._check_path()
        with self._readable():
            return {name: claim.shape for name, claim in npz_claims(self._file, MOST_ARRAYS).items()}

    @cached_property
    def _keys(self) -> dict[int, tuple[str, str]]:
        """The names of images and labels of each part that has any, training first."""
        found = _keys_of(self._shapes)
        for x, y in found.values():
            if not x or not y:
                lacks = (x or y).replace(_role(x or y), "y" if x else "x")
                raise UserError(
                    f"{self.path} holds {', '.join(sorted(self._shapes))} and no {lacks}; it needs {ARRAYS}"
                )
        if TRAIN not in found:
            holds = ", ".join(sorted(self._shapes)) or "no arrays"
            raise UserError(f"{self.path} holds {holds} and no x_train; it needs {ARRAYS}")
        return {
            part: pair for part, pair in sorted(found.items()) if part == TRAIN or self._shapes[pair[0]][:1] != (0,)
        }

    @cached_property
    def _labels(self) -> Labels:
        classes = _classes_key(self._shapes)
        return as_labels({y: self._read(y) for _, y in self._keys.values()}, self._read(classes) if classes else None)

    def _check_lengths(self) -> None:
        for x, y in self._keys.values():
            layout_of(x, self._shapes[x])
            count, labels = self._shapes[x][0], self._shapes[y]
            if labels[:1] != (count,):
                raise UserError(f"{y} has shape {labels}; it needs one label for each of the {count} images of {x}")

    def _read(self, name: str) -> NDArray[Any]:
        with self._readable(), np.load(self._file, allow_pickle=False) as file:
            array: NDArray[Any] = file[name]
            return array

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """What cannot be read is said in a sentence."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # whatever a damaged archive makes its readers raise
            why = str(error) or type(error).__name__
            if "llow_pickle" in why:
                why = "it holds Python objects; save text with .astype(str)"
            raise UserError(f"{self.path} cannot be read ({why}); save {ARRAYS} with numpy.savez") from error


def _role(name: str) -> str:
    """The word of a name that says whether it is of images or of labels."""
    found = NAME.fullmatch(name.lower())
    start, end = found.span("first" if found and found["first"] else "last") if found else (0, 0)
    return name[start:end]


def _keys_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[int, tuple[str, str]]:
    """By part the names of images and labels, '' where one is missing; those that name no part are to train on."""
    named: dict[int | None, list[str]] = {}
    for name in shapes:
        if found := NAME.fullmatch(name.lower()):
            word = found["part"] or found["before"]
            pair = named.setdefault(FOLDERS[word] if word else None, ["", ""])
            place = int(_role(name).lower() in LABELS)
            if pair[place]:
                raise UserError(
                    f"both {pair[place]} and {name} could be the {('images', 'labels')[place]}; keep one of them"
                )
            pair[place] = name
    alone = named.pop(None, ["", ""])
    if not named and not any(alone) and sorted(shapes) == ["arr_0", "arr_1"] and len(shapes["arr_0"]) > 2:
        alone = ["arr_0", "arr_1"]  # numpy.savez(file, images, labels)
    if not named and any(alone):
        named[TRAIN] = alone
    return {part: (x, y) for part, (x, y) in named.items() if part is not None}


def _classes_key(names: Iterable[str]) -> str:
    """The array that names the classes; '' where there is none."""
    return next((name for name in names if name.lower() in CLASSES), "")
