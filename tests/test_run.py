"""Whole runs, tiny and real: resumed, branched, repeated, stopped, broken."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from dpls.errors import UserError
from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.recipe import RunConfig, make_config, override
from dpls.runs.directory import CLOCK_COLUMNS, Run
from dpls.runs.files import data_root
from dpls.training.checkpoints import stored_epochs
from dpls.training.loop import Unwatched, train
from tests.conftest import Hold

TINY = {
    "data": {
        "source": {"kind": "photos", "train": 80, "validation": 20, "test": 20},
        "probes": [{"kind": "flip", "share": 0.05}],
    },
    "augmentation": {"pad": 2, "flip": True},
    "net": {"kind": "small_cnn", "width": 4},
    "optimiser": {"lr": 0.05, "batch_size": 20},
    "objective": {"kind": "pgd_at", "attack": {"kind": "pgd", "steps": 2}},
    "selection": {"attack": {"kind": "pgd", "steps": 2}},
    "evaluations": [{"kind": "pgd", "steps": 3}],
    "schedule": {"decays": [5]},
    "phases": [{"until": 4}, {"until": 6, "factors": {"kind": "dpls", "lambda_min": 0.5}}],
    "device": "cpu",
}


def config(*assignments: str) -> RunConfig:
    return make_config(override(TINY, list(assignments)))


def finish(runs: Path, *assignments: str) -> Run:
    run = submit(config(*assignments), runs)
    work(run)
    return run


def metrics(run: Run) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in run.metrics()]


def assert_same_results(a: Run, b: Run) -> None:
    assert metrics(a) == metrics(b)
    pd.testing.assert_frame_equal(a.examples(), b.examples())
    for name, array in a.dynamics().items():
        np.testing.assert_array_equal(array, b.dynamics()[name])
    weights = [load_file(run.checkpoints / "epoch_0006.safetensors") for run in (a, b)]
    for name in weights[0]:
        np.testing.assert_array_equal(weights[0][name], weights[1][name])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An uninterrupted run."""
    return finish(tmp_path_factory.mktemp("whole") / "runs")


def start_worker(run: Run) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dpls", "work", str(run.path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_worker(worker: subprocess.Popen, number: int) -> str:
    """What it wrote to stderr."""
    worker.send_signal(number)
    return worker.communicate(timeout=60)[1]


