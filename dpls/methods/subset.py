"""Which training examples a phase sees, by difficulty. numpy only."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dpls.component import Component, Fractional

Which = Literal["hardest", "easiest", "random", "matched"]


@dataclass(frozen=True)
class Taken:
    """chosen: bool (n,); border: examples that score the same as the last one of the cut; inside: those in the cut.

    Where some are outside, the seed has drawn.
    """

    chosen: NDArray[np.bool_]
    border: int = 0
    inside: int = 0

    @property
    def tied(self) -> int:
        """Examples outside the cut that score the same as one inside."""
        return self.border - self.inside


class Subset(Component):
    """A share of the training examples, chosen by difficulty, to be left out or trained on alone.

    Rows are only marked, so ids stay what they were.
    """

    action: Literal["drop", "keep"] = Field("drop", description="leave the chosen examples out, or train on them alone")
    which: Which = Field(
        description="which examples are chosen; matched: at random, but as many of each class as the hardest would be"
    )
    share: Fractional = Field(ge=0, lt=1, description="share of the training examples that is chosen")
    spared: Fractional = Field(
        0, ge=0, le=1, description="share of these that is not chosen after all; what a larger share spares, it spares"
    )
    scores: tuple[str, ...] = Field(
        (),
        description="ids of the finished runs whose difficulty decides; of several, those that never trained on an"
        " example judge it; none: this run's own record, a biased choice",
    )
    fold: int = Field(0, ge=0, description="where which is random: the how manieth of the disjoint shares, from 0")
    refill: bool = Field(
        False, description="an epoch keeps the number of steps of all examples: those that are left are shown again"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="breaks ties, and draws where which is random")

    @model_validator(mode="after")
    def _folds_fit(self) -> "Subset":
        if (self.fold + 1) * self.share > 1 + 1e-9:
            raise ValueError(f"fold = {self.fold}: only {int(1 / self.share)} disjoint shares of {self.share:g} fit")
        if self.action == "keep" and round((1 - self.spared) * self.share, 9) == 0:
            raise ValueError("action = keep with nothing chosen leaves nothing to train on")
        return self

    @property
    def in_words(self) -> str:
        """e.g. ``without the hardest 20%``."""
        chosen = {"random": "a random", "matched": "a matched random"}.get(self.which, f"the {self.which}")
        words = f"{'without' if self.action == 'drop' else 'only'} {chosen} {self.share:.0%}"
        words += f" (fold {self.fold + 1})" if self.fold else ""
        return words + (f" less {self.spared:.0%} of these" if self.spared else "")

    @property
    def needs_difficulty(self) -> bool:
        return self.which != "random"

    @property
    def left(self) -> float:
        """Share of the training examples that takes part."""
        chosen = self.share * (1 - self.spared)
        return 1 - chosen if self.action == "drop" else chosen

    def ties_in_words(self, taken: Taken) -> str:
        """e.g. ``of 205 images tied at the border, 13 were dropped``; drawn, where some of the cut are spared."""
        done = "drawn" if self.spared else {"drop": "dropped", "keep": "kept"}[self.action]
        be = "was" if taken.inside == 1 else "were"
        return f"of {taken.border:,} images tied at the border, {taken.inside:,} {be} {done}"

    def keep(self, difficulty: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool (n,): which examples take part."""
        return self.left_by(self.take(difficulty, labels))

    def left_by(self, taken: Taken) -> NDArray[np.bool_]:
        """bool (n,): which examples take part where these are taken."""
        return ~taken.chosen if self.action == "drop" else taken.chosen

    def take(self, difficulty: NDArray[np.floating], labels: NDArray[np.int64]) -> Taken:
        """round(share * n) of n examples, less those spared. NaN is the last to be chosen; ties are drawn by the seed.

        difficulty: (n,), higher = harder, not looked at where which is random; labels: (n,), only for matched.
        """
        order, border, inside = self._order(difficulty, labels)
        spared = np.random.default_rng([self.seed, 1]).permutation(len(order)) < round(self.spared * len(order))
        chosen = np.zeros(len(difficulty), dtype=bool)
        chosen[order[~spared]] = True
        return Taken(chosen, border, inside)

    def _order(self, difficulty: NDArray[np.floating], labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], int, int]:
        """The rows of the cut, how many examples are tied with its last one, and how many of these are in it."""
        n, count = len(difficulty), round(self.share * len(difficulty))
        shuffled = np.random.default_rng(self.seed).permutation(n)
        if self.which == "random":
            return shuffled[round(self.fold * self.share * n) : round((self.fold + 1) * self.share * n)], 0, 0
        key = difficulty if self.which == "easiest" else -difficulty
        order = shuffled[np.argsort(key[shuffled], kind="stable")]  # argsort puts NaN last
        if self.which != "matched":
            tied = key[order] == key[order[count - 1]] if count else np.zeros(n, dtype=bool)
            return order[:count], int(tied.sum()), int(tied[:count].sum())
        wanted = np.bincount(labels[order[:count]], minlength=int(labels.max()) + 1)
        other = np.random.default_rng([self.seed, 2]).permutation(n)
        of_class = [other[labels[other] == label][:number] for label, number in enumerate(wanted.tolist())]
        return np.concatenate(of_class), 0, 0
