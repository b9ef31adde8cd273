"""What an evaluation that is longer than a call of an attack looks like. Settings: no torch."""

from typing import TYPE_CHECKING, ClassVar

from dpls.attacks import Attack
from dpls.component import parse_fraction, show_fraction
from dpls.data import PARTS, TEST

if TYPE_CHECKING:
    import pandas as pd

    from dpls.evaluations.evaluation import Evaluation


class Procedure(Attack):
    """An attack that works through an evaluation itself: several attacks in turn, queries, radii.

    It has the settings and names of an attack, but is not to be called as one: training and the choice of checkpoints
    cannot use it.
    """

    images_a_chunk: ClassVar[int] = 500
    """Judged together and committed together; plain attacks take this many. A change changes how numbers round."""

    def run(self, evaluation: "Evaluation") -> None:
        """Judges each of ``evaluation.left()`` and appends its outcome, chunk by chunk, in any order.

        Right is what float32 gets right on the image that was found. An example's outcome may depend on the net, the
        seed, its id and the other examples of its chunk, and on nothing else: then an evaluation that was stopped and
        resumed equals one that was not. The net is ``evaluation.judge``, in float32, which counts what passes.
        """
        raise NotImplementedError

    def warnings(self, table: "pd.DataFrame") -> list[str]:  # noqa: ARG002
        """What the outcomes of all examples give reason to doubt, a sentence each. table: ``evaluation.table()``."""
        return []


def evaluation_name(attack: Attack | None, checkpoint: str, part: int = TEST, images: int | None = None) -> str:
    """clean_best, pgd20_8-255_best; of training images clean_last_train; of a sample of 200 pgd20_8-255_best_of200."""
    what = "clean" if attack is None else f"{attack.name}_{_shown(attack.radius)}"
    name = f"{what}_{checkpoint}" if images is None else f"{what}_{checkpoint}_of{images}"
    return name if part == TEST else f"{name}_{PARTS[part]}"


def _shown(eps: float) -> str:
    """As in a file name: 8-255; all digits where a short form is another number's, too."""
    short = show_fraction(eps)
    return (short if parse_fraction(short) == eps else repr(eps)).replace("/", "-")
