"""CIFAR-10 and CIFAR-100. Source: A. Krizhevsky, 2009, "Learning Multiple Layers of Features from Tiny Images",
https://www.cs.toronto.edu/~kriz/cifar.html."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from dpls.data.benchmarks.published import Published, assemble
from dpls.data.dataset import Dataset


class _Cifar(Published):
    """Pickles, which run code when they are opened: a file whose md5 is not the published one is never opened."""

    reader: ClassVar[str]  # the class of torchvision

    def _md5(self, datasets: ModuleType) -> Mapping[str, str]:
        reader = getattr(datasets, self.reader)
        return dict([*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])])

    def _open(self, datasets: ModuleType, root: Path, train: bool, download: bool = False) -> Any:
        # They were pickled in 2009, and some releases of NumPy warn of how NumPy pickled then.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            return getattr(datasets, self.reader)(root, train=train, download=download)

    def _read(self, datasets: ModuleType, found: Mapping[str, Path]) -> Dataset:  # noqa: ARG002
        train, test = (self._open(datasets, self._root, train) for train in (True, False))
        images = (train.data.transpose(0, 3, 1, 2), test.data.transpose(0, 3, 1, 2))
        return assemble(images, (train.targets, test.targets), train.classes)


class Cifar10(_Cifar):
    """60,000 colour photographs of ten kinds of animals and vehicles, 32×32: 50,000 to train on, 10,000 for the test.

    The files are pickles, which run code when they are opened: one whose md5 is not the published one never is.
    """

    title = "CIFAR-10"
    reader = "CIFAR10"
    home = "cifar-10-batches-py"
    files = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    megabytes = 170

    kind: Literal["cifar10"] = "cifar10"
    path: str = Field("datasets", description="Folder that holds cifar-10-batches-py, or that it is downloaded to.")

    def _expected(self) -> str:
        return "the folder cifar-10-batches-py with data_batch_1 to data_batch_5, test_batch and batches.meta"


class Cifar100(_Cifar):
    """60,000 colour photographs of a hundred kinds of things, 32×32: 50,000 to train on, 10,000 for the test.

    Labels are the hundred fine ones. The files are pickles: one whose md5 is not the published one is never opened.
    """

    title = "CIFAR-100"
    reader = "CIFAR100"
    home = "cifar-100-python"
    files = ("train", "test", "meta")
    megabytes = 169

    kind: Literal["cifar100"] = "cifar100"
    path: str = Field("datasets", description="Folder that holds cifar-100-python, or that it is downloaded to.")
