"""A test's own measure: the largest loss of any epoch."""

import numpy as np

from dpls.difficulty.signals import Array, Dynamics, seen


def worst_loss(d: Dynamics) -> Array:
    """(N,), >= 0; higher = harder; NaN where never seen."""
    known = seen(d)
    return np.where(known.any(0), np.where(known, d["loss"], -np.inf).max(0), np.nan).astype(np.float64)
