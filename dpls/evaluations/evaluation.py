"""An evaluation while it is made: which examples are left, and the outcomes of those that are not."""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pandas as pd
import torch
from torch import Tensor, nn

from dpls.data.split import Split
from dpls.evaluations.store import Store
from dpls.nets.frozen import frozen_eval

Told: TypeAlias = Callable[[int, int, str], None]
"""Is told how many images are judged, how many there are, and what is being done; "" where nothing is said of it."""

PASSES = ("forward_passes", "backward_passes")


class TrainedOn(NamedTuple):
    """For procedures that learn something themselves. split: the images that the net was trained on. folder: that of
    their data set, where what is learnt is kept for the next run on the same images."""

    split: Split
    folder: Path


class Evaluation:
    """A net, judged on a split, chunk by chunk; the store keeps what is done.

    Chunks are rows 0 to 99, 100 to 199, and so on: they depend on the split and on ``images_a_chunk`` alone, not on
    what was done before. ``dtype``: the precision in which attacks propose. ``seed``: of the attacks' noise.

    ``judge`` and ``proposer`` count every image that passes through them, forward and back. What is counted, and what
    is warned of, belongs to the chunk that is appended next: a procedure does for a chunk what it does for it, no more.
    """

    def __init__(
        self,
        net: nn.Module,
        split: Split,
        store: Store,
        *,
        images_a_chunk: int,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        told: Told | None = None,
        trained_on: TrainedOn | None = None,
    ) -> None:
        self.net, self.split, self.store, self.seed, self.dtype = net, split, store, seed, dtype
        self.trained_on, self._told = trained_on, told
        self._passes, self._warnings = dict.fromkeys(PASSES, 0), set[str]()
        chunks = torch.split(torch.arange(len(split)), images_a_chunk) if len(split) else ()
        ids = split.ids.cpu()
        self._left = {tuple(ids[rows].tolist()): rows for rows in chunks}
        store.keep([chunk for chunk in store.chunks if self._left.pop(_key_of(chunk), None) is not None])
        self._since = time.perf_counter()
        self.say("")

    @cached_property
    def judge(self) -> nn.Module:
        """The frozen net in float32, which decides."""
        return _Counting(frozen_eval(self.net), self._passes)

    @cached_property
    def proposer(self) -> nn.Module:
        """The frozen net in ``dtype``, for attacks; what it takes for broken counts once the judge agrees."""
        return _Counting(frozen_eval(self.net, self.dtype), self._passes)

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
        self.store.append(chunk | self._passes | {"warnings": sorted(self._warnings), "seconds": now - self._since})
        self._since = now
        self._passes.update(dict.fromkeys(PASSES, 0))
        self._warnings.clear()
        del self._left[key]
        self.say("")

    def warn(self, sentence: str) -> None:
        """Kept with the next chunk. A sentence that several chunks warn of is said once, so it names no numbers."""
        self._warnings.add(sentence)

    def say(self, doing: str) -> None:
        """What is being done, for whoever waits: 'square on 61 images'."""
        if self._told is not None:
            self._told(len(self.split) - sum(map(len, self._left)), len(self.split), doing)

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

    @property
    def passes(self) -> dict[str, int]:
        """Images that passed through the net for the outcomes, forward and back: ``PASSES`` and their numbers."""
        return {name: sum(chunk[name] for chunk in self.store.chunks) for name in PASSES}

    @property
    def warnings(self) -> list[str]:
        """What any chunk was warned of, each once."""
        return sorted({sentence for chunk in self.store.chunks for sentence in chunk["warnings"]})


class _Counting(nn.Module):
    """A net that counts the images which pass through it."""

    def __init__(self, net: nn.Module, passes: dict[str, int]) -> None:
        super().__init__()
        self._net, self._passes = net, passes

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self._net(x)
        self._count("forward_passes", logits)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self._count("backward_passes", gradient))  # type: ignore[no-untyped-call]
        return logits

    def _count(self, name: str, logits: Tensor) -> None:
        self._passes[name] += len(logits)


def _key_of(chunk: Any) -> tuple[int, ...]:
    """The ids of a chunk as it was written; none of what somebody has changed until it is no chunk."""
    try:
        ids, columns = tuple(chunk["ids"]), [chunk["correct"], *(c["values"] for c in chunk["columns"].values())]
        whole = all(chunk[name] >= 0 for name in ("seconds", *PASSES))
        whole &= all(isinstance(sentence, str) for sentence in chunk["warnings"])
        whole &= all(len(column) == len(ids) for column in columns)
    except (TypeError, KeyError, AttributeError):
        return ()
    return ids if whole and all(isinstance(right, bool) for right in columns[0]) else ()


def _encoded(values: Any) -> dict[str, Any]:
    """A column as JSON holds it, with its type, which a chunk without any value would not show."""
    array = pd.array(values.cpu().numpy() if isinstance(values, Tensor) else values)
    return {"type": str(array.dtype), "values": [None if pd.isna(value) else value for value in array.tolist()]}


def _decoded(column: dict[str, Any]) -> Any:
    return pd.array(column["values"], dtype=column["type"])
