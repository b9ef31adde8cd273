"""Where the outcomes of an evaluation lie: a file of chunks while it is made, then a table and what is said of it.

``<name>.partial.jsonl`` begins with a header, all that the outcomes depend on; then comes a line a chunk, and its
newline commits the chunk. Once no chunk is missing, ``<name>.parquet`` is written, then ``<name>.json``, which commits
the evaluation; then the file of chunks is deleted. No torch.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpls.disk import placed


class Store:
    """The files of one evaluation. For the holder of the run's lock: opening it mends what a crash left.

    header: what JSON can hold. Chunks that were made under another header are forgotten.
    """

    def __init__(self, folder: Path, name: str, header: Mapping[str, Any]) -> None:
        self.header: dict[str, Any] = json.loads(json.dumps(header))
        self._chunks_file = folder / f"{name}.partial.jsonl"
        self._table_file = folder / f"{name}.parquet"
        self._content_file = folder / f"{name}.json"
        self.chunks = self._committed()

    def whole(self) -> dict[str, Any] | None:
        """What is said of the finished evaluation under this header; None where there is none that fits its table."""
        try:
            content = json.loads(self._content_file.read_text())
            right = pd.read_parquet(self._table_file, columns=["correct"])["correct"]
            fits = content | self.header == content and len(right) == content["n"]
            fits &= bool(np.isclose(content["accuracy"], right.mean(), atol=1e-9)) and {"low", "high"} <= content.keys()
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return dict(content) if fits else None

    def keep(self, chunks: list[dict[str, Any]]) -> None:
        """Forgets the others, in the file too."""
        if len(chunks) < len(self.chunks):
            _place(self._chunks_file, b"".join(_line(line) for line in (self.header, *chunks) if chunks))
            self.chunks = chunks

    def append(self, chunk: Mapping[str, Any]) -> None:
        """Commits a chunk: it is there from here on, whatever happens to the process."""
        lines = [chunk] if self.chunks else [self.header, chunk]
        with self._chunks_file.open("ab") as file:
            file.write(b"".join(_line(content) for content in lines))
            file.flush()
            os.fsync(file.fileno())
        self.chunks.append(dict(chunk))

    def finish(self, table: pd.DataFrame, content: Mapping[str, Any]) -> None:
        """Writes the table, then ``content`` with the header, which commits the evaluation."""
        self._content_file.unlink(missing_ok=True)  # an older one speaks of another table
        _place(self._table_file, table.to_parquet(index=False))
        _place(self._content_file, json.dumps(dict(content) | self.header, indent=1).encode() + b"\n")
        self.forget_chunks()

    def forget_chunks(self) -> None:
        self._chunks_file.unlink(missing_ok=True)
        self.chunks = []

    def _committed(self) -> list[dict[str, Any]]:
        """The chunks under this header. The file is left with these alone, ready to be appended to."""
        try:
            found = self._chunks_file.read_bytes()
        except FileNotFoundError:
            return []
        header, *chunks = [*_readable(found)] or [None]
        if header != self.header or not chunks:
            self._chunks_file.unlink()
            return []
        content = b"".join(_line(line) for line in (header, *chunks))
        if content != found:
            _place(self._chunks_file, content)
        return chunks


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _readable(content: bytes) -> Iterator[Any]:
    """Lines up to the first that is torn: one without a newline, or that is no JSON."""
    for line in content.split(b"\n")[:-1]:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _place(path: Path, content: bytes) -> None:
    """Writes a file aside, brings it to the disk and moves it into place: it commits what was written before it."""
    with placed(path) as file:
        file.write(content)
