"""Weights that another program trained as a run: one model, a series, what is trained on from them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import nn
from torch.nn import functional as F

from dpls.cli.main import main
from dpls.data import TRAIN
from dpls.data.split import Split
from dpls.difficulty.measures import MEASURES, titles, zero_one
from dpls.difficulty.record import DifficultyTracker
from dpls.elsewhere.loading import files_of, load
from dpls.errors import UserError
from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.nets.networks import SmallCNN
from dpls.randomness import generator
from dpls.recipe import hash_at, make_config
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.folder import list_runs
from dpls.runs.report import report
from dpls.runs.scores.kept import file_of, names
from dpls.runs.scores.kept import load as load_scores
from dpls.training.checkpoints import stored_epochs
from dpls.training.loop import Unwatched, train
from dpls.ui.start import base_settings

ROOT = Path(__file__).parent.parent

BASE: dict[str, Any] = {
    "data": {"source": {"kind": "digits"}, "limit": 200, "test_limit": 40},
    "eps": 0.1,
    "evaluations": [{"kind": "pgd", "steps": 3}],
    "selection": {"attack": {"kind": "pgd", "steps": 2}},
    "objective": {"kind": "pgd_at", "attack": {"kind": "pgd", "steps": 3}},
}


class Trained:
    """What a plain loop has left: a file an epoch, and how often a tracker saw each image wrong."""

    def __init__(self, folder: Path, epochs: int) -> None:
        dataset, _ = make_config(BASE | {"phases": [{"until": 1}]}).data(folder / "images")
        split = Split.of(dataset, TRAIN, torch.device("cpu"))
        self.folder, self.ids, self.tracker = folder / "weights", split.ids, DifficultyTracker(len(dataset.labels))
        self.folder.mkdir()
        net = SmallCNN(width=4)(1, 10, generator(0, "initialisation"), ([0.3], [0.4]))
        optimiser = torch.optim.SGD(net.parameters(), 0.05, 0.9)
        everything = split.batch(torch.arange(len(split)))
        for epoch in range(1, epochs + 1):
            net.train()
            for rows in torch.randperm(len(split), generator=generator(epoch)).split(50):
                batch = split.batch(rows)
                optimiser.zero_grad()
                F.cross_entropy(net(batch.x), batch.y).backward()
                optimiser.step()
            net.eval()
            with torch.no_grad():
                self.tracker.update(split.ids, net(everything.x), everything.y)
            torch.save({"epoch": epoch, "model_state_dict": net.state_dict()}, self.folder / f"net_{epoch}.pt")
        self.net = net

    def at(self, epoch: int) -> nn.Module:
        """The net as it was after an epoch."""
        state = torch.load(self.files[epoch - 1], weights_only=True)["model_state_dict"]
        self.net.load_state_dict(state)
        return self.net.eval()

    @property
    def files(self) -> list[Path]:
        return files_of([self.folder])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("loop"), 20)


def bring(runs: Path, files: list[Path], *assignments: str, attacked: bool = False) -> Run:
    loaded = load(files, BASE, runs, assignments, attacked=attacked)
    run = submit(loaded.config, runs, "theirs", loaded=loaded.files)
    work(run)
    return run


@pytest.fixture(scope="module")
def one(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model of the series alone, looked at under attack, too."""
    return bring(tmp_path_factory.mktemp("one") / "runs", [trained.files[3]], attacked=True)


def test_files_of_a_folder_come_in_the_order_of_their_numbers(trained: Trained, tmp_path: Path) -> None:
    assert [file.stem for file in trained.files] == [f"net_{epoch}" for epoch in range(1, 21)]
    with pytest.raises(UserError, match=r"holds no file that ends as weights do: \.safetensors, \.pt"):
        files_of([tmp_path])


