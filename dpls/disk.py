"""Files on a disk that may be full, written by processes that may die: whole or not there, and nothing is left behind.

What is not whole yet has a name that begins with a dot, and is locked by whoever writes it. The kernel frees the lock
when that process dies, however it dies: what is there without a lock is a leftover, and can be swept up.
"""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

FULL = (errno.ENOSPC, errno.EDQUOT)
SPARE = 8192  # bytes: the last status of a run, and more
HIDDEN = r"\..+"


@contextmanager
def placed(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """A file to write aside, moved to ``path`` once it is whole, so that no reader ever sees half of it.

    ``sync``: brought to the disk before. Where anything fails it is removed: a full disk is not kept full.
    """
    aside = path.with_name(f".{path.name}.{_author()}")
    file = _locked_file(aside)
    try:
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # what is left in its buffer has no room either
            file.close()


@contextmanager
def built(target: Path) -> Iterator[Path]:
    """A folder to fill, moved to ``target`` once it is full; removed where anything fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}-{_author()}")
    handle = _locked_folder(aside)
    try:
        yield aside
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.close(handle)


def sweep(folder: Path, names: str = HIDDEN, folders: bool = False) -> None:
    """Removes files of a folder, or folders, that a dead process has left half made; ``names``: a regular expression.

    What a living process is making is locked, and stays.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if re.fullmatch(names, path.name) and (path.is_dir() if folders else path.is_file()):
                _remove_unless_locked(path)


def save_array(file: BinaryIO, array: np.ndarray) -> None:
    """As ``np.save``, which on a full disk does not say why it failed."""
    np.lib.format.write_array(_Writer(file), array, allow_pickle=False)


def keep_spare(path: Path) -> None:
    """A file of real bytes, over which something can be written when the disk has no room left."""
    if not path.exists() or path.stat().st_size < SPARE:
        with placed(path) as file:
            file.write(b"\n" * SPARE)


def write_over(spare: Path, path: Path, content: bytes) -> None:
    """Writes a whole file in the room that was kept for it, which is used up."""
    with spare.open("r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    spare.replace(path)


def free(folder: Path) -> int:
    """Bytes that can still be written to the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(_there(folder)).free


def same_disk(a: Path, b: Path) -> bool:
    """Of two folders, which need not be there yet."""
    return _there(a).stat().st_dev == _there(b).stat().st_dev


def size_in_words(size: float) -> str:
    """e.g. ``300 kB``, ``40 MB``, ``1.5 GB``."""
    unit, name = next(
        (unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if size >= unit or unit == 1e3
    )
    return f"{size / unit:,.{1 if name == 'GB' else 0}f} {name}"


class _Writer:
    """What numpy does not take for a file, so that it writes as everyone does."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def _author() -> str:
    """Another one each time: two may write the same, on two machines that share a disk with equal process ids."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"


def _there(folder: Path) -> Path:
    """The folder, or what is there above it."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _locked_file(path: Path) -> BinaryIO:
    while True:
        file = path.open("xb")
        if _lock(file.fileno(), path):
            return file
        file.close()


def _locked_folder(path: Path) -> int:
    while True:
        path.mkdir()
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            if _lock(handle, path):
                return handle
            os.close(handle)


def _lock(handle: int, path: Path) -> bool:
    """Whether it is still there once it is locked: somebody who swept may have been quicker."""
    with suppress(OSError):  # where nothing can be locked, nothing is swept
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _remove_unless_locked(path: Path) -> None:
    with suppress(OSError):  # a lock, or somebody else has swept it
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino != os.fstat(handle).st_ino:  # it was whole, and moved, before it was locked here
                return
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(handle)
