"""A folder of images, one folder a class, as a source."""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from dpls.data.dataset import Dataset
from dpls.data.found import Found
from dpls.data.own.gathering import Encodings, gather
from dpls.data.own.layout import LAYOUT, Listed, Listing, list_images
from dpls.data.source import DataSource, path_of
from dpls.errors import UserError
from dpls.text import display


class Folder(DataSource):
    """Images, one folder a class, in the folder itself or in train/ and, where there are any, val/ and test/.

    Images of any size: each is turned as its EXIF says, its short side is resized to ``size`` with antialiasing and
    its centre is cropped. Transparency is laid over white, 16 bits become 8, of several frames the first is taken.
    Labels follow the sorted names of the class folders, numbers by their value. What is left out is said.
    """

    kind: Literal["folder"] = "folder"
    path: str = Field(description=f"Folder of images: {LAYOUT}.")
    size: int = Field(
        32, ge=8, le=96, description="Height and width in pixels; the short side is resized to it, the centre is kept."
    )
    channels: Literal["auto", 1, 3] = Field("auto", description="1: grey, 3: colour; auto: 1 if every file is grey.")
    smallest_class: int = Field(1, ge=1, description="Leave out classes with fewer training images than this.")
    unlabelled: bool = Field(
        False,
        description="Take the images in unlabelled/, beside train/ or the class folders, too: they have no label.",
    )

    def __call__(self) -> Dataset:
        """Every image that can be read, by part, class and file name. Raises UserError where most cannot."""
        files = self._listing.files
        names = [self._name(file) for file in files]
        paths = [file.path for file in files]
        mean_size = sum(file.size for file in files) / len(files)
        encodings = Encodings(lambda: [paths], names, mean_size, display(self.path))
        images, kept, said = gather(encodings, self.size, self.channels)
        dataset = Dataset.of(
            images,
            np.array([file.label for file in files], dtype=np.int64)[kept],
            np.array([file.part for file in files], dtype=np.uint8)[kept],
            self._listing.classes,
            np.array(names)[kept],
        )
        return dataset.saying(*said)

    def stamp(self) -> str:
        """Path, size and time of every image file: what the images depend on beside the settings."""
        return "\n".join(f"{self._name(file)} {file.size} {file.changed}" for file in self._listing.files)

    def found(self) -> Found:
        """How many images of each class, by part; what is left out, and why."""
        return self._listing.found()

    @property
    def title(self) -> str:
        return display(self.path).rstrip("/").rsplit("/", 1)[-1] or self.kind

    @property
    def _root(self) -> str:
        return str(path_of(self.path))

    def _name(self, file: Listed) -> str:
        """The path of a file in the folder, as any table can hold it."""
        return display(file.path.removeprefix(self._root).lstrip("/"))

    @cached_property
    def _listing(self) -> Listing:
        """Looked for once, so that stamp and pixels are of the same files; ``Data`` asks a fresh object each time."""
        if not self.path.strip():
            raise UserError(f"data.source.path is empty; give the path of a folder that holds {LAYOUT}")
        root = Path(self._root)
        if display(self.path) != self.path:
            raise UserError(
                f"the path {display(self.path)} is not UTF-8 text; rename that folder, what is in it may stay"
            )
        if root.is_file():
            other = "; set data.source.kind=npz to read arrays" if self.path.endswith(".npz") else "; unpack it first"
            raise UserError(f"{self.path!r} is a file and no folder{other}")
        if not root.is_dir():
            raise UserError(f"there is no folder {self.path!r}; give the path of a folder that holds {LAYOUT}")
        return list_images(self._root, self.smallest_class, self.unlabelled)
