"""A disk that is full: before a start, and at every write of a run in turn; then room again, and the same numbers."""

import builtins
import errno
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dpls import disk
from dpls.cli.main import main
from dpls.data.source import Outline
from dpls.errors import UserError
from dpls.jobs import console, room
from dpls.jobs.estimate import sizes_of
from dpls.jobs.local import Local
from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.runs import record
from dpls.runs.directory import Run
from dpls.runs.files import write_json
from dpls.runs.folder import list_runs
from tests.kills import configuration, content
from tests.test_experiments import PRUNING, experiment
from tests.test_run import config, finish

SHORT = ('phases=[{"until":1},{"until":2,"factors":{"kind":"dpls","lambda_min":0.5}}]', "evaluations=[]")


class FullDisk:
    """Under a folder every write that makes a file longer fails, once ``left`` of them have passed."""

    def __init__(self, folder: Path, left: int) -> None:
        self.folder, self.left, self.failed = str(folder), left, 0

    def open(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, really=io.open, **others):
        if not str(file).startswith(self.folder) or not set(mode) & set("wxa+"):
            return really(file, mode, buffering, encoding, errors, newline, **others)
        raw = LimitedFile(file, mode.replace("b", "").replace("t", ""))
        raw.disk = self
        found = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return found if "b" in mode else io.TextIOWrapper(found, encoding, errors, newline)


class LimitedFile(io.FileIO):
    """A file on such a disk."""

    disk: FullDisk

    def write(self, content) -> int:
        end = os.lseek(self.fileno(), 0, os.SEEK_CUR) + len(memoryview(content))
        if "a" in self.mode or end > os.fstat(self.fileno()).st_size:
            if self.disk.left == 0:
                self.disk.failed += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.disk.left -= 1
        return super().write(content)


