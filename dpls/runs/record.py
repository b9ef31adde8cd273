"""The arrays of the record, ``dynamics/<signal>.npy``: made with room for all epochs, filled row by row. No torch.

By ordinary writes. On a full disk these are errors, which can be said; a write through a memory map ends the process.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dpls.disk import placed, save_array
from dpls.runs import checked, contents


def create(folder: Path, ids: np.ndarray, signals: Mapping[str, tuple[np.dtype, float | int]], epochs: int) -> None:
    """Unseen (epochs, N) arrays, byte for byte on the disk: {signal: (dtype, value for "not seen")}."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.npy"):  # of a start that came to no epoch: not two of them at once
        old.unlink()
    with placed(folder / "ids.npy") as file:
        save_array(file, ids)
    for name, (dtype, unseen) in signals.items():
        row = np.full(len(ids), unseen, dtype).tobytes()
        with placed(folder / f"{name}.npy") as file:
            head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (epochs, len(ids))}
            np.lib.format.write_array_header_1_0(file, head)
            for _ in range(epochs):
                file.write(row)


def write_rows(folder: Path, epoch: int, signals: Mapping[str, np.ndarray]) -> None:
    """Fills an epoch's rows, {signal: (N,)}, and brings them to the disk. Arrays that end before it grow first."""
    for name, values in signals.items():
        path = folder / f"{name}.npy"
        if epoch > (epochs := _head(path)[0]):
            _grow(path, max(epoch, 2 * epochs))
        _, dtype, start = _head(path)
        row = values.astype(dtype).tobytes()
        with path.open("r+b") as file:
            file.seek(start + (epoch - 1) * len(row))
            file.write(row)
            file.flush()
            os.fsync(file.fileno())


def _head(path: Path) -> tuple[int, np.dtype, int]:
    """Epochs there is room for, the kind of their values, and the byte at which they start."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return shape[0], dtype, file.tell()


def _grow(path: Path, epochs: int) -> None:
    """Room for so many epochs; the new ones are not seen."""
    rows = np.load(path, mmap_mode="r")
    unseen = 255 if rows.dtype == np.uint8 else np.nan
    with placed(path) as file:
        save_array(file, np.concatenate([rows, np.full((epochs - len(rows), rows.shape[1]), unseen, rows.dtype)]))


def read(folder: Path, epochs: int) -> dict[str, np.ndarray]:
    """{signal: (epochs, N)}: memory maps of the first epochs, of the clean signals and of the attacked, if any."""
    found, examples = {}, len(read_ids(folder))
    attacked = any(folder.glob("*_adv.npy"))
    for name in (signal + suffix for suffix in ("", *["_adv"] * attacked) for signal in contents.KINDS):
        file = folder / f"{name}.npy"
        array = checked.array(file, contents.KINDS[name.removesuffix("_adv")], (None, examples))
        if len(array) < epochs:
            raise checked.damaged(file, f"it has {len(array):,} epochs, not {epochs:,}")
        found[name] = array[:epochs]
    return found


def read_ids(folder: Path) -> np.ndarray:
    """int64 (N,): the example of each column."""
    ids: np.ndarray = checked.array(folder / "ids.npy", (np.int64,), (None,))
    if not np.array_equal(ids, np.arange(len(ids))):
        raise checked.damaged(folder / "ids.npy", "it does not number the examples from 0")
    return ids
