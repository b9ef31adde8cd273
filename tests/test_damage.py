"""Damaged, foreign and hostile runs: one plain sentence, nothing overwritten, no healthy run hidden."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file
from streamlit.testing.v1 import AppTest

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.experiments.stored import Stored
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED, data_root, write_json
from dpls.text import display
from dpls.ui import store
from tests.made_runs import make_run
from tests.test_pages import open_page, words
from tests.test_run import finish

DEEP = "[" * 100_000 + "]" * 100_000
PAGES = ("overview", "difficulty", "images", "smoothing")


def change(file: str, **entries: Any) -> Callable[[Run], None]:
    return lambda run: write_json(run.path / file, json.loads((run.path / file).read_text()) | entries)


def holds(file: str, content: str | bytes) -> Callable[[Run], None]:
    def write(run: Run) -> None:
        (run.path / file).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


LISTED = {
    "no phases": lambda run: change("config.json", config=run.config()["config"] | {"phases": []})(run),
    "nested configuration": holds("config.json", f'{{"config": {DEEP}}}'),
    "nested status": holds("status.json", DEEP),
    "nested evaluation": holds("evaluations/clean_best.json", DEEP),
    "no JSON": holds("config.json", b"\xff\xfe\x00"),
    "an empty status": holds("status.json", b""),
    "a state there is not": change("status.json", state="resting"),
    "a time there is not": change("status.json", created="yesterday"),
    "rows of another kind": holds("metrics.jsonl", "[]\n"),
    "rows out of order": holds("metrics.jsonl", '{"epoch": 3}\n'),
    "a parent that is a path": change("config.json", parent={"run": "../../etc", "epoch": 1}),
}
"""What a list says of a run and goes on."""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPLS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    return tmp_path / "runs"


@pytest.mark.parametrize("label", ["caf\udce9", "a\ud800b", "left\u202eright", "two\nlines", "\x1b[31mred"])
@pytest.mark.parametrize("entered", [True, False])
def test_a_label_that_no_page_can_show_is_shown_escaped(
    label: str, entered: bool, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap: one label, and four pages show nothing but an error."""
    run = make_run(runs)
    run.write_label(label) if entered else write_json(run.path / "notes.json", {"label": label})
    assert display(run.label()) == run.label()
    assert run.label().encode() and run.label().isprintable()
    assert main(["runs", "--runs", str(runs)]) == 0
    assert run.label() in capsys.readouterr().out
    app = open_page("images", run=run.id)
    assert not app.error
    assert app.selectbox(key="run").value == run.id


def test_a_name_is_shown_as_it_is_where_that_is_possible() -> None:
    assert display("Löwe 5 % \N{LION FACE}\N{ZERO WIDTH JOINER}") == "Löwe 5 % \N{LION FACE}\N{ZERO WIDTH JOINER}"
    assert display("caf\udce9\ud800\n\u202e") == "caf\\xe9\\ud800\\n\\u202e"


