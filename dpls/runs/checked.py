"""Files of a run, read as they must be: whatever does not fit is told in one sentence, by file. No torch."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpls.errors import UserError

RESTORE = "restore it or delete the run"
Test = Callable[[Any], bool]
"""Whether a value is one that may stand there."""


def damaged(file: Path, reason: object, remedy: str = RESTORE) -> UserError:
    """The error that says so, to be raised."""
    words = " ".join(str(reason).split())[:200] or type(reason).__name__
    return UserError(f"{file} is damaged ({words}); {remedy}")


def no_links(folder: Path) -> None:
    """Refuses a folder in which anything is neither a file nor a folder: what is written there could land elsewhere."""
    for path in folder.rglob("*"):
        special = path.exists() and not (path.is_file() or path.is_dir())  # what is gone by now was somebody's aside
        if path.is_symlink() or special:
            raise UserError(f"{path} is a link, or no file at all; put the file itself there, or delete it")


def readable(file: Path, remedy: str) -> Path:
    """The same, if it can be read without waiting for somebody to write it."""
    if file.exists() and not file.is_file():
        raise damaged(file, "it is no file", remedy)
    return file


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def is_table(test: Test = lambda _: True) -> Test:
    """Whose values all pass."""
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def is_list(test: Test) -> Test:
    """Whose entries all pass."""
    return lambda value: isinstance(value, list) and all(map(test, value))


def or_none(test: Test) -> Test:
    return lambda value: value is None or test(value)


def content_of(text: str | bytes) -> Any:
    """What JSON says. Raises ValueError where it says nothing."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def table_of(content: Any, entries: Mapping[str, Test]) -> dict[str, Any]:
    """The same, if it is a table with these entries; raises ValueError with the first that is not as it must be."""
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, no table")
    for name, test in entries.items():
        if name not in content:
            raise ValueError(f"it does not say {name}")
        if not test(content[name]):
            raise ValueError(f"{name} cannot be {repr(content[name])[:60]}")
    return content


def array(file: Path, kinds: Sequence[type[np.generic]], shape: Sequence[int | None], remedy: str = RESTORE) -> Any:
    """A memory map of one of these kinds. None in the shape: any length."""
    with _reading(file, remedy):
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    fits = isinstance(found, np.ndarray) and found.ndim == len(shape) and found.dtype.type in kinds
    if not fits or any(length not in (None, had) for length, had in zip(shape, found.shape, strict=True)):
        had = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise damaged(file, f"it holds {had}, not {kinds[0].__name__} ({wanted})", remedy)
    return found


def table(file: Path, columns: Mapping[str, str], rows: int | None, remedy: str = RESTORE) -> pd.DataFrame:
    """A table with at least these columns, of a kind in numpy's letters each (O: text), and so many rows."""
    with _reading(file, remedy):
        found = pd.read_parquet(file)
    for name, kinds in columns.items():
        if name not in found:
            raise damaged(file, f"it has no column {name}", remedy)
        if not _is_of(found[name], kinds):
            raise damaged(file, f"its column {name} is of {found[name].dtype}", remedy)
    if rows is not None and len(found) != rows:
        raise damaged(file, f"it has {len(found):,} rows, not {rows:,}", remedy)
    return found


@contextmanager
def _reading(file: Path, remedy: str) -> Iterator[None]:
    readable(file, remedy)
    try:
        yield
    except FileNotFoundError:
        raise damaged(file, "it is missing", remedy) from None
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise damaged(file, error, remedy) from None


def _is_of(column: pd.Series, kinds: str) -> bool:
    return pd.api.types.is_string_dtype(column) if kinds == "O" else getattr(column.dtype, "kind", "O") in kinds
