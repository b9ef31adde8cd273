"""Where decoded images live, so that a run opens them in milliseconds and pages can draw them. No torch here.

    root/sources/<key>/       a source as decoded; the key is a hash of its settings and of what it reads
    root/<fingerprint>/       a final data set; the fingerprint is a hash of its content, runs refer to it
    root/index/<key>.json     which fingerprint some settings gave

A directory is written aside and moved into place: it is whole or absent, and two builders may race. What one that died
has left is swept up when the next starts.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpls import disk
from dpls.component import digest
from dpls.data.dataset import PARTS, Dataset
from dpls.disk import built, placed
from dpls.errors import UserError

LAYOUT_NUMBER = 2  # goes into every key: raise it when the files below, or what a source decodes to, change
IMAGES = "images.npy"
HASHES = "hashes.npy"
COLUMNS = ("labels", "true_labels", "part", "cause", "files")
META = "meta.json"
FINGERPRINT = re.compile("[0-9a-f]{20}")


def key_of(*settings: Any) -> str:
    """20 hex digits for anything that JSON can hold."""
    return digest(LAYOUT_NUMBER, *settings)


def image_hashes(images: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """(N,) S16, the first 16 hex digits of sha256 over "CxHxW" and the pixels, channel by channel, row by row; empty
    where there are no pixels."""
    if not images.shape[1]:
        return np.full(len(images), b"", dtype="S16")
    shape = "x".join(str(n) for n in images.shape[1:]).encode()
    digests = [hashlib.sha256(shape + image.tobytes()).hexdigest()[:16] for image in images]
    return np.array(digests, dtype="S16")


def folder_of(root: Path, fingerprint: Any) -> Path:
    """Where what belongs to a data set lies. Every path with a fingerprint in it is made here, for files of others may
    hold anything in its place, a way out of the folder too."""
    if not isinstance(fingerprint, str) or not FINGERPRINT.fullmatch(fingerprint):
        raise UserError(
            f"{fingerprint!r} is no fingerprint of images, which has 20 hex digits; restore the config.json it is from"
        )
    return root / fingerprint


def fingerprint_of(dataset: Dataset) -> str:
    """20 hex digits over all a data set holds: equal exactly where two data sets are equal."""
    digest = hashlib.sha256(json.dumps([dataset.classes, dataset.images.shape]).encode())
    for start in range(0, len(dataset.images), 4096):
        digest.update(dataset.images[start : start + 4096].tobytes())
    for column in (dataset.labels, dataset.true_labels, dataset.part):
        digest.update(column.tobytes())
    for names in (dataset.cause, dataset.files):
        digest.update("\n".join(names.tolist()).encode())
    return digest.hexdigest()[:20]


@contextmanager
def _placed(target: Path) -> Iterator[Path]:
    """A directory to fill, moved to ``target`` when it is full; thrown away where another builder was quicker."""
    try:
        with built(target) as aside:
            yield aside
    except OSError as error:
        if not target.is_dir():
            raise UserError(
                f"cannot keep images in {str(target.parent)!r} ({error.strerror or error}); make room there, or choose"
                " another folder with DPLS_DATA"
            ) from error


def sweep(root: Path) -> None:
    """Removes what builders that died have left half made."""
    for folder in (root, root / "sources"):
        disk.sweep(folder, r"\.[0-9a-f]{20}-.+", folders=True)
        for directory in folder.glob("[0-9a-f]*"):
            disk.sweep(directory)
    disk.sweep(root / "index")


def _write(directory: Path, dataset: Dataset, meta: dict[str, Any], images_from: Path | None) -> None:
    if images_from is not None:
        try:
            os.link(images_from, directory / IMAGES)
        except OSError:  # a file system without hard links
            shutil.copyfile(images_from, directory / IMAGES)
    else:
        _save(directory / IMAGES, dataset.images)
    for name in COLUMNS:
        _save(directory / f"{name}.npy", getattr(dataset, name))
    counts = {name: int((dataset.part == index).sum()) for index, name in enumerate(PARTS)}
    content = {"classes": dataset.classes, "counts": counts, "shape": dataset.images.shape[1:], "said": dataset.said}
    content |= meta
    (directory / META).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _save(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        disk.save_array(file, array)


def _read(directory: Path, final: bool) -> Dataset:
    """The data set of a directory, ``final`` or a source, its arrays as read-only memory maps.

    Raises OSError or ValueError where it is broken.
    """
    names = ("images", *COLUMNS, "hashes") if final else ("images", *COLUMNS)
    arrays = [np.load(directory / f"{name}.npy", mmap_mode="r") for name in names]
    meta = json.loads((directory / META).read_text(encoding="utf-8"))
    if len({len(array) for array in arrays}) != 1:
        raise ValueError("the arrays have different lengths")
    images, labels, true_labels, part, cause, files = arrays[: 1 + len(COLUMNS)]
    said = tuple(meta.get("said", ()))  # those of earlier versions kept none
    return Dataset(images, labels, part, tuple(meta["classes"]), cause, true_labels, files, said)


def _read_or_clear(directory: Path, final: bool) -> Dataset | None:
    """The data set of a directory; None where there is none, or where a broken one had to be removed."""
    if not directory.is_dir():
        return None
    try:
        return _read(directory, final)
    except (OSError, ValueError, KeyError):
        shutil.rmtree(directory, ignore_errors=True)  # another builder may be clearing it too
        return None


def open_source(root: Path, key: str, build: Callable[[], Dataset]) -> tuple[Dataset, Path]:
    """A decoded source, built only where it is not there yet, and the file that holds its images."""
    directory = root / "sources" / key
    dataset = _read_or_clear(directory, final=False)
    if dataset is None:
        decoded = build()
        with _placed(directory) as aside:
            _write(aside, decoded, {}, None)
        dataset = _read(directory, final=False)
    return dataset, directory / IMAGES


def store(root: Path, dataset: Dataset, meta: dict[str, Any], images_from: Path | None = None) -> str:
    """Keep a final data set; its fingerprint.

    meta: what JSON can hold, kept beside it. images_from: a file with just these images, linked and not copied.
    """
    fingerprint = fingerprint_of(dataset)
    known = _read_or_clear(root / fingerprint, final=True)
    if known is None:
        with _placed(root / fingerprint) as aside:
            _write(aside, dataset, {**meta, "fingerprint": fingerprint}, images_from)
            _save(aside / HASHES, image_hashes(dataset.images))
    elif known.said != dataset.said:  # the same images, come by in another way
        _say(root / fingerprint / META, dataset.said)
    return fingerprint


def said(root: Path, fingerprint: str) -> tuple[str, ...]:
    """What a person should know of the images of a data set, in sentences; nothing where it is not there."""
    try:
        return tuple(json.loads((folder_of(root, fingerprint) / META).read_text(encoding="utf-8")).get("said", ()))
    except (OSError, ValueError):
        return ()


def _say(file: Path, said: Sequence[str]) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) | {"said": said}
    _replace(file, json.dumps(content, indent=1))


def _replace(file: Path, text: str) -> None:
    """A whole file, or what it was before."""
    with placed(file, sync=False) as aside:
        aside.write(text.encode())


def open_dataset(root: Path, fingerprint: str) -> Dataset:
    """A final data set as read-only memory maps."""
    directory = folder_of(root, fingerprint)
    rebuild = "start a run with the same data settings to bring it back"
    if not directory.is_dir():
        raise UserError(f"the images of data set {fingerprint} are not in {root}; {rebuild}")
    try:
        return _read(directory, final=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the cached data set {directory} is damaged ({error}); delete it, then {rebuild}") from error


def open_hashes(root: Path, fingerprint: str) -> NDArray[np.bytes_]:
    """(N,) S16, the content hash of every image of a data set (see ``image_hashes``)."""
    open_dataset(root, fingerprint)
    hashes: NDArray[np.bytes_] = np.load(folder_of(root, fingerprint) / HASHES, mmap_mode="r")
    return hashes


def remember(root: Path, key: str, fingerprint: str) -> None:
    """Note which data set some settings gave."""
    index = root / "index"
    index.mkdir(parents=True, exist_ok=True)
    _replace(index / f"{key}.json", json.dumps({"fingerprint": fingerprint}))


def recall(root: Path, key: str) -> tuple[Dataset, str] | None:
    """The data set that some settings gave earlier, with its fingerprint; None where it must be built."""
    try:
        note = json.loads((root / "index" / f"{key}.json").read_text(encoding="utf-8"))
        return open_dataset(root, note["fingerprint"]), note["fingerprint"]
    except (OSError, ValueError, KeyError):
        return None
