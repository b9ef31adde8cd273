"""Which image a file path means: as the source names it, with folders before it, or cut short where that is plain."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Parts = tuple[str, ...]


class Found(NamedTuple):
    """ids: (rows,), -1 where a path means no image; ``doubtful``: rows whose path may mean several, their ids one."""

    ids: NDArray[np.int64]
    doubtful: list[int]


def find(values: pd.Series, known: Sequence[str]) -> Found:
    """``known``: the path of every image by id, relative to its source, "" where it has none.

    A path without its ending will do. One cut short at the front is understood where every image has another such
    end, or where one folder put before all of them explains all.
    """
    parts = [_parts(value) for value in values.astype(str)]
    whole = {id: _parts(path) for id, path in enumerate(known) if path}
    found = _find(parts, whole)
    if (found.ids < 0).all() and not found.doubtful:
        found = _find(parts, {id: (*path[:-1], re.sub(r"\.\w+$", "", path[-1])) for id, path in whole.items()})
    return found


def _parts(path: str) -> Parts:
    names = normalize("NFC", path.strip()).replace("\\", "/").split("/")
    return tuple(name for name in names if name not in ("", "."))


def _find(wanted: Sequence[Parts], known: dict[int, Parts]) -> Found:
    places = _by_end(known, None)
    rows = [[id for start in range(len(path)) for id in places.get(path[start:], [])] for path in wanted]
    doubtful = [row for row, ids in enumerate(rows) if len(ids) > 1]
    short = [row for row, ids in enumerate(rows) if not ids and wanted[row]]
    ends = {depth: _by_end(known, depth) for depth in {len(wanted[row]) for row in short}}
    for row in short:
        rows[row] = ends[len(wanted[row])].get(wanted[row], [])
    if any(len(ids) > 1 for of_depth in ends.values() for ids in of_depth.values()):
        doubtful += _under_one_folder(rows, [row for row in short if rows[row]], wanted, known)
    ids = np.array([ids[0] if ids else -1 for ids in rows], dtype=np.int64)
    return Found(ids, doubtful)


def _by_end(known: dict[int, Parts], depth: int | None) -> dict[Parts, list[int]]:
    """The images by the last ``depth`` names of their paths."""
    found: dict[Parts, list[int]] = {}
    for id, path in known.items():
        found.setdefault(path if depth is None else path[-depth:], []).append(id)
    return found


def _under_one_folder(
    rows: list[list[int]], short: list[int], wanted: Sequence[Parts], known: dict[int, Parts]
) -> list[int]:
    """Leaves each row the image in the one folder that holds an image for all of them; the rows, if none does."""
    before = {row: {known[id][: -len(wanted[row])]: id for id in rows[row]} for row in short}
    common = set.intersection(*map(set, before.values())) if before else set()
    if len(common) != 1:
        return short
    (folder,) = common
    for row in short:
        rows[row] = [before[row][folder]]
    return []
