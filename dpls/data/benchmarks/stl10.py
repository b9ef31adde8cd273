"""STL-10. Source: A. Coates, H. Lee and A. Ng, 2011, "An Analysis of Single-Layer Networks in Unsupervised Feature
Learning", https://cs.stanford.edu/~acoates/stl10/."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from dpls.data.benchmarks.published import Published, assemble
from dpls.data.dataset import Dataset
from dpls.data.own.arrays import resized

# The order of class_names.txt, a file for which no digest was published.
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


class Stl10(Published):
    """13,000 colour photographs of ten kinds of animals and vehicles, 96×96: 5,000 to train on, 8,000 for the test.

    Beside these 100,000 without labels, of more kinds; they take 2.8 GB of memory at 96 pixels, and as much again while
    they are read.
    """

    title = "STL-10"
    home = "stl10_binary"
    files = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")
    megabytes = 2640

    kind: Literal["stl10"] = "stl10"
    path: str = Field("datasets", description="Folder that holds stl10_binary, or that it is downloaded to.")
    size: int = Field(
        96, ge=8, le=96, description="Height and width in pixels; less than 96: resized with antialiasing."
    )
    unlabelled: bool = Field(False, description="Take the 100,000 images without labels, too.")

    @property
    def _needed(self) -> tuple[str, ...]:
        return self.files if self.unlabelled else self.files[:-1]

    def _md5(self, datasets: ModuleType) -> Mapping[str, str]:
        return dict([*datasets.STL10.train_list, *datasets.STL10.test_list])

    def _open(self, datasets: ModuleType, root: Path, train: bool, download: bool = False) -> Any:
        return self._part(datasets, root, "train" if train else "test", download)

    def _part(self, datasets: ModuleType, root: Path, split: str, download: bool = False) -> Any:
        reader: Any = datasets.STL10
        if not download and split != "unlabeled":  # for which torchvision would want, and check, these 2.8 GB, too
            reader = type("Labelled", (reader,), {"train_list": reader.train_list[:2]})
        return reader(root, split=split, download=download)

    def _read(self, datasets: ModuleType, found: Mapping[str, Path]) -> Dataset:  # noqa: ARG002
        splits = ("train", "test", "unlabeled") if self.unlabelled else ("train", "test")
        parts = [self._part(datasets, self._root, split) for split in splits]
        return assemble([self._sized(part.data) for part in parts], [part.labels for part in parts], CLASSES)

    def _sized(self, images: Any) -> Any:
        return images if self.size == 96 else resized(images, self.size)
