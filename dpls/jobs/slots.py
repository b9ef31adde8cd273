"""Who may compute now: one run a GPU, one run on the CPU, per machine and user. No torch.

Slots are locked files in one folder for all run folders, so two apps share a machine politely. A waiting run holds
a ticket, also a locked file; among those that wait for a slot the smallest run id, that is the oldest run, goes first.
The kernel frees both kinds of lock when their holder dies, so nothing here can go stale.
"""

import getpass
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from dpls.errors import UserError


class Capacity(NamedTuple):
    """Slots of this machine, and those of them in use, by any app of this user."""

    slots: list[str]
    busy: list[str]


POLL = 0.2  # seconds between two looks at the queue


def slots_folder() -> Path:
    """DPLS_SLOTS, or a folder of this user's among the temporary files: slots are a matter of one machine.

    Where others could plant a file, it is refused: a lock follows links.
    """
    folder = Path(os.environ.get("DPLS_SLOTS") or Path(tempfile.gettempdir()) / f"dpls-slots-{_user()}")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(
            f"the folder of slots, {str(folder)!r}, is a link or a file; set DPLS_SLOTS to a folder of yours"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise UserError(
            f"the folder of slots, {str(folder)!r}, belongs to somebody else; set DPLS_SLOTS to one of yours"
        )
    if found.st_mode & stat.S_IWOTH:
        raise UserError(
            f"anybody may write to the folder of slots, {str(folder)!r}; shut it with chmod 700, or set DPLS_SLOTS to"
            " another"
        )
    return folder


def _user() -> str:
    """A number, for a container may run as a user who has no name."""
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()


def gpus() -> list[str]:
    """How CUDA_VISIBLE_DEVICES names the GPUs this process may use; empty where there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return _listed()


@cache
def _listed() -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def slots_for(device: str) -> list[str]:
    """The slots a run with this ``device`` setting may take, best first: ``cpu``, or ``gpu<name>``."""
    if device == "cpu":
        return ["cpu"]
    found = [f"gpu{name}" for name in gpus()]
    if device.startswith("cuda:"):
        number = int(device.removeprefix("cuda:"))
        return found[number : number + 1] or ["cpu"]  # a device that is not there is refused by the worker, in words
    if "torch" in sys.modules:  # too late to hide the other GPUs from CUDA: it would compute on the first
        found = found[:1]
    return found or ["cpu"]


@contextmanager
def slot(device: str, run_id: str, waiting: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Waits for a slot and holds it. ``waiting`` is told once, in words, what for.

    Where a run may take any GPU, it is shown only the one whose slot it got.
    """
    choices, folder = slots_for(device), slots_folder()
    with ExitStack() as stack:
        with ExitStack() as tickets:
            for name in choices:
                tickets.enter_context(_ticket(folder, name, run_id))
            taken = _try(stack, folder, choices, run_id)
            if taken is None:
                waiting(f"waiting for {' or '.join(choices)}, in use by another run")
            while taken is None:
                time.sleep(POLL)
                taken = _try(stack, folder, choices, run_id)
        if taken.startswith("gpu") and not device.startswith("cuda:"):
            os.environ |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": taken.removeprefix("gpu")}
        yield taken


def busy() -> list[str]:
    """The slots in use on this machine."""
    return [file.stem for file in sorted(slots_folder().glob("*.lock")) if _is_held(file)]


def _try(stack: ExitStack, folder: Path, choices: list[str], run_id: str) -> str | None:
    for name in choices:
        if any(_waits(f) for f in folder.glob(f"{name}.*.ticket") if f.name.split(".")[1] < run_id):
            continue
        with suppress(Timeout):
            stack.enter_context(FileLock(folder / f"{name}.lock", timeout=0))
            return name
    return None


@contextmanager
def _ticket(folder: Path, name: str, run_id: str) -> Iterator[None]:
    file = folder / f"{name}.{run_id}.ticket"
    with FileLock(file):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _waits(ticket: Path) -> bool:
    """Whether its holder still lives; what a dead one left is swept up."""
    held = _is_held(ticket)
    if not held:
        ticket.unlink(missing_ok=True)
    return held


def _is_held(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
