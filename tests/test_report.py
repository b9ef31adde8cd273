"""Runs in words: rows, comparisons, concerns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpls.methods.subset import Subset
from dpls.recipe import make_config, preset_names, read_settings
from dpls.runs import report
from dpls.runs.directory import Run
from tests.made_runs import make_run


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_described(preset: str) -> None:
    config = make_config(read_settings(preset))
    assert report.method_of(config.model_dump(mode="json"))
    assert report.data_of(config)


def test_what_a_row_says() -> None:
    config = make_config(read_settings("demo")).model_dump(mode="json")
    assert report.method_of(config) == "PGD-AT 8/255, DPLS 0.5"
    assert report.data_of(make_config(config)) == "photos, 10% planted"
    config["phases"][-1]["factors"] = {"kind": "uniform", "factor": 0.9}
    config["phases"][-1]["subset"] = Subset(which="hardest", share=0.2).model_dump()
    assert report.method_of(config) == "PGD-AT 8/255, uniform 0.9, without the hardest 20%"


def test_a_damaged_run_is_a_row(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    assert report.row(run)["state"] == "done"
    for broken in ("{", "[]", '{"config": {}}'):
        run.config_file.write_text(broken)
        found = report.row(run)
        assert found["state"] == "damaged"
        assert "\n" not in found["error"]


def two_runs(tmp_path: Path, first: np.ndarray, second: np.ndarray) -> tuple[Run, Run]:
    runs = (make_run(tmp_path / "runs", number=1), make_run(tmp_path / "runs", number=2))
    for run, correct in zip(runs, (first, second), strict=True):
        table = pd.DataFrame({"id": np.arange(len(correct)), "correct": correct})
        table.to_parquet(run.evaluations / "clean_best.parquet")
    return runs


def test_a_difference_is_paired_by_image(tmp_path: Path) -> None:
    """Trap: noise read as progress. n pairs, of which b were lost and c won: (c - b) / n, variance b + c - (c - b)^2 / n."""
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 50 + [False] * 10 + [True] * 25 + [False] * 15)
    found = report.difference(*two_runs(tmp_path, first, second), "clean_best")
    assert found is not None
    assert found.value == pytest.approx(0.15)
    assert found.half == pytest.approx(1.959964 * np.sqrt((35 - 15**2 / 100) / 100**2), rel=0.1)
    assert str(found).startswith("higher by 15.0")


def test_no_difference_is_called_better_when_its_interval_spans_zero(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.random(200) < 0.6
    second = first ^ (rng.random(200) < 0.1)
    found = report.difference(*two_runs(tmp_path, first, second), "clean_best")
    assert found is not None
    assert found.low < 0 < found.high
    assert str(found).startswith("no difference seen")


def test_runs_on_other_images_are_not_compared_image_by_image(tmp_path: Path) -> None:
    runs = (make_run(tmp_path / "runs", number=1), make_run(tmp_path / "runs", number=2, train=210))
    assert report.difference(*runs, "clean_best") is None
    assert report.difference(runs[0], runs[0], "no_such_evaluation") is None


def test_settings_that_differ_are_named_by_path() -> None:
    config = make_config(read_settings("demo")).model_dump(mode="json")
    other = json.loads(json.dumps(config))
    other["phases"][1]["factors"]["lambda_min"] = 0.7
    other["optimiser"]["lr"] = 0.1
    assert report.settings_that_differ(config, config) == []
    assert report.settings_that_differ(config, other) == [
        ("optimiser.lr", "0.02", "0.1"),
        ("phases.1.factors.lambda_min", "0.5", "0.7"),
    ]


def rows(train: list[float], validation: list[float]) -> list[dict]:
    both = zip(train, validation, strict=True)
    return [{"epoch": e + 1, "loss": 1.0, "train_robust": t, "validation_robust": v} for e, (t, v) in enumerate(both)]


def test_overfitting_is_noticed_and_nothing_else() -> None:
    assert report.concerns(rows([0.3, 0.5, 0.9], [0.3, 0.5, 0.42]))[0].startswith("Robust overfitting")
    assert "8.0 points since epoch 2" in report.concerns(rows([0.3, 0.5, 0.9], [0.3, 0.5, 0.42]))[0]
    assert report.concerns(rows([0.3, 0.5, 0.95], [0.3, 0.5, 0.01]))[0].startswith("Catastrophic overfitting")
    assert report.concerns(rows([0.3, 0.5, 0.5], [0.3, 0.5, 0.49])) == []
    assert report.concerns(rows([0.3, 0.5, 0.51], [0.3, 0.5, 0.46])) == [], "training did not rise: a bad epoch"
    assert report.concerns([]) == []
    assert report.concerns([{"epoch": 1, "loss": float("nan"), "train_robust": None, "validation_robust": None}])
