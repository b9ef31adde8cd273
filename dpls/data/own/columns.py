"""Which columns of a parquet file hold images and labels, and their rows, some at a time.

Images are encoded files: a struct with ``bytes`` (and ``path``), as Hugging Face writes them, or plain binary. Labels
are whole numbers or text. What the class of a number is called stands in the schema's metadata, under ``huggingface``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import types

from dpls.data.found import first
from dpls.data.sizes import MOST_GROUP, check_bytes
from dpls.errors import UserError
from dpls.text import display

IMAGES = ("image", "img", "images", "picture", "photo", "jpg", "png")
LABELS = ("label", "labels", "target", "class", "y", "category", "class_name", "fine_label")
INDEX = "__index_level_"  # how pandas calls the index it writes
ROOM = 2**28  # bytes of rows at a time
MOST_TEXT = 100  # characters of a label
MOST_LABELS = 2**16  # rows of labels at a time
MOST_IMAGES = 256  # rows of images at a time
MOST_SHOWN = 60  # characters of a column's name


class Columns(NamedTuple):
    """The names of two columns; names: what classes are called, by number, where the file says it."""

    image: str
    label: str
    names: tuple[str, ...] | None


def columns_of(file: Path, name: str, image: str | None, label: str | None) -> Columns:
    """The columns that a file plainly has, or those asked for. Raises UserError with the choices.

    name: of the file, to be shown.
    """
    with pq.ParquetFile(file) as opened:
        schema = opened.schema_arrow
    features = _features(schema.metadata or {})
    said = {
        kind: [key for key, one in features.items() if one.get("_type") == kind] for kind in ("Image", "ClassLabel")
    }
    pictures = [one.name for one in schema if _holds_images(one.type)]
    classes = [one.name for one in schema if _holds_labels(one.type) and not one.name.startswith(INDEX)]
    there = [f"{_shown(one.name)} ({_shown(str(one.type))})" for one in schema]
    choose = _Choice(name, there)
    found = choose("image", "encoded images", image, pictures, said["Image"], IMAGES)
    labels = choose("label", "labels", label, classes, said["ClassLabel"], LABELS)
    return Columns(found, labels, _class_names(features.get(labels, {})))


class _Choice(NamedTuple):
    file: str
    there: Sequence[str]

    def __call__(
        self, field: str, what: str, asked: str | None, fit: list[str], said: list[str], usual: tuple[str, ...]
    ) -> str:
        """The column asked for, else what the metadata says, else the only one, else one of a usual name."""
        setting = f"data.source.{field}"
        if asked is not None and asked in fit:
            return asked
        if not fit:
            raise UserError(f"{self.file} has no column of {what}; it has {first(self.there, 12)}")
        shown = first([_shown(name) for name in fit], 12)
        if asked is not None:
            raise UserError(f"{self.file} has no column {asked!r} of {what}; {setting} can be {shown}")
        certain = [name for name in said if name in fit] or fit
        by_name = [name for name in certain if name.lower() in usual]
        for choice in (certain, by_name):
            if len(choice) == 1:
                return choice[0]
        raise UserError(f"{self.file} has several columns that may hold {what}; set {setting} to one of {shown}")


def _holds_images(kind: pa.DataType) -> bool:
    if types.is_struct(kind):
        return any(one.name == "bytes" and _is_binary(one.type) for one in kind.fields)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _holds_labels(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(types.is_integer(kind) or types.is_boolean(kind)) or _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """What Hugging Face says of each column; nothing where it says nothing that can be read."""
    try:
        found = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: one for name, one in found.items() if isinstance(one, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _class_names(feature: Mapping[str, Any]) -> tuple[str, ...] | None:
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    known = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return tuple(names) if known and names else None


def _shown(name: str) -> str:
    return display(name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…")


def rows_of(file: Path) -> tuple[int, int]:
    """How many rows a file says it has, and its bytes unpacked."""
    with pq.ParquetFile(file) as opened:
        about = opened.metadata
        return about.num_rows, sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))


def batches(file: Path, column: str, most: int) -> Iterator[pa.RecordBatch]:
    """All rows of a column, ``most`` at a time or fewer, so that what is unpacked stays small.

    A value may stand once in a row group and be meant by all of its rows: so rows times the size of the group has to
    fit. Raises ValueError where a group is too large, or rows are missing; whatever pyarrow raises where it is damaged.
    """
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20) as opened:
        largest = max(
            (_unpacked(opened.metadata.row_group(n), column) for n in range(opened.num_row_groups)), default=0
        )
        check_bytes(largest, MOST_GROUP, "a row group has")
        count = 0
        rows = max(1, min(most, ROOM // max(1, largest)))
        for batch in opened.iter_batches(rows, columns=[column], use_threads=False):
            if batch.schema.names != [column]:
                raise ValueError(f"column {column!r} is there twice")
            count += len(batch)
            yield batch
        if count != opened.metadata.num_rows:
            raise ValueError(f"it says {opened.metadata.num_rows:,} rows and has {count:,}")


def _unpacked(group: Any, column: str) -> int:
    """Bytes of a column in a row group, as the file says."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    inside = [chunk for chunk in chunks if f"{chunk.path_in_schema}.".startswith(f"{column}.")]
    return sum(chunk.total_uncompressed_size for chunk in inside)


