"""CIFAR-10 and Fashion-MNIST as they were published, read and downloaded by torchvision, which is loaded only for that.

Every file is checked against its published digest before it is read. So what lies in a folder is the data set itself or
is refused, and the images depend on nothing but the version of torchvision.
"""

import gzip
import hashlib
import shutil
import warnings
import zlib
from collections.abc import Mapping
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from dpls.data.dataset import TEST, TRAIN, Dataset
from dpls.data.source import DataSource, path_of
from dpls.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package dataset-fashion-mnist
# sha256 of the unpacked files. torchvision knows the md5 of the .gz files, whose headers Debian changed.
FASHION_MNIST = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def _no_torchvision(error: Exception) -> UserError:
    return UserError(
        f"torchvision, which reads this data set, cannot be loaded ({_cause(error)}); install it to match torch, with:"
        " pip install -r requirements.lock"
    )


def _torchvision_datasets() -> ModuleType:
    try:
        from torchvision import datasets
    except (ImportError, OSError, RuntimeError) as error:  # absent, a broken library, or built for another torch
        raise _no_torchvision(error) from error
    found: ModuleType = datasets
    return found


def _cause(error: Exception) -> str:
    """What went wrong, on one line: torchvision lists what it tried on several, the reason last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip("<>. ")


def _dataset(train: Any, test: Any, classes: tuple[str, ...]) -> Dataset:
    """Both parts of a torchvision data set, train first. data: uint8 (N, H, W) or (N, H, W, C)."""
    images = np.concatenate([np.asarray(part.data) for part in (train, test)])
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in (train, test)])
    images = images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    part = np.repeat(np.array([TRAIN, TEST], dtype=np.uint8), [len(train.data), len(test.data)])
    return Dataset.of(images, labels, part, classes)


class _Benchmark(DataSource):
    """A published data set: where its files lie, how they get there, and what to say where they do not."""

    title: ClassVar[str]
    home: ClassVar[str]  # the folder inside path where torchvision keeps the files
    files: ClassVar[tuple[str, ...]]
    megabytes: ClassVar[int]  # to download

    path: str
    download: bool = Field(
        False, description="Download the files to the path if they are not there; a bar in the terminal shows how far."
    )

    def __call__(self) -> Dataset:
        """The published training and test images; validation is taken from the former."""
        found = self._found()
        if not found and not self.download:
            raise UserError(
                f"{self.path!r} holds no {self.title}, which is {self._expected()}; give the path that holds it, or set"
                f" download=true to get it ({self.megabytes} MB)"
            )
        datasets = _torchvision_datasets()
        if not found:
            self._fetch(datasets)
            found = self._found()
        return self._read(datasets, found)

    def stamp(self) -> str:
        """What the images depend on: the package that reads them. The files themselves are checked against digests."""
        try:
            return f"torchvision {version('torchvision')}"
        except PackageNotFoundError as error:
            raise _no_torchvision(error) from error

    def downloaded(self) -> float:
        """Share of a download under way that lies on disk, in [0, 1]; 0 where none is."""
        parts = [f for folder in self._root.glob(".download-*") for f in folder.rglob("*") if f.is_file()]
        return min(1.0, sum(f.stat().st_size for f in parts) / (self.megabytes * 1e6))

    @property
    def _root(self) -> Path:
        return path_of(self.path)

    def _expected(self) -> str:
        """The files, in words."""
        raise NotImplementedError

    def _found(self) -> Mapping[str, Path]:
        """Every file by name; empty where one is missing."""
        found = {name: self._root / self.home / name for name in self.files}
        return found if all(path.is_file() for path in found.values()) else {}

    def _open(self, datasets: ModuleType, root: Path, train: bool, download: bool = False) -> Any:
        """One part as torchvision has it."""
        raise NotImplementedError

    def _read(self, datasets: ModuleType, found: Mapping[str, Path]) -> Dataset:
        raise NotImplementedError

    def _fetch(self, datasets: ModuleType) -> None:
        """Download aside, then move each file, whole and checked, into place: whatever stops it, one can try again."""
        home = self._root / self.home
        try:
            home.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".download-", dir=self._root) as aside:
                self._open(datasets, Path(aside), train=False, download=True)
                for name in self.files:
                    (Path(aside) / self.home / name).replace(home / name)
        except (OSError, RuntimeError, HTTPException) as error:
            raise UserError(
                f"{self.title} could not be downloaded to {self.path!r} ({_cause(error)}); try again, or put"
                f" {self._expected()} there"
            ) from error


class Cifar10(_Benchmark):
    """60,000 colour photographs of ten kinds of animals and vehicles, 32×32: 50,000 to train on, 10,000 for the test.

    Source: A. Krizhevsky, 2009, "Learning Multiple Layers of Features from Tiny Images",
    https://www.cs.toronto.edu/~kriz/cifar.html. The files are pickles, which run code when they are opened: a file
    whose md5 is not the published one is never opened.
    """

    title = "CIFAR-10"
    home = "cifar-10-batches-py"
    files = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    megabytes = 170

    kind: Literal["cifar10"] = "cifar10"
    path: str = Field("datasets", description="Folder that holds cifar-10-batches-py, or that it is downloaded to.")

    def _expected(self) -> str:
        return "the folder cifar-10-batches-py with data_batch_1 to data_batch_5, test_batch and batches.meta"

    @property
    def _root(self) -> Path:
        path = path_of(self.path)
        return path.parent if path.name == self.home else path  # the folder of the files itself will do

    def _open(self, datasets: ModuleType, root: Path, train: bool, download: bool = False) -> Any:
        # The batches were pickled in 2009, and some releases of NumPy warn of how NumPy pickled then.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            return datasets.CIFAR10(root, train=train, download=download)

    def _read(self, datasets: ModuleType, found: Mapping[str, Path]) -> Dataset:
        cifar, meta = datasets.CIFAR10, datasets.CIFAR10.meta
        # torchvision checks too, but some files after it has opened others, and it does not say which is wrong.
        for name, md5 in [*cifar.train_list, *cifar.test_list, (meta["filename"], meta["md5"])]:
            if not datasets.utils.check_integrity(found[name], md5):
                raise UserError(f"{found[name]} is damaged or not of CIFAR-10 (wrong md5); replace it, or delete it")
        train, test = (self._open(datasets, self._root, train) for train in (True, False))
        return _dataset(train, test, tuple(train.classes))


class FashionMnist(_Benchmark):
    """70,000 grey pictures of ten kinds of clothes, 28×28: 60,000 to train on, 10,000 for the test.

    Source: H. Xiao, K. Rasul and R. Vollgraf, 2017, "Fashion-MNIST", https://arxiv.org/abs/1708.07747. The files may
    be packed (.gz) or not, in FashionMNIST/raw, where torchvision keeps them, or in the folder itself. Where the path
    holds none, those of the Debian package dataset-fashion-mnist are taken.
    """

    title = "Fashion-MNIST"
    home = "FashionMNIST/raw"
    files = tuple(FASHION_MNIST)
    megabytes = 31

    kind: Literal["fashion_mnist"] = "fashion_mnist"
    path: str = Field(
        "datasets",
        description="Folder that holds the four files, or FashionMNIST/raw with them, or that they are downloaded to; "
        "if it holds none, the Debian package dataset-fashion-mnist is looked for.",
    )

    def _expected(self) -> str:
        return f"the files {', '.join(self.files[:-1])} and {self.files[-1]} (or the same as .gz)"

    def _found(self) -> Mapping[str, Path]:
        for folder in (self._root / self.home, self._root, DEBIAN):
            # The .gz first: a download by torchvision that was stopped may leave it whole and the other cut short.
            choices = {name: [p for p in (folder / f"{name}.gz", folder / name) if p.is_file()] for name in self.files}
            if all(choices.values()):
                return {name: paths[0] for name, paths in choices.items()}
        return {}

    def _open(self, datasets: ModuleType, root: Path, train: bool, download: bool = False) -> Any:
        return datasets.FashionMNIST(root, train=train, download=download)

    def _read(self, datasets: ModuleType, found: Mapping[str, Path]) -> Dataset:
        with TemporaryDirectory() as aside:  # torchvision reads unpacked files only, and only from its own folder
            (Path(aside) / self.home).mkdir(parents=True)
            for name, source in found.items():
                _unpack(source, Path(aside) / self.home / name, FASHION_MNIST[name])
            train, test = (self._open(datasets, Path(aside), train) for train in (True, False))
        names = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
        return _dataset(train, test, names)


def _unpack(source: Path, target: Path, sha256: str) -> None:
    """Copy a file, unpacked if it is a .gz, and check what came out."""
    what = "damaged or not of Fashion-MNIST"
    try:
        with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{source} is {what} ({_cause(error)}); replace it, or delete it") from error
    with target.open("rb") as copy:
        if hashlib.file_digest(copy, "sha256").hexdigest() != sha256:
            raise UserError(f"{source} is {what} (wrong sha256); replace it, or delete it")