def test_a_series_has_the_difficulty_that_was_counted_live(trained: Trained, tmp_path: Path) -> None:
    run = bring(tmp_path / "runs", trained.files)
    assert len(run.metrics()) == 20 == run.recipe().counted_epochs
    ids, record = trained.ids.numpy(), run.dynamics()
    live = trained.tracker.rate()[ids]
    assert live.std() > 0
    np.testing.assert_array_equal(zero_one(record)[ids], live)
    table = run.examples()
    np.testing.assert_allclose(table["difficulty"].to_numpy()[ids], (live - live.min()) / (live.max() - live.min()))
    assert table["factor"].isna().all()
    assert all(row["lr"] is None and row["loss"] is None for row in run.metrics())
    assert np.isnan(record["loss_adv"]).all()
    assert not (run.path / "loaded").exists() and stored_epochs(run) == [20]
    assert "of the 20" not in report(run)


def test_one_model_is_evaluated_and_looked_at_under_attack(trained: Trained, one: Run) -> None:
    assert one.state() == "done"
    assert one.evaluation_names(others=True) == ["clean_best", "pgd3_0.1_best", "pgd3_0.1_best_train"]
    assert one.evaluation("clean_best")["chosen_by"] == "the weights that were loaded"
    said = np.asarray(one.probabilities(), dtype=float)
    dataset, _ = one.recipe().data(data_root(one.path.parent))
    x = torch.from_numpy(np.array(dataset.images)).float() / 255
    with torch.no_grad():
        np.testing.assert_allclose(said, trained.at(4)(x).softmax(1).numpy(), atol=2e-3)
    ids, record = trained.ids.numpy(), one.dynamics()
    harmed = record["loss_adv"][0, ids] - record["loss"][0, ids]
    assert harmed.mean() > 0.1 and one.recipe().difficulty.measure == "el2n"


def test_of_one_model_the_measures_are_called_what_they_are(one: Run) -> None:
    assert "T = 1: too few epochs" in report(one)
    assert titles(1)["cross_entropy"] == "Loss" and titles(1)["aum"] == "Margin" and "forgetting" not in titles(1)
    assert titles(2).keys() == MEASURES.keys()


def test_steps_to_flip_are_scores_for_all_runs_on_these_images(one: Run, trained: Trained) -> None:
    fingerprint = one.config()["fingerprint"]
    (name,) = names(one.path.parent, fingerprint)
    assert name == f"steps-{one.id[-4:]}"
    scores = load_scores(file_of(one.path.parent, fingerprint, name))[trained.ids.numpy()]
    outcomes = one.outcomes("pgd3_0.1_best_train").set_index("id").loc[trained.ids.numpy()]
    wrong = one.dynamics()["correct"][0, trained.ids.numpy()] == 0
    assert (scores[wrong] == 1).all() and wrong.any()
    assert (scores[outcomes["correct"].to_numpy()] == 0).all()
    steps = outcomes["steps"].to_numpy(float, na_value=np.nan)
    broken = ~np.isnan(steps)
    assert (np.argsort(scores[broken], kind="stable") == np.argsort(-steps[broken], kind="stable")).all()


CONTINUED = ["--set", "objective.kind=pgd_at", "--set", "objective.attack.steps=2", "--set", "optimiser.batch_size=50"]


def continued(one: Run, *more: str) -> Run:
    """Trained for two epochs more in a terminal, from the settings that the loaded run has left."""
    before = {run.id for run in list_runs(one.path.parent)}
    sets = [word for setting in ('phases.1={"until": 3}', *more) for word in ("--set", setting)]
    assert main(["train", str(one.config_file), *CONTINUED, *sets, "--runs", str(one.path.parent)]) == 0
    (new,) = [run for run in list_runs(one.path.parent) if run.id not in before]
    return new


def test_a_second_phase_goes_on_from_the_loaded_weights_by_imported_difficulty(one: Run, capsys: Any) -> None:
    (name,) = names(one.path.parent, one.config()["fingerprint"])
    plain = continued(one)
    assert f"the first epoch is that of run {one.id}" in capsys.readouterr().out
    dpls, by_scores = ["phases.1.factors.kind=dpls"], f"difficulty.scores={name}"
    same = continued(one, *dpls, "phases.1.factors.lambda_min=1", by_scores)
    other = continued(one, *dpls, "phases.1.factors.lambda_min=0.5", by_scores)
    for file in ("epoch_0003.safetensors", "best.safetensors"):
        assert (plain.checkpoints / file).read_bytes() == (same.checkpoints / file).read_bytes()
    assert plain.dynamics().keys() == same.dynamics().keys()
    for signal, rows in plain.dynamics().items():
        np.testing.assert_array_equal(rows, same.dynamics()[signal])
    assert (plain.checkpoints / "epoch_0003.safetensors").read_bytes() != (
        other.checkpoints / "epoch_0003.safetensors"
    ).read_bytes()
    chosen = other.factors(1)
    assert chosen is not None and chosen.factors.min() == 0.5 and chosen.factors.max() == 1
    assert other.state() == "done" and len(other.metrics()) == 3