class Rows(NamedTuple):
    """labels: of one file's rows that have one, (n,), numbers or text; kept: bool (rows,), which these are."""

    labels: NDArray[Any]
    kept: NDArray[np.bool_]


def labels_in(file: Path, name: str, columns: Columns) -> Rows:
    """Of all rows of a file, in order."""
    some = [_labels(name, columns, batch.column(0)) for batch in batches(file, columns.label, MOST_LABELS)]
    if not some:
        return Rows(np.array([], dtype=np.int64), np.array([], dtype=bool))
    return Rows(*(np.concatenate(parts) for parts in zip(*some, strict=True)))


def _labels(name: str, columns: Columns, column: pa.Array) -> Rows:
    """The labels of some rows. Numbers become the names of classes, where the file has these."""
    if pa.types.is_dictionary(column.type):
        _check_text(name, columns, column.dictionary)
        column = column.dictionary_decode()
    if not pa.types.is_integer(column.type) and not pa.types.is_boolean(column.type):
        _check_text(name, columns, column)
        return Rows(np.array(column.drop_null().to_pylist(), dtype=str), np.asarray(column.is_valid()))
    numbers = column.cast(pa.int64()).fill_null(-1).to_numpy()
    kept = numbers >= 0
    numbers = numbers[kept]
    if columns.names is None:
        return Rows(numbers, kept)
    if len(numbers) and numbers.max() >= len(columns.names):
        raise UserError(
            f"column {columns.label!r} of {name} holds the label {numbers.max()}, but the file names"
            f" {len(columns.names)} classes, counted from 0; mend its metadata, or write it without"
        )
    return Rows(np.array(columns.names)[numbers], kept)


def _check_text(name: str, columns: Columns, column: pa.Array) -> None:
    longest = pc.max(pc.utf8_length(column)).as_py() or 0
    if longest > MOST_TEXT:
        raise UserError(
            f"column {columns.label!r} of {name} holds text of {longest:,} characters, and a label has at most"
            f" {MOST_TEXT}; set data.source.label to another column"
        )


def images_in(file: Path, columns: Columns, kept: NDArray[np.bool_]) -> Iterator[bytes]:
    """The encoded images of the rows that are kept (rows,), in order; b"" where there is none."""
    row = 0
    for batch in batches(file, columns.image, MOST_IMAGES):
        column = batch.column(0)
        if pa.types.is_struct(column.type):
            column = pc.struct_field(column, "bytes")
        for value, is_kept in zip(column, kept[row : row + len(batch)], strict=True):
            if is_kept:
                yield value.as_py() or b""
        row += len(batch)
