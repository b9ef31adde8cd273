"""Which files of a folder are images of which class and part, as people lay them out. Nothing is decoded.

    DIR/train/<class>/*    and DIR/val, valid or validation, and DIR/test, likewise; in any case of letters
    DIR/<class>/*          without parts: all are taken from these
    DIR/<folder>/...       one folder around either
    DIR/unlabelled/*       beside train/ or the classes, if it is asked for: images without labels

Images in folders below a class belong to it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpls.data.dataset import NO_LABEL, PARTS, TEST, TRAIN, UNLABELLED, VALIDATION
from dpls.data.found import Found, counted, first, missing, needed, too_few
from dpls.data.own.scan import Directory, Scan
from dpls.errors import UserError
from dpls.text import display

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

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")

LOOSE = "images in no class folder"
BARE = "images without labels (no class folders)"
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
            if file.label != NO_LABEL:
                counts[file.part][file.label] += 1
        taken = {name: dict(zip(self.classes, counts[part], strict=True)) for part, name in self.folders.items()}
        few = too_few(taken[self.folders[TRAIN]], needed(self.folders))
        skipped = {reason: [display(path) for path in paths] for reason, paths in self.skipped.items()}
        warnings = (f"{few[:1].upper()}{few[1:]}.",) if few else ()
        return Found(taken, skipped, (*self.notes, *missing(self.folders)), warnings)


def list_images(path: str, smallest_class: int = 1, unlabelled: bool = False) -> Listing:
    """Every image of a folder with its part and class. Raises UserError where no two classes are found.

    smallest_class: classes with fewer training images are left out. unlabelled: images without labels are wanted, too.
    """
    scan = Scan(path)
    whole = scan(path)
    top = _unwrapped(whole, FOLDERS)
    bare = _take_unlabelled(top, scan) if unlabelled else []
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
    files += bare
    notes = [f"Beside these, {counted(len(bare), 'image')} without labels."] if bare else []
    if top is not whole:
        notes.append(f"Looked in {display(scan.name(top.path))}/, the one folder around everything.")
    if nested:
        notes.append(
            f"Images in folders inside a class folder are of that class: {first([display(n) for n in nested])}."
        )
    notes += scan.links()
    shown = {part: f"{display(scan.name(parts[part].path)) or '.'}/" for part in sorted(parts)}
    return Listing(path, files, tuple(display(name) for name in names), shown, scan.skipped, tuple(notes))


def _unwrapped(directory: Directory, stop: Collection[str]) -> Directory:
    """Without the folders around everything: where a single one is filled, and holds folders, it is what is meant."""
    while len(filled := directory.filled()) == 1:
        ((name, inner),) = filled.items()
        if name.lower() in stop or not inner.filled():
            break
        directory = inner
    return directory


def _take_unlabelled(top: Directory, scan: Scan) -> list[Listed]:
    """The images in the folder unlabelled/, which is no class then."""
    found = [name for name in top.filled() if name.lower() in UNLABELLED_FOLDERS]
    if len(found) != 1:
        what = f"both {found[0]}/ and {found[1]}/" if found else "no folder unlabelled/ with images"
        raise UserError(f"{display(scan.root)!r} holds {what}; make it one, or set data.source.unlabelled=false")
    files = top.inside.pop(found[0]).walk()
    return [Listed(file.path, UNLABELLED, NO_LABEL, file.size, file.changed) for file in files]


def _parts(top: Directory, scan: Scan) -> dict[int, Directory]:
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
        scan.skip_all(BARE, *flat.values())
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
    scan.skip_all(BARE, *(flat[name] for name in sorted(unlabelled)))
    classes = {name: directory for name, directory in top.inside.items() if name not in unlabelled}
    return {TRAIN: Directory(top.path, top.files, classes)}


def in_order(names: Sequence[str]) -> list[str]:
    """Sorted; numbers by their value."""
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _leave_out(
    directory: Directory, names: Sequence[str], counts: Mapping[str, int], smallest_class: int, scan: Scan
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