def test_the_optimiser_of_a_second_phase_is_its_own_affair(one: Run) -> None:
    """What trains on shares the loaded weights, however it trains."""
    run = continued(one, "optimiser.lr=0.01", "seed=3", "augmentation.pad=0")
    assert run.config()["parent"] | {"run": ""} == {"run": "", "epoch": 1, "hash": one.config()["states"]["1"]}
    taken = (run.checkpoints / "epoch_0001.safetensors").read_bytes()
    assert taken == (one.checkpoints / "epoch_0001.safetensors").read_bytes()


def test_without_the_run_that_holds_the_weights_nothing_is_started(one: Run, tmp_path: Path, capsys: Any) -> None:
    assert (
        main(["train", str(one.config_file), *CONTINUED, "--set", 'phases.1={"until": 3}', "--runs", str(tmp_path)])
        == 2
    )
    said = capsys.readouterr().err
    assert "epochs 1 to 1 were trained elsewhere: net_4.pt, and no run here has the state after them" in said
    assert main(["train", str(one.config_file), "--set", 'phases.1={"until": 3}', "--runs", str(one.path.parent)]) == 2
    assert "epochs 2 to 3 were trained elsewhere" in capsys.readouterr().err


class Interrupted(Unwatched):
    """Ends after its second epoch."""

    def epoch(self, row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt


def test_a_series_that_was_stopped_goes_on_to_the_same_numbers(trained: Trained, tmp_path: Path) -> None:
    whole = bring(tmp_path / "whole" / "runs", trained.files[:4], attacked=True)
    loaded = load(trained.files[:4], BASE, tmp_path / "runs", attacked=True)
    run = submit(loaded.config, tmp_path / "runs", loaded=loaded.files)
    config = run.recipe().resolved()
    (run.path / "manifest.json").write_text(json.dumps({"precision": "float32", "device": "cpu"}))
    with pytest.raises(KeyboardInterrupt):
        train(config, run, config.data(data_root(tmp_path / "runs"))[0], Interrupted())
    assert len(run.metrics()) == 2
    work(run)
    for signal, rows in whole.dynamics().items():
        np.testing.assert_array_equal(rows, run.dynamics()[signal])
    assert whole.config()["states"] == run.config()["states"]


def test_other_weights_are_another_run(trained: Trained, tmp_path: Path) -> None:
    first, again, other = (load([trained.files[n]], BASE, tmp_path / "runs").config for n in (3, 3, 4))
    assert first == again != other


def test_our_own_run_keeps_a_series_that_can_be_loaded(tmp_path: Path, capsys: Any) -> None:
    settings = tmp_path / "own.json"
    settings.write_text(json.dumps(BASE | {"net": {"kind": "small_cnn", "width": 4}, "phases": [{"until": 4}]}))
    assert main(["train", str(settings), "--set", "keep_every=2", "--runs", str(tmp_path / "runs")]) == 0
    own = Run(tmp_path / "runs" / capsys.readouterr().out.split()[-1])
    kept = sorted(own.checkpoints.glob("kept_*"))
    assert [file.name for file in kept] == ["kept_0002.safetensors", "kept_0004.safetensors"]
    assert main(["load", *map(str, kept), "--base", str(settings), "--runs", str(tmp_path / "runs")]) == 0
    run = Run(tmp_path / "runs" / capsys.readouterr().out.split()[-1])
    for signal in ("correct", "loss", "margin"):
        np.testing.assert_array_equal(run.dynamics()[signal], own.dynamics()[signal][[1, 3]])
    assert run.label() == "kept_0004"


def test_a_net_that_is_built_otherwise_than_it_was_is_noticed(trained: Trained, tmp_path: Path) -> None:
    weights = {n: t for n, t in trained.at(20).state_dict().items() if n not in ("0.mean", "0.std")}
    torch.save(weights, tmp_path / "bare.pt")
    said = load([tmp_path / "bare.pt"], BASE, tmp_path / "runs").said
    assert "images enter in [0, 1] as they are" in said[0]
    nn.init.normal_(trained_copy := torch.empty(4, 1, 3, 3), generator=generator(0))
    torch.save(weights | {"1.weight": trained_copy}, tmp_path / "noise.pt")
    assert "right on" in load([tmp_path / "noise.pt"], BASE, tmp_path / "runs").said[1]
    set_so = load([tmp_path / "bare.pt"], BASE, tmp_path / "runs", ["net.pixel_mean=[0.3]", "net.pixel_std=[0.4]"])
    assert "stand in the settings of net" in set_so.said[0] and set_so.config.net.pixel_mean == (0.3,)


@pytest.mark.parametrize(
    ("channels", "classes", "sentence"),
    [
        (3, 10, "net_20.pt' normalises 1 channel, and these images have 3; set data to the images"),
        (1, 6, r"14.weight has shape \(10, 16\), and small_cnn \(width 4\) on these images needs \(6, 16\)"),
    ],
)
def test_images_of_others_are_named(
    trained: Trained, tmp_path: Path, channels: int, classes: int, sentence: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (120, channels, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(120) % classes)
    data = {"source": {"kind": "npz", "path": str(tmp_path / "images.npz")}}
    with pytest.raises(UserError, match=sentence):
        load([trained.files[-1]], BASE | {"data": data}, tmp_path / "runs")


OWN = """
import torch
from torch import nn
{trap}

class Mine(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, classes))

    def forward(self, x):
        return self.inner(x)

def make(classes):
    return Mine(classes)

def narrow(classes):
    return Mine(classes - 1)

def nothing():
    return 3
"""


@pytest.fixture
def own(trained: Trained, tmp_path: Path) -> Path:
    """A folder with a file that builds a net, and the weights of one that a plain loop has trained; running the file
    leaves a trace."""
    (tmp_path / "mine.py").write_text(
        OWN.format(trap=f"with open({str(tmp_path / 'trace')!r}, 'a') as file: file.write('x')")
    )
    dataset, _ = make_config(BASE | {"phases": [{"until": 1}]}).data(tmp_path / "images")
    split = Split.of(dataset, TRAIN, torch.device("cpu"))
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    optimiser = torch.optim.Adam(inner.parameters(), 0.01)
    batch = split.batch(torch.arange(len(split)))
    for _ in range(30):
        optimiser.zero_grad()
        F.cross_entropy(inner(batch.x), batch.y).backward()
        optimiser.step()
    torch.save({"net": {f"module.inner.{n}": t for n, t in inner.state_dict().items()}}, tmp_path / "mine.pt")
    (tmp_path / "base.json").write_text(json.dumps(BASE | {"phases": [{"until": 1}]}))
    return tmp_path


def test_any_network_is_loaded_by_the_code_that_builds_it_from_a_terminal_alone(own: Path, capsys: Any) -> None:
    from dpls.nets.foreign import own as registry

    runs, net = ["--runs", str(own / "runs")], ["--net", f"{own / 'mine.py'}:make"]
    assert main(["load", str(own / "mine.pt"), "--base", str(own / "base.json"), *net, *runs]) == 0
    said = capsys.readouterr().out
    run = Run(own / "runs" / said.split()[-1])
    assert run.evaluation("clean_best")["accuracy"] > 0.5 and "make of a file of one's own" in said
    traces = len((own / "trace").read_text())
    registry._run.clear()
    registry._built.clear()  # as in another process
    again = ["evaluate", run.id, "--attack", "pgd2", *runs]
    assert main(again) == 2
    assert "which is run only where a terminal names it: add --net FILE.py:make" in capsys.readouterr().err
    more = ["train", str(run.config_file), "--set", "objective.kind=standard", "--set", 'phases.1={"until": 2}', *runs]
    assert main(more) == 2 and len((own / "trace").read_text()) == traces
    assert main([*again, *net]) == 0 and main([*more, *net]) == 0
    (own / "mine.py").write_text((own / "mine.py").read_text() + "# changed\n")
    registry._run.clear()
    registry._built.clear()
    assert main([*again, *net]) == 2


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("narrow", "inner.2.weight|3.weight has shape"),
        ("nothing", r"nothing\(10\) gives int, not a torch.nn.Module; mend it"),
        ("gone", "has no function 'gone'; write --net FILE.py:function"),
        ("", "does not name a function of a file"),
    ],
)
def test_a_function_that_builds_no_such_network_is_said(own: Path, function: str, sentence: str, capsys: Any) -> None:
    command = ["load", str(own / "mine.pt"), "--base", str(own / "base.json"), "--runs", str(own / "runs")]
    assert main([*command, "--net", f"{own / 'mine.py'}:{function}"]) == 2
    assert re.search(sentence, capsys.readouterr().err)


