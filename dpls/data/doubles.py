"""Images of one content: in training and test, or under two labels. They are counted and said; nothing is removed."""

import numpy as np
from numpy.typing import NDArray

from dpls.data.dataset import PARTS, TEST, TRAIN, UNLABELLED, VALIDATION, Dataset
from dpls.data.found import counted, first


def doubles(dataset: Dataset, hashes: NDArray[np.bytes_]) -> list[str]:
    """Sentences on images whose pixels, as they are trained on, are equal; planted and unlabelled ones are left aside.

    hashes: (N,), of the content of each image (``cache.image_hashes``).
    """
    rows = np.flatnonzero((dataset.cause == "") & (dataset.part != UNLABELLED))
    _, content, counts = np.unique(hashes[rows], return_inverse=True, return_counts=True)
    rows, content = rows[counts[content] > 1], content[counts[content] > 1]
    if not len(rows):
        return []
    return [*_shared(dataset, rows, content), *_two_labels(dataset, rows, content)]


def _shared(dataset: Dataset, rows: NDArray[np.int64], content: NDArray[np.int64]) -> list[str]:
    said = []
    part = dataset.part[rows]
    for one, other in ((TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST)):
        again = np.flatnonzero((part == other) & np.isin(content, content[part == one]))
        if len(again):
            earlier = [np.flatnonzero((part == one) & (content == content[row]))[0] for row in again[:3]]
            pairs = [
                f"{_name(dataset, rows[b])} is {_name(dataset, rows[a])}" for a, b in zip(earlier, again, strict=False)
            ]
            said.append(
                f"{counted(len(again), f'{PARTS[other]} image')} of {int((dataset.part == other).sum()):,} are also"
                f" {PARTS[one]} images, pixel by pixel ({_of(pairs, len(again))}): nothing is removed, but they do not"
                " count as unseen."
            )
    return said


def _two_labels(dataset: Dataset, rows: NDArray[np.int64], content: NDArray[np.int64]) -> list[str]:
    labels = dataset.labels[rows]
    pairs = np.unique(np.stack([content, labels], axis=1), axis=0)
    twice, times = np.unique(pairs[:, 0], return_counts=True)
    torn = np.isin(content, twice[times > 1])
    if not torn.any():
        return []
    shown = []
    for one in twice[times > 1][:3]:
        same = np.flatnonzero(content == one)
        other = same[labels[same] != labels[same[0]]][0]
        shown.append(
            " and ".join(f"{_name(dataset, rows[i])} as {dataset.classes[labels[i]]}" for i in (same[0], other))
        )
    contents = int((times > 1).sum())
    return [
        f"{counted(int(torn.sum()), 'image')} of {counted(contents, 'content')} stand under two labels, pixel by pixel"
        f" ({_of(shown, contents)}): one of them must be wrong."
    ]


def _of(shown: list[str], count: int) -> str:
    return first([*shown, *[""] * (count - len(shown))])


def _name(dataset: Dataset, row: int) -> str:
    return str(dataset.files[row]) or f"image {row}"
