"""The command line: what it prints, and one sentence for everything a person can get wrong."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dpls.cli.main import main
from dpls.recipe import preset_names, preset_title
from dpls.runs.directory import Run
from dpls.runs.folder import list_runs
from dpls.runs.report import row

SMALL = [
    "--set=data.source={\"kind\":\"photos\",\"train\":40,\"validation\":20,\"test\":20}",
    "--set=data.probes=[{\"kind\":\"flip\",\"share\":0.1}]",
    "--set=net.width=4",
    "--set=objective.attack.steps=1",
    "--set=selection.attack.steps=1",
    "--set=evaluations=[{\"kind\":\"pgd\",\"steps\":1}]",
    "--set=schedule={}",
    "--set=optimiser.lr=0.1",
    "--set=phases.0.until=2",
    "--set=phases.1.until=3",
    "--set=device=cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, trained from the demo preset by the command line."""
    folder = tmp_path_factory.mktemp("cli") / "runs"
    assert main(["train", "demo", *SMALL, "--runs", str(folder), "--label", "tiny"]) == 0
    return folder


def test_train_prints_hardest_images_and_the_run_id_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "demo", *SMALL, "--runs", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out.strip().splitlines()
    assert out[-1] == list_runs(tmp_path / "runs")[0].id
    text = "\n".join(out)
    assert "The 10 hardest training images" in text
    assert "planted cause" in text
    assert "Wilson" in text
    assert "left" in text, "time left is shown"


