"""What every source of images shares, and what it says of itself. No torch."""

import os
from pathlib import Path
from typing import ClassVar, NamedTuple

from dpls.component import Component
from dpls.data.dataset import Dataset
from dpls.data.found import Found
from dpls.errors import UserError


def path_of(text: str) -> Path:
    """A path as a person writes it, ``~`` filled in; a UserError where no file can have it."""
    try:
        path = Path(text).expanduser()
        name = os.fsencode(path)
    except RuntimeError:
        raise UserError(
            f"there is no home folder for {text.split('/')[0]!r} in {text!r}; write the whole path"
        ) from None
    except UnicodeError:
        raise UserError(f"the path {text!r} is not UTF-8 text; no file can be called so") from None
    if b"\0" in name:
        raise UserError(f"the path {text!r} holds a zero byte; no file can be called so")
    return path


class Outline(NamedTuple):
    """What a data set will be like before it is made: images by part, channels, size, classes, and without a label."""

    counts: tuple[int, int, int]
    channels: int
    size: int
    classes: int
    unlabelled: int = 0
    pseudo: int = 0
    """How many of those to train on have a pseudo-label."""

    @property
    def images(self) -> int:
        return sum(self.counts) + self.unlabelled


class DataSource(Component):
    """Settings of a source; called, it gives every image it has."""

    is_embedded: ClassVar[bool] = False
    """Whether its images come with installed packages, so that they can be made again without asking anybody."""

    @property
    def title(self) -> str:
        """What people call it, in lists."""
        return str(type(self).model_fields["kind"].default)

    def __call__(self) -> Dataset:
        """Every image; parts it has none of are taken from the training images later."""
        raise NotImplementedError

    def stamp(self) -> str:
        """What the images depend on beside the settings: they are read again where it has changed."""
        raise NotImplementedError

    def found(self) -> Found | None:
        """What lies there, for a person who has just typed where; None where there is nothing to tell."""
        return None

    def downloaded(self) -> float:
        """Share of a download under way that lies on disk, in [0, 1]; 0 where none is."""
        return 0.0

    def outline(self) -> Outline | None:
        """What its data set will be like, where the settings tell."""
        return None
