"""What published data sets share: where their files lie, how they are checked and how they get there.

Every file is checked against its published digest before it is read. So what lies in a folder is the data set itself or
is refused, and the images depend on nothing but the version of torchvision.
"""

from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.data.dataset import TEST, TRAIN, UNLABELLED, Dataset
from dpls.data.source import DataSource, path_of
from dpls.errors import UserError


def _no_torchvision(error: Exception) -> UserError:
    return UserError(
        f"torchvision, which reads this data set, cannot be loaded ({cause(error)}); install it to match torch, with:"
        " pip install -r requirements.lock"
    )


def _torchvision_datasets() -> ModuleType:
    try:
        from torchvision import datasets
    except (ImportError, OSError, RuntimeError) as error:  # absent, a broken library, or built for another torch
        raise _no_torchvision(error) from error
    found: ModuleType = datasets
    return found


def cause(error: Exception) -> str:
    """What went wrong, on one line: torchvision lists what it tried on several, the reason last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip("<>. ")


def assemble(images: Sequence[NDArray[np.uint8]], labels: Sequence[Any], classes: Iterable[str]) -> Dataset:
    """A data set of its parts: train, test, unlabelled if there are such. images: uint8 (N, C, H, W); labels: (N,)."""
    parts = np.array([TRAIN, TEST, UNLABELLED], dtype=np.uint8)[: len(images)]
    part = np.repeat(parts, [len(x) for x in images])
    all_ = np.concatenate([np.asarray(y, dtype=np.int64) for y in labels])
    return Dataset.of(np.ascontiguousarray(np.concatenate(images)), all_, part, tuple(classes))


class Published(DataSource):
    """A published data set: where its files lie, how they get there, and what to say where they do not."""

    title: ClassVar[str]
    home: ClassVar[str]  # the folder inside path where torchvision keeps the files
    files: ClassVar[tuple[str, ...]]  # of the download
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
                f" download=true to get it ({self.megabytes:,} MB)"
            )
        datasets = _torchvision_datasets()
        if not found:
            self._fetch(datasets)
            found = self._found()
        self._check(datasets, found)
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
        path = path_of(self.path)
        return path.parent if path.name == self.home else path  # the folder of the files itself will do

    def _expected(self) -> str:
        """The files, in words."""
        *names, last = self._needed
        return f"{f'the folder {self.home} with' if self.home else 'the files'} {', '.join(names)} and {last}"

    @property
    def _needed(self) -> tuple[str, ...]:
        """The files that are read."""
        return self.files

    def _found(self) -> Mapping[str, Path]:
        """Every file by name; empty where one is missing."""
        found = {name: self._root / self.home / name for name in self._needed}
        return found if all(path.is_file() for path in found.values()) else {}

    def _md5(self, datasets: ModuleType) -> Mapping[str, str]:  # noqa: ARG002
        """The published md5 of each file; nothing for a set that is checked as it is read."""
        return {}

    def _check(self, datasets: ModuleType, found: Mapping[str, Path]) -> None:
        # torchvision checks too, but some files after it has opened others, and it does not say which is wrong.
        md5 = self._md5(datasets)
        for name, path in found.items():
            if name in md5 and not datasets.utils.check_integrity(path, md5[name]):
                raise UserError(f"{path} is damaged or not of {self.title} (wrong md5); replace it, or delete it")

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
                for train in (True, False):
                    self._open(datasets, Path(aside), train, download=True)
                for name in self.files:
                    (Path(aside) / self.home / name).replace(home / name)
        except (OSError, RuntimeError, HTTPException) as error:
            raise UserError(
                f"{self.title} could not be downloaded to {self.path!r} ({cause(error)}); try again, or put"
                f" {self._expected()} there"
            ) from error