def test_runs_lists_and_reports(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs", str(runs)]) == 0
    line = capsys.readouterr().out
    assert "done" in line
    assert "tiny" in line
    assert main(["runs", "--json", "--runs", str(runs)]) == 0
    (row,) = [r for r in json.loads(capsys.readouterr().out) if r["label"] == "tiny"]
    assert row["state"] == "done"
    assert {"accuracy", "low", "high", "attack", "chosen_by"} <= set(row["evaluations"][0])
    assert main(["runs", row["id"], "--runs", str(runs)]) == 0
    assert "hardest" in capsys.readouterr().out


def test_trust_cards_in_words_and_as_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = list_runs(runs)[0]
    assert main(["runs", run.id, "--trust", "--runs", str(runs)]) == 0
    assert "Trust card of PGD1, eps 8/255, step 2/255, best checkpoint: amber" in capsys.readouterr().out
    assert main(["runs", run.id, "--json", "--runs", str(runs)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["trust"]["pgd1_8-255_best"]["colour"] == "amber" and "lines" in said["trust"]["pgd1_8-255_last"]
    assert main(["evaluate", run.id, "--attack", "checks", "--runs", str(runs)]) == 0
    capsys.readouterr()
    assert main(["runs", run.id, "--trust", "--runs", str(runs)]) == 0
    assert "Loss by steps" in capsys.readouterr().out
    assert "checks" not in [e["settings"].get("kind") for e in row(run)["evaluations"]]
    assert main(["runs", "--trust", "--runs", str(runs)]) == 2


def test_evaluate_stores_the_outcome_of_every_example(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = list_runs(runs)[0]
    assert main(["evaluate", run.id, "--attack", "pgd2", "--set", "eps=4/255", "--runs", str(runs)]) == 0
    assert "PGD2, eps 4/255, step 1/255" in capsys.readouterr().out
    assert run.evaluation("pgd2_4-255_best")["n"] == 20
    assert run.examples()["correct_pgd2_4-255_best"].notna().sum() == 20


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_export(runs: Path, tmp_path: Path, ending: str) -> None:
    run, target = list_runs(runs)[0], tmp_path / f"table.{ending}"
    assert main(["export", run.id, "--to", str(target), "--runs", str(runs)]) == 0
    table = run.examples()
    if ending == "npz":
        with np.load(target, allow_pickle=False) as found:
            assert set(found) == set(table.columns)
            np.testing.assert_array_equal(found["difficulty"], table["difficulty"])
            assert list(found["cause"]) == list(table["cause"])
    else:
        found = pd.read_csv(target) if ending == "csv" else pd.read_parquet(target)
        assert list(found.columns) == list(table.columns)
        np.testing.assert_allclose(found["difficulty"], table["difficulty"])


def test_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--runs", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert "torch" in out
    assert "auto means" in out
    assert "BAD" not in out


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_variable_says_what_auto_precision_means(
    precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPLS_PRECISION", precision)
    code = main(["train", "demo", *SMALL, "--runs", str(tmp_path / "runs")])
    if precision == "float16":
        assert code == 2
        assert "DPLS_PRECISION is 'float16'; choose from float32, bfloat16" in capsys.readouterr().err
        assert not list_runs(tmp_path / "runs")
    else:
        (run,) = list_runs(tmp_path / "runs")
        assert run.manifest()["precision"] == precision


def test_train_says_which_presets_there_are_and_where_all_settings_stand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0
    assert all(f"{name} " in out and preset_title(name) in out for name in preset_names())
    assert "python -m dpls settings PRESET" in out


def test_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "classroom"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"classroom: {preset_title('classroom')}\n")
    lines = [line.split() for line in out.splitlines()]
    assert ["phases.1.factors.lambda_min", "0.5", "none", *["above", "0,", "up", "to", "1,", "or", "none"]] in lines
    assert ["phases.0.factors.how", "uniform", *["uniform,", "permuted,", "inverted,", "hardest"]] in lines
    assert main(["settings", "demo", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"path": "eps", "value": 8 / 255}.items() <= next(row for row in rows if row["path"] == "eps").items()
    assert main(["settings", "pruning"]) == 0
    assert "above 0, below 0.9" in capsys.readouterr().out, "those of a kind of experiment"
    assert main(["settings", "prunning"]) == 2
    assert "unknown preset 'prunning'" in capsys.readouterr().err


def test_setting_one_of_two_is_said_and_ties_are_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ties = ("phases.1.subset.which=hardest", "phases.1.subset.share=0.1")
    other = [f"--set={path}" for path in ("phases.1.factors.mean=0.95", *ties)]
    assert main(["train", "demo", *SMALL, *other, "--runs", str(tmp_path / "runs")]) == 0
    assert "phases.1.factors.mean = 0.95 takes the place of lambda_min = 0.5\n" in capsys.readouterr().out
    (run,) = list_runs(tmp_path / "runs")
    config = run.config()["config"]
    table = run.examples()
    kept = run.factors(2).kept
    difficulty = table.loc[table["split"] == "train", "difficulty"].to_numpy()
    border = difficulty[~kept].min()
    tied, dropped = int((difficulty == border).sum()), int((difficulty[~kept] == border).sum())
    assert config["phases"][1]["factors"]["lambda_min"] is None and tied > dropped
    words = f"without the hardest 10%: of {tied} images tied at the border, {dropped} w"
    assert words in (run.path / "log.txt").read_text()


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_configuration(name: str) -> None:
    from dpls.recipe import make_config, read_settings

    assert make_config(read_settings(name)).resolved().epochs > 1


def test_a_runs_own_config_is_a_configuration_file(runs: Path) -> None:
    from dpls.recipe import make_config, read_settings

    run = list_runs(runs)[0]
    assert make_config(read_settings(str(run.config_file))).model_dump(mode="json") == run.config()["config"]


def test_eps_reads_fractions(runs: Path) -> None:
    assert list_runs(runs)[0].config()["config"]["eps"] == 8 / 255


def folder(path: Path, corrupt: bool = False) -> Path:
    for name in ("a", "b"):
        (path / "train" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (8, 8), (i * 40, 0, 0)).save(path / "train" / name / f"{i}.png")
    if corrupt:
        for image in sorted(path.rglob("*.png"))[:6]:
            image.write_bytes(image.read_bytes()[:40])
    return path


def bad_toml(path: Path) -> Path:
    path.write_text("eps = = 3")
    return path


def bad_npz(path: Path) -> Path:
    path.write_text("this is no archive")
    return path


BEFORE_THE_START = {
    "unknown preset": (["train", "demmo"], "unknown preset 'demmo'; choose a preset (cifar10-quick, classroom, classroom-experiment, demo"),
    "unknown setting": (["train", "demo", "--set", "optimiser.lrr=1"], "no setting 'lrr'; choose from batch_size, lr,"),
    "unknown top setting": (["train", "demo", "--set", "epochs=5"], "a run has no setting 'epochs'; choose from"),
    "unknown kind": (["train", "demo", "--set", "net.kind=resnet99"], "net.kind 'resnet99' is unknown; choose from"),
    "unknown kind inside": (["train", "demo", "--set", "data.source.kind=cifr"], "data.source.kind 'cifr' is unknown"),
    "eps of 300": (["train", "demo", "--set", "eps=300"], "eps = 300 is not allowed: input should be less than or equal to 1"),
    "eps of a word": (["train", "demo", "--set", "eps=big"], "eps = 'big' is not allowed"),
    "negative lr": (["train", "demo", "--set", "optimiser.lr=-1"], "optimiser.lr = -1 is not allowed"),
    "nan": (["train", "demo", "--set", "optimiser.lr=NaN"], "optimiser.lr = nan is not allowed"),
    "lambda_min too low": (["train", "demo", "--set", "phases.1.factors.lambda_min=0.05"], "below 1/10"),
    "lambda_min and mean": (["train", "demo", "--set", "phases.1.factors.mean=0.9", "--set", "phases.1.factors.lambda_min=0.5"], "either lambda_min or mean"),
    "phases fall": (["train", "demo", "--set", "phases.0.until=500"], "rising epochs"),
    "dpls first": (["train", "demo", "--set", "phases.0.factors.kind=dpls"], "first phase cannot use difficulty"),
    "no such phase": (["train", "demo", "--set", "phases.7.until=9"], "it holds 0 (until 30), 1 (until 36); one more is added by"),
    "set without value": (["train", "demo", "--set", "eps"], "not of the form path=value"),
    "set into a value": (["train", "demo", "--set", "eps.big=1"], "has no settings inside it"),
    "missing folder": (["train", "demo", "--set", 'data.source={"kind":"folder","path":"TMP/none"}'], "TMP/none"),
    "empty folder": (["train", "demo", "--set", 'data.source={"kind":"folder","path":"TMP"}'], "train"),
    "corrupt image": (["train", "demo", "--set", 'data.source={"kind":"folder","path":"CORRUPT","size":8}'], "0.png"),
    "no benchmark": (["train", "demo", "--set", 'data.source={"kind":"cifar10","path":"TMP"}'], "'TMP' holds no CIFAR-10"),
    "no archive": (["train", "demo", "--set", 'data.source={"kind":"npz","path":"NPZ"}'], "bad.npz"),
    "shares above 1": (["train", "demo", "--set", 'data.probes=[{"kind":"flip","share":0.5},{"kind":"blur","share":0.4},{"kind":"twin","share":0.4}]'], "share"),
    "unknown device": (["train", "demo", "--set", "device=tpu"], "device = 'tpu' is not allowed"),
    "absent device": (["train", "demo", "--set", "device=cuda:99"], "'cuda:99' is not on this machine; choose from cpu"),
    "damaged file": (["train", "BADTML"], "cannot be read as TOML"),
    "absent file": (["train", "nowhere.toml"], "there is no file 'nowhere.toml'"),
    "runs folder is a file": (["train", "demo", *SMALL, "--runs", "BADTML/runs"], "cannot write to the runs folder"),
    "unknown run": (["runs", "1999"], "there is no run '1999'"),
    "no run to work on": (["work", "TMP"], "is no run directory"),
    "unknown attack": (["evaluate", "latest", "--attack", "cw"], "unknown attack 'cw'; choose from"),
    "evaluation eps": (["evaluate", "latest", "--attack", "pgd2", "--set", "eps=300"], "eps = 300 is not allowed"),
    "unknown checkpoint": (["evaluate", "latest", "--checkpoint", "first"], "has no checkpoint 'first'; choose from best, last"),
    "unknown ending": (["export", "latest", "--to", "table.xlsx"], "choose a .csv, .parquet, .npz or .html file"),
    "not a digit": (["train", "demo", "--set", "phases.².until=3"], "has no entry '²': it holds 0 (until 30)"),
    "not an epoch": (["evaluate", "latest", "--checkpoint", "²"], "has no checkpoint"),
    "too large": (["train", "demo", "--set", "eps=+1e400"], "eps = '+1e400' is not allowed"),
    "too deep": (["train", "demo", "--set", "eps=" + "[" * 90_000], "eps"),
    "no folder to export to": (["export", "latest", "--to", "TMP/none/table.csv"], "TMP/none"),
    "runs below a file": (["train", "demo", *SMALL, "--runs", "BADTML/runs"], "cannot"),
    "nobody's scores": (["train", "demo", *SMALL, '--set=phases.1.subset={"which":"hardest","share":0.1,"scores":["nope"]}'], "not the id of a run"),
    "nobody left": (["train", "demo", *SMALL, '--set=phases.1.subset={"which":"random","share":0.999}'], "leaves 0 of 40"),
    "subset before the record": (["train", "demo", '--set=phases.0.subset={"which":"hardest","share":0.1}'], "first phase cannot use difficulty"),
    "nothing attacked": (["train", "demo-standard", "--set=difficulty.adversarial=true"], "needs a first phase that attacks"),
    "bench setting": (["bench", "train", "--set", "depth=4"], "bench has no setting 'depth'; choose from"),
    "a folder to train": (["train", "TMP"], "'TMP' is a folder; choose a preset (cifar10-quick, classroom,"),
    "a table to train": (["train", "NPZ"], "unknown file, which is neither .toml nor .json, 'NPZ'; choose a preset"),
    "a base that is a number": (["train", "BASE"], "BASE: base = 3 is not the name of a preset or a file; choose from cifar10-quick, classroom"),
    "a base that takes itself over": (["train", "SELF"], "takes itself over; choose from cifar10-quick, classroom"),
    "a file of runs": (["runs", "--runs", "NPZ"], "'NPZ' is a file; --runs, and DPLS_RUNS, take a folder of runs"),
    "a run that two match": (["runs", "2026", "--runs", "TMP"], "2 runs begin or end with '2026'; choose from 2026-"),
    "attack setting": (["evaluate", "latest", "--set", "stepz=2"], "pgd has no setting 'stepz'; choose from eps, kind, restarts, start, step, steps"),
    "negative steps": (["evaluate", "latest", "--set", "steps=-2"], "dpls: steps = -2 is not allowed"),
    "negative checkpoint": (["evaluate", "latest", "--checkpoint", "-1"], "has no checkpoint '-1'; choose from best, last"),
    "export to a folder": (["export", "latest", "--to", "TMP"], "cannot export to 'TMP': it is a folder; choose a .csv"),
    "work on a file": (["work", "NPZ"], "is no run directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", BEFORE_THE_START)
def test_bad_input_is_one_sentence_and_exit_code_2(
    case: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, expected = BEFORE_THE_START[case]
    stand_ins = {
        "TMP": str(tmp_path / "empty"),
        "CORRUPT": str(folder(tmp_path / "corrupt", corrupt=True)),
        "NPZ": str(bad_npz(tmp_path / "bad.npz")),
        "BADTML": str(bad_toml(tmp_path / "bad.toml")),
        "BASE": str(tmp_path / "base.toml"),
        "SELF": str(tmp_path / "self.toml"),
    }
    (tmp_path / "empty").mkdir()
    (tmp_path / "base.toml").write_text("base = 3")
    (tmp_path / "self.toml").write_text(f"base = {str(tmp_path / 'self.toml')!r}")
    for name, path in stand_ins.items():
        arguments = [a.replace(name, path) for a in arguments]
        expected = expected.replace(name, path)
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    if "--runs" not in arguments:
        arguments = [*arguments, "--runs", str(runs)]
    before = sorted(runs.rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1, "one sentence, one line"
    assert "Traceback" not in captured.err
    assert sorted(runs.rglob("*")) == before, "nothing half-written"


def test_failure_in_a_run_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unreachable = 'phases.1.factors={"kind":"dpls","mean":0.11}'  # known only once difficulty is
    assert main(["train", "demo", *SMALL, "--runs", str(tmp_path / "runs"), "--set", unreachable]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no lambda_min gives a mean factor of 0.11" in error
    (run,) = list_runs(tmp_path / "runs")
    assert run.state() == "failed"


def test_truncated_checkpoint(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = list_runs(runs)[0]
    best = run.checkpoints / "best.safetensors"
    content = best.read_bytes()
    best.write_bytes(content[: len(content) // 2])
    try:
        assert main(["evaluate", run.id, "--attack", "pgd1", "--runs", str(runs)]) == 2
    finally:
        best.write_bytes(content)
    assert "is damaged" in capsys.readouterr().err


def test_damaged_status_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs" / "2026-01-01_000000_abcd"
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "status.json").write_text("{")
    assert main(["runs", "--runs", str(path.parent)]) == 0
    out = capsys.readouterr().out
    assert "damaged" in out
    assert main(["runs", "2026", "--runs", str(path.parent)]) == 2
    assert "damaged" in capsys.readouterr().err
    assert main(["train", "demo", *SMALL, "--runs", str(path.parent)]) == 0, "a damaged run is in nobody's way"
    assert Run(path).id == "2026-01-01_000000_abcd"
