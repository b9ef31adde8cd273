"""Labels in a file of scores, by number or by name: they must be those of the images."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.errors import UserError

LABELS = ("label", "labels", "class", "target", "true_label", "true_class", "given_label", "y", "gt")


def agree(table: pd.DataFrame, examples: pd.DataFrame) -> NDArray[np.bool_]:
    """(rows,): whether each row says the label of the example in the same row; true where it says none.

    A column holds numbers or names, whichever fits more of its rows.
    """
    right = np.ones(len(table), dtype=bool)
    for column in LABELS:
        if column in table:
            said, missing = table[column], table[column].isna().to_numpy()
            numbers = pd.to_numeric(said, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
            readings = (
                numbers == examples["label"].to_numpy(),
                said.map(str).astype(str).str.strip().to_numpy(object) == examples["class"].to_numpy(object),
            )
            right &= missing | max(readings, key=np.sum)
    return right


def says_any(table: pd.DataFrame) -> bool:
    """Whether a row says a label at all."""
    return any(column in table and bool(table[column].notna().any()) for column in LABELS)


def check(table: pd.DataFrame, name: str, examples: pd.DataFrame) -> None:
    """Refuses a file, ``name``, in which a row says another label than the example in the same row has."""
    wrong = ~agree(table, examples)
    if wrong.any():
        columns = ", ".join(repr(column) for column in LABELS if column in table)
        raise UserError(
            f"{int(wrong.sum()):,} of {len(table):,} labels in {name!r} are not those of this run's images, first in"
            f" row {table.index.to_numpy()[wrong.argmax()]}: other images, another order, or labels"
            f" numbered otherwise (read from {columns})"
        )
