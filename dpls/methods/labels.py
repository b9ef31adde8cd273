"""Label smoothing: how much mass each example's true class keeps (its factor), and the labels made from it.

A factor of 1 is the hard label; 1 / K spreads the mass evenly over K classes. Factors are computed once, at the phase
border, over all N training examples. numpy only: pages use this file without torch.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.component import Component, Fractional, article
from dpls.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Factor = Annotated[Fractional, Field(gt=0, le=1)]
LAMBDA_MIN = 0.5
"""The article's."""


class FactorRule(Component):
    """Called with difficulty (N,) in [0, 1] (NaN: never seen) and the number of classes: factors (N,) in (0, 1]."""

    needs_difficulty: ClassVar[bool] = False

    @property
    def lambda_asked(self) -> float:
        """The lambda_min that was asked for, or the article's where this rule has none."""
        return LAMBDA_MIN

    @property
    def in_words(self) -> str:
        """What people call it, with what sets it; '' where labels stay hard."""
        raise NotImplementedError

    def check(self, classes: int) -> None:
        """Refuses, before a run starts, settings that can be wrong only for this number of classes."""

    def __call__(self, difficulty: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
        raise NotImplementedError


def _refuse_below_uniform(name: str, value: float, classes: int) -> None:
    if value < 1 / classes:
        raise UserError(
            f"{name} = {value:g} is below 1/{classes} = {1 / classes:.4g}: the true class would become the least likely"
            f" one; choose a value from {1 / classes:.4g} to 1"
        )


class Hard(FactorRule):
    """Hard labels: every factor is 1."""

    kind: Literal["hard"] = "hard"

    @property
    def in_words(self) -> str:
        return ""

    def __call__(self, difficulty: NDArray[np.floating], classes: int) -> NDArray[np.float64]:  # noqa: ARG002
        return np.ones(len(difficulty))


class Uniform(FactorRule):
    """Ordinary label smoothing: the same factor for every example."""

    kind: Literal["uniform"] = "uniform"
    factor: Factor = Field(
        0.9, description="mass left on the true class; torch's label_smoothing = (1 - factor) K / (K - 1)"
    )

    @property
    def in_words(self) -> str:
        return f"uniform {self.factor:g}"

    def check(self, classes: int) -> None:
        _refuse_below_uniform("factor", self.factor, classes)

    def __call__(self, difficulty: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
        self.check(classes)
        return np.full(len(difficulty), self.factor)


class DPLS(FactorRule):
    """Difficulty proportional label smoothing: factor = 1 - (1 - lambda_min) * difficulty.

    Lee, Lee, Bae and Yoon, JMLR 26, 2025. An example never seen (NaN difficulty) keeps the factor 1. Give lambda_min,
    or ``mean`` to have it solved for that mean factor.
    """

    needs_difficulty: ClassVar[bool] = True
    one_of: ClassVar[tuple[str, ...]] = ("lambda_min", "mean")

    kind: Literal["dpls"] = "dpls"
    lambda_min: Factor | None = Field(
        None,
        description=f"factor of the hardest example; {LAMBDA_MIN:g} where neither is given",
        json_schema_extra=article(f"{LAMBDA_MIN:g}"),
    )
    mean: Factor | None = Field(
        None, description="mean factor to reach instead; the article advises 0.8-0.9 for 10 classes"
    )

    @property
    def in_words(self) -> str:
        return f"DPLS to mean {self.mean:g}" if self.mean else f"DPLS {self.lambda_asked:g}"

    @property
    def lambda_asked(self) -> float:
        return LAMBDA_MIN if self.lambda_min is None else self.lambda_min

    def check(self, classes: int) -> None:
        if self.mean is None:
            _refuse_below_uniform("lambda_min", self.lambda_asked, classes)
        else:
            _refuse_below_uniform("mean", self.mean, classes)

    def __call__(self, difficulty: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
        self.check(classes)
        lambda_min = self.lambda_asked if self.mean is None else lambda_min_for(self.mean, difficulty, classes)
        return smoothing_factors(difficulty, lambda_min)


class Control(FactorRule):
    """As much smoothing as DPLS at the same lambda_min, given to others: what proportion to difficulty is worth.

    The mean of the factors is that of DPLS; NaN difficulty counts as 0.
    """

    needs_difficulty: ClassVar[bool] = True
    kind: Literal["control"] = "control"
    how: Literal["uniform", "permuted", "inverted", "hardest"] = Field(
        "uniform",
        description="uniform: all alike; permuted: DPLS's factors dealt out at random; inverted: the smallest to the"
        " easiest; hardest: lambda_min to as many of the hardest as the mean allows, 1 to the others",
    )
    lambda_min: Factor = Field(LAMBDA_MIN, description="of the DPLS that is matched")
    seed: int = Field(0, ge=0, lt=2**31, description="deals out at random, and breaks ties")

    @property
    def lambda_asked(self) -> float:
        return self.lambda_min

    @property
    def in_words(self) -> str:
        return f"{self.how} control of DPLS {self.lambda_min:g}"

    def check(self, classes: int) -> None:
        _refuse_below_uniform("lambda_min", self.lambda_min, classes)

    def __call__(self, difficulty: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
        self.check(classes)
        factors = smoothing_factors(difficulty, self.lambda_min)
        shuffled = np.random.default_rng(self.seed).permutation(len(factors))
        if self.how == "uniform":
            return np.full(len(factors), factors.mean())
        if self.how == "permuted":
            return factors[shuffled]
        easiest_first = shuffled[np.argsort(-factors[shuffled], kind="stable")]
        if self.how == "inverted":
            factors[easiest_first] = np.sort(factors)
            return factors
        left, found = float((1 - factors).sum()), np.ones(len(factors))
        taken = np.clip(left - (1 - self.lambda_min) * np.arange(len(factors)), 0, 1 - self.lambda_min)
        found[easiest_first[::-1]] -= taken
        return found


def smoothing_factors(difficulty: NDArray[np.floating], lambda_min: float) -> NDArray[np.float64]:
    """(N,), in [lambda_min, 1], non-increasing in difficulty (in [0, 1]); NaN difficulty -> 1."""
    outside = ~np.isnan(difficulty) & ((difficulty < 0) | (difficulty > 1))
    if outside.any():
        raise UserError(f"difficulty must lie in [0, 1], got {difficulty[outside][0]:g}; normalise it first")
    return 1 - (1 - lambda_min) * np.nan_to_num(np.asarray(difficulty, dtype=np.float64), nan=0.0)


def lambda_min_for(mean: float, difficulty: NDArray[np.floating], classes: int) -> float:
    """The lambda_min whose factors have this mean, in [1 / classes, 1]; refused where there is none.

    Closed form: lambda_min = 1 - (1 - mean) / mean(difficulty), NaN difficulty counting as 0 (factor 1).
    """
    average = float(np.nan_to_num(np.asarray(difficulty, dtype=np.float64), nan=0.0).mean())
    lowest = 1 - (1 - 1 / classes) * average
    if mean < lowest - 1e-12 or not mean <= 1:
        by_rank = average < 0.5 and 1 - (1 - 1 / classes) / 2 <= mean <= 1  # ranks have a mean of one half
        raise UserError(
            f"no lambda_min gives a mean factor of {mean:g}: with mean difficulty {average:.4g} and {classes} classes"
            f" the mean lies between {lowest:.4g} and 1; choose a mean in between"
            + (" or the rank normaliser" if by_rank else "")
        )
    return 1.0 if mean == 1 else max(1 - (1 - mean) / average, 1 / classes)


def soft_labels(y: "Tensor", factor: "Tensor", classes: int) -> "Tensor":
    """(B, classes), float, rows sum to 1: ``factor`` (B,) on the true class y (B,), the rest spread evenly."""
    import torch  # here, so that pages that only need factors stay without it

    rest = ((1 - factor) / (classes - 1))[:, None].expand(-1, classes)
    return torch.where(torch.arange(classes, device=y.device) == y[:, None], factor[:, None], rest)


Factors = Annotated[Hard | Uniform | DPLS | Control, Field(discriminator="kind")]
