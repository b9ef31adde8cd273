"""A share of examples with its interval. No torch."""

import math
from typing import TYPE_CHECKING, NamedTuple

from dpls.intervals import wilson

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Accuracy(NamedTuple):
    """A share of n examples with its Wilson interval; fractions."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}] (n = {self.n:,})"


def accuracy(correct: "Tensor | np.ndarray") -> Accuracy:
    """The mean of bool (N,) with its interval."""
    right, n = int(correct.sum()), len(correct)
    return Accuracy(right / n if n else math.nan, *wilson(right, n), n)
