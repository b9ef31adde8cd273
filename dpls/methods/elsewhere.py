"""What is known of training that another program did."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dpls.errors import UserError
from dpls.methods.objective import Loss, Objective, Passes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dpls.data.split import Batch

TITLES = {"recorded": "recorded elsewhere", "loaded": "trained elsewhere"}


class Elsewhere(Objective):
    """Stands for the epochs that this engine did not train: what was minimised there, nobody here knows."""

    is_chosen: ClassVar[bool] = False
    kind: Literal["elsewhere"] = "elsewhere"
    how: Literal["recorded", "loaded"] = Field(
        "recorded", description="by its own loop, epoch by epoch, or loaded from files of weights"
    )
    attacked: bool = Field(False, description="whether attacked images were recorded, too")
    said: str = Field("", description="what its owner says of it")

    @property
    def title(self) -> str:
        return TITLES[self.how] + (f": {self.said}" if self.said else "")

    @property
    def attacks(self) -> bool:
        return self.attacked

    @property
    def training(self) -> Passes:
        return Passes(0, 0)

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        raise UserError(f"these epochs were {TITLES[self.how]}; nothing here can train them")
