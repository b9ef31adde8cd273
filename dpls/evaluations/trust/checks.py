"""Whether a robust accuracy comes from robustness, or from attacks that cannot see: settings of the checks."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from dpls.component import show_fraction
from dpls.evaluations.base import Procedure
from dpls.evaluations.trust.budget import DRAWS, MARGIN_STEPS, POINTS, QUERIES, REPEATS, TARGETS, UNLIMITED_STEPS

if TYPE_CHECKING:
    from dpls.evaluations.evaluation import Evaluation


class Checks(Procedure):
    """Looks at the net under attack, per example; the trust card (``dpls.evaluations.trust``) makes its lines of it.

    Carlini et al., 2019, "On Evaluating Adversarial Robustness", https://arxiv.org/abs/1902.06705, list what to look
    for. Right is who withstood all that was tried within eps; that is no attack's accuracy, and is not reported as one.
    100 to 500 images are enough. An image that withstands all takes eight times the passes of PGD-20, others fewer.

    Of every image: ``clean`` (right without attack), ``repeat`` and ``company`` (the largest difference of a logit
    between two passes of the same batch, and between two batches, in units of its range), ``probabilities`` (the
    outputs look like some). Of those right without attack, else missing: ``zero_loss`` and ``zero_margin`` (share of
    pixels at which the gradient of the cross-entropy, of the margin, is exactly 0), ``margin_0`` to ``margin_50`` (best
    rival's logit minus the label's, after so many steps of PGD that does not stop), ``gradients``, ``noise`` and
    ``unlimited`` (withstood PGD and margins; random noise; PGD that may change everything), ``queries`` (withstood the
    black box; missing, too, where gradients broke it), ``change`` (the largest of a pixel in images tried within eps),
    ``inside`` (all of these in [0, 1]).
    """

    examples: ClassVar[str] = "checks"
    images_a_chunk: ClassVar[int] = 100
    """Few, so that little is lost where it is stopped."""

    kind: Literal["checks"] = "checks"

    @classmethod
    def named(cls, name: str) -> Self | None:
        return cls() if name == "checks" else None

    @property
    def name(self) -> str:
        return "checks"

    @property
    def title(self) -> str:
        return f"checks of the gradients, eps {show_fraction(self.radius)}"

    @property
    def passes(self) -> float:
        gradients = 2 + POINTS[-1] + MARGIN_STEPS * (1 + TARGETS) + UNLIMITED_STEPS
        return 2 * gradients + len(POINTS) + REPEATS + 1 + DRAWS + QUERIES

    def run(self, evaluation: "Evaluation") -> None:
        from dpls.evaluations.trust.probes import Chunk

        for rows in evaluation.left():
            chunk = Chunk(self, evaluation, rows)
            chunk.look()
            evaluation.append(chunk.ids, chunk.held, **chunk.columns)
