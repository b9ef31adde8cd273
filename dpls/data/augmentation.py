"""Augmentation by tensor arithmetic: settings; torch is loaded when it is used."""

from typing import TYPE_CHECKING

from pydantic import Field

from dpls.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from dpls.randomness import Noise


class Augmentation(Component):
    """Random shift by a zero-padded crop, and mirroring. Drawn by example, so that runs on subsets stay paired."""

    pad: int = Field(
        0,
        ge=0,
        le=16,
        description="pixels an image may be shifted in each direction",
        json_schema_extra={"unit": "pixels"},
    )
    flip: bool = Field(False, description="mirror half of the images; off where left and right matter, as in digits")

    def draw(self, noise: "Noise") -> "Tensor":
        """int64 (B, 3): row and column offset in [0, 2 pad], and 1 where to mirror."""
        import torch

        bounds = torch.tensor([2 * self.pad + 1, 2 * self.pad + 1, 1 + self.flip])
        return (noise.uniform(3) * bounds).long()

    def __call__(self, x: "Tensor", drawn: "Tensor") -> "Tensor":
        """x: (B, C, H, W), drawn: (B, 3); the same shape, channels last."""
        if not (self.pad or self.flip):
            return x
        import torch
        from torch.nn import functional as F

        height, width = x.shape[2:]
        top, left, mirror = drawn.to(x.device).T
        rows = top[:, None] + torch.arange(height, device=x.device)
        columns = torch.arange(width, device=x.device).expand(len(x), -1)
        columns = left[:, None] + torch.where(mirror[:, None] > 0, width - 1 - columns, columns)
        padded = F.pad(x, (self.pad,) * 4).permute(0, 2, 3, 1)  # (B, H, W, C): one gather moves whole pixels
        cropped = padded[torch.arange(len(x), device=x.device)[:, None, None], rows[:, :, None], columns[:, None]]
        return cropped.permute(0, 3, 1, 2)
