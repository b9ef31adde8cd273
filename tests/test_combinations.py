"""Objective x AWP x SWA x DPLS, each trained to the end: resumed from a kill, and branched from its twin without."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from test_run import TINY, metrics

from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.recipe import make_config, override
from dpls.runs.directory import Run

SMALL = override(
    TINY,
    [
        "data.source.train=40",
        "data.source.validation=10",
        "data.source.test=10",
        "schedule.decays=[3]",
        'phases=[{"until":2},{"until":4}]',
        "objective.attack.steps=1",
        "selection.attack.steps=1",
        'evaluations=[{"kind":"pgd","steps":1}]',
    ],
)
INNER = {
    "pgd_at": ["objective.attack.steps=1"],
    "trades": ["objective.attack.steps=1"],
    "mart": ["objective.attack.steps=1"],
    "fgsm_rs": [],
    "n_fgsm": [],
    "rst": ["objective.attack.steps=1"],
}
DPLS = ["phases.1.factors.kind=dpls", "phases.1.factors.lambda_min=0.5"]
SWA = ["phases.1.average=true"]


def settings(kind: str, awp: bool, swa: bool, dpls: bool) -> list[str]:
    path = "objective.inner" if awp else "objective"
    kind = "trades" if kind == "rst" else kind
    own = [setting.replace("objective.", f"{path}.") for setting in INNER[kind]]
    return [*(["objective.kind=awp"] if awp else []), f"{path}.kind={kind}", *own, *SWA * swa, *DPLS * dpls]


def trained(runs: Path, assignments: list[str]) -> Run:
    run = submit(make_config(override(SMALL, assignments)), runs)
    work(run)
    assert run.state() == "done", run.status()
    return run


def pseudo_labelled(runs: Path) -> list[str]:
    """Half of the labels hidden, and said by a run with standard training."""
    hidden = ["data.hidden=0.5"]
    teacher = trained(runs, [*hidden, "objective.kind=standard", "selection.by=clean"])
    return [*hidden, f"data.pseudo.run={teacher.id}"]


def interrupted_after(run: Run, epoch: int, folder: Path) -> Run:
    """A copy as a kill leaves it: the rows of some epochs, no state beyond them, nothing that follows training."""
    copy = Run(shutil.copytree(run.path, folder / run.id))
    copy.keep_metrics(copy.metrics()[:epoch])
    for file in copy.checkpoints.glob("epoch_*"):
        if int(file.name[6:10]) > epoch:
            file.unlink()
    for file in [*copy.evaluations.iterdir(), copy.path / "seal.json", copy.path / "examples.parquet"]:
        file.unlink()
    (copy.checkpoints / "average.safetensors").unlink(missing_ok=True)
    copy.write_status(state="running")
    return copy


@pytest.mark.parametrize("awp", [False, True], ids=["", "awp"])
@pytest.mark.parametrize("kind", INNER)
def test_all_combine(kind: str, awp: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs a pair: without anything, with SWA, with DPLS, with both. The last three begin where the first stands."""
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    data = pseudo_labelled(tmp_path / "runs") if kind == "rst" else []
    runs = {
        (swa, dpls): trained(tmp_path / "runs", [*data, *settings(kind, awp, swa, dpls)])
        for swa in (False, True)
        for dpls in (False, True)
    }
    first = runs.pop((False, False))
    assert first.config()["parent"] is None
    for (swa, dpls), run in runs.items():
        parent = run.config()["parent"]
        assert (parent["epoch"], parent["hash"]) == (2, first.config()["states"]["2"])
        assert (run.checkpoints / "average.safetensors").exists() == swa
        names = {f"{what}_{end}" for what in ("clean", "pgd1_8-255") for end in ("best", "last", *["average"] * swa)}
        assert set(run.evaluation_names()) == names
        assert (run.examples().query("split == 'train'")["factor"].min() < 1) == dpls
    both = runs[True, True]
    assert_equal_runs(both, trained(tmp_path / "alone", [*data, *settings(kind, awp, True, True)]))
    (tmp_path / "killed").mkdir()
    resumed = interrupted_after(both, 3, tmp_path / "killed")
    work(resumed)
    assert_equal_runs(resumed, both)
    plain, averaged = metrics(runs[False, True]), metrics(both)
    assert plain == averaged, "the mean of the weights changes nothing that is trained"


def assert_equal_runs(a: Run, b: Run) -> None:
    assert metrics(a) == metrics(b)
    pd.testing.assert_frame_equal(a.examples(), b.examples())
    for name, array in a.dynamics().items():
        np.testing.assert_array_equal(array, b.dynamics()[name])
    for file in b.checkpoints.glob("*.safetensors"):
        ours, theirs = load_file(a.checkpoints / file.name), load_file(file)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), file.name


def test_lambda_min_of_one_is_the_baseline_bit_for_bit(tmp_path: Path) -> None:
    """Around every method at once: AWP, MART, averaged weights."""
    asked = settings("mart", True, True, False)
    plain = trained(tmp_path / "plain", asked)
    smoothed = trained(tmp_path / "smoothed", [*asked, *DPLS[:1], "phases.1.factors.lambda_min=1"])
    assert metrics(plain) == metrics(smoothed)
    for file in plain.checkpoints.glob("*.safetensors"):
        ours, theirs = load_file(file), load_file(smoothed.checkpoints / file.name)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_mean_of_one_epoch_is_its_weights(tmp_path: Path) -> None:
    asked = ['phases=[{"until":3},{"until":4,"average":true}]']
    run = trained(tmp_path, asked)
    mean, last = (load_file(run.checkpoints / f"{name}.safetensors") for name in ("average", "epoch_0004"))
    for name, value in last.items():
        assert "running" in name or "tracked" in name or torch.equal(mean[name], value)
    assert run.evaluation("clean_average")["chosen_by"] == "mean of the weights after epochs 4-4"
