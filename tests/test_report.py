"""Runs in words: rows, comparisons, concerns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpls.difficulty import causes
from dpls.methods.subset import Subset
from dpls.recipe import make_config, override, preset_names, read_settings
from dpls.recipe.differing import settings_that_differ
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.runs.files import write_json
from tests.made_runs import make_run
from tests.test_trust import looked


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_described(preset: str) -> None:
    config = make_config(read_settings(preset))
    assert report.method_of(config)
    assert report.data_of(config)


def test_what_a_row_says() -> None:
    settings = read_settings("demo")
    config = make_config(settings)
    assert report.method_of(config) == "PGD-AT 8/255, DPLS 0.5"
    assert report.data_of(config) == "photos, 10% planted"
    settings["phases"][-1]["factors"] = {"kind": "uniform", "factor": 0.9}
    settings["phases"][-1]["subset"] = Subset(which="hardest", share=0.2).model_dump()
    assert report.method_of(make_config(settings)) == "PGD-AT 8/255, uniform 0.9, without the hardest 20%"


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
        said = run.evaluation("clean_best") | {"n": len(correct), "accuracy": float(correct.mean())}
        table.to_parquet(run.evaluations / "clean_best.parquet")
        write_json(run.evaluations / "clean_best.json", said)
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
    config = make_config(read_settings("demo"))
    other = make_config(override(read_settings("demo"), ["phases.1.factors.lambda_min=0.7", "optimiser.lr=0.1"]))
    assert settings_that_differ(config, config) == []
    assert settings_that_differ(config, other) == [
        ("optimiser.lr", "0.02", "0.1"),
        ("phases.1.factors.lambda_min", "0.5", "0.7"),
    ]


def with_checks(run: Run, **columns: object) -> Run:
    """The same, the checks of its best checkpoint made, too."""
    checks = looked(**columns)
    checks.outcomes.to_parquet(run.evaluations / "checks_8-255_best.parquet")
    said = run.evaluation("pgd20_8-255_best") | {"attack": "checks of the gradients", "settings": {"kind": "checks"}}
    said |= {"n": len(checks.outcomes), "accuracy": float(checks.outcomes["correct"].mean())}
    write_json(run.evaluations / "checks_8-255_best.json", said)
    return run


def test_checks_are_no_accuracy_of_a_run(tmp_path: Path) -> None:
    run = with_checks(make_run(tmp_path / "runs"), correct=False)
    found = report.row(run)["evaluations"]
    assert [e["name"] for e in found] == ["clean_best", "pgd20_8-255_best"]
    clean, attacked = report.best_of([*found, run.evaluation("checks_8-255_best")], run.recipe().eps)
    assert clean and clean["attack"] == "clean"
    assert attacked and attacked["attack"] == "PGD20, eps 8/255", "though nothing withstood the checks"


def test_every_robust_accuracy_has_its_card(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    (name, card), *more = report.cards(run).items()
    assert (name, more) == ("pgd20_8-255_best", []) and report.card_of(run) == card
    assert card.colour == "amber" and report.card_of(run, "last") is None
    said = report.report(run)
    assert f"amber: {card.reason}" in said and "No stronger attack has looked" in said
    card = report.cards(with_checks(run, repeat=0.31))["pgd20_8-255_best"]
    assert card.colour == "red" and f"red: {card.reason}" in report.report(run) and "31%" in card.reason


def rows(train: list[float], validation: list[float], clean: float = 0.9) -> list[dict]:
    both = enumerate(zip(train, validation, strict=True), start=1)
    return [
        {"epoch": e, "loss": 1.0, "train_clean": clean, "train_robust": t, "validation_robust": v} for e, (t, v) in both
    ]


def concerns(rows: list[dict], *changes: str, validation: int = 500) -> list[str]:
    return report.concerns(rows, make_config(override(read_settings("demo"), list(changes))), 0.1, validation)


def test_overfitting_is_noticed_and_nothing_else() -> None:
    assert concerns(rows([0.3, 0.5, 0.9], [0.3, 0.5, 0.42]))[0].startswith("Robust overfitting")
    assert "8.0 points since epoch 2" in concerns(rows([0.3, 0.5, 0.9], [0.3, 0.5, 0.42]))[0]
    assert concerns(rows([0.3, 0.5, 0.95], [0.3, 0.5, 0.01]))[0].startswith("Catastrophic overfitting")
    assert concerns(rows([0.3, 0.5, 0.5], [0.3, 0.5, 0.49])) == []
    assert concerns(rows([0.3, 0.5, 0.51], [0.3, 0.5, 0.46])) == [], "training did not rise: a bad epoch"
    assert concerns(rows([0.3, 0.5, 0.9], [0.3, 0.6, 0.4]), validation=5) == [], "one image of five"
    assert concerns([]) == []
    broken = {"epoch": 1, "loss": float("nan"), "train_clean": 0.2, "train_robust": None, "validation_robust": None}
    assert concerns([broken])


def test_a_run_at_chance_says_so_while_it_runs_with_the_remedy() -> None:
    def at(clean: float, epochs: int, *changes: str) -> list[str]:
        return concerns(rows([0.1] * epochs, [0.1] * epochs, clean), *changes)

    assert at(0.107, 3) == [], "a tenth of 36 epochs has not gone by"
    (sentence,) = at(0.107, 4)
    assert "Still at chance after epoch 4: 10.7% of the training images are right" in sentence
    assert "attack_warmup=7" in sentence and "eps" in sentence
    assert "attack_warmup=20" in at(0.107, 12, "attack_warmup=10")[0]
    assert "Stop it: " in sentence and "Start again: " in at(0.107, 36)[0]
    for clean in ("objective.kind=standard", "attack_warmup=6"):
        assert "labels" in at(0.107, 4, clean)[0] and "eps" not in at(0.107, 4, clean)[0]
    short = at(0.107, 4, "phases.0.until=4", "phases.1.until=6")[0]
    assert "train longer with attack_warmup=5" in short
    assert at(0.15, 4) == []
    assert concerns(rows([0.1] * 5, [0.1] * 5, 0.1)[:4] + rows([0.1] * 5, [0.1] * 5, 0.3)[4:]) == []


def test_hardest_images_stand_below_what_speaks_against_them(tmp_path: Path) -> None:
    """Of a net that says always the first class, no table of hard images goes without the word."""
    run = make_run(tmp_path / "runs")
    assert "never left chance" not in report.report(run)
    table = run.examples()
    np.save(run.path / "dynamics" / "correct.npy", np.tile(table["label"] == 0, (10, 1)).astype(np.uint8))
    lines = report.report(run).splitlines()
    verdict = lines.index("This difficulty should not be believed.")
    assert "never left chance" in lines[verdict + 1] and any("their class" in line for line in lines[verdict:])
    assert verdict < next(i for i, line in enumerate(lines) if "hardest training images" in line)


def test_a_setting_that_one_evaluation_is_too_old_to_say_does_not_make_it_another(tmp_path: Path) -> None:
    runs = make_run(tmp_path / "runs", number=1), make_run(tmp_path / "runs", number=2)
    name = "pgd20_8-255_best"
    for run, said in zip(runs, ({"steps": 20}, {"steps": 20, "restarts": 1}), strict=True):
        config = run.config() | {"fingerprint": runs[0].config()["fingerprint"]}
        write_json(run.config_file, config)
        write_json(run.evaluations / f"{name}.json", run.evaluation(name) | {"settings": said})
    assert report.difference(*runs, name) is not None
    write_json(runs[1].evaluations / f"{name}.json", runs[1].evaluation(name) | {"settings": {"steps": 10}})
    assert report.difference(*runs, name) is None


def test_the_accuracy_of_a_run_is_that_at_its_eps(tmp_path: Path) -> None:
    """Trap: an evaluation at twice the eps, made for a curve, stood in the list of runs."""
    run = make_run(tmp_path / "runs")
    said, table = run.evaluation("pgd20_8-255_best"), run.outcomes("pgd20_8-255_best").assign(correct=False)
    far = said | {"settings": {"eps": 16 / 255}, "accuracy": 0.0, "low": 0.0, "high": 0.1}
    write_json(run.evaluations / "pgd20_16-255_best.json", far)
    table.to_parquet(run.evaluations / "pgd20_16-255_best.parquet")
    found = report.row(run)
    _, attacked = report.best_of(found["evaluations"], found["eps"])
    assert attacked is not None and attacked["accuracy"] == said["accuracy"]
    card = report.card_of(run)
    assert card is not None and card.accuracy.value == said["accuracy"]
    only = [e for e in found["evaluations"] if e["accuracy"] == 0]
    assert report.best_of(only, found["eps"])[1] == only[0], "where none was made at it, any is better than none"


def test_a_sample_does_not_take_the_place_of_the_whole() -> None:
    whole = {"attack": "PGD20, eps 8/255", "settings": {"kind": "pgd", "eps": 8 / 255}, "n": 1000, "accuracy": 0.5}
    made = [e | {"checkpoint": "best"} for e in (whole, whole | {"n": 5, "accuracy": 0.0})]
    assert report.best_of(made, 8 / 255)[1] == made[0]


def test_which_measure_finds_which_planted_cause(tmp_path: Path) -> None:
    """Closed forms: one cause is the hardest by a measure, the other the easiest, or tied with it."""

    def of(train: pd.DataFrame) -> dict[str, causes.Found]:
        members = {name: (train["cause"] == name).to_numpy() for name in causes.planted_in(train)}
        return {row.measure: row for row in causes.found_by_measures(causes.measures_in(train), members)}

    values = {"zero_one": [0.0, 0.0, 0.5, 0.5, 1.0, 1.0], "aum": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]}
    train = pd.DataFrame({"cause": ["rare", "", "", "", "", "flip"], **values, "aum_adv": np.nan})
    found = of(train)
    assert list(found) == ["zero_one", "aum"], "nothing is said of what nobody saw"
    assert found["zero_one"].by_cause == {"rare": 0.1, "flip": 0.9}
    assert found["aum"].by_cause == {"rare": 1.0, "flip": 0.0} and found["aum"].mean == 0.5
    row = of(train.assign(zero_one=[np.nan, 0.0, 0.0, 0.0, 0.0, 1.0]))["zero_one"]
    assert np.isnan(row.by_cause["rare"]) and row.by_cause["flip"] == 1
    table = causes.as_table(list(found.values()), epochs=2)
    assert list(table) == ["measure", "seen on", "rare", "flip", "mean"] and len(table) == 2
    assert causes.of_measures(train.assign(cause="")) == []
    said = report.report(make_run(tmp_path / "runs"))
    assert "Which measure finds which planted cause" in said and "AUM (margin), clean" in said
