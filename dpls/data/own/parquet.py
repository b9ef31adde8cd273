"""Parquet files of images, as Hugging Face publishes them, as a source."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from dpls.data.dataset import PARTS, TRAIN, Dataset
from dpls.data.found import Found, counted, missing, needed, too_few
from dpls.data.own.arrays import LARGEST, SMALLEST, Labels, as_labels
from dpls.data.own.decoding import Encoded
from dpls.data.own.gathering import Encodings, gather
from dpls.data.own.shards import LAYOUT, Shard, Shards, find_shards
from dpls.data.sizes import MOST_ARRAYS, MOST_ROWS, in_words
from dpls.data.source import DataSource, path_of
from dpls.errors import UserError
from dpls.text import display

if TYPE_CHECKING:  # pyarrow is loaded by who reads such files, not with the settings
    from dpls.data.own.columns import Columns, Rows

TOGETHER = 2**26  # bytes of encoded images that are decoded together


class Parquet(DataSource):
    """Parquet files with a column of encoded images and a column of labels, as Hugging Face publishes them.

    Images are decoded as those of a folder. Labels are numbers or text; the names of classes are taken from the files,
    where they stand. Rows without a label (none, or below 0) are left out, and said.
    """

    kind: Literal["parquet"] = "parquet"
    path: str = Field(description=f"Path of {LAYOUT}.")
    image: str | None = Field(None, description="Column of the images; none: the one that plainly holds them.")
    label: str | None = Field(None, description="Column of the labels; none: the one that plainly holds them.")
    size: int = Field(
        32,
        ge=SMALLEST,
        le=LARGEST,
        description="Height and width in pixels; the short side is resized to it, the centre is kept.",
    )
    channels: Literal["auto", 1, 3] = Field("auto", description="1: grey, 3: colour; auto: 1 if every image is grey.")

    def __call__(self) -> Dataset:
        """Every image that has a label and can be read, by part, file and row."""
        labels = self._labels
        names = [f"{shard.name} row {row}" for shard, rows in self._rows.items() for row in np.flatnonzero(rows.kept)]
        self._check_room(len(names))
        mean_size = sum(size for _, size in self._claims.values()) / len(names)
        encodings = Encodings(self._windows, names, mean_size, display(self.path))
        images, kept, said = gather(encodings, self.size, self.channels)
        part = np.repeat(np.array(self._parts, dtype=np.uint8), [len(y) for y in labels.parts])
        dataset = Dataset.of(
            images, np.concatenate(labels.parts)[kept], part[kept], labels.classes, np.array(names)[kept]
        )
        return dataset.saying(*said)

    def stamp(self) -> str:
        """Name, size and time of every file."""
        return "\n".join(f"{shard.name} {shard.size} {shard.changed}" for shard in self._shards.files)

    def found(self) -> Found:
        """How many images of each class, by part, and how labels were understood; no image is read."""
        classes, taken = self._labels.classes, {}
        for part, y in zip(self._parts, self._labels.parts, strict=True):
            taken[PARTS[part]] = dict(zip(classes, np.bincount(y, minlength=len(classes)).tolist(), strict=True))
        few = too_few(taken[PARTS[TRAIN]], needed(self._parts))
        columns = f"Images are in the column {self._columns.image!r}, labels in {self._columns.label!r}."
        bare = sum(int((~rows.kept).sum()) for rows in self._rows.values())
        left_out = [f"Left out, without a label: {counted(bare, 'image')}."] if bare else []
        notes = (columns, *self._shards.notes, *self._labels.said, *missing(self._parts), *left_out)
        warnings = (*self._shards.missing(), *([f"{few[:1].upper()}{few[1:]}."] if few else []))
        return Found(taken, self._shards.skipped, notes, warnings)

    @property
    def title(self) -> str:
        return display(self.path).rstrip("/").rsplit("/", 1)[-1] or self.kind

    @cached_property
    def _shards(self) -> Shards:
        """Looked for once, so that stamp and pixels are of the same files; ``Data`` asks a fresh object each time."""
        if not self.path.strip():
            raise UserError(f"data.source.path is empty; give the path of {LAYOUT}")
        path = path_of(self.path)
        if display(self.path) != self.path:
            raise UserError(f"the path {display(self.path)} is not UTF-8 text; rename it")
        return find_shards(path)

    @cached_property
    def _parts(self) -> list[int]:
        """Those that have an image with a label, and training."""
        full = {shard.part for shard, rows in self._rows.items() if len(rows.labels)}
        return sorted({TRAIN, *full})

    @cached_property
    def _columns(self) -> "Columns":
        """Those of the first file, which all others have, too."""
        from dpls.data.own.columns import columns_of

        found = {}
        for shard in self._shards.files:
            with _readable(shard):
                found[shard] = columns_of(shard.path, shard.name, self.image, self.label)
        (shard, columns), *others = found.items()
        for other, its in others:
            if its != columns:
                what = "names of classes" if its[:2] == columns[:2] else "columns of images and labels"
                raise UserError(f"{other.name} has other {what} than {shard.name}; give files of one data set")
        return columns

    @cached_property
    def _claims(self) -> dict[Shard, tuple[int, int]]:
        """How many rows and bytes each file says it has."""
        from dpls.data.own.columns import rows_of

        found = {}
        for shard in self._shards.files:
            with _readable(shard):
                found[shard] = rows_of(shard.path)
        return found

    @cached_property
    def _rows(self) -> "dict[Shard, Rows]":
        """Of each file, in order."""
        from dpls.data.own.columns import labels_in

        self._check_room(0)
        found = {}
        for shard in self._shards.files:
            with _readable(shard):
                found[shard] = labels_in(shard.path, shard.name, self._columns)
        return found

    @cached_property
    def _labels(self) -> Labels:
        """Of each part that has any."""
        arrays = {}
        for part in self._parts:
            labels = [rows.labels for shard, rows in self._rows.items() if shard.part == part and len(rows.labels)]
            arrays[f"column {self._columns.label!r} of {PARTS[part]}"] = np.concatenate(
                labels or [np.array([], dtype=np.int64)]
            )
        names = self._columns.names
        return as_labels(arrays, None if names is None else np.array(names))

    def _check_room(self, images: int) -> None:
        rows = sum(count for count, _ in self._claims.values())
        if rows > MOST_ROWS:
            raise UserError(f"{self.path!r} has {rows:,} rows, and at most {MOST_ROWS:,} are read; give fewer files")
        room = images * 3 * self.size**2
        if room > MOST_ARRAYS:
            raise UserError(
                f"{images:,} images of {self.size} pixels have {in_words(room)}, and at most {in_words(MOST_ARRAYS)}"
                " are read; lower data.source.size, or give fewer files"
            )

    def _windows(self) -> Iterator[list[Encoded]]:
        """The images of all rows that have a label, as many at a time as are decoded together."""
        some: list[Encoded] = []
        size = 0
        for encoded in chain.from_iterable(self._encoded(shard) for shard in self._shards.files):
            some.append(encoded)
            size += len(encoded)
            if size > TOGETHER:
                yield some
                some, size = [], 0
        yield some

    def _encoded(self, shard: Shard) -> Iterator[bytes]:
        from dpls.data.own.columns import images_in

        with _readable(shard):
            yield from images_in(shard.path, self._columns, self._rows[shard].kept)


@contextmanager
def _readable(shard: Shard) -> Iterator[None]:
    """What cannot be read is said in a sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes its reader raise
        why = " ".join((str(error) or type(error).__name__).split(". ")[0].split())[:200].rstrip(".")
        raise UserError(f"{shard.name} cannot be read as parquet ({why}); download it again, or remove it") from error
