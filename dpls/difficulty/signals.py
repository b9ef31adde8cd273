"""Signals of a record as measures read them. numpy only."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SIGNALS: dict[str, np.dtype] = {
    "correct": np.dtype(np.uint8),
    "p_true": np.dtype(np.float32),
    "loss": np.dtype(np.float32),
    "margin": np.dtype(np.float32),
    "error_norm": np.dtype(np.float32),
}
"""correct: 0 or 1; p_true: [0, 1]; loss: cross-entropy; margin: z_y - max_{k != y} z_k; error_norm: ||p - e_y||_2."""

Array = NDArray[np.floating]
Dynamics = Mapping[str, np.ndarray]
"""Signal name -> (T, N): the first T epochs of the record, clean or adversarial, without suffix."""


def seen(d: Dynamics) -> NDArray[np.bool_]:
    """(T, N): in which epochs an example was observed."""
    known: NDArray[np.bool_] = d["correct"] != 255
    return known


def mean(values: Array | NDArray[np.bool_], seen: NDArray[np.bool_]) -> Array:
    """(N,): mean over the epochs in which an example was seen; NaN where it never was."""
    if not seen.all():  # the copy costs more than the sum, and nearly always everything was seen
        values = np.where(seen, values, values.dtype.type(0))
    total = np.count_nonzero(values, 0) if values.dtype == bool else values.sum(0, dtype=np.float64)
    visits = np.count_nonzero(seen, 0)
    found: Array = np.where(visits > 0, total / np.maximum(visits, 1), np.nan)
    return found


def signals_of(dynamics: Dynamics, adversarial: bool) -> Dynamics:
    """The clean or the adversarial half of a record, under the plain names of the signals."""
    if adversarial:
        return {name.removesuffix("_adv"): array for name, array in dynamics.items() if name.endswith("_adv")}
    return {name: array for name, array in dynamics.items() if not name.endswith("_adv")}
