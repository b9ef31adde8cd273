"""What is known of training that another program did."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dpls.attacks import AnyAttack
from dpls.errors import UserError
from dpls.methods.objective import Loss, Objective, Passes, climb_cross_entropy
from dpls.text import display

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpls.data.split import Batch
    from dpls.randomness import Noise

TITLES = {"recorded": "recorded elsewhere", "loaded": "trained elsewhere"}


class Elsewhere(Objective):
    """Stands for the epochs that this engine did not train: what was minimised there, nobody here knows."""

    is_chosen: ClassVar[bool] = False
    kind: Literal["elsewhere"] = "elsewhere"
    how: Literal["recorded", "loaded"] = Field(
        "recorded", description="by its own loop, epoch by epoch, or loaded from files of weights"
    )
    attacked: bool = Field(False, description="whether attacked images were recorded, too")
    said: str = Field("", max_length=200, description="what its owner says of it")
    weights: str = Field(
        "", pattern="^([0-9a-f]{20})?$", description="hash of the weights that were loaded, of all in their order"
    )
    attack: AnyAttack | None = Field(None, description="attack under which each of them was looked at, too")

    @property
    def title(self) -> str:
        return TITLES[self.how] + (f": {display(' '.join(self.said.split()))}" if self.said else "")

    @property
    def attacks(self) -> bool:
        return self.attacked or self.attack is not None

    @property
    def crafting(self) -> Passes:
        steps = round(self.attack.passes / 2) if self.attack else 0
        return Passes(steps, steps)

    @property
    def training(self) -> Passes:
        return Passes(0, 0)

    def craft(self, net: "nn.Module", batch: "Batch", noise: "Noise", dtype: "torch.dtype") -> "Tensor":
        return climb_cross_entropy(self.attack, net, batch, noise, dtype) if self.attack else batch.x

    def loss(self, forward: "nn.Module", batch: "Batch", x_adv: "Tensor", labels: "Tensor") -> Loss:  # noqa: ARG002
        raise UserError(f"these epochs were {TITLES[self.how]}; nothing here can train them")
