"""Files and places of runs: written whole or not at all; where runs and images are kept. No torch."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dpls.disk import HIDDEN, placed, sweep
from dpls.errors import UserError
from dpls.runs import checked

RECORDED = Path(__file__).parent.parent / "recorded"
"""Finished runs that come with the package; read-only, without checkpoints."""
SPARE = "spare"
"""A file of a run that is not done: room for its last status, should the disk be full by then."""


def now() -> str:
    """Coordinated universal time, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file aside and moves it into place, so that no reader ever sees half of it."""
    with placed(path, sync=False) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def tidy(folder: Path) -> None:
    """Sweeps up what dead processes left half written in a folder of files, and in the folders there."""
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
        sweep(place, rf"{HIDDEN}|.+\.aside")  # earlier versions called them so


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path, folder: Path, what: str, entries: Mapping[str, checked.Test] | None = None) -> dict[str, Any]:
    """A file of a run or experiment, a table with these entries; a UserError in one sentence where it is none."""
    checked.readable(path, f"delete {folder.name}")
    try:
        return checked.table_of(checked.content_of(path.read_bytes()), entries or {})
    except FileNotFoundError:
        raise UserError(
            f"{folder} is not {what}: it has no {path.name}; list runs with `python -m dpls runs`"
        ) from None
    except (OSError, ValueError) as error:
        raise checked.damaged(path, error, f"restore it or delete {folder.name}") from None


def create_folder(path: Path) -> None:
    """With its parents; a UserError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to the folder {str(path)!r} ({error.strerror}); choose another with --runs DIR"
        ) from None


def runs_root() -> Path:
    """Where runs are kept unless somebody says otherwise: DPLS_RUNS, or ``runs`` in the working directory."""
    return Path(os.environ.get("DPLS_RUNS") or "runs")


def data_root(runs: Path) -> Path:
    """Where images are cached: DPLS_DATA, or ``data`` beside the runs folder."""
    return Path(os.environ.get("DPLS_DATA") or runs.resolve().parent / "data")
