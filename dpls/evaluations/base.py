"""What an evaluation that is longer than a call of an attack looks like. Settings: no torch."""

from typing import TYPE_CHECKING

from dpls.attacks import Attack

if TYPE_CHECKING:
    from dpls.evaluations.evaluation import Evaluation


class Procedure(Attack):
    """An attack that works through an evaluation itself: several attacks in turn, queries, radii.

    It has the settings and names of an attack, but is not to be called as one: training and the choice of checkpoints
    cannot use it.
    """

    def run(self, evaluation: "Evaluation") -> None:
        """Judges each of ``evaluation.left()`` and appends its outcome, chunk by chunk, in any order.

        Right is what float32 gets right on the image that was found. An example's outcome may depend on the net, the
        seed, its id and the other examples of its chunk, and on nothing else: then an evaluation that was stopped and
        resumed equals one that was not.
        """
        raise NotImplementedError
