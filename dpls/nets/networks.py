"""Networks: settings of WideResNet, PreActResNet-18, SmallCNN. Torch is loaded when one is built.

A net maps images in [0, 1], float (B, C, H, W), to logits (B, K). Normalisation is its first layer, so attacks and
eps live in pixel space.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from dpls.component import Component
from dpls.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn


class Architecture(Component):
    """A network's settings; called, it builds the network with weights drawn from ``generator``."""

    is_known: ClassVar[bool] = True
    """Whether it can be built here, so that weights can be loaded, attacked and trained on."""

    normalise: bool = Field(True, description="subtract the training images' mean and divide by their deviation")

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":
        raise NotImplementedError

    def __call__(
        self,
        channels: int,
        classes: int,
        generator: "torch.Generator",
        statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> "nn.Module":
        """``statistics``: mean and standard deviation by channel, used where ``normalise`` is set."""
        import torch
        from torch import nn

        from dpls.nets.layers import Normalise, initialise

        mean, std = statistics if self.normalise and statistics else ([0.0] * channels, [1.0] * channels)
        with torch.random.fork_rng(devices=[]):  # torch draws weights of its own first; nobody else shall notice
            net = nn.Sequential(Normalise(mean, std), *self.layers(channels, classes))
        initialise(net, generator)
        return net


class WideResNet(Architecture):
    """WideResNet-depth-width without dropout (Zagoruyko and Komodakis, 2016, https://arxiv.org/abs/1605.07146)."""

    kind: Literal["wide_resnet"] = "wide_resnet"
    depth: int = Field(28, ge=10, le=106, description="6 n + 4 layers: n blocks in each of three groups")
    width: int = Field(10, ge=1, le=20, description="channels as a multiple of 16, 32 and 64")

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, depth: int) -> int:
        if (depth - 4) % 6:
            raise ValueError("depth must be 6 n + 4, for example 10, 16, 28 or 34")
        return depth

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":
        from dpls.nets.layers import preact

        return preact(16, [16 * self.width * m for m in (1, 2, 4)], (self.depth - 4) // 6, channels, classes)


class PreActResNet18(Architecture):
    """PreActResNet-18 with a final batch norm (He et al., 2016, https://arxiv.org/abs/1603.05027)."""

    kind: Literal["preact_resnet18"] = "preact_resnet18"

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":
        from dpls.nets.layers import preact

        return preact(64, (64, 128, 256, 512), 2, channels, classes)


class SmallCNN(Architecture):
    """Four 3×3 convolutions with batch norm, the second and third with stride 2, and a linear layer."""

    kind: Literal["small_cnn"] = "small_cnn"
    width: int = Field(
        32, ge=4, le=256, description="channels of the first layer; later ones have 2, 4 and 4 times as many"
    )

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":
        from torch import nn

        from dpls.nets.layers import GlobalMean, conv

        layers: list[nn.Module] = []
        for multiple, stride in ((1, 1), (2, 2), (4, 2), (4, 1)):
            layers += [
                conv(channels, self.width * multiple, 3, stride),
                nn.BatchNorm2d(self.width * multiple),
                nn.ReLU(inplace=True),
            ]
            channels = self.width * multiple
        return [*layers, GlobalMean(), nn.Linear(channels, classes)]


class UnknownNet(Architecture):
    """A network of somebody's own training loop: its weights never came here."""

    is_chosen: ClassVar[bool] = False
    is_known: ClassVar[bool] = False
    kind: Literal["unknown"] = "unknown"

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":  # noqa: ARG002
        raise UserError("this network is known to the loop that trained it alone; nothing here can build it")


Net = Annotated[WideResNet | PreActResNet18 | SmallCNN | UnknownNet, Field(discriminator="kind")]
