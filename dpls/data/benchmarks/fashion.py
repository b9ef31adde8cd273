"""Fashion-MNIST. Source: H. Xiao, K. Rasul and R. Vollgraf, 2017, https://arxiv.org/abs/1708.07747."""

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from dpls.data.benchmarks.published import Published, assemble, cause
from dpls.data.dataset import Dataset
from dpls.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package dataset-fashion-mnist
# sha256 of the unpacked files. torchvision knows the md5 of the .gz files, whose headers Debian changed.
FASHION_MNIST = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


class FashionMnist(Published):
    """70,000 grey pictures of ten kinds of clothes, 28×28: 60,000 to train on, 10,000 for the test.

    The files may be packed (.gz) or not, in FashionMNIST/raw, where torchvision keeps them, or in the folder itself.
    Where the path holds none, those of the Debian package dataset-fashion-mnist are taken.
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
        images = (train.data.numpy()[:, None], test.data.numpy()[:, None])
        return assemble(images, (train.targets, test.targets), names)


def _unpack(source: Path, target: Path, sha256: str) -> None:
    """Copy a file, unpacked if it is a .gz, and check what came out."""
    what = "damaged or not of Fashion-MNIST"
    try:
        with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{source} is {what} ({cause(error)}); replace it, or delete it") from error
    with target.open("rb") as copy:
        if hashlib.file_digest(copy, "sha256").hexdigest() != sha256:
            raise UserError(f"{source} is {what} (wrong sha256); replace it, or delete it")
