"""Which parquet files hold the images of which part, as Hugging Face names them. No file is opened.

FILE.parquet                              all of it to train on
DIR/train-00000-of-00002.parquet          and validation-*, test-*; also in DIR/data/, or as DIR/train/0000.parquet
DIR/anything.parquet                      where no file names a part: all to train on
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dpls.data.dataset import PARTS, TRAIN
from dpls.data.found import counted, first
from dpls.data.own.layout import FOLDERS
from dpls.errors import UserError
from dpls.text import display

LAYOUT = "a .parquet file, or a folder with train-*.parquet (and validation-*, test-*, if there are any)"
PART = re.compile(rf"({'|'.join(FOLDERS)})(?=[-_.]|$)", re.IGNORECASE)
NUMBERED = re.compile(r"(?P<before>.*)-\d+-of-(?P<total>\d+)([-.].*)?", re.DOTALL)

NO_PART = "files that name no part"
ELSEWHERE = "files in another folder"


class Shard(NamedTuple):
    """A file with the part it belongs to; name: relative to the source, to be shown."""

    path: Path
    part: int
    name: str
    size: int
    """In bytes."""
    changed: int
    """When, in nanoseconds."""


@dataclass
class Shards:
    """``files``: by part and name, training first."""

    files: list[Shard]
    skipped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Of how many files some are not there, in sentences: a download that was stopped looks like this."""
        there: dict[tuple[str, int], int] = {}
        for shard in self.files:
            if found := NUMBERED.fullmatch(shard.name):
                of = (found["before"], int(found["total"]))
                there[of] = there.get(of, 0) + 1
        return [
            f"Of {total:,} files {before}-*-of-{total:05} only {counted(count, 'file')} lie there."
            for (before, total), count in there.items()
            if count < total
        ]


def find_shards(path: Path) -> Shards:
    """The files that a path means. Raises UserError where there are none to train on."""
    if path.is_file():
        return Shards([_shard(path, TRAIN, path.name)])
    if not path.is_dir():
        raise UserError(f"there is no file or folder {str(path)!r}; give the path of {LAYOUT}")
    homes: dict[Path, list[Path]] = {}
    for file in _walk(path):
        homes.setdefault(_home(file), []).append(file)
    home = next((home for home in (Path(), Path("data")) if home in homes), None)
    if home is None and len(homes) == 1:
        (home,) = homes
    if home is None:
        inside = first([f"{display(str(home))}/" for home in sorted(homes)], 8)
        several = f"holds .parquet files in several folders ({inside}); give the path of one of them"
        raise UserError(f"{str(path)!r} {several if homes else f'holds no .parquet file; give the path of {LAYOUT}'}")
    parts = _parts(path, homes.pop(home))
    files = [_shard(path / file, part, str(file)) for part in range(len(PARTS)) for file in parts.get(part, [])]
    elsewhere = sorted(file for others in homes.values() for file in others)
    skipped = {NO_PART: parts.get(None, []), ELSEWHERE: elsewhere}
    notes = () if home == Path() else (f"Looked in {display(str(home))}/.",)
    return Shards(files, {why: [display(str(file)) for file in names] for why, names in skipped.items()}, notes)


def _shard(path: Path, part: int, name: str) -> Shard:
    stat = path.stat()
    return Shard(path, part, display(name), stat.st_size, stat.st_mtime_ns)


def _walk(root: Path) -> Iterator[Path]:
    """Every parquet file in a folder and below, relative to it, in order; hidden folders are left alone."""
    for folder, inside, files in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder) / name
            if name.lower().endswith(".parquet") and not name.startswith(".") and file.is_file():
                yield file.relative_to(root)


def _home(file: Path) -> Path:
    """The folder whose parts a file is of: the one around a folder named after a part."""
    return file.parent.parent if file.parent.name.lower() in FOLDERS else file.parent


def _parts(root: Path, files: Sequence[Path]) -> Mapping[int | None, list[Path]]:
    """The files of each part; those of None name none, and train where no file is said to."""
    parts: dict[int | None, list[Path]] = {}
    for file in files:
        found = PART.match(file.name) or PART.fullmatch(file.parent.name)
        parts.setdefault(FOLDERS[found[1].lower()] if found else None, []).append(file)
    if TRAIN not in parts:
        if None not in parts:
            inside = first([display(str(file)) for file in files], 8)
            raise UserError(f"{str(root)!r} holds no file to train on (it holds {inside}); expected is {LAYOUT}")
        parts[TRAIN] = parts.pop(None)
    return parts
