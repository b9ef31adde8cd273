"""A part of a data set as tensors, batches of it, and augmentation by tensor arithmetic. No DataLoader."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dpls.component import Component
from dpls.data.dataset import Dataset
from dpls.randomness import Noise


class Batch(NamedTuple):
    """x: float32 (B, C, H, W) in [0, 1]; y: int64 (B,); rows: int64 (B,), rows of the Split that made the batch."""

    x: Tensor
    y: Tensor
    rows: Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """images: uint8 (N, C, H, W); labels, ids: int64 (N,). Batches come on ``device``; arrays lie there if they fit."""

    images: Tensor
    labels: Tensor
    ids: Tensor
    device: torch.device

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def of(dataset: Dataset, part: int, device: torch.device) -> "Split":
        """One part of a data set, copied to the device, or kept in host memory where the device lacks room."""
        ids = dataset.ids(part)
        images = torch.from_numpy(dataset.images[ids])
        home = device if _fits(images.nbytes, device) else torch.device("cpu")
        labels = torch.from_numpy(dataset.labels[ids].astype("int64"))
        return Split(images.to(home), labels.to(home), torch.from_numpy(ids).to(home), device)

    def take(self, rows: Tensor) -> "Split":
        """The split of these rows alone; ids stay what they were."""
        rows = rows.to(self.images.device)
        return Split(self.images[rows], self.labels[rows], self.ids[rows], self.device)

    def pixel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the pixels by channel, images in [0, 1]."""
        counts = [torch.bincount(channel.flatten(), minlength=256).double().cpu() for channel in self.images.unbind(1)]
        levels = torch.arange(256, dtype=torch.float64) / 255
        means = [float((c * levels).sum() / c.sum()) for c in counts]
        variances = [float((c * (levels - m) ** 2).sum() / c.sum()) for c, m in zip(counts, means, strict=True)]
        return means, [max(variance, 1e-6) ** 0.5 for variance in variances]

    def batch(self, rows: Tensor) -> Batch:
        """The examples at rows, un-augmented, on ``device``, channels last."""
        home = rows.to(self.images.device)
        x = self.images[home].to(self.device, non_blocking=True).to(torch.float32).div_(255)
        x = x.contiguous(memory_format=torch.channels_last)
        return Batch(x, self.labels[home].to(self.device), rows.to(self.device))

    def batches(self, size: int) -> Iterator[Batch]:
        """All examples in order of their rows."""
        for rows in torch.split(torch.arange(len(self)), size):
            yield self.batch(rows)


def _fits(size: int, device: torch.device) -> bool:
    """Whether the images may take half of the free memory of a CUDA device; elsewhere memory is the host's."""
    return device.type != "cuda" or size < torch.cuda.mem_get_info(device)[0] / 2


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

    def draw(self, noise: Noise) -> Tensor:
        """int64 (B, 3): row and column offset in [0, 2 pad], and 1 where to mirror."""
        bounds = torch.tensor([2 * self.pad + 1, 2 * self.pad + 1, 1 + self.flip])
        return (noise.uniform(3) * bounds).long()

    def __call__(self, x: Tensor, drawn: Tensor) -> Tensor:
        """x: (B, C, H, W), drawn: (B, 3); the same shape, channels last."""
        if not (self.pad or self.flip):
            return x
        height, width = x.shape[2:]
        top, left, mirror = drawn.to(x.device).T
        rows = top[:, None] + torch.arange(height, device=x.device)
        columns = torch.arange(width, device=x.device).expand(len(x), -1)
        columns = left[:, None] + torch.where(mirror[:, None] > 0, width - 1 - columns, columns)
        padded = F.pad(x, (self.pad,) * 4).permute(0, 2, 3, 1)  # (B, H, W, C): one gather moves whole pixels
        cropped = padded[torch.arange(len(x), device=x.device)[:, None, None], rows[:, :, None], columns[:, None]]
        return cropped.permute(0, 3, 1, 2)
