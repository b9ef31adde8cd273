"""What a process that died has left: swept up by whoever holds the lock next, and never read as data."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from dpls.data import cache
from dpls.disk import built, placed, sweep
from dpls.evaluations.store import Store
from dpls.experiments.stored import list_experiments
from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.runs.directory import Run
from dpls.runs.files import SPARE, data_root, tidy, write_whole
from dpls.runs.folder import list_runs, sweep_runs
from dpls.training import checkpoints
from dpls.training.learner import Learner
from tests.conftest import make_tiny
from tests.kills import configuration
from tests.test_full_disk import full_disk, hidden

LEFT = (
    ".status.json.4711",
    ".metrics.jsonl.4711-139",
    "checkpoints/.tmpZp3xQa",
    "checkpoints/.best.safetensors",
    "checkpoints/epoch_0002.state.aside",
    "checkpoints/epoch_0002.safetensors",
    "checkpoints/epoch_0001.state.pt",
    "checkpoints/epoch_0001.safetensors",
    "dynamics/.loss.npy.4711-139",
    "evaluations/.clean_best.json.4711",
    "factors/.after_0000.npz.4711",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = submit(configuration(), tmp_path_factory.mktemp("finished") / "runs")
    work(run)
    return run


def leave(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"half")


def test_what_lies_in_a_run_is_no_data_and_gone_after_the_next_start(finished: Run) -> None:
    before = sorted(finished.path.rglob("*"))
    status, metrics, names = finished.status(), finished.metrics(), finished.evaluation_names(others=True)
    assert finished.path / SPARE not in before
    assert (finished.checkpoints / "epoch_0002.state.pt").exists(), "of a border"
    leave(finished.path, *(name for name in LEFT if "epoch_0002.safetensors" not in name))
    assert (status, metrics) == (finished.status(), finished.metrics())
    assert names == finished.evaluation_names(others=True)
    assert set(finished.dynamics()) == {file.stem for file in before if file.parent.name == "dynamics"} - {"ids"}
    work(finished)
    assert sorted(finished.path.rglob("*")) == before


def test_a_state_too_many_and_half_a_state_go(finished: Run) -> None:
    """A kill between an epoch's row and the deletion of the state before it leaves one; another half of one."""
    for name in ("epoch_0001.state.pt", "epoch_0001.safetensors", "epoch_0007.state.pt"):
        leave(finished.checkpoints, name)
    leave(finished.checkpoints, "epoch_of_my_own.safetensors")
    work(finished)
    assert checkpoints.stored_epochs(finished) == [2, 3]
    assert not list(finished.checkpoints.glob("epoch_000[17]*"))
    (finished.checkpoints / "epoch_of_my_own.safetensors").unlink()


def test_runs_that_were_never_finished_making_are_no_runs_and_go_with_the_next(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in (".2026-01-01_000000_abcd", ".2026-01-01_000000_abcd-4711-139"):
        leave(runs / name, "config.json", "status.json")
    leave(runs, ".DS_Store")
    leave(runs / ".git", "config")
    assert list_runs(runs) == []
    assert list_experiments(runs) == []
    run = submit(configuration(), runs)
    assert sorted(path.name for path in runs.iterdir()) == [".DS_Store", ".git", run.id]


def test_images_that_were_never_finished_keeping_go_with_the_next_start(finished: Run) -> None:
    root = data_root(finished.path.parent)
    before = sorted(root.rglob("*"))
    leave(root / ".0123456789abcdef0123-x81_", "images.npy")
    leave(root / "sources" / ".0123456789abcdef0123-4711-139", "images.npy")
    leave(root / "index", ".tmpq1w2e3")
    work(finished)
    assert sorted(root.rglob("*")) == before


def test_what_a_living_process_is_making_is_not_swept_up_and_what_it_leaves_is(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from dpls.disk import built, placed
folder = Path(sys.argv[1])
with built(folder / "2026-01-01_000000_abcd"), placed(folder / "file"):
    print("there", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "there\n"
    sweep_runs(tmp_path)
    sweep(tmp_path)
    assert len(hidden(tmp_path)) == 2
    process.kill()
    process.communicate()
    sweep_runs(tmp_path)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpls import disk

    swept = []

    def slow(handle: int, path: Path, lock: Callable[[int, Path], bool] = disk._lock) -> bool:
        if len(swept) < 2:
            swept.append(path)
            sweep(tmp_path, folders=path.is_dir())
        return lock(handle, path)

    monkeypatch.setattr(disk, "_lock", slow)
    with built(tmp_path / "folder") as aside:
        leave(aside, "content")
    with placed(tmp_path / "file") as file:
        file.write(b"whole")
    assert len(swept) == 2
    assert (tmp_path / "folder" / "content").exists()
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert hidden(tmp_path) == []


def _write_whole(folder: Path) -> None:
    write_whole(folder / "notes.json", "text")


def _weights(folder: Path) -> None:
    checkpoints.save_weights(nn.Linear(2, 2), folder / "best.safetensors", 1)


def _state(folder: Path) -> None:
    net = nn.Linear(2, 2)
    (folder / "checkpoints").mkdir()
    checkpoints.save_state(Run(folder), 1, Learner(net, net, torch.optim.SGD(net.parameters())))


def _adopted(folder: Path) -> None:
    parent, child = Run(folder.parent / "parent"), Run(folder)
    leave(parent.checkpoints, "epoch_0001.state.pt", "epoch_0001.safetensors")
    child.checkpoints.mkdir()
    checkpoints.adopt_state(parent, child, 1)


def _evaluation(folder: Path) -> None:
    Store(folder, "clean_best", {}).finish(pd.DataFrame({"correct": [True]}), {})


def _images(folder: Path) -> None:
    cache.store(folder, make_tiny(), {})


def _index(folder: Path) -> None:
    cache.remember(folder, "key", "fingerprint")


@pytest.mark.parametrize("write", [_write_whole, _weights, _state, _adopted, _evaluation, _images, _index])
def test_a_write_that_fails_leaves_nothing_that_keeps_the_disk_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    def no_links(*paths: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    folder = tmp_path / "folder"
    folder.mkdir()
    with full_disk(folder, 0), pytest.raises((OSError, ValueError), match="No space left"):
        write(folder)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_an_experiment_and_scores_are_tidied_too(tmp_path: Path) -> None:
    from dpls.runs.scores import kept

    leave(tmp_path / "scores" / ("0" * 20), ".old.parquet.4711")
    kept.keep(tmp_path, "0" * 20, "mine", pd.Series([0.5, 1.0]).to_numpy())
    assert kept.names(tmp_path, "0" * 20) == ["mine"]
    leave(tmp_path / "experiments" / "x", ".outcomes.parquet.4711", "start.lock")
    tidy(tmp_path / "experiments" / "x")
    assert hidden(tmp_path) == []
