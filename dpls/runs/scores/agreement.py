"""Two columns of a file of scores that say which image a row is about must say the same."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.errors import UserError
from dpls.runs.scores import paths
from dpls.runs.tables import whole_numbers


def check_keys(
    told: pd.DataFrame, column: str, ids: NDArray[np.int64], texts: Sequence[str], name: str, examples: pd.DataFrame
) -> None:
    """Refuses the file ``name`` where ``told``, rows found by ``column`` to be about ``ids``, name others elsewhere.

    ``texts``: the columns that may hold paths. What a column says that means no image of this run is not compared.
    """
    hashes = examples["hash"].astype(str).str.lower().to_numpy(object)
    by_content = bool((told[column].astype(str).str.strip().str.lower().to_numpy(object) == hashes[ids]).all())
    content = hashes if by_content else np.arange(len(examples))
    for other, wrong in _wrong(told, ids, [text for text in texts if text != column], content, hashes, examples):
        if wrong.any():
            row = told.iloc[int(wrong.argmax())]
            raise UserError(
                f"columns {column!r} and {other!r} of {name!r} are about different images in {int(wrong.sum()):,} rows,"
                f" first in row {row.name} ({str(row[column])!r} and {str(row[other])!r}); leave"
                " out the one that is wrong"
            )


def _wrong(
    told: pd.DataFrame,
    ids: NDArray[np.int64],
    texts: Sequence[str],
    content: NDArray[np.generic],
    hashes: NDArray[np.generic],
    examples: pd.DataFrame,
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Every other column that is understood, and which rows it contradicts."""
    if "hash" in told:
        said = told["hash"].astype(str).str.strip().str.lower()
        yield "hash", (said.isin(set(hashes)) & (said.to_numpy(object) != hashes[ids])).to_numpy()
    known = examples["path"].astype(str).tolist()
    for text in texts if any(known) else ():
        found = paths.find(told[text].fillna(""), known)
        if not found.doubtful:
            yield text, (found.ids >= 0) & (content[found.ids] != content[ids])
    if "id" in told:
        yield "id", _wrong_ids(whole_numbers(told["id"]), ids, content, examples)


def _wrong_ids(
    said: NDArray[np.float64], ids: NDArray[np.int64], content: NDArray[np.generic], examples: pd.DataFrame
) -> NDArray[np.bool_]:
    """None where the ids are another's, count from 1, or count the training images: the other column is right then."""
    none = np.zeros(len(said), dtype=bool)
    if not ((said >= 0) & (said < len(examples))).all() or len(np.unique(said)) < len(said):
        return none
    numbers = said.astype(np.int64)
    train = np.flatnonzero(examples["split"] == "train")
    counted = [numbers - 1] if len(numbers) and numbers.min() > 0 else []
    counted += [train[numbers]] if len(numbers) and numbers.max() < len(train) else []
    if any((content[other] == content[ids]).all() for other in counted):
        return none
    return np.asarray(content[numbers] != content[ids], dtype=bool)
