"""The images of a run, for other programs."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpls.data import SPLITS
from dpls.runs.agreement import images_of
from dpls.runs.files import runs_root
from dpls.runs.folder import find_run


class Images(NamedTuple):
    """Every example of a run, in order of ids, as every part of this package sees it.

    images: uint8 (N, C, H, W); (N, 0, 1, 1) of a loop that handed over none. labels: int64 (N,), -1 where there is
    none; planted wrong ones included. ids: int64 (N,). paths: (N,) text, the file relative to its source, "" where it
    has none. split: (N,) text, train, validation, test or unlabelled. classes: names by label.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: NDArray[np.str_]
    split: NDArray[np.str_]
    classes: tuple[str, ...]


def open_images(run: str | Path, runs: str | Path | None = None) -> Images:
    """Exactly the images of a run, as read-only memory maps where they are large.

    run: a run directory, an id, the beginning or end of one, or ``latest`` in the folder ``runs`` (None: DPLS_RUNS, or
    ``runs``). Decoded again where the cache has lost them; a UserError where they have changed since.
    """
    d = images_of(find_run(runs_root() if runs is None else Path(runs), str(run)))
    return Images(d.images, d.labels, np.arange(len(d.labels)), d.files, np.array(SPLITS)[d.part], d.classes)
