"""Which files of a folder are images of which class and part, as people lay them out. Nothing is decoded.

    DIR/train/<class>/*    and DIR/val, valid or validation, and DIR/test, likewise; in any case of letters
    DIR/<class>/*          without parts: all are taken from these
    DIR/<folder>/...       one folder around either

Images in folders below a class belong to it.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dpls.data.dataset import PARTS, TEST, TRAIN, VALIDATION
from dpls.data.found import Found, counted, first, missing, needed, too_few
from dpls.errors import UserError
from dpls.text import display

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FOLDERS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
LAYOUT = "a folder of images for each class, in the folder itself or in train/ (and val/ and test/, if there are any)"
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
LOOSE = "images in no class folder"
UNLABELLED = "images without labels (no class folders)"
BESIDE = "images in a folder beside train/"
HOLLOW = "class folders without an image"


class Listed(NamedTuple):
    """An image file with the part and the class its folders say, as it was found."""

    path: str
    part: int
    label: int
    size: int
    """In bytes."""
    changed: int
    """When, in nanoseconds."""


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


@dataclass
class Listing:
    """All that a look at a folder tells. ``files``: by part, class and name; ``skipped``: paths by reason."""

    root: str
    files: list[Listed]
    classes: tuple[str, ...]
    folders: Mapping[int, str]
    """The folder of each part that has one, to be shown."""
    skipped: Mapping[str, Sequence[str]]
    notes: tuple[str, ...]

    def found(self) -> Found:
        """In words: images by part and class, what is left out, and classes too small to be split."""
        counts = [[0] * len(self.classes) for _ in PARTS]
        for file in self.files:
            counts[file.part][file.label] += 1
        taken = {name: dict(zip(self.classes, counts[part], strict=True)) for part, name in self.folders.items()}
        few = too_few(taken[self.folders[TRAIN]], needed(self.folders))
        skipped = {reason: [display(path) for path in paths] for reason, paths in self.skipped.items()}
        warnings = (f"{few[:1].upper()}{few[1:]}.",) if few else ()
        return Found(taken, skipped, (*self.notes, *missing(self.folders)), warnings)


def list_images(path: str, smallest_class: int = 1) -> Listing:
    """Every image of a folder with its part and class. Raises UserError where no two classes are found.

    smallest_class: classes with fewer training images are left out.
    """
    scan = _Scan(path)
    whole = scan(path)
    top = _unwrapped(whole, FOLDERS)
    parts = _parts(top, scan)
    train = parts[TRAIN] = _unwrapped(parts[TRAIN], FOLDERS)
    counts = {name: sum(1 for _ in directory.walk()) for name, directory in train.filled().items()}
    names = in_order([name for name, count in counts.items() if count >= smallest_class])
    if len(names) < 2:
        small = f" of {smallest_class} or more images" if smallest_class > 1 else ""
        groups = counted(len(names), "class folder")
        raise UserError(f"{display(train.path)} holds {groups}{small}; at least 2 are needed: {LAYOUT}")
    files: list[Listed] = []
    nested: list[str] = []
    for part, directory in sorted(parts.items()):
        directory = parts[part] = _unwrapped(directory, {*FOLDERS, *(name.lower() for name in counts)})
        _leave_out(directory, names, counts, smallest_class, scan)
        for label, name in enumerate(names):
            if group := directory.inside.get(name):
                files += [Listed(file.path, part, label, file.size, file.changed) for file in group.walk()]
                nested += [scan.name(inner.path) for inner in group.filled().values()]
    notes = []
    if top is not whole:
        notes.append(f"Looked in {display(scan.name(top.path))}/, the one folder around everything.")
    if nested:
        notes.append(
            f"Images in folders inside a class folder are of that class: {first([display(n) for n in nested])}."
        )
    notes += scan.links()
    shown = {part: f"{display(scan.name(parts[part].path)) or '.'}/" for part in sorted(parts)}
    return Listing(path, files, tuple(display(name) for name in names), shown, scan.skipped, tuple(notes))


class _Scan:
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


def _unwrapped(directory: Directory, stop: Collection[str]) -> Directory:
    """Without the folders around everything: where a single one is filled, and holds folders, it is what is meant."""
    while len(filled := directory.filled()) == 1:
        ((name, inner),) = filled.items()
        if name.lower() in stop or not inner.filled():
            break
        directory = inner
    return directory


def _parts(top: Directory, scan: _Scan) -> dict[int, Directory]:
    """The folder of each part that has class folders; the whole as training images where there is no train/."""
    filled = top.filled()
    named = {name: directory for name, directory in filled.items() if name.lower() in FOLDERS}
    others = {name: directory for name, directory in filled.items() if name not in named}
    flat = {name: directory for name, directory in named.items() if not directory.filled()}
    found: dict[int, Directory] = {}
    for name, directory in named.items():
        twin = found.get(FOLDERS[name.lower()])
        if name not in flat and twin:
            raise UserError(f"{display(top.path)!r} holds both {scan.name(twin.path)}/ and {name}/; keep one of them")
        if name not in flat:
            found[FOLDERS[name.lower()]] = directory
    if TRAIN in found:
        scan.skip_all(UNLABELLED, *flat.values())
        scan.skip_all(BESIDE, *others.values())
        scan.skip(LOOSE, *(file.path for file in top.files))
        return found
    # A lone train/ without folders in it, beside others, is a class: of trains.
    trains = {name: directory for name, directory in flat.items() if FOLDERS[name.lower()] == TRAIN}
    if found or not others or (trains and len(named) > 1):
        inside = first([f"{display(name)}/" for name in top.inside], 8) or "no folders"
        loose = f" and {counted(len(top.files), 'image')} in no folder" if top.files else ""
        raise UserError(
            f"{display(top.path)!r} holds no class folders, and no folder train/ with some (it holds {inside}{loose});"
            f" expected is {LAYOUT}"
        )
    unlabelled = flat.keys() - trains.keys()
    scan.skip_all(UNLABELLED, *(flat[name] for name in sorted(unlabelled)))
    classes = {name: directory for name, directory in top.inside.items() if name not in unlabelled}
    return {TRAIN: Directory(top.path, top.files, classes)}


def in_order(names: Sequence[str]) -> list[str]:
    """Sorted; numbers by their value."""
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _leave_out(
    directory: Directory, names: Sequence[str], counts: Mapping[str, int], smallest_class: int, scan: _Scan
) -> None:
    """Notes what a part holds beside images of its classes. Raises UserError where it holds a class of its own."""
    filled = directory.filled()
    if unknown := sorted(filled.keys() - counts.keys()):
        raise UserError(
            f"{display(directory.path)} holds the class {display(unknown[0])!r} that train/ does not; choose from"
            f" {first([display(name) for name in names], 12)}, add it to train/, or remove it"
        )
    scan.skip(LOOSE, *(file.path for file in directory.files))
    scan.skip(HOLLOW, *(inner.path for name, inner in directory.inside.items() if name not in filled))
    reason = f"images of classes with fewer than {smallest_class} training images"
    scan.skip_all(reason, *(inner for name, inner in filled.items() if name not in names))
