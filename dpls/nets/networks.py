"""Networks: settings of WideResNet, PreActResNet-18, SmallCNN. Torch is loaded when one is built.

A net maps images in [0, 1], float (B, C, H, W), to logits (B, K). Normalisation is its first layer, so attacks and
eps live in pixel space.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from dpls.component import Component
from dpls.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from dpls.nets.layers import Form

Pixels = tuple[float, ...] | None
Statistics: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation by channel, images in [0, 1]."""


class Architecture(Component):
    """A network's settings; called, it builds the network with weights drawn from ``generator``."""

    is_known: ClassVar[bool] = True
    """Whether it can be built here, so that weights can be loaded, attacked and trained on."""

    normalise: bool = Field(True, description="subtract the training images' mean and divide by their deviation")
    pixel_mean: Pixels = Field(
        None, description="what is subtracted instead, by channel, images in [0, 1]; none: theirs"
    )
    pixel_std: Pixels = Field(None, description="what is divided by instead, by channel; none: their deviation")

    @model_validator(mode="after")
    def _both_statistics(self) -> Self:
        if (self.pixel_mean is None) != (self.pixel_std is None) or (self.pixel_mean and not self.normalise):
            raise ValueError(
                "pixel_mean and pixel_std are given together, a number for each channel, and normalise stays true"
            )
        if self.pixel_mean and self.pixel_std and len(self.pixel_mean) != len(self.pixel_std):
            raise ValueError("pixel_mean and pixel_std need a number for each channel")
        if self.pixel_std and min(self.pixel_std) <= 0:
            raise ValueError("pixel_std must be above 0, for the pixels are divided by it")
        return self

    def statistics(self, channels: int, measured: Statistics | None) -> Statistics:
        """Mean and deviation by channel to normalise by; ``measured``: those of the training images."""
        if not self.normalise:
            return [0.0] * channels, [1.0] * channels
        if self.pixel_mean and self.pixel_std:
            if len(self.pixel_mean) != channels:
                raise UserError(
                    f"net.pixel_mean has {len(self.pixel_mean)} numbers, and the images have {channels} channels; give"
                    " one for each"
                )
            return self.pixel_mean, self.pixel_std
        return measured or ([0.0] * channels, [1.0] * channels)

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":
        raise NotImplementedError

    def __call__(
        self,
        channels: int,
        classes: int,
        generator: "torch.Generator",
        statistics: Statistics | None = None,
    ) -> "nn.Module":
        """``statistics``: mean and standard deviation of the training images by channel."""
        import torch
        from torch import nn

        from dpls.nets.layers import Normalise

        mean, std = self.statistics(channels, statistics)
        with torch.random.fork_rng(devices=[]):  # torch draws weights of its own first; nobody else shall notice
            net = nn.Sequential(Normalise(mean, std), *self.layers(channels, classes))
        self.draw(net, generator)
        return net

    def draw(self, net: "nn.Module", generator: "torch.Generator") -> None:
        """Initial weights."""
        from dpls.nets.layers import initialise

        initialise(net, generator)


class PreActivation(Architecture):
    """What networks of pre-activation blocks share; the defaults are those of the official WideResNet code."""

    shortcut: Literal["activated", "raw"] = Field(
        "activated",
        description="what a projection shortcut takes: the block's input after batch norm and activation, or as it is",
    )
    activation: Literal["relu", "silu"] = Field("relu", description="after every batch norm; silu is also called swish")
    padding: Literal["even", "end"] = Field(
        "even",
        description="zeros around what is halved: on all sides, or below and right alone, as TensorFlow pads",
    )

    @property
    def form(self) -> "Form":
        from dpls.nets.layers import Form

        return Form(self.shortcut, self.activation, self.padding)


class WideResNet(PreActivation):
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

        widths = [16 * self.width * m for m in (1, 2, 4)]
        return preact(16, widths, (self.depth - 4) // 6, channels, classes, self.form)


class PreActResNet18(PreActivation):
    """PreActResNet-18 with a final batch norm (He et al., 2016, https://arxiv.org/abs/1603.05027)."""

    kind: Literal["preact_resnet18"] = "preact_resnet18"
    final_norm: bool = Field(True, description="batch norm and activation before the mean over the image")

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":
        from dpls.nets.layers import preact

        return preact(64, (64, 128, 256, 512), 2, channels, classes, self.form, self.final_norm)


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


class OwnNet(Architecture):
    """A network that a function of somebody's own file builds; that file is run only where a terminal names it."""

    is_chosen: ClassVar[bool] = False
    kind: Literal["own"] = "own"
    normalise: bool = Field(False, description="subtract the training images' mean and divide by their deviation first")
    code: str = Field(pattern="^[0-9a-f]{20}$", description="hash of the file")
    function: str = Field(max_length=100, description="in it, from the number of classes to a module")

    @property
    def title(self) -> str:
        return f"{self.function} of a file of one's own"

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":  # noqa: ARG002
        from dpls.nets.foreign.own import build

        return [build(self.code, self.function, classes)]

    def draw(self, net: "nn.Module", generator: "torch.Generator") -> None:
        """Nothing: what it begins with is its own affair."""


class UnknownNet(Architecture):
    """A network of somebody's own training loop: its weights never came here."""

    is_chosen: ClassVar[bool] = False
    is_known: ClassVar[bool] = False
    kind: Literal["unknown"] = "unknown"

    def layers(self, channels: int, classes: int) -> "list[nn.Module]":  # noqa: ARG002
        raise UserError("this network is known to the loop that trained it alone; nothing here can build it")


Net = Annotated[WideResNet | PreActResNet18 | SmallCNN | OwnNet | UnknownNet, Field(discriminator="kind")]
