"""The run directory: names, columns, reading and writing. Nothing else knows these names. No torch.

The row of ``metrics.jsonl`` commits an epoch: array rows beyond it do not exist, a torn last line is skipped.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from dpls.errors import UserError
from dpls.runs import checked, contents, record
from dpls.runs.files import RECORDED, read_json, tidy, write_json, write_whole
from dpls.text import display

if TYPE_CHECKING:
    from dpls.recipe import RunConfig

SCHEMA = 1
CLOCK_COLUMNS = ("seconds", "images_per_second")
"""Columns of metrics.jsonl that measure time, and so differ between two equal runs."""


class Choice(NamedTuple):
    """What a phase trains with, by row of the training split: factors (n,), in (0, 1]; kept (n,), who takes part."""

    factors: NDArray[np.float64]
    kept: NDArray[np.bool_]


@dataclass(frozen=True)
class Run:
    """A run's directory."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"

    @property
    def examples_file(self) -> Path:
        return self.path / "examples.parquet"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.json"

    @property
    def stop_file(self) -> Path:
        """Its presence asks the worker to stop."""
        return self.path / "stop"

    @property
    def is_recorded(self) -> bool:
        """Whether it came with the package: nothing may be written into it."""
        return self.path.parent == RECORDED

    def config(self) -> dict[str, Any]:
        """What config.json holds: schema, recipe_hash, fingerprint, parent, and the RunConfig under ``config``."""
        return self._read_json(self.config_file, contents.CONFIG)

    def recipe(self) -> "RunConfig":
        """Its configuration, checked; a UserError where this version does not understand it."""
        about = self.config_file.stat() if self.config_file.exists() else None
        return _recipe(self, (about.st_mtime_ns, about.st_ino) if about else (0, 0))

    def status(self) -> dict[str, Any]:
        return self._read_json(self.path / "status.json", contents.STATUS)

    def write_status(self, **changes: Any) -> None:
        """Changes some entries of status.json; for the holder of the lock, or the one who creates the run."""
        write_json(self.path / "status.json", self.status() | changes)

    def state(self) -> str:
        """One of STATES, or 'interrupted': says running, but nobody holds the lock."""
        return self.reading()[0]

    def reading(self) -> tuple[str, dict[str, Any]]:
        """Its state and its status, of one moment."""
        if (status := self.status())["state"] == "running" and not self.is_locked():
            status = self.status()  # it may have ended since: the last status is written before the lock is let go
            return "interrupted" if status["state"] == "running" else status["state"], status
        return status["state"], status

    def manifest(self) -> dict[str, Any]:
        return self._read_json(self.manifest_file, contents.MANIFEST)

    def label(self) -> str:
        try:
            notes = self._read_json(self.path / "notes.json", {"label": checked.is_text})
        except UserError:
            return ""
        return display(notes["label"])

    def write_label(self, label: str) -> None:
        """For people: one line of text. Nothing a worker does depends on it."""
        write_json(self.path / "notes.json", {"label": display(" ".join(label.split()))})

    def _read_json(self, path: Path, entries: Mapping[str, checked.Test]) -> dict[str, Any]:
        return read_json(path, self.path, "a run", entries)

    # -- the lock: held for life by the worker, the only writer

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by whoever writes; the kernel frees it when that process dies, however it dies. What such a one left
        half written is swept up."""
        lock = FileLock(self.path / "run.lock", timeout=1)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(f"run {self.id} is being worked on by another process; wait for it or cancel it") from None
        try:
            tidy(self.path)
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Whether a worker has it. Nothing is written where nobody ever locked it, or on a disk that can only be read:
        whoever works there does it from another machine, and cannot be seen.
        """
        file = self.path / "run.lock"
        try:
            with FileLock(file, timeout=0) if file.exists() else nullcontext():
                return False
        except Timeout:
            return True
        except OSError:
            return False

    # -- metrics

    def metrics(self) -> list[dict[str, Any]]:
        """A row an epoch, those committed."""
        try:
            lines = checked.readable(self.path / "metrics.jsonl", checked.RESTORE).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        try:  # what follows the last newline is torn, or empty
            rows = [checked.table_of(checked.content_of(line), contents.ROW) for line in lines[:-1]]
            if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
                raise ValueError("its epochs are not numbered from 1")
        except ValueError as error:
            raise checked.damaged(self.path / "metrics.jsonl", error) from None
        return rows

    def commit(self, row: Mapping[str, Any]) -> None:
        """Appends an epoch's row; the epoch exists from here on."""
        with (self.path / "metrics.jsonl").open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def keep_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Rewrites metrics.jsonl to these rows (a torn line goes, too)."""
        write_whole(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    # -- the record

    def create_dynamics(
        self, ids: np.ndarray, signals: Mapping[str, tuple[np.dtype, float | int]], epochs: int
    ) -> None:
        """Empty (epochs, N) arrays: {signal: (dtype, value for "not seen")}; the whole run's need, at once."""
        record.create(self.path / "dynamics", ids, signals, epochs)

    def write_dynamics(self, epoch: int, signals: Mapping[str, np.ndarray]) -> None:
        """Fills an epoch's rows, {signal: (N,)}; they exist once ``commit`` has written the epoch's row of metrics."""
        record.write_rows(self.path / "dynamics", epoch, signals)

    def dynamics(self, epochs: int | None = None) -> dict[str, np.ndarray]:
        """{signal: (epochs, N)}: memory maps of the committed epochs, or of as many as asked for."""
        return record.read(self.path / "dynamics", len(self.metrics()) if epochs is None else epochs)

    def ids(self) -> np.ndarray:
        """int64 (N,): the example of each column of the record."""
        return record.read_ids(self.path / "dynamics")

    # -- labels: what each phase trains with, one file a phase

    def _factors_file(self, start: int) -> Path:
        return self.path / "factors" / f"after_{start:04d}.npz"

    def write_factors(self, start: int, chosen: Choice) -> None:
        """Of the phase that starts after ``start`` epochs; what is there already stays."""
        file = self._factors_file(start)
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **chosen._asdict())
            write_whole(file, buffer.getvalue())

    def factors(self, start: int) -> Choice | None:
        """Of the phase that starts after ``start`` epochs; None where it has not begun."""
        file = self._factors_file(start)
        if not file.exists():
            return None
        try:
            with np.load(file, allow_pickle=False) as arrays:
                found = Choice(arrays["factors"].astype(np.float64), arrays["kept"].astype(bool))
            usable = ((found.factors > 0) & (found.factors <= 1)).all() and found.kept.ndim == 1
            if not usable or found.factors.shape != found.kept.shape:
                raise ValueError("factors and examples do not fit")
        except Exception as error:  # whatever a damaged archive makes its readers raise
            raise checked.damaged(file, error, "delete it: it is made again from the record") from None
        return found

    def take_over_factors(self, other: "Run", epoch: int) -> None:
        """Those of the phases that another run began before ``epoch``."""
        for file in sorted((other.path / "factors").glob("after_*.npz")):
            start = int(file.stem.removeprefix("after_"))
            if start < epoch and (chosen := other.factors(start)):
                self.write_factors(start, chosen)

    # -- per example

    def examples(self) -> pd.DataFrame:
        """The per-example table, a row per id."""
        command = f"`python -m dpls work {self.path}`"
        if not self.examples_file.exists():
            raise UserError(f"run {self.id} has no per-example table yet; finish it with {command}")
        remedy = f"delete it and rebuild it with {command}"
        found = checked.table(self.examples_file, contents.EXAMPLES, len(self.ids()), remedy)
        if not np.array_equal(found["id"], np.arange(len(found))):
            raise checked.damaged(self.examples_file, "its rows are not in order of ids", remedy)
        return found

    def write_probabilities(self, probabilities: np.ndarray) -> None:
        """(N, K), by id: what the best checkpoint says of each clean image; kept as float16."""
        buffer = io.BytesIO()
        np.save(buffer, probabilities.astype(np.float16))
        write_whole(self.path / "probabilities.npy", buffer.getvalue())

    def probabilities(self) -> np.ndarray | None:
        """float16 (N, K), by id, rows sum to about 1; a memory map. None where the run has not got that far."""
        file, remedy = self.path / "probabilities.npy", f"rebuild it with `python -m dpls work {self.path}`"
        if not file.exists():
            return None
        found: np.ndarray = checked.array(file, (np.float16,), (len(self.ids()), None), remedy)
        return found

    # -- evaluations

    def evaluation(self, name: str) -> dict[str, Any]:
        """What is said of one of ``evaluation_names``: accuracy, settings, checkpoint."""
        return self._read_json(self.evaluations / f"{name}.json", contents.EVALUATION)

    def outcomes(self, name: str) -> pd.DataFrame:
        """A row per example: id, correct, and what else the evaluation keeps, as ``steps`` (missing: never broken)."""
        file, said = self.evaluations / f"{name}.parquet", self.evaluation(name)
        remedy = f"delete it and {name}.json, then `python -m dpls work {self.path}` or evaluate again"
        found = checked.table(file, {"id": "iu", "correct": "b"}, said["n"], remedy)
        if abs(found["correct"].mean() - said["accuracy"]) > 1e-9:
            raise checked.damaged(file, f"it does not fit {name}.json", remedy)
        return found

    def evaluation_names(self, others: bool = False) -> list[str]:
        """e.g. clean_best, pgd20_8-255_best; those finished, of test images. ``others``: of training and validation
        images, too, as clean_last_train. Outcomes without a .json are those of an evaluation that is not finished."""
        names = sorted(f.stem for f in self.evaluations.glob("*.json"))
        return [name for name in names if others or not name.endswith(("_train", "_validation"))]


@lru_cache(maxsize=4096)  # pages ask for it many times in a rerun, and it seldom changes
def _recipe(run: Run, changed: tuple[int, int]) -> "RunConfig":  # noqa: ARG001
    from dpls.recipe import make_config  # here, so that a worker has its lock before it loads more than it needs

    content = run.config()["config"]
    try:
        return make_config(content)
    except (UserError, RecursionError) as error:
        raise checked.damaged(run.config_file, error) from None
