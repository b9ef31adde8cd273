"""Which training examples a phase keeps, by difficulty."""

from typing import Literal

from pydantic import Field

from dpls.component import Component, Fractional


class Subset(Component):
    """All training examples but a share of them, dropped by difficulty; ids stay what they were."""

    drop: Literal["hardest", "easiest", "random"] = Field(description="which examples to leave out")
    share: Fractional = Field(ge=0, lt=1, description="share of the training examples to leave out; 0 keeps all")
    scores: str = Field(
        "self",
        description="id of the finished run whose difficulty decides; self: this run's own record, a biased choice",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="breaks ties, and draws where drop is random")