@pytest.fixture
def app(one: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a page of an app on the folder of the loaded run; it starts nothing."""
    monkeypatch.setenv("DPLS_RUNS", str(one.path.parent))
    monkeypatch.setenv("DPLS_READONLY", "1")
    monkeypatch.syspath_prepend(str(ROOT))

    def open_page(name: str, **query: Any) -> AppTest:
        found = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for key, value in query.items():
            found.session_state[key] = value
        found.run()
        if name != "overview":
            found.switch_page(f"pages/{name}.py").run()
        assert not found.exception, [e.message for e in found.exception]
        return found

    return open_page


def plain(elements: Any) -> str:
    """What elements of a page say, nothing escaped."""
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


@pytest.mark.parametrize("page", ["overview", "difficulty", "images", "smoothing", "robustness"])
def test_every_page_shows_a_loaded_model(app: Any, one: Run, page: str) -> None:
    found = app(page, run=one.id, id=int(one.examples()["id"][0]))
    assert not found.error, [e.value for e in found.error]
    said = "\n".join(str(e.value) for kind in (found.markdown, found.caption, found.warning) for e in kind)
    assert "first 1 epochs" not in said
    if page == "difficulty":
        measures = next(box for box in found.selectbox if box.label == "Measure")
        assert measures.options[:5] == ["Wrong or right", "Loss", "EL2N", "Margin", "Confidence"]
        assert measures.value == "el2n" and measures.options[5] == f"steps-{one.id[-4:]} (imported)"


def test_training_goes_on_from_a_loaded_model_on_the_page_train(
    app: Any, one: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DPLS_READONLY")
    found = app("train", **{"from": one.id, "lambda": 0.5})
    assert not found.error, [e.value for e in found.error]
    assert found.session_state["set"] == []  # an untouched form gives what it started from
    assert "trained elsewhere: net_4.pt" in plain(found.markdown)
    config = base_settings(one.id, 0.5)
    assert config.loaded == one.recipe().loaded and config.last_phase_start == 1
    assert config.phases[-1].factors.lambda_asked == 0.5 and config.elsewhere is None
    assert hash_at(config, 1, one.config()["fingerprint"]) == one.config()["states"]["1"]


def test_the_page_train_says_what_cannot_be_loaded(
    app: Any, one: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DPLS_READONLY")
    (tmp_path / "notes.pt").write_text("no weights")
    before = list_runs(one.path.parent)
    found = app("train", load=True)
    found.text_area("paths of weights").set_value(str(tmp_path / "notes.pt")).run()
    next(button for button in found.button if button.label == "Load").click().run()
    assert "neither safetensors nor what torch.save writes" in plain(found.error)
    found.text_area("paths of weights").set_value(str(tmp_path / "gone.pt")).run()
    next(button for button in found.button if button.label == "Load").click().run()
    assert "on the machine where this app runs; write its whole path" in plain(found.error)
    assert list_runs(one.path.parent) == before


def test_an_app_that_only_shows_runs_loads_nothing(app: Any) -> None:
    found = app("train")
    assert "only shows runs" in plain(found.error) and not found.text_area
