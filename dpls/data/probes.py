"""Probes: a planted cause of difficulty in some training examples, so that one can see which measure finds it.

A probe changes its examples' labels or pixels. Validation and test examples are never touched, and an example
carries one probe at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import Field

from dpls.component import Component, Fractional
from dpls.data.dataset import TRAIN, Dataset
from dpls.errors import UserError


@dataclass(frozen=True, eq=False)
class Chosen:
    """The examples a probe is planted in, as they were.

    rows: (n,), where they stand in the data set. free: (m,), training rows that carry no probe at all.
    """

    dataset: Dataset
    rows: NDArray[np.int64]
    free: NDArray[np.int64]
    generator: np.random.Generator

    @property
    def images(self) -> NDArray[np.uint8]:
        """(n, C, H, W)."""
        return self.dataset.images[self.rows]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,)."""
        return self.dataset.labels[self.rows]

    def partners(self) -> NDArray[np.uint8]:
        """(n, C, H, W), for each example a uniformly drawn image of another class that carries no probe."""
        free_labels = self.dataset.labels[self.free]
        chosen = np.empty(len(self.rows), dtype=np.int64)
        for label in np.unique(self.labels):
            others = self.free[free_labels != label]
            if not len(others):
                name = self.dataset.classes[label]
                raise UserError(f"no unplanted image of a class other than {name!r} is left; lower the probes' shares")
            mine = self.labels == label
            chosen[mine] = self.generator.choice(others, size=int(mine.sum()))
        return self.dataset.images[chosen]


class _Planted(Component):
    changes: ClassVar[Literal["images", "labels"]] = "images"

    share: Fractional = Field(0.05, ge=0, le=0.5, description="Share of the training images it is planted in.")


class Flip(_Planted):
    """A wrong label: a different class, each equally likely."""

    changes = "labels"
    kind: Literal["flip"] = "flip"

    def __call__(self, chosen: Chosen) -> NDArray[np.int64]:
        """(n,), the new labels."""
        classes = len(chosen.dataset.classes)
        return (chosen.labels + chosen.generator.integers(1, classes, size=len(chosen.rows))) % classes


class Noise(_Planted):
    """Gaussian noise on every pixel and channel."""

    kind: Literal["noise"] = "noise"
    std: Fractional = Field(0.2, gt=0, le=1, description="Standard deviation of the noise; 1 is black to white.")

    def __call__(self, chosen: Chosen) -> NDArray[np.uint8]:
        """(n, C, H, W), the noisy images, clipped to the range of pixels."""
        noise = chosen.generator.normal(0, 255 * self.std, size=chosen.images.shape)
        return np.rint(chosen.images + noise).clip(0, 255).astype(np.uint8)


class Blur(_Planted):
    """Gaussian blur."""

    kind: Literal["blur"] = "blur"
    radius: float = Field(2.0, gt=0, le=16, description="Standard deviation of the blur, in pixels.")

    def __call__(self, chosen: Chosen) -> NDArray[np.uint8]:
        """(n, C, H, W), the blurred images."""
        blur = ImageFilter.GaussianBlur(self.radius)
        blurred = [[np.asarray(Image.fromarray(plane).filter(blur)) for plane in image] for image in chosen.images]
        return np.array(blurred, dtype=np.uint8).reshape(chosen.images.shape)


class Occlusion(_Planted):
    """A mid-grey square that hides part of the image, anywhere in it."""

    kind: Literal["occlusion"] = "occlusion"
    area: Fractional = Field(0.25, gt=0, le=1, description="Share of the image that is hidden.")

    def __call__(self, chosen: Chosen) -> NDArray[np.uint8]:
        """(n, C, H, W), the images with the square."""
        images = chosen.images
        size = images.shape[-1]
        side = max(1, round(size * float(self.area) ** 0.5))
        corners = chosen.generator.integers(0, size - side, size=(len(images), 2), endpoint=True)
        for image, (top, left) in zip(images, corners, strict=True):
            image[:, top : top + side, left : left + side] = 128
        return images


class Blend(_Planted):
    """An image of another class shines through."""

    kind: Literal["blend"] = "blend"
    weight: Fractional = Field(0.5, gt=0, lt=1, description="How much of the other image; 0.5 is half and half.")

    def __call__(self, chosen: Chosen) -> NDArray[np.uint8]:
        """(n, C, H, W), the mixed images."""
        own, other = chosen.images.astype(np.float64), chosen.partners()
        return np.rint((1 - self.weight) * own + self.weight * other).astype(np.uint8)


class Twin(_Planted):
    """The image becomes a copy of another training image, but each keeps its own, different label."""

    kind: Literal["twin"] = "twin"

    def __call__(self, chosen: Chosen) -> NDArray[np.uint8]:
        """(n, C, H, W), the copied images."""
        return chosen.partners()


class Rare(_Planted):
    """A rare sub-population: the image as a negative, its label still right."""

    kind: Literal["rare"] = "rare"

    def __call__(self, chosen: Chosen) -> NDArray[np.uint8]:
        """(n, C, H, W), the negatives."""
        return 255 - chosen.images


Probe = Annotated[Flip | Noise | Blur | Occlusion | Blend | Twin | Rare, Field(discriminator="kind")]


def _generator(seed: int, probe: Probe, order: int) -> np.random.Generator:
    """Its own for each kind of probe, so that another probe beside it leaves its draws alone."""
    return np.random.default_rng([seed, order, *probe.kind.encode()])


def _choose(dataset: Dataset, probes: Sequence[Probe], generators: list[np.random.Generator]) -> list[Chosen]:
    training = dataset.ids(TRAIN)
    free = training
    drawn = []
    for probe, generator in zip(probes, generators, strict=True):
        # Shares that sum to 1 may still round up to one example more than there are.
        count = min(round(probe.share * len(training)), len(free))
        rows = np.sort(generator.choice(free, size=count, replace=False))
        drawn.append(rows)
        free = np.setdiff1d(free, rows, assume_unique=True)
    return [Chosen(dataset, rows, free, generator) for rows, generator in zip(drawn, generators, strict=True)]


def plant(dataset: Dataset, probes: Sequence[Probe], seed: int) -> Dataset:
    """The data set with probes planted in its training part: disjoint sets of round(share * n), drawn uniformly."""
    total = sum(probe.share for probe in probes)
    if total > 1 + 1e-9:
        raise UserError(f"the probes' shares sum to {total:g}; lower them so that they sum to at most 1")
    kinds = [probe.kind for probe in probes]
    generators = [_generator(seed, probe, kinds[:i].count(probe.kind)) for i, probe in enumerate(probes)]
    cause = np.array(dataset.cause)
    changed: dict[str, NDArray[Any]] = {"labels": dataset.labels, "images": dataset.images}
    for probe, chosen in zip(probes, _choose(dataset, probes, generators), strict=True):
        if len(chosen.rows) == 0:
            continue
        cause[chosen.rows] = probe.kind
        if changed[probe.changes] is getattr(dataset, probe.changes):
            changed[probe.changes] = np.array(changed[probe.changes])
        changed[probe.changes][chosen.rows] = probe(chosen)
    return replace(dataset, images=changed["images"], labels=changed["labels"], cause=cause)
