"""What runs with and without a single image say of it: memorized, or learnt from others? No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls import intervals
from dpls.experiments.outcomes import Outcomes
from dpls.experiments.result import ByImage

TITLE = "Image by image"
SHOWN = 12
"""How many images are shown where nobody asks for others: the hardest."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Runs by images (R, N): whether they are right at the last epoch, 1 or 0, NaN where unknown, and whether they saw
    them; difficulty (N,). Kept apart from the outcomes, which are larger by far."""

    right: NDArray[np.float64]
    saw: NDArray[np.bool_]
    difficulty: NDArray[np.float64]

    @property
    def hardest(self) -> list[int]:
        return [int(example) for example in np.argsort(-self.difficulty, kind="stable")[:SHOWN]]

    def table(self, ids: Sequence[int]) -> pd.DataFrame:
        """In how many runs that saw an image, and in how many that did not, it was right; and the difference."""
        return pd.DataFrame([row for example in ids if (row := self._row(example))])

    def _row(self, example: int) -> dict[str, object]:
        """Empty where no run saw it, or none did not."""
        right, saw = self.right[:, example], self.saw[:, example]
        known = ~np.isnan(right)
        ins, outs = right[known & saw], right[known & ~saw]
        if not len(ins) or not len(outs):
            return {}
        low, high = intervals.newcombe(ins.sum(), len(ins), outs.sum(), len(outs))
        return {
            "id": example,
            "difficulty": round(float(self.difficulty[example]), 2),
            "seen": f"{ins.sum():.0f} of {len(ins)}",
            "unseen": f"{outs.sum():.0f} of {len(outs)}",
            "memorized": f"{ins.mean() - outs.mean():+.0%} [{100 * low:+.0f}, {100 * high:+.0f}]",
        }


def by_image(o: Outcomes, folds: Sequence[str]) -> ByImage | None:
    """From arms that each left a fold of the training images out; None where none tells anything yet."""
    there = [name for name in folds if name in o.arms]
    if not there:
        return None
    right = np.concatenate([o.right(name, "clean_last", "train") for name in there])
    saw = np.concatenate([o.took_part(name) > 0 for name in there])
    answers = Answers(right, saw, o.mean_difficulty())
    table = answers.table(answers.hardest)
    return ByImage(TITLE, table, answers.table, o.count) if len(table) else None
