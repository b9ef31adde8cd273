"""What the members of a tree must do, each by its name alone: run by ``test_members.py`` in a copy that has them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dpls.cli.main import main
from dpls.experiments.cost import measure
from dpls.experiments.kinds import make_experiment
from dpls.jobs.estimate import estimate, total_passes
from dpls.jobs.submission import submit
from dpls.recipe import make_config, override
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.folder import list_runs
from dpls.runs.report import method_of, report
from tests.conftest import Hold
from tests.test_jobs import wait_for
from tests.test_run import TINY, assert_same_results, finish

ROOT = Path(__file__).parent.parent.parent
MEMBERS = (
    "objective.kind=half_and_half",
    "objective.attack.kind=one_step",
    "selection.attack.kind=one_step",
    'evaluations=[{"kind":"one_step"},{"kind":"pgd","steps":2}]',
    "difficulty.measure=worst_loss",
)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: Path) -> None:
    monkeypatch.setenv("DPLS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DPLS_DATA", str(cut))
    monkeypatch.setenv("DPLS_SLOTS", str(tmp_path / "slots"))


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


def test_members_train_are_killed_and_resumed(tmp_path: Path, hold: Hold) -> None:
    whole = finish(tmp_path / "undisturbed", *MEMBERS)
    run = submit(make_config(override(TINY, list(MEMBERS))), tmp_path / "runs")
    hold.at(180)
    worker = subprocess.Popen([sys.executable, "-m", "dpls", "work", str(run.path)], stdout=subprocess.DEVNULL)
    wait_for(lambda: len(run.metrics()) >= 2)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert run.state() == "interrupted"
    hold.let_go()
    subprocess.run([sys.executable, "-m", "dpls", "work", str(run.path)], check=True, stdout=subprocess.DEVNULL)
    assert_same_results(run, whole)
    assert run.recipe().difficulty.measure == "worst_loss"
    assert not np.isnan(run.dynamics()["loss_adv"][:, run.examples()["split"] == "train"]).any()


def test_members_are_estimated_reported_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finish(tmp_path / "runs", *MEMBERS)
    config = run.recipe().resolved()
    assert total_passes(config, (80, 20, 20)) > 0
    duration = estimate(config, [run], data_root(run.path.parent))
    assert duration is not None and duration.seconds > 0
    assert measure(config, config.data(data_root(run.path.parent))[0]).clock > 0
    assert method_of(config) == "Half and half 8/255, DPLS 0.5"
    assert "OneStep, eps 8/255" in report(run)
    assert main(["evaluate", run.id, "--attack", "onestep", "--set", "reach=0.5", "--checkpoint", "last"]) == 0
    assert "OneStep" in capsys.readouterr().out
    found = run.evaluation("onestep-0.5_8-255_last")
    assert found["settings"]["reach"] == 0.5 and found["n"] == 20
    table = pd.read_parquet(run.evaluations / "onestep-0.5_8-255_last.parquet")
    assert set(table) == {"id", "correct", "steps"}
    assert main(["evaluate", run.id, "--attack", "no such attack"]) == 2
    assert "onestep" in capsys.readouterr().err
    assert {"worst_loss", "worst_loss_adv"} <= set(run.examples())


def test_members_are_an_experiment_and_on_every_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.dumps(override(TINY, list(MEMBERS)))
    base = tmp_path / "base.json"
    base.write_text(settings)
    assert main(["experiment", "halves", str(base), "--set", "seeds=2"]) == 0
    assert "without a random half" in capsys.readouterr().out
    experiment = make_experiment({"kind": "halves", "base": json.loads(settings), "seeds": 2})
    assert experiment.in_words.startswith("photos, 5% planted, Half and half")
    run = next(run for run in list_runs(tmp_path / "runs") if "all images" in run.label())
    os.environ["PYTHONPATH"] = str(ROOT)
    for page in ("overview", "difficulty", "images", "smoothing", "train", "experiments"):
        app = page_of(run, page)
        assert not app.exception and not app.error, (page, [e.value for e in app.error])
        if page == "difficulty":
            assert (
                "worst_loss" in app.selectbox(key="measure").options
                or "Worst loss" in app.selectbox(key="measure").options
            )
            assert app.selectbox(key="measure").value == "worst_loss"
        if page == "train":
            offered = [option for box in app.selectbox for option in box.options]
            assert {"one_step", "half_and_half", "worst_loss"} <= set(offered)
        if page == "experiments":
            assert any("without a random half" in str(frame.value) for frame in app.dataframe)


def page_of(run: Run, page: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.session_state["run"] = run.id
    app.session_state["from"] = run.id
    app.session_state["kind"] = "halves"
    app.run()
    return app if page == "overview" else app.switch_page(f"pages/{page}.py").run()
