"""A test's own kind of experiment: train from the border on on a random half."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from dpls.component import Fractional
from dpls.experiments.base import Experiment, Planned
from dpls.experiments.compare import about, compare, dots_of
from dpls.experiments.outcomes import ALL, Outcomes, role_of
from dpls.experiments.result import NOT_YET, Claim, Result
from dpls.methods.subset import Subset

HALF = "without a random half"


class Halves(Experiment):
    """A random half, against all images."""

    question: ClassVar[str] = "What does a random half of the images lose?"
    asked_first: ClassVar[tuple[str, ...]] = ("share", "seeds")

    kind: Literal["halves"] = "halves"
    share: Fractional = Field(0.5, gt=0, lt=0.9, title="Share dropped", description="share that is dropped at random")

    def arms(self, seed: int) -> Iterator[Planned]:
        subset = Subset(which="random", share=self.share, seed=seed)
        yield Planned(HALF, seed, self.config(seed, subset=subset), role_of(ALL, seed))

    def summarise(self, o: Outcomes) -> Result:
        lines = compare(o, "halves", [HALF], ALL)
        said = next((str(line.difference) for line in lines if line.difference), NOT_YET)
        dots = dots_of(lines, "Halves", ("attacked, best",), "difference to all images", True)
        return Result(lines, [Claim("It says nothing of it.", said)], about(self, o), (), [dots] if dots.dots else [])
