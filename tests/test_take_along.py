"""DPLS outside: the example of the README, the tracker against the engine's own record, factors as a file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dpls import DifficultyTracker, read_factors, smoothing_factors
from dpls.cli.main import main
from dpls.data import TRAIN
from dpls.data.cache import image_hashes, open_dataset
from dpls.difficulty.measures import MEASURES, visits
from dpls.difficulty.record import Epoch
from dpls.errors import UserError
from dpls.nets.frozen import frozen_eval
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.folder import list_runs
from dpls.training.loop import build, factors_and_rows, sweep, train_epoch
from tests.test_run import config, finish

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("take along") / "runs")


def images_of(run: Run) -> np.ndarray:
    dataset = open_dataset(data_root(run.path.parent), run.config()["fingerprint"])
    return np.asarray(dataset.images[dataset.ids(TRAIN)])


def test_the_example_of_the_readme_trains_and_prints_factors(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "mine.py").write_text(f"{code}\ntorch.save(tracker.state_dict(), 'tracker.pt')\n")
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    mean, smallest = (float(x) for x in re.findall(r"[\d.]+(?:e-\d+)?", done.stdout))
    assert smallest == 0.5
    assert 0.5 < mean < 1
    tracker = DifficultyTracker(1797)
    tracker.load_state_dict(torch.load(tmp_path / "tracker.pt", weights_only=True))
    (recorded,) = list_runs(tmp_path / "runs")
    assert np.array_equal(MEASURES["zero_one"].compute(recorded.dynamics(10)), tracker.rate())
    assert recorded.state() == "done" and len(recorded.metrics()) == 12
    assert visits(recorded.dynamics(12)).tolist() == [12] * 1797


class Nobody:
    def images(self, count: int) -> None: ...

    def epoch(self, row: dict) -> None: ...


def test_the_tracker_equals_the_engines_own_record(run: Run) -> None:
    """The same training once more, a tracker beside the sweeps."""
    settings = config().resolved()
    dataset = open_dataset(data_root(run.path.parent), run.config()["fingerprint"])
    parts = build(settings, dataset)
    split, phase = parts.splits[TRAIN], settings.phases[0]
    tracker = DifficultyTracker(len(dataset.labels))
    factors, keep = factors_and_rows(parts, run, 0)
    for epoch in range(1, phase.until + 1):
        record = Epoch(len(dataset.labels), parts.device)
        train_epoch(parts, epoch, phase, factors, keep, record, Nobody())
        sweep(parts, record)
        for batch in split.batches(7):
            with torch.no_grad():
                tracker.update(split.ids[batch.rows], frozen_eval(parts.net)(batch.x), batch.y)
    ids = split.ids.numpy()
    assert np.array_equal(tracker.rate()[ids], run.examples()["zero_one"].to_numpy()[ids])
    assert np.isnan(np.delete(tracker.rate(), ids)).all()


def some_batches() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randint(0, 30, (16,), generator=generator),
            torch.randn(16, 4, generator=generator),
            torch.randint(0, 4, (16,), generator=generator),
        )
        for _ in range(6)
    ]


def test_a_tracker_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    whole, first = DifficultyTracker(30), DifficultyTracker(30)
    for number, batch in enumerate(some_batches()):
        whole.update(*batch)
        if number < 3:
            first.update(*batch)
    torch.save(first.state_dict(), tmp_path / "tracker.pt")
    second = DifficultyTracker(30)
    second.load_state_dict(torch.load(tmp_path / "tracker.pt", weights_only=True))
    for batch in some_batches()[3:]:
        second.update(*batch)
    np.testing.assert_array_equal(second.rate(), whole.rate())
    assert torch.equal(second.visits, whole.visits)
    with pytest.raises(UserError, match="counts 5 examples, the state 30"):
        DifficultyTracker(5).load_state_dict(first.state_dict())


def _one_of_two(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    tracker = DifficultyTracker(30)
    for batch in some_batches()[rank::2]:
        tracker.update(*batch)
    total, own = tracker.reduced(), tracker.visits.sum()
    torch.save([total.state_dict(), int(own)], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_count_as_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    whole = DifficultyTracker(30)
    for batch in some_batches():
        whole.update(*batch)
    for rank in (0, 1):
        state, own = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(state["visits"], whole.visits)
        assert torch.equal(state["wrong"], whole.wrong)
        assert own == 48, "a process's own counts stay its own"


@pytest.mark.parametrize("ending", ["parquet", "csv", "npz"])
def test_factors_go_along_as_a_file(run: Run, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"factors.{ending}"
    assert main(["export", run.id, "--runs", str(run.path.parent), "--factors", "--to", str(file)]) == 0
    images, table = images_of(run), run.examples().query("split == 'train'")
    expected = smoothing_factors(table["difficulty"].to_numpy(), 0.5)
    np.testing.assert_allclose(read_factors(file, images), expected, atol=1e-9)
    order = np.random.default_rng(0).permutation(len(images))
    unique = len(set(image_hashes(images).tolist())) == len(images)
    if unique:
        np.testing.assert_allclose(read_factors(file, images[order]), expected[order], atol=1e-9)
    if ending == "parquet":
        assert list(pd.read_parquet(file).columns) == ["id", "hash", "difficulty", "factor"]


def test_equal_images_keep_their_own_factors_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    images = np.arange(6, dtype=np.uint8)[[0, 1, 1, 2, 2, 2]][:, None, None, None] * np.ones((6, 1, 8, 8), np.uint8)
    factors = np.array([0.9, 0.5, 1.0, 0.8, 0.7, 0.6])
    hashes = [h.decode().upper() for h in image_hashes(images)]
    table = pd.DataFrame({"id": range(6), "hash": hashes, "factor": factors}).sort_values("factor")
    table.to_csv(tmp_path / "sorted.csv", index=False)
    np.testing.assert_array_equal(read_factors(tmp_path / "sorted.csv", images), factors)


def test_factors_are_refused_for_other_images(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "factors.parquet"
    assert main(["export", run.id, "--runs", str(run.path.parent), "--factors", "--to", str(file)]) == 0
    images = images_of(run).copy()
    images[3, 0, 0, 0] ^= 1
    with pytest.raises(UserError, match=r"1 of 80 images are not in .* the first in row 3"):
        read_factors(file, images)
    with pytest.raises(UserError, match="there is no file"):
        read_factors(tmp_path / "no.parquet", images)
    (tmp_path / "bad.csv").write_text("id,factor\n1,0.5\n")
    with pytest.raises(UserError, match="no column 'hash'"):
        read_factors(tmp_path / "bad.csv", images)
    (tmp_path / "bad.parquet").write_text(json.dumps({}))
    with pytest.raises(UserError, match="cannot be read"):
        read_factors(tmp_path / "bad.parquet", images)
