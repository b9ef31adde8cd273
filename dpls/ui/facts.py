"""Who the examples of a run are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dpls.data import TRAIN
from dpls.data.unlabelled import PSEUDO


@dataclass(frozen=True, eq=False)
class Facts:
    """Arrays (N,) by id. ``images`` is None where the cache has lost them (``missing`` says so then), or
    nobody handed over any."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    part: NDArray[np.uint8]
    causes: tuple[str, ...]
    """What was planted, by code; code 0 is nothing, ""."""
    cause: NDArray[np.uint8]
    true_labels: NDArray[np.int64]
    files: NDArray[np.str_]
    images: NDArray[np.uint8] | None
    missing: str

    @cached_property
    def has_files(self) -> bool:
        """Whether any came from a file; of many images it takes milliseconds to see."""
        return bool(self.files.any())

    def ids(self, part: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.part == part)

    def scored(self) -> NDArray[np.int64]:
        """Ids of the training images whose own labels set the scale of difficulty: no pseudo-labels."""
        own = [code for code, name in enumerate(self.causes) if name != PSEUDO]
        return np.flatnonzero((self.part == TRAIN) & np.isin(self.cause, own))

    def label_of(self, example: int) -> str:
        """Its class; "" where it has no label."""
        return self.classes[self.labels[example]] if self.labels[example] >= 0 else ""

    def cause_of(self, example: int) -> str:
        return self.causes[int(self.cause[example])]

    def cause_in_words(self, example: int) -> str:
        """e.g. "planted: flip"; a pseudo-label is one that nobody planted."""
        cause = self.cause_of(example)
        return cause if cause in ("", PSEUDO) else f"planted: {cause}"
