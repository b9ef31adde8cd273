"""Tables that other programs wrote: csv in its dialects, tsv, json, jsonl, parquet, npz, npy. No torch.

What comes from text stays text until somebody asks for numbers: a hash or a name of digits alone keeps its zeros.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dpls.data import sizes
from dpls.errors import UserError

ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".npz", ".npy")
SEPARATORS = ",;\t|"
DECIMAL_COMMA = r"[-+]?\d*,?\d+([eE][-+]?\d+)?"
SMALLEST_CELL = 8  # bytes of a number in memory, however a file packs it
THOUSANDS = r"[-+]?[1-9]\d{0,2},\d{3}"


def read_table(path: Path, how: str = "choose another") -> pd.DataFrame:
    """A row per row of the file, its columns in small letters; ``how``: what to do where there is none.

    A parquet index becomes a column, unless it only counts the rows.
    """
    if not path.is_file():
        raise UserError(f"there is no file {str(path)!r}; {how}")
    try:
        sizes.check_bytes(path.stat().st_size, sizes.MOST_FILE, "it has")
        table = _parse(path)
        table.columns = _in_small_letters([str(name) for name in table])
        return table.apply(_plain)
    except Exception as error:  # whatever a foreign file makes its reader raise
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"{str(path)!r} cannot be read ({reason}); choose a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file"
        ) from None


def numbers(column: pd.Series, whose: str) -> NDArray[np.float64]:
    """(rows,), NaN where a value is missing, true as 1; refused where one is no number, or infinite."""
    try:
        if column.dtype.kind in "cmM":
            raise ValueError
        found = _without_words(column).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{whose} does not hold numbers, but {_first_word(column)!r}") from None
    if np.isinf(found).any():
        raise UserError(f"row {int(np.isinf(found).argmax())} of {whose} is infinite")
    return np.asarray(found, dtype=np.float64)


def whole_numbers(column: pd.Series) -> NDArray[np.float64]:
    """(rows,), NaN where a value is missing, or no whole number."""
    found = np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan))
    return np.where(np.isfinite(found) & (found == np.floor(found)), found, np.nan)


def is_text(column: pd.Series) -> bool:
    """Whether a value is neither missing nor a number."""
    return bool((pd.to_numeric(_without_words(column), errors="coerce").isna() & column.notna()).any())


def _without_words(column: pd.Series) -> pd.Series:
    """True and False, where text says so, as 1 and 0."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    truth = column.map(str).astype(str).str.strip().str.lower().map({"true": 1.0, "false": 0.0})
    return truth if (truth.notna() | column.isna()).all() else column


def _first_word(column: pd.Series) -> object:
    words = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
    return next(iter([*words[:1], *column[:1]]), str(column.dtype))


def _plain(column: pd.Series) -> pd.Series:
    """Bytes and nested values as text."""
    if column.dtype != object:
        return column
    column = column.map(lambda value: value.decode() if isinstance(value, bytes) else value)
    return column.map(lambda value: value if value is None or np.isscalar(value) else str(value))


def _parse(path: Path) -> pd.DataFrame:
    match path.suffix.lower():
        case ".csv" | ".tsv" | ".txt":
            return _parse_text(_text(path))
        case ".json":
            return pd.DataFrame(json.loads(_text(path)))
        case ".jsonl":
            return pd.DataFrame([json.loads(line) for line in _text(path).split("\n") if line.strip()])
        case ".npy":
            sizes.npy_claim(path)
            array = np.load(path, allow_pickle=False)
            return pd.DataFrame(array if array.dtype.names else {"score": _column("", array)})
        case ".npz":
            for claim in sizes.npz_claims(path, sizes.MOST_SCORES).values():
                _check_rows(next(iter(claim.shape), 0))
            with np.load(path, allow_pickle=False) as arrays:
                return pd.DataFrame({name: _column(name, arrays[name]) for name in arrays.files})
    with pq.ParquetFile(path) as file:
        about = file.metadata
        _check_rows(about.num_rows)
        unpacked = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        least = about.num_rows * about.num_columns * SMALLEST_CELL
        sizes.check_bytes(max(unpacked, least), sizes.MOST_SCORES, "unpacked it has")
    table = pd.read_parquet(path)
    return table.reset_index(drop=table.index.equals(pd.RangeIndex(len(table))) and table.index.name is None)


def _check_rows(count: int) -> None:
    if count > sizes.MOST_ROWS:
        raise ValueError(f"it has {count:,} rows, and at most {sizes.MOST_ROWS:,} are read")


def _in_small_letters(names: list[str]) -> list[str]:
    """Raises ValueError where two names are the same then."""
    small = [name.strip().lower() for name in names]
    for place, name in enumerate(small):
        if name and name in small[:place]:
            first, second = names[small.index(name)], names[place]
            same = "" if first == second else f", for {first!r} and {second!r} differ in nothing but capitals or spaces"
            raise ValueError(f"two columns are called {name!r}{same}")
    return small


def _text(path: Path) -> str:
    content = path.read_bytes()
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    if "\0" in text:
        raise ValueError("it holds zero bytes, as UTF-16 without its mark does")
    return text


def _parse_text(text: str) -> pd.DataFrame:
    """Of fields between commas, semicolons, tabs or bars, under a row of names."""
    try:
        separator = csv.Sniffer().sniff(text.lstrip().partition("\n")[0], SEPARATORS).delimiter
    except csv.Error:  # a single column
        separator = ","
    _in_small_letters(next(csv.reader(io.StringIO(text.lstrip()), delimiter=separator, skipinitialspace=True), []))
    table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, skipinitialspace=True)
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"its rows have more fields, between {separator!r}, than its header; decimal commas need semicolons"
        )
    if any(_is_number(name) for name in table):
        raise ValueError("its first row has no names")
    return table if separator == "," else table.apply(_with_points)


def _with_points(column: pd.Series) -> pd.Series:
    """Decimal commas as points, in a column of nothing but numbers; refused where all may as well part thousands."""
    known = column.dropna().astype(str).str.strip()
    if not len(known) or not known.str.fullmatch(DECIMAL_COMMA).all():
        return column
    with_comma = known[known.str.contains(",")]
    if len(with_comma) and with_comma.str.fullmatch(THOUSANDS).all():
        raise ValueError(
            f"column {column.name!r} has {with_comma.iloc[0]!r}: thousands or decimals? write 1234 or 1.234"
        )
    return column.str.replace(",", ".")


def _column(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        return array.reshape(-1)
    raise ValueError(
        f"its array {name!r} has shape {array.shape}; a column has (N,) or (N, 1)".replace("array ''", "array")
    )


def _is_number(name: object) -> bool:
    try:
        float(str(name))
    except ValueError:
        return False
    return True
