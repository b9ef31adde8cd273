"""One look at a folder and what is below it: image files by folder; what is left out, by reason. Nothing is decoded."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dpls.data.found import first
from dpls.text import display

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
JUNK = (
    "@eadir",
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "$recycle.bin",
    "system volume information",
)

HIDDEN = "hidden or made by the system"
OTHER = "no image, or of a type that is not read"
EMPTY = "empty files"
CLOSED = "cannot be opened"


class File(NamedTuple):
    path: str
    size: int
    changed: int


@dataclass
class Directory:
    """A folder: its image files by name, and the folders in it by name."""

    path: str
    files: list[File] = field(default_factory=list)
    inside: dict[str, "Directory"] = field(default_factory=dict)

    def walk(self) -> Iterator[File]:
        """Every image file in it and below, its own first."""
        yield from self.files
        for directory in self.inside.values():
            yield from directory.walk()

    def filled(self) -> dict[str, "Directory"]:
        """The folders in it that hold an image, or a folder that does."""
        return {name: directory for name, directory in self.inside.items() if next(directory.walk(), None)}


class Scan:
    """One look at every entry of a folder and what is below it; what it leaves out, by reason."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.real = os.path.realpath(root)
        self.outside: list[str] = []
        self.skipped: dict[str, list[str]] = {}

    def name(self, path: str) -> str:
        """A path relative to the root."""
        return path.removeprefix(self.root).lstrip("/")

    def skip(self, reason: str, *paths: str) -> None:
        if paths:
            self.skipped.setdefault(reason, []).extend(self.name(path) for path in paths)

    def skip_all(self, reason: str, *directories: Directory) -> None:
        self.skip(reason, *(file.path for directory in directories for file in directory.walk()))

    def __call__(self, path: str, above: tuple[str, ...] = ()) -> Directory:
        found = Directory(path)
        try:
            with os.scandir(path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.skip(CLOSED, path)
            return found
        above = (*above, os.path.realpath(path))
        for entry in listed:
            lower = entry.name.lower()
            if lower.startswith(".") or lower in JUNK:
                self.skip(HIDDEN, entry.path)
            elif entry.is_dir():
                if entry.is_symlink() and self._leads_back(entry.path, above):  # it would never end
                    self.skip(CLOSED, entry.path)
                else:
                    self._follow(entry)
                    found.inside[entry.name] = self(entry.path, above)
            elif lower.endswith(SUFFIXES):
                self._file(found, entry)
            else:
                self.skip(OTHER, entry.path)
        return found

    def _leads_back(self, path: str, above: tuple[str, ...]) -> bool:
        """Whether a link leads to a folder it lies in, or to one around the whole."""
        target = os.path.realpath(path)
        return target in above or _is_within(self.real, target)

    def _follow(self, entry: "os.DirEntry[str]") -> None:
        if entry.is_symlink() and not _is_within(os.path.realpath(entry.path), self.real):
            self.outside.append(entry.path)

    def links(self) -> list[str]:
        """Which lead out of the folder, in a sentence; nothing where none does."""
        if not self.outside:
            return []
        names = first([display(self.name(path)) for path in self.outside])
        return [f"Links that lead out of the folder, {len(self.outside):,}, were followed: {names}."]

    def _file(self, found: Directory, entry: "os.DirEntry[str]") -> None:
        try:
            stat = entry.stat()
        except OSError:  # a link that leads nowhere
            self.skip(CLOSED, entry.path)
            return
        if stat.st_size:
            self._follow(entry)
            found.files.append(File(entry.path, stat.st_size, stat.st_mtime_ns))
        else:
            self.skip(EMPTY, entry.path)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
