"""A data set in host memory, as every source returns it and as the cache stores it. No torch here."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST, UNLABELLED = range(4)
SPLITS = (*PARTS, "unlabelled")
"""Every part an example may be of. Nothing is trained, chosen or judged on the unlabelled ones."""
NO_LABEL = -1


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, and which part each belongs to. An example's id is its row here, in every part.

    images: uint8 (N, C, H, W), C = 1 or 3; (N, 0, 1, 1) where somebody's loop handed over none.
    labels: int64 (N,), what training sees; -1 of the unlabelled part.
    part: uint8 (N,), index into SPLITS.
    classes: names by label.
    cause: (N,) str, the probe planted in the example, "" where none was.
    true_labels: int64 (N,), the label before a probe changed it, or it was hidden; -1 where nobody knows.
    files: (N,) str, the file an image came from, relative to its source; "" where it has none.
    said: what a person should know of the images, in sentences; no part of what they are.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    part: NDArray[np.uint8]
    classes: tuple[str, ...]
    cause: NDArray[np.str_]
    true_labels: NDArray[np.int64]
    files: NDArray[np.str_]
    said: tuple[str, ...] = ()

    @staticmethod
    def of(
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        part: NDArray[np.uint8],
        classes: tuple[str, ...],
        files: NDArray[np.str_] | None = None,
    ) -> "Dataset":
        """A data set in which nothing has been planted."""
        assert images.ndim == 4 and len(images) == len(labels) == len(part), (images.shape, labels.shape, part.shape)
        nothing = np.full(len(images), "", dtype="<U16")
        return Dataset(images, labels, part, classes, nothing, labels, nothing if files is None else files)

    def take(self, kept: NDArray[np.bool_]) -> "Dataset":
        """The examples where kept (N,) is true, in their order."""
        rows = {f.name: getattr(self, f.name)[kept] for f in fields(self) if f.name not in ("classes", "said")}
        return Dataset(**rows, classes=self.classes, said=self.said)

    def saying(self, *sentences: str) -> "Dataset":
        """The same, with more to say."""
        return replace(self, said=(*self.said, *sentences))

    @property
    def has_images(self) -> bool:
        return bool(self.images.shape[1])

    def ids(self, part: int) -> NDArray[np.int64]:
        """(n,), ascending, the ids of one part."""
        return np.flatnonzero(self.part == part)