def wait_for_rows(run: Run, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(run.metrics()) < count:
        assert time.monotonic() < deadline, "the worker never got so far"
        time.sleep(0.005)


def test_two_builds_are_equal(whole: Run, tmp_path: Path) -> None:
    assert_same_results(whole, finish(tmp_path / "runs"))


def test_defect_21_killed_in_mid_epoch_and_resumed_equals_uninterrupted(whole: Run, tmp_path: Path, hold: Hold) -> None:
    run = submit(config(), tmp_path / "runs")
    for rows in (1, 3):
        hold.at(80 * rows + 20)
        worker = start_worker(run)
        wait_for_rows(run, rows)
        stop_worker(worker, signal.SIGKILL)
        assert run.state() == "interrupted"
    work(run)
    assert run.state() == "done"
    assert_same_results(whole, run)


def test_a_torn_row_and_rows_without_state_are_forgotten(whole: Run, tmp_path: Path, hold: Hold) -> None:
    run = submit(config(), tmp_path / "runs")
    hold.at(260)
    worker = start_worker(run)
    wait_for_rows(run, 3)
    stop_worker(worker, signal.SIGKILL)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 99, "lo')
    assert all(row["epoch"] <= 6 for row in run.metrics())
    work(run)
    assert_same_results(whole, run)


def test_lambda_min_1_branch_equals_the_hard_label_baseline_and_trains_no_phase_1(whole: Run) -> None:
    runs = whole.path.parent
    branch = finish(runs, "phases.1.factors.lambda_min=1")
    assert branch.config()["parent"]["run"] == whole.id
    assert branch.config()["parent"]["epoch"] == 4
    assert [row["seconds"] for row in branch.metrics()[:4]] == [
        row["seconds"] for row in whole.metrics()[:4]
    ]  # copied, not trained
    assert (branch.checkpoints / "epoch_0004.safetensors").stat().st_nlink > 1
    baseline = finish(runs.parent / "elsewhere", "phases.1.factors={}", "phases.1.factors.kind=hard")
    assert baseline.config()["parent"] is None
    assert metrics(branch) == metrics(baseline)
    weights = [load_file(run.checkpoints / "epoch_0006.safetensors") for run in (branch, baseline)]
    for name in weights[0]:
        np.testing.assert_array_equal(weights[0][name], weights[1][name])
    assert metrics(branch)[4:] != metrics(whole)[4:], "lambda_min 0.5 and 1 must differ"


def test_branch_stands_alone(whole: Run) -> None:
    branch = submit(config("phases.1.factors.lambda_min=0.8"), whole.path.parent)
    work(branch)
    for name, array in branch.dynamics().items():
        np.testing.assert_array_equal(array[:4], whole.dynamics()[name][:4])
    assert stored_epochs(branch) == [4, 5, 6]


def test_other_data_seed_or_net_shares_nothing(whole: Run) -> None:
    for change in ("data.seed=1", "seed=1", "net.width=5", "optimiser.lr=0.04", "phases.0.factors.kind=uniform"):
        run = submit(config(change), whole.path.parent)
        assert run.config()["parent"] is None, change


def test_presentation_and_sweep_record_every_example_also_dropped_ones(tmp_path: Path) -> None:
    drop = 'phases.1.subset={"which":"hardest","share":0.25}'
    for observing in ("sweep", "presentation"):
        run = finish(tmp_path / "runs", f"observing={observing}", drop, "phases.1.factors.kind=hard")
        correct = run.dynamics()["correct"]
        assert correct.shape == (6, 120)
        assert (correct != 255).all(), observing
        adversarial = run.dynamics()["correct_adv"]
        assert (adversarial[:4, :80] != 255).all()
        assert ((adversarial[4:, :80] == 255).sum(1) == 20).all()
        assert (adversarial[:, 80:] == 255).all(), "validation and test images are never attacked in training"


def test_standard_and_trades_runs_finish(tmp_path: Path) -> None:
    for objective in ("standard", "trades"):
        run = finish(
            tmp_path / "runs", f"objective.kind={objective}", "phases.0.until=1", "phases.1.until=2", "schedule={}"
        )
        assert run.state() == "done"
        seen = not run.examples()["zero_one_adv"].isna().all()
        assert seen == (objective == "trades")


def test_subset_by_another_runs_scores(whole: Run) -> None:
    run = finish(whole.path.parent, f'phases.1.subset={{"which":"hardest","share":0.1,"scores":["{whole.id}"]}}')
    dropped = np.flatnonzero((run.dynamics()["correct_adv"][5] == 255) & (whole.examples()["split"] == "train"))
    train = whole.examples()["difficulty"][whole.examples()["split"] == "train"]
    assert len(dropped) == 8
    assert whole.examples()["difficulty"][dropped].min() >= train.drop(dropped).max()


def test_examples_table_has_the_promised_columns(whole: Run) -> None:
    table = whole.examples()
    assert list(table.columns[:7]) == ["id", "hash", "split", "label", "class", "cause", "path"]
    for name in ("visits", "zero_one", "cross_entropy", "el2n", "forgetting", "aum", "confidence", "variability"):
        assert {name, f"{name}_adv"} <= set(table.columns)
    assert {"difficulty", "factor", "correct_clean", "correct_pgd3_8-255_best", "correct_pgd3_8-255_last"} <= set(
        table.columns
    )
    train, test = table[table["split"] == "train"], table[table["split"] == "test"]
    np.testing.assert_allclose(train["factor"], 1 - 0.5 * train["difficulty"], atol=1e-12)
    assert test["factor"].isna().all()
    assert test["difficulty"].between(0, 1).all(), "a test example has a difficulty, too"
    assert test["correct_clean"].notna().all()
    assert (train["visits"] == 4).all(), "T is the start of the DPLS phase"
    assert train["cause"].value_counts()["flip"] == 4


def test_factors_used_in_training_are_those_in_the_table(whole: Run) -> None:
    from dpls.data import TRAIN
    from dpls.runs.files import data_root
    from dpls.training.loop import build, factors_and_rows

    resolved = config().resolved()
    dataset, _ = resolved.data(data_root(whole.path.parent))
    factors, keep = factors_and_rows(build(resolved, dataset), whole, 4)
    assert keep.tolist() == list(range(80))
    np.testing.assert_allclose(factors.numpy(), whole.examples()["factor"][dataset.ids(TRAIN)], atol=1e-7)


def test_evaluations_state_everything_a_number_needs(whole: Run) -> None:
    found = whole.evaluation("pgd3_8-255_best")
    assert {"attack", "settings", "n", "accuracy", "low", "high", "checkpoint", "chosen_by", "warnings"} <= set(found)
    assert found["settings"]["step"] == pytest.approx(2 / 255)
    assert found["n"] == 20
    assert found["low"] <= found["accuracy"] <= found["high"]
    assert found["epoch"] == max(whole.metrics()[4:], key=lambda row: row["validation_robust"])["epoch"]
    assert "epochs 5-6" in found["chosen_by"]
    assert found["accuracy"] <= whole.evaluation("clean_best")["accuracy"]


def test_a_repeated_run_has_the_same_best_whether_it_branched_or_not(whole: Run) -> None:
    """The best is one of the last phase's, and the last phase is always trained."""
    again = finish(whole.path.parent)
    assert again.config()["parent"]["epoch"] == 4
    assert again.evaluation("clean_best") | {"seconds": 0} == whole.evaluation("clean_best") | {"seconds": 0}


def test_evaluations_made_in_mid_run_are_made_again_at_the_end(whole: Run, tmp_path: Path) -> None:
    from dpls.evaluations.conduct import evaluation_name
    from dpls.runs.files import write_json

    run = submit(config(), tmp_path / "runs")
    names = [evaluation_name(config().resolved().evaluations[0], checkpoint) for checkpoint in ("last", "best")]
    for name in names:
        write_json(run.evaluations / f"{name}.json", whole.evaluation(name) | {"epoch": 2, "accuracy": 0.0})
    work(run)
    for name in names:
        assert run.evaluation(name) | {"seconds": 0} == whole.evaluation(name) | {"seconds": 0}


def test_a_parent_that_is_gone_is_done_without(whole: Run, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    parent = finish(runs)
    child = submit(config("phases.1.factors.lambda_min=1"), runs)
    assert child.config()["parent"]["run"] == parent.id
    shutil.rmtree(parent.path)
    work(child)
    assert metrics(child)[:4] == metrics(whole)[:4]


def test_a_parent_is_asked_only_for_what_it_committed(tmp_path: Path) -> None:
    """A kill between the state and its row leaves a state beyond the last row."""
    run = finish(tmp_path / "runs")
    run.keep_metrics(run.metrics()[:3])
    assert submit(config("phases.1.factors.lambda_min=1"), tmp_path / "runs").config()["parent"] is None


def test_images_come_from_the_cache_when_their_source_is_gone(tmp_path: Path) -> None:
    npz = tmp_path / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(npz, x_train=images, y_train=np.arange(60) % 3)
    changes = (f'data.source={{"kind":"npz","path":"{npz}"}}', "data.probes=[]", "augmentation={}")
    run = submit(config(*changes), tmp_path / "runs")
    npz.unlink()
    work(run)
    assert run.state() == "done"


def test_best_of_a_branch_is_one_of_its_own_epochs(whole: Run) -> None:
    branch = finish(whole.path.parent, "phases.1.factors.lambda_min=0.6")
    assert branch.evaluation("clean_best")["epoch"] > 4


def test_manifest_says_where_and_how_fast(whole: Run) -> None:
    manifest = json.loads(whole.manifest_file.read_text())
    assert {"python", "packages", "commit", "cpu", "threads", "device", "precision", "fingerprint", "phases"} <= set(
        manifest
    )
    assert [phase["until"] for phase in manifest["phases"]] == [4, 6]
    assert all(phase["images_per_second"] > 0 for phase in manifest["phases"])


def test_only_borders_and_the_last_state_are_kept(whole: Run) -> None:
    assert stored_epochs(whole) == [4, 5, 6]
    assert not list(whole.checkpoints.glob("*.aside"))


def test_stopped_by_sigterm_and_resumed(whole: Run, tmp_path: Path, hold: Hold) -> None:
    run = submit(config(), tmp_path / "runs")
    hold.at(180)
    worker = start_worker(run)
    wait_for_rows(run, 2)
    errors = stop_worker(worker, signal.SIGTERM)
    assert worker.returncode == 1
    assert "Traceback" not in errors
    assert run.state() == "cancelled"
    work(run)
    assert_same_results(whole, run)


def test_two_workers_on_one_run_are_refused(tmp_path: Path) -> None:
    run = submit(config(), tmp_path / "runs")
    with run.lock():
        second = start_worker(run)
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "worked on by another process" in errors
        assert run.state() == "queued"


@pytest.mark.parametrize(
    ("breakage", "expected"),
    [
        (FloatingPointError, "nan"),
        (MemoryError, "out of memory"),
        (OSError, "No space left"),
    ],
)
def test_failures_in_a_run_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breakage: type, expected: str
) -> None:
    import torch

    from dpls.training import loop as training

    run = submit(config(), tmp_path / "runs")
    real = training.observe
    calls = []

    def observe(*args, **kwargs):
        calls.append(1)
        if len(calls) > 4:  # in the second epoch
            if breakage is MemoryError:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            raise OSError(28, "No space left on device", "dynamics/loss.npy")
        return real(*args, **kwargs)

    if breakage is FloatingPointError:
        monkeypatch.setattr(training, "soft_labels", lambda y, f, k: torch.full((len(y), k), float("nan")))
    else:
        monkeypatch.setattr(training, "observe", observe)
    with pytest.raises(UserError, match=expected) as error:
        work(run)
    assert "\n" not in str(error.value)
    assert run.state() == "failed"
    assert run.status()["error"] == str(error.value)
    rows = len(run.metrics())
    assert rows == (0 if breakage is FloatingPointError else 1), "the broken epoch is not committed"
    monkeypatch.undo()
    work(run)
    assert run.state() == "done"


@pytest.mark.parametrize(("guard", "epochs"), [("0.2", 2), ("1", 6)])
def test_a_run_that_overfits_catastrophically_stops_there_and_stays_stopped(
    tmp_path: Path, guard: str, epochs: int
) -> None:
    """Its numbers of epoch 2 are made to say so, as it commits them."""

    class Overfits(Unwatched):
        def epoch(self, row: dict) -> None:
            if row["epoch"] == 2:
                first, _ = run.metrics()
                rise = {"train_robust": 1.0, "validation_robust": 0.0}
                run.keep_metrics([first | {"train_robust": 0.5, "validation_robust": 0.5}, row | rise])

    run = submit(config("objective.kind=fgsm_rs", f"objective.guard={guard}"), tmp_path / "runs")
    chosen = run.recipe().resolved()
    dataset, _ = chosen.data(data_root(tmp_path / "runs"))
    for _ in range(2):
        stops = pytest.raises(UserError, match=r"catastrophic overfitting in epoch 2.*guard=1")
        with stops if epochs == 2 else nullcontext():
            train(chosen, run, dataset, Overfits())
        assert len(run.metrics()) == epochs


def test_truncated_checkpoint_is_named_and_nothing_is_lost(tmp_path: Path, hold: Hold) -> None:
    run = submit(config(), tmp_path / "runs")
    hold.at(260)
    worker = start_worker(run)
    wait_for_rows(run, 3)
    stop_worker(worker, signal.SIGKILL)
    state = run.checkpoints / f"epoch_{stored_epochs(run)[-1]:04d}.safetensors"
    content = state.read_bytes()
    state.write_bytes(content[:100])
    rows = run.metrics()
    with pytest.raises(UserError, match="damaged"):
        work(run)
    assert run.metrics() == rows
    state.write_bytes(content)
    work(run)
    assert run.state() == "done"


def test_changed_images_are_refused(tmp_path: Path) -> None:
    npz = tmp_path / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    labels = np.arange(60) % 3
    np.savez(npz, x_train=images, y_train=labels)
    changes = (f'data.source={{"kind":"npz","path":"{npz}"}}', "data.probes=[]", "augmentation={}")
    run = submit(config(*changes), tmp_path / "runs")
    np.savez(npz, x_train=255 - images, y_train=labels)
    os.utime(npz, (1, 1))
    shutil.rmtree(tmp_path / "data" / run.config()["fingerprint"])
    with pytest.raises(UserError, match="no longer those"):
        work(run)


def test_selection_cannot_reach_test(whole: Run, tmp_path: Path) -> None:
    """Other test images change no epoch of training and not the choice of the checkpoint."""
    other = finish(tmp_path / "runs", "data.source.test=30")
    assert metrics(other) == metrics(whole)
    assert other.evaluation("clean_best")["epoch"] == whole.evaluation("clean_best")["epoch"]


def test_probabilities_are_what_the_best_checkpoint_says(whole: Run) -> None:
    said = whole.probabilities()
    table = whole.examples()
    assert said is not None
    assert said.shape == (len(table), 10)
    np.testing.assert_allclose(said.astype(float).sum(1), 1, atol=5e-3)
    test = table[table["split"] == "test"]
    right = test["predicted"] == test["class"]
    assert right.mean() == pytest.approx(whole.evaluation("clean_best")["accuracy"])
    assert (right == test["correct_clean"]).all()


def test_manifest_says_how_fast_it_was(whole: Run) -> None:
    manifest = whole.manifest()
    assert [phase["until"] for phase in manifest["phases"]] == [4, 6]
    assert manifest["operations_per_second"] > 0
    assert whole.status()["slot"] == "cpu"
    assert whole.status()["stage"] is None


def test_a_run_goes_on_in_the_precision_it_began_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: one run in two precisions, whose states others then take over."""
    from dpls.jobs.worker import Stopped

    monkeypatch.setenv("DPLS_PRECISION", "float32")
    whole = finish(tmp_path / "whole")
    run = submit(config(), tmp_path / "runs")
    commit = Run.commit

    def stopped(self: Run, row: dict) -> None:
        commit(self, row)
        if row["epoch"] == 2:
            raise Stopped

    monkeypatch.setattr(Run, "commit", stopped)
    with pytest.raises(Stopped):
        work(run)
    monkeypatch.setattr(Run, "commit", commit)
    monkeypatch.setenv("DPLS_PRECISION", "bfloat16")
    work(run)
    assert run.manifest()["precision"] == "float32"
    assert_same_results(run, whole)
    assert submit(config("phases.1.factors.lambda_min=0.7"), tmp_path / "runs").config()["parent"] is None