def test_ten_damaged_runs_hide_no_healthy_one(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    healthy = make_run(runs, number=50, label="healthy")
    damaged = [make_run(runs, number=number + 1) for number in range(len(LISTED))]
    for run, damage in zip(damaged, LISTED.values(), strict=True):
        damage(run)
    assert main(["runs", "--runs", str(runs)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(LISTED) + 1
    assert sum(" damaged " in line for line in listed) == len(LISTED)
    for name in PAGES:
        app = open_page(name)
        assert not app.error, (name, app.error[0].value)
        assert app.selectbox(key="run").value == healthy.id
    app = open_page("overview")
    said = app.warning[0].value.replace("\\", "").split("\n")
    for name, run in zip(LISTED, damaged, strict=True):
        assert any(run.id in sentence and "damaged" in sentence for sentence in said), name
        assert len(report.row(run)["error"]) < 500


def test_a_damaged_run_can_be_deleted_from_the_page(runs: Path) -> None:
    run = make_run(runs)
    LISTED["nested configuration"](run)
    code = f"""
from pathlib import Path
from dpls.runs.directory import Run
from dpls.ui import manage
run = Run(Path({str(run.path)!r}))
if run.path.exists():
    manage.actions(run)
    manage._confirm_deletion(run)
"""
    app = AppTest.from_string(code, default_timeout=30).run()
    assert not app.exception
    assert [button.disabled for button in app.button if button.key == f"delete {run.id}"] == [False]
    app.button(key="really").click().run()
    assert not run.path.exists()


@pytest.mark.parametrize("locked", [True, False])
def test_a_run_at_work_on_a_disk_that_can_only_be_read_is_listed(
    locked: bool, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: its lock cannot be made, and no page shows any run."""
    run = make_run(runs, state="running")
    if locked:
        (run.path / "run.lock").touch()

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("dpls.runs.directory.FileLock.acquire", refuse)
    assert report.row(run)["state"] == "interrupted"
    assert main(["runs", "--runs", str(runs)]) == 0
    assert not open_page("images", run=run.id).error


def test_looking_at_runs_leaves_no_lock(runs: Path) -> None:
    run = make_run(runs, state="running")
    assert run.state() == "interrupted"
    assert not (run.path / "run.lock").exists()


# -- nothing is derived from a record that does not agree with itself


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("trained") / "runs")


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A finished run, to be damaged."""
    shutil.copytree(trained.path, tmp_path / "runs" / trained.id)
    (tmp_path / "data").symlink_to(data_root(trained.path.parent))
    return Run(tmp_path / "runs" / trained.id)


def _unseen(run: Run) -> None:
    file = run.path / "dynamics" / "correct.npy"
    np.save(file, np.full_like(np.load(file), 255))


def _cut_metrics(run: Run) -> None:
    run.keep_metrics(run.metrics()[:-2])


def _cut_outcomes(run: Run) -> None:
    file = run.evaluations / "clean_best.parquet"
    pd.read_parquet(file).iloc[:-3].to_parquet(file)


def _other_weights(epoch: int | None) -> Callable[[Run], None]:
    def damage(run: Run) -> None:
        file = run.checkpoints / "best.safetensors"
        weights = load_file(file)
        first = next(name for name, array in weights.items() if array.dtype == np.float32)
        weights[first] = weights[first] + 1
        own = run.evaluation("clean_best")["epoch"]
        save_file(weights, file, metadata={"epoch": str(own if epoch is None else epoch)})

    return damage


def _scaled(run: Run, by: float) -> None:
    file = next((run.path / "factors").glob("*.npz"))
    with np.load(file) as arrays:
        np.savez_compressed(file, factors=arrays["factors"] * by, kept=arrays["kept"])


def _waiting(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _edited(run: Run) -> None:
    content = run.config()
    content["config"]["phases"][1]["factors"]["lambda_min"] = 0.9
    write_json(run.config_file, content)


DISAGREEING = {
    "no metrics": holds("metrics.jsonl", b""),
    "fewer metrics": _cut_metrics,
    "a record of nothing": _unseen,
    "fewer outcomes": _cut_outcomes,
    "weights of another run": _other_weights(None),
    "weights of another epoch": _other_weights(2),
    "edited settings": _edited,
    "a cut record": lambda run: np.save(
        run.path / "dynamics" / "loss.npy", np.load(run.path / "dynamics" / "loss.npy")[:, :50]
    ),
    "factors halved": lambda run: _scaled(run, 0.5),
    "a record in another order": lambda run: np.save(
        run.path / "dynamics" / "loss.npy", np.load(run.path / "dynamics" / "loss.npy")[:, ::-1]
    ),
    "no probabilities": lambda run: (run.path / "probabilities.npy").unlink(),
    "no evaluation": lambda run: (run.evaluations / "clean_best.json").unlink(),
    "outcomes of other images": lambda run: (
        pd.read_parquet(run.evaluations / "clean_best.parquet")
        .assign(id=lambda table: table["id"].to_numpy()[::-1])
        .to_parquet(run.evaluations / "clean_best.parquet")
    ),
    "weights that no header describes": lambda run: save_file(
        load_file(run.checkpoints / "best.safetensors"), run.checkpoints / "best.safetensors"
    ),
    "a file that waits for a writer": lambda run: _waiting(run.path / "metrics.jsonl"),
    "other probabilities": lambda run: np.save(run.path / "probabilities.npy", np.zeros((3, 3), np.float16)),
}


@pytest.mark.parametrize("name", DISAGREEING)
def test_good_numbers_are_not_overwritten_by_wrong_ones(
    name: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap: an evaluation that ends well and leaves a table of other numbers."""
    before = run.examples_file.read_bytes()
    DISAGREEING[name](run)
    assert main(["evaluate", run.id, "--attack", "pgd10", "--runs", str(run.path.parent)]) == 2
    said = capsys.readouterr().err
    assert "is damaged (" in said or "is a link, or no file" in said
    assert len(said.strip().splitlines()) == 1
    assert run.examples_file.read_bytes() == before


def test_an_undamaged_run_is_evaluated_again_and_its_table_keeps_its_columns(run: Run) -> None:
    before = run.examples()
    assert main(["evaluate", run.id, "--attack", "pgd10", "--set", "steps=1", "--runs", str(run.path.parent)]) == 0
    pd.testing.assert_frame_equal(run.examples()[before.columns], before)


@pytest.mark.parametrize("name", ["probabilities.npy", "evaluations/clean_best.json", "examples.parquet"])
def test_what_was_derived_is_made_again(name: str, run: Run) -> None:
    """The remedy that the sentence names."""
    before = run.examples()
    (run.path / name).unlink()
    assert main(["work", str(run.path)]) == 0
    pd.testing.assert_frame_equal(run.examples(), before)
    assert main(["evaluate", run.id, "--attack", "pgd10", "--set", "steps=1", "--runs", str(run.path.parent)]) == 0


def test_a_finished_run_that_is_damaged_later_stays_finished(run: Run) -> None:
    """And the remedy for its best checkpoint works: it is trained again, to the same numbers."""
    before = run.examples()
    (run.checkpoints / "best.safetensors").write_bytes(b"")
    assert main(["work", str(run.path)]) == 1
    assert run.state() == "done"
    shutil.rmtree(run.checkpoints)
    assert main(["work", str(run.path)]) == 0
    pd.testing.assert_frame_equal(run.examples(), before)


def test_what_training_left_is_made_again_where_it_is_damaged(run: Run) -> None:
    before = run.examples()
    _scaled(run, 0.5)
    assert main(["work", str(run.path)]) == 1
    (run.path / "metrics.jsonl").unlink()
    shutil.rmtree(run.checkpoints)
    shutil.rmtree(run.path / "factors")
    assert main(["work", str(run.path)]) == 0
    pd.testing.assert_frame_equal(run.examples(), before)


@pytest.mark.parametrize("name", ["spare", "log.txt", "dynamics", "checkpoints", "dynamics/loss.npy"])
def test_a_run_with_links_writes_nowhere_else(name: str, run: Run, tmp_path: Path) -> None:
    """Trap: a folder from elsewhere, whose links let a worker write over its owner's files."""
    victim = tmp_path / "victim"
    if (run.path / name).is_dir():
        shutil.move(run.path / name, victim)
    else:
        (run.path / name).unlink(missing_ok=True)
        victim.write_bytes(b"mine" * 3000)
    (run.path / name).symlink_to(victim)
    before = {path: path.read_bytes() for path in (victim, *victim.rglob("*")) if path.is_file()}
    assert main(["work", str(run.path)]) == 1
    assert main(["evaluate", run.id, "--attack", "pgd10", "--runs", str(run.path.parent)]) == 2
    assert {path: path.read_bytes() for path in (victim, *victim.rglob("*")) if path.is_file()} == before


def test_a_run_that_was_stopped_says_what_it_trained(run: Run) -> None:
    run.keep_metrics(run.metrics()[:2])
    run.write_status(state="cancelled", epoch=2)
    for file in (run.path / "seal.json", *(run.path / "factors").glob("*")):
        file.unlink()
    for epoch in (4, 6):
        for file in run.checkpoints.glob(f"epoch_{epoch:04d}*"):
            file.rename(file.with_name(file.name.replace(f"{epoch:04d}", "0002")))
    arguments = ["--attack", "pgd10", "--set", "steps=1", "--checkpoint", "last", "--runs", str(run.path.parent)]
    assert main(["evaluate", run.id, *arguments]) == 0
    train = run.examples().query("split == 'train'")
    assert set(train["trained"]) == {2} and set(train["factor"]) == {1.0}


@pytest.mark.parametrize("table", ["outcomes.parquet", "scores.parquet"])
@pytest.mark.parametrize("harm", ["no rows", "no numbers", "no column"])
def test_tables_of_an_experiment_that_are_damaged_are_a_sentence(table: str, harm: str, runs: Path) -> None:
    source = next(path for path in sorted((RECORDED / "experiments").iterdir()) if path.name.startswith("membership"))
    folder = runs / "experiments" / "membership-0123456789"
    shutil.copytree(source, folder)
    found = pd.read_parquet(folder / table)
    changed = {"no rows": found[:0], "no numbers": found.assign(id=10**9), "no column": found[["seed", "id", "split"]]}
    changed[harm].to_parquet(folder / table, index=False)
    with pytest.raises(UserError, match="is damaged"):
        Stored(folder).result()
    app = open_page("experiments", kind="membership", experiment=folder.name)
    assert "his page met" not in words(app) and "is damaged" in words(app).replace("\\", "")


# -- the fuzzer: whatever happens to a file, a sentence

FILES = (
    "config.json",
    "status.json",
    "notes.json",
    "metrics.jsonl",
    "examples.parquet",
    "probabilities.npy",
    "dynamics/ids.npy",
    "dynamics/correct.npy",
    "dynamics/loss.npy",
    "dynamics/margin_adv.npy",
    "evaluations/clean_best.json",
    "evaluations/clean_best.parquet",
    "evaluations/pgd20_8-255_best.json",
)
VALUES = (None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x" * 500, "\ud800", "\u202e", [], [[]], {}, {"a": []})


def _some(chance: random.Random, value: Any) -> Any:
    """The same with one entry, at any depth, that is another."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(sorted(value))
        if chance.random() < 0.15:
            return {key: entry for key, entry in value.items() if key != name}
        return value | {name: _some(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], _some(chance, value[place]), *value[place + 1 :]]
    return chance.choice(VALUES)


def _harm_json(file: Path, chance: random.Random) -> None:
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    place = chance.randrange(len(lines))
    lines[place] = json.dumps(_some(chance, json.loads(lines[place])))
    file.write_text("".join(line + "\n" for line in lines))


def _harm_array(file: Path, chance: random.Random) -> None:
    array = np.load(file)
    kinds = (np.float64, np.int8, np.complex64, bool, "U3", object)
    harms: tuple[Callable[[], np.ndarray], ...] = (
        lambda: array[: len(array) // 2],
        lambda: array[..., :-1],
        lambda: array[None],
        lambda: array.reshape(-1)[:0],
        lambda: np.nan_to_num(array).astype(chance.choice(kinds)),
        lambda: np.asarray(array).T,
        lambda: np.full_like(array, chance.choice([0, 1, 7])),
    )
    np.save(file, chance.choice(harms)(), allow_pickle=True)


def _harm_table(file: Path, chance: random.Random) -> None:
    table = pd.read_parquet(file)
    column = chance.choice(list(table.columns))
    harms: tuple[Callable[[], pd.DataFrame], ...] = (
        lambda: table.drop(columns=column),
        lambda: table.iloc[: len(table) // 2],
        lambda: table.iloc[::-1],
        lambda: table.assign(**{column: "text"}),
        lambda: table.assign(**{column: 7}),
        lambda: table.assign(**{column: None}),
        lambda: pd.concat([table, table]),
    )
    chance.choice(harms)().to_parquet(file, index=False)


def harm(run: Run, chance: random.Random) -> str:
    """Damages one file of a run; says which, and how."""
    name = chance.choice(FILES)
    file = run.path / name
    content = file.read_bytes()
    how = chance.choice(["empty", "cut", "bytes", "gone", "deep", "whole", "whole", "whole", "whole"])
    match how:
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(content[: chance.randrange(len(content))])
        case "bytes":
            place = chance.randrange(len(content))
            file.write_bytes(content[:place] + chance.randbytes(3) + content[place + 3 :])
        case "gone":
            file.unlink()
        case "deep":
            file.write_text(DEEP)
        case _ if file.suffix == ".npy":
            _harm_array(file, chance)
        case _ if file.suffix == ".parquet":
            _harm_table(file, chance)
        case _:
            _harm_json(file, chance)
    return f"{name}, {how}"


def restored(run: Run, whole: Path) -> None:
    shutil.rmtree(run.path)
    shutil.copytree(whole, run.path)


def test_whatever_happens_to_a_file_the_commands_say_a_sentence(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, chance = make_run(runs, train=60, others=15), random.Random(0)
    shutil.copytree(run.path, tmp_path / "whole")
    commands: list[list[str]] = [["runs"], ["runs", run.id], ["export", run.id, "--to", str(tmp_path / "out.csv")]]
    for turn in range(200):
        done = harm(run, chance)
        table = run.examples_file.read_bytes() if run.examples_file.exists() else None
        for command in commands:
            code = main([*command, "--runs", str(runs)])
            said = capsys.readouterr()
            assert code in (0, 2), (turn, done, command)
            assert code == 0 or len(said.err.strip().splitlines()) == 1, (turn, done, command, said.err)
            assert len(said.err) < 1200, (turn, done, command)
            assert "Traceback" not in said.err + said.out, (turn, done, command)
        assert table == (run.examples_file.read_bytes() if run.examples_file.exists() else None), (turn, done)
        restored(run, tmp_path / "whole")


def test_whatever_happens_to_a_file_the_pages_say_a_sentence(runs: Path, tmp_path: Path) -> None:
    """Trap: "this page met KeyError"."""
    run, chance = make_run(runs, train=60, others=15), random.Random(1)
    shutil.copytree(run.path, tmp_path / "whole")
    for turn in range(60):
        done, page = harm(run, chance), PAGES[turn % len(PAGES)]
        app = open_page(page, run=run.id)
        assert "his page met" not in words(app).replace("\\", ""), (turn, done, page, words(app))
        restored(run, tmp_path / "whole")
        store._row.cache_clear()


def test_whatever_an_address_asks_for_the_pages_say_a_sentence(runs: Path) -> None:
    run, chance = make_run(runs, train=60, others=15), random.Random(2)
    names = ["run", "measure", "seen", "scale", "T", "class", "cause", "range", "id", "page", "lambda_min", "rows"]
    texts = ["", "0", "-1", "1e309", "nan", "²", "x" * 5000, "\u202e", "<b>", "a,b", "None", "[]", "../..", run.id, "7"]
    app = open_page("overview", run=run.id)
    for turn in range(150):
        page = PAGES[1:][turn % 3]
        asked = {name: [chance.choice(texts)] * chance.choice([1, 1, 3]) for name in chance.sample(names, 3)}
        app.query_params.clear()
        for name, values in asked.items():
            app.query_params[name] = values
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception, (turn, asked)
        assert "his page met" not in words(app).replace("\\", ""), (turn, asked, words(app))
