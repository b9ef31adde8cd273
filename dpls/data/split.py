"""A part of a data set as tensors, and batches of it. No DataLoader."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dpls.data.dataset import Dataset
from dpls.randomness import Noise, mix


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

    def sample(self, count: int) -> "Split":
        """``count`` of its examples, by chance but always the same, classes in proportion, ids rising.

        A smaller sample is part of a larger one, so what both have been through can be compared.
        """
        labels = self.labels.cpu()
        drawn = Noise(mix(0, "sample"), self.ids.cpu()).uniform().argsort()
        place = torch.empty(len(self), dtype=torch.float64)
        for label in set(labels.tolist()):
            rows = drawn[labels[drawn] == label]
            place[rows] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
        return self.take(place.argsort(stable=True)[:count].sort().values)

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
