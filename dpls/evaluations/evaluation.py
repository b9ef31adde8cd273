"""An evaluation while it is made: which examples are left, and the outcomes of those that are not."""

import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import pandas as pd
import torch
from torch import Tensor, nn

from dpls.data.split import Split
from dpls.evaluations.store import Store

Told: TypeAlias = Callable[[int, int], None]
"""Is told how many images are judged, and how many there are."""


class Evaluation:
    """A net, judged on a split, chunk by chunk; the store keeps what is done.

    Chunks are rows 0 to 499, 500 to 999, and so on: they depend on the split alone, not on what was done before.
    ``dtype``: the precision in which attacks propose; the judge computes in float32. ``seed``: of the attacks' noise.
    """

    images_a_chunk: ClassVar[int] = 500
    """Judged together and committed together. A change changes batches, and so how numbers round."""

    def __init__(
        self,
        net: nn.Module,
        split: Split,
        store: Store,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        told: Told | None = None,
    ) -> None:
        self.net, self.split, self.store, self.seed, self.dtype = net, split, store, seed, dtype
        self._told = told
        chunks = torch.split(torch.arange(len(split)), self.images_a_chunk) if len(split) else ()
        ids = split.ids.cpu()
        self._left = {tuple(ids[rows].tolist()): rows for rows in chunks}
        store.keep([chunk for chunk in store.chunks if self._left.pop(_key_of(chunk), None) is not None])
        self._since = time.perf_counter()
        self._tell()

    def left(self) -> list[Tensor]:
        """The chunks without outcomes, each int64 (b,): rows of the split, on the CPU."""
        return list(self._left.values())

    def append(self, ids: Tensor, correct: Tensor, **columns: Any) -> None:
        """Commits the outcomes of one chunk of ``left()``. Raises ValueError where the ids are no such chunk's.

        ids: int64 (b,), in order of the chunk's rows. correct: bool (b,). columns: whatever else is worth keeping, each
        (b,), what ``pandas.array`` takes; None where an example has no value. Every chunk has the same columns.
        """
        key = tuple(ids.tolist())
        if key not in self._left:
            raise ValueError(f"{len(key)} outcomes are no chunk that is left: they come a whole chunk at a time, once")
        chunk = {"ids": key, "correct": correct.tolist(), "columns": {n: _encoded(v) for n, v in columns.items()}}
        now = time.perf_counter()
        self.store.append(chunk | {"seconds": now - self._since})
        self._since = now
        del self._left[key]
        self._tell()

    def table(self) -> pd.DataFrame:
        """A row per example in order of the split: id, correct, then the other columns. Nothing may be left."""
        assert not self._left, f"{len(self._left)} chunks have no outcomes"
        frames = [
            pd.DataFrame({"id": c["ids"], "correct": c["correct"], **{n: _decoded(v) for n, v in c["columns"].items()}})
            for c in self.store.chunks
        ]
        found = pd.concat(frames) if frames else pd.DataFrame({"id": [], "correct": []})
        found = found.astype({"id": "int64", "correct": "bool"}).set_index("id")
        return found.loc[self.split.ids.tolist()].reset_index()

    @property
    def seconds(self) -> float:
        """Time that the outcomes took, in all sittings."""
        return float(sum(chunk["seconds"] for chunk in self.store.chunks))

    def _tell(self) -> None:
        if self._told is not None:
            self._told(len(self.split) - sum(map(len, self._left)), len(self.split))


def _key_of(chunk: Any) -> tuple[int, ...]:
    """The ids of a chunk as it was written; none of what somebody has changed until it is no chunk."""
    try:
        ids, columns = tuple(chunk["ids"]), [chunk["correct"], *(c["values"] for c in chunk["columns"].values())]
        whole = chunk["seconds"] >= 0 and all(len(column) == len(ids) for column in columns)
    except (TypeError, KeyError, AttributeError):
        return ()
    return ids if whole and all(isinstance(right, bool) for right in columns[0]) else ()


def _encoded(values: Any) -> dict[str, Any]:
    """A column as JSON holds it, with its type, which a chunk without any value would not show."""
    array = pd.array(values.cpu().numpy() if isinstance(values, Tensor) else values)
    return {"type": str(array.dtype), "values": [None if pd.isna(value) else value for value in array.tolist()]}


def _decoded(column: dict[str, Any]) -> Any:
    return pd.array(column["values"], dtype=column["type"])
