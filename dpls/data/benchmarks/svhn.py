"""SVHN. Source: Y. Netzer et al., 2011, "Reading Digits in Natural Images with Unsupervised Feature Learning",
http://ufldl.stanford.edu/housenumbers/."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from dpls.data.benchmarks.published import Published, assemble
from dpls.data.dataset import Dataset


class Svhn(Published):
    """99,289 house numbers in colour, cut to a digit, 32×32: 73,257 to train on, 26,032 for the test.

    Digits are no mirror images of each other, so augmentation.flip stays off. The 531,131 easier ones of the file
    extra_32x32.mat are not used.
    """

    title = "SVHN"
    home = ""
    files = ("train_32x32.mat", "test_32x32.mat")
    megabytes = 246

    kind: Literal["svhn"] = "svhn"
    path: str = Field(
        "datasets", description="Folder that holds train_32x32.mat and test_32x32.mat, or that they are downloaded to."
    )

    def _md5(self, datasets: ModuleType) -> Mapping[str, str]:
        return {name: md5 for _, name, md5 in datasets.SVHN.split_list.values()}

    def _open(self, datasets: ModuleType, root: Path, train: bool, download: bool = False) -> Any:
        return datasets.SVHN(root, split="train" if train else "test", download=download)

    def _read(self, datasets: ModuleType, found: Mapping[str, Path]) -> Dataset:  # noqa: ARG002
        train, test = (self._open(datasets, self._root, train) for train in (True, False))
        return assemble((train.data, test.data), (train.labels, test.labels), "0123456789")