@contextmanager
def full_disk(folder: Path, after: int) -> Iterator[FullDisk]:
    """The disk of a folder is full after so many writes."""
    found = FullDisk(folder, after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", found.open)
        patch.setattr(builtins, "open", found.open)
        yield found


@pytest.fixture(autouse=True)
def _always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is cut here, and no status written because a second has passed."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk may be mounted here; the simulated one stands for it")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def assert_fails_with_a_sentence(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["work", str(run.path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("dpls: the disk is full: cannot write ")
    assert said.endswith("make room, then resume\n")
    assert said.count("\n") == 1
    assert run.state() == "failed"
    assert f"dpls: {run.status()['error']}\n" == said
    assert hidden(run.path) == []


def test_at_every_write_in_turn_a_full_disk_is_one_sentence_and_a_resume_has_equal_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    expected = content(finished(tmp_path / "runs"))
    run = submit(configuration(*SHORT), tmp_path / "0" / "runs")
    with full_disk(run.path, 10_000) as counted:
        work(run)
    for number in range(10_000 - counted.left):
        run = submit(configuration(*SHORT), tmp_path / str(number + 1) / "runs")
        with full_disk(run.path, number):
            assert_fails_with_a_sentence(run, capsys)
        assert main(["work", str(run.path)]) == 0
        assert content(run) == expected, f"write {number}"
    assert number > 30


def test_on_a_real_full_disk_it_is_the_same(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, a bus error: the record was written through memory maps of files without bytes."""
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    expected = content(finished(tmp_path / "runs"))
    for pages in (0, 1, 3, 6, 9, 11, 12, 16, 20, 24, 30, 36, 44):
        run = submit(configuration(*SHORT), small_disk / str(pages) / "runs")
        with (small_disk / "other").open("wb") as file:
            file.write(bytes(disk.free(small_disk) - 4096 * pages))
        assert_fails_with_a_sentence(run, capsys)
        (small_disk / "other").unlink()
        assert main(["work", str(run.path)]) == 0
        assert content(run) == expected, f"{pages} pages"
        shutil.rmtree(run.path)


def finished(runs: Path) -> Run:
    run = submit(configuration(*SHORT), runs)
    work(run)
    return run


def test_a_disk_that_fills_while_a_run_is_made_leaves_none_and_nothing(tmp_path: Path) -> None:
    """Neither of the run nor of its images."""
    expected = submit(configuration(*SHORT), tmp_path / "runs").config()
    for number in range(1000):
        runs = tmp_path / str(number) / "runs"
        with full_disk(runs.parent, number) as limited:
            try:
                run = submit(configuration(*SHORT), runs, "a label")
            except (UserError, OSError) as error:
                assert "No space left" in str(error)
                assert list_runs(runs) == []
                assert hidden(runs.parent) == []
        if not limited.failed:
            break
        assert submit(configuration(*SHORT), runs).config() == expected
    assert number > 10
    assert run.label() == "a label"


def test_an_evaluation_on_a_full_disk_leaves_the_run_as_it_was_and_can_be_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(tmp_path / "runs")
    status, table = run.status(), run.examples_file.read_bytes()
    command = ["evaluate", run.id, "--attack", "pgd1", "--runs", str(tmp_path / "runs")]
    for number in range(100):
        with full_disk(run.path, number) as limited:
            code = main(command)
        if not limited.failed:
            break
        assert code == 2
        said = capsys.readouterr().err
        assert said.startswith("dpls: the disk is full (")
        assert said.count("\n") == 1
        assert (run.status(), run.examples_file.read_bytes(), hidden(run.path)) == (status, table, [])
    assert number > 2
    assert code == 0
    assert len(run.examples().columns) == len(pd.read_parquet(io.BytesIO(table)).columns) + 1


def test_a_run_that_is_stopped_on_a_full_disk_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpls.jobs import worker

    run = submit(configuration(*SHORT), tmp_path / "runs")

    def stop(run: Run) -> None:
        limited.left = 0
        raise worker.Stopped

    monkeypatch.setattr(worker, "_work", stop)
    with full_disk(run.path, 10_000) as limited, pytest.raises(worker.Stopped):
        work(run)
    assert limited.failed
    assert run.state() == "cancelled"


def test_a_run_that_has_no_room_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(disk, "free", lambda folder: 700_000)
    monkeypatch.setattr(room, "free", lambda folder: 700_000)
    file = tmp_path / "tiny.json"
    write_json(file, config().model_dump(mode="json"))
    assert main(["train", str(file), "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    sizes = Outline((80, 20, 20), 3, 32, 10)
    needed = room.bytes_of_run(config(), sizes) + room.bytes_of_images(config(), sizes)
    assert f"has no room: about {needed / 1e6:.0f} MB are needed and 700 kB are free; make room" in said
    assert list(tmp_path.iterdir()) == [file]


def test_images_and_runs_on_two_disks_each_need_their_own_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"runs": 500, "data": 100}
    monkeypatch.setattr(room, "same_disk", lambda a, b: False)
    monkeypatch.setattr(room, "free", lambda folder: left[folder.name])
    room.check_room(tmp_path / "runs", 500, 100)
    with pytest.raises(UserError, match=r"runs' has no room.*or choose another folder with --runs DIR"):
        room.check_room(tmp_path / "runs", 501, 100)
    with pytest.raises(UserError, match=r"data' has no room.*or choose another folder with DPLS_DATA"):
        room.check_room(tmp_path / "runs", 500, 101)


def test_an_experiment_whose_runs_together_have_no_room_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpls.experiments.cost import check_room_for

    planned, runs = experiment("pruning", *PRUNING), tmp_path / "runs"
    planned.base.data(tmp_path / "data")
    sizes = sizes_of(planned.base, tmp_path / "data")
    assert sizes is not None
    needed = sum(room.bytes_of_run(one.config, sizes) for one in planned.plan())
    monkeypatch.setattr(room, "free", lambda folder: needed)
    check_room_for(planned, runs)
    monkeypatch.setattr(room, "free", lambda folder: needed - 1)
    with pytest.raises(UserError, match=f"about {needed / 1e6:.0f} MB are needed"):
        check_room_for(planned, runs)


def test_what_a_run_is_said_to_need_is_enough_and_not_much_more(tmp_path: Path) -> None:
    """Files in blocks; a run at its end, which keeps a state less than in its last epoch."""
    run = finish(tmp_path / "runs")
    sizes = sizes_of(config(), tmp_path / "data")
    assert sizes is not None
    taken = sum(file.stat().st_blocks * 512 for file in run.path.rglob("*"))
    assert taken < room.bytes_of_run(config(), sizes) < taken + room.SMALL_FILES + 300_000
    kept = sum(file.stat().st_size for file in (tmp_path / "data").rglob("*.npy"))
    assert 0.9 * kept < room.bytes_of_images(config(), sizes) < 1.5 * kept
    large = Outline((45_000, 5_000, 10_000), 3, 32, 10)
    assert room.bytes_of_run(config("phases.1.until=110"), large) == pytest.approx(110 * 60_000 * 34, rel=0.5)


def test_the_record_has_all_its_bytes_from_the_start_and_the_same_as_ever(tmp_path: Path) -> None:
    kinds = {"correct": (np.dtype(np.uint8), 255), "loss": (np.dtype(np.float32), float("nan"))}
    record.create(tmp_path / "new", np.arange(5000), kinds, 7)
    (tmp_path / "old").mkdir()
    np.save(tmp_path / "old" / "ids.npy", np.arange(5000))
    rows = {"correct": np.ones(5000, dtype=np.int64), "loss": np.linspace(0, 1, 5000)}
    for name, (dtype, unseen) in kinds.items():
        mapped = np.lib.format.open_memmap(tmp_path / "old" / f"{name}.npy", "w+", dtype, (7, 5000))
        mapped[:] = unseen
        assert (tmp_path / "new" / f"{name}.npy").stat().st_blocks * 512 >= mapped.nbytes
        mapped[2] = rows[name]
        mapped.flush()
    record.write_rows(tmp_path / "new", 3, rows)
    for file in (tmp_path / "old").iterdir():
        assert (tmp_path / "new" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_launcher_that_cannot_write_starts_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    run = submit(configuration(*SHORT), tmp_path / "runs")
    with full_disk(run.path, 0), pytest.raises(OSError, match="No space left"):
        Local().submit(run)
    assert run.state() == "queued"
    assert hidden(run.path) == []
