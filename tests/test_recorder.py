"""Runs of other people's loops: what Recorder writes, what survives a kill, several processes, what is refused."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from dpls import DifficultyTracker, Recorder, WithIds, open_images
from dpls.cli.main import main
from dpls.data.cache import open_dataset
from dpls.errors import UserError
from dpls.jobs.launchers import launcher, take_up
from dpls.jobs.queue import waits
from dpls.jobs.submission import submit
from dpls.recipe import make_config, read_settings
from dpls.recipe.differing import settings_that_differ
from dpls.recipe.listing import settings_of
from dpls.runs import record, report, scores
from dpls.runs.directory import Run
from dpls.runs.files import data_root, write_json
from dpls.runs.folder import list_runs
from tests.kills import OPERATIONS, WRITING
from tests.made_runs import make_run

TRAINED, VALIDATED, TESTED, CLASSES, EPOCHS = 40, 10, 10, 3, 4
COUNT = TRAINED + VALIDATED + TESTED
LABELS = np.arange(COUNT) % CLASSES
SPLIT = ["train"] * TRAINED + ["val"] * VALIDATED + ["test"] * TESTED
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
GIVEN: dict[str, Any] = {"labels": LABELS, "images": IMAGES, "split": SPLIT, "classes": ["ant", "bee", "cat"]}


def batches(epoch: int, parts: int = 6) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What a net says of every example in an epoch: (ids, logits, labels), in an order of its own."""
    generator = torch.Generator().manual_seed(epoch)
    order = torch.randperm(COUNT, generator=generator)
    labels = torch.from_numpy(LABELS)
    hardness = torch.linspace(0, 2, COUNT)[:, None]
    said = (
        torch.nn.functional.one_hot(labels, CLASSES) * 1.5 + torch.randn(COUNT, CLASSES, generator=generator) * hardness
    )
    return [(ids, said[ids], labels[ids]) for ids in order.tensor_split(parts)]


def go_through(recorder: Recorder, until: int = EPOCHS, attacked: bool = True) -> None:
    """Records the epochs that are left."""
    for epoch in range(recorder.epochs + 1, until + 1):
        for ids, logits, y in batches(epoch):
            recorder.batch(ids, logits, y)
            taught = ids < TRAINED
            if attacked:
                recorder.batch(ids[taught], logits[taught] - y[taught, None], y[taught], attacked=True)
        recorder.epoch(loss=1 / epoch)


def make(runs: Path, until: int = EPOCHS, **changes: Any) -> Run:
    """A finished recording."""
    with Recorder(runs, **GIVEN | changes) as recorder:
        go_through(recorder, until)
    return Run(recorder.path)


def content(run: Run) -> dict[str, bytes]:
    """What was recorded, byte for byte, whatever room the arrays have."""
    return {name: rows.tobytes() for name, rows in run.dynamics().items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("recorded") / "runs", label="mine", data="insects", said="a net, FGSM")


# What is recorded


def test_the_record_is_that_of_the_tracker_and_the_accuracies_are_those_of_the_batches(run: Run) -> None:
    tracker, right = DifficultyTracker(COUNT), []
    for epoch in range(1, EPOCHS + 1):
        outcome = torch.zeros(COUNT)
        for ids, logits, y in batches(epoch):
            tracker.update(ids, logits, y)
            outcome[ids] = (logits.argmax(1) == y).float()
        right.append((float(outcome[:TRAINED].mean()), float(outcome[TRAINED : TRAINED + VALIDATED].mean())))
    assert np.array_equal(run.examples()["zero_one"], tracker.rate())
    found = [(row["train_clean"], row["validation_clean"]) for row in run.metrics()]
    np.testing.assert_allclose(found, right, atol=1e-6)
    assert [row["loss"] for row in run.metrics()] == [1 / epoch for epoch in range(1, EPOCHS + 1)]
    assert np.isnan(run.dynamics()["loss_adv"][:, TRAINED:]).all() and run.recipe().objective.attacks
    assert (run.dynamics()["correct_adv"][:, :TRAINED] <= 1).all()


def test_what_cannot_be_known_is_left_out_and_that_it_was_recorded_elsewhere_is_said(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make(tmp_path / "runs", images=None, paths=[f"{k}.png" for k in range(COUNT)])
    row = report.row(run)
    assert row["method"] == "recorded elsewhere: a net, FGSM" and row["data"] == "insects"
    assert row["epochs"] is row["done"] is None and row["epoch"] == EPOCHS and not row["evaluations"]
    assert all(found["lr"] is found["validation_robust"] is None for found in run.metrics())
    assert run.examples()["factor"].isna().all() and "trained" not in run.examples()
    assert (other.examples()["hash"] == "").all()
    different = {path for path, _, _ in settings_that_differ(run.recipe(), make_config(read_settings("demo")))}
    alone = {path for path, _, _ in settings_that_differ(run.recipe(), other.recipe())}
    assert alone == {"data.source.content", "data.source.name", "objective.said"}
    assert "eps" in different and "objective.kind" in different
    for command in (["runs"], ["runs", run.id]):
        assert main([*command, "--runs", str(run.path.parent)]) == 0
        said = capsys.readouterr().out
        assert "ecorded elsewhere: a net, FGSM" in said
        assert "nan" not in said and "factor" not in said and "8/255" not in said


def test_a_longer_run_has_the_record_of_a_shorter_one_and_arrays_that_grow_lose_nothing(tmp_path: Path) -> None:
    with Recorder(tmp_path / "runs", **GIVEN) as recorder:
        go_through(recorder, EPOCHS)
        before = Run(recorder.path).dynamics()
        go_through(recorder, 11)
        after = Run(recorder.path).dynamics(EPOCHS)
        assert all(np.array_equal(after[name], before[name], equal_nan=name[:7] != "correct") for name in before)
    rows = Run(recorder.path).dynamics()
    assert all(len(values) == 11 for values in rows.values())
    assert Run(recorder.path).recipe().counted_epochs == 11
    record.write_rows(recorder.path / "dynamics", 40, {"correct": np.ones(COUNT), "loss": np.ones(COUNT)})
    room = {name: np.load(recorder.path / "dynamics" / f"{name}.npy") for name in ("correct", "loss")}
    assert (room["correct"][11:39] == 255).all() and np.isnan(room["loss"][11:39]).all()
    assert (room["correct"][39] == 1).all() and np.array_equal(room["loss"][:11], rows["loss"])


def test_of_what_is_shown_twice_the_last_counts_and_unseen_is_unseen(tmp_path: Path) -> None:
    with Recorder(tmp_path / "runs", labels=[0, 1, 1]) as recorder:
        for wrong, right in ((0.0, 1.0), (1.0, 0.0)):
            recorder.batch([1], torch.tensor([[wrong, right]]), [1])
        row = recorder.epoch()
    run = Run(recorder.path)
    assert run.dynamics()["correct"].tolist() == [[255, 0, 255]]
    assert row["train_clean"] == 0 and row["train_robust"] is row["validation_clean"] is None
    assert run.examples()["visits"].tolist() == [0, 1, 0]
    assert not run.recipe().objective.attacks


def test_where_attacked_images_alone_are_recorded_difficulty_is_that_of_these(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Recorder(tmp_path / "runs", labels=LABELS) as recorder:
        for epoch in (1, 2):
            for ids, logits, y in batches(epoch):
                recorder.batch(ids, logits, y, attacked=True)
            row = recorder.epoch()
        run = Run(recorder.path)
        assert row["train_clean"] is None and row["train_robust"] > 0.5
        assert run.recipe().difficulty.adversarial and run.recipe().objective.attacks
    assert run.examples()["difficulty"].notna().all()
    assert main(["runs", run.id, "--runs", str(run.path.parent)]) == 0
    assert "nan" not in capsys.readouterr().out
    with Recorder(run.path) as recorder:
        recorder.batch(*batches(3)[0])
        recorder.epoch()
        assert not run.recipe().difficulty.adversarial and run.recipe().objective.attacks, "clean ones are there, too"
    with Recorder(run.path, after=0) as recorder:
        recorder.batch(*batches(1)[0])
        recorder.epoch()
        assert not run.recipe().objective.attacks


def test_names_of_classes_are_labels_and_pixels_come_back_as_they_were(tmp_path: Path) -> None:
    names = np.array(["cat", "ant", "bee"])[np.arange(6) % 3]
    floats = torch.rand(6, 1, 8, 8)
    paths = [f"a/{number}.png" for number in range(6)]
    with Recorder(
        tmp_path / "runs", labels=names, classes=["ant", "bee", "cat"], images=floats, paths=paths
    ) as recorder:
        pass
    found = open_images(recorder.path)
    assert found.labels.tolist() == [2, 0, 1, 2, 0, 1] and found.classes == ("ant", "bee", "cat")
    assert np.array_equal(found.images, np.rint(floats.numpy() * 255).astype(np.uint8))
    assert found.paths.tolist() == paths and found.ids.tolist() == list(range(6)) and set(found.split) == {"train"}


def test_the_images_of_any_run_can_be_opened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    found, table = open_images(run.id[-6:], run.path.parent), run.examples()
    dataset = open_dataset(data_root(run.path.parent), run.config()["fingerprint"])
    assert np.array_equal(found.images, dataset.images)
    assert found.labels.tolist() == table["label"].tolist() and found.split.tolist() == table["split"].tolist()
    write_json(run.config_file, run.config() | {"fingerprint": "0" * 20})
    with pytest.raises(UserError, match=r"there is no file 'gone.npz'"):
        open_images(run.path)


def test_what_a_run_opens_is_for_a_recorder_the_same_images(tmp_path: Path) -> None:
    """So a loop on the images of a run is compared with it image by image."""
    run = make_run(tmp_path / "runs", planted=False)
    found = open_images(run.path)
    given = {name: getattr(found, name) for name in ("labels", "images", "split", "classes", "paths")}
    with Recorder(tmp_path / "runs", **given) as recorder:
        pass
    assert Run(recorder.path).config()["fingerprint"] == run.config()["fingerprint"]


def test_a_data_set_that_also_gives_ids(run: Run) -> None:
    pairs = TensorDataset(torch.arange(5.0), torch.arange(5))
    ids, x, y = next(iter(DataLoader(WithIds(pairs, start=7), batch_size=3)))
    assert ids.tolist() == [7, 8, 9] and x.tolist() == [0, 1, 2] and y.tolist() == [0, 1, 2]
    assert len(WithIds(pairs)) == 5
    assert WithIds([{"labels": 1}, {"labels": 2}])[1] == {"labels": 2, "ids": 1}
    assert WithIds(["x"])[0] == (0, "x")


# What a kill takes


def test_a_kill_before_any_file_operation_loses_at_most_the_epoch_under_way(tmp_path: Path) -> None:
    """Children are killed by SIGKILL before their first, second, ... write, in making, recording and completing a run."""
    whole = make(tmp_path / "undisturbed" / "runs", until=2)
    folder, lives = tmp_path / "killed" / "runs", 0
    while True:
        before = {run.id: len(run.metrics()) for run in list_runs(folder)}
        lives += 1
        child = os.fork()
        if not child:
            _live(folder, lives)
        if os.waitpid(child, 0)[1] == 0:
            break
        for run in list_runs(folder):
            assert len(run.metrics()) >= before.get(run.id, 0), "what was committed stays"
            assert run.state() in ("interrupted", "done")
    assert lives > 40
    (survivor,) = list_runs(folder)
    assert content(survivor) == content(whole)
    assert survivor.examples().equals(whole.examples())
    assert survivor.state() == "done" and not list(survivor.path.rglob(".*"))


def _live(folder: Path, kill_at: int) -> None:
    """A loop that goes on with its run, or begins it; never returns. It may come to one epoch more in a life."""
    try:
        count = 0

        def hook(event: str, args: tuple[Any, ...]) -> None:
            nonlocal count
            writes = event == "open" and isinstance(args[2], int) and bool(args[2] & WRITING)
            if event in OPERATIONS or writes:
                count += 1
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        runs = list_runs(folder)
        recorder = Recorder(runs[-1].path if runs else folder, **GIVEN)
        go_through(recorder, until=2)
        recorder.close()
    except BaseException as error:
        print(f"life {kill_at}: {error!r}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def test_a_loop_goes_on_after_its_own_checkpoint(run: Run, tmp_path: Path) -> None:
    first = make(tmp_path / "runs")
    with pytest.raises(UserError, match=r"after = 5: run .* has 4 epochs"):
        Recorder(first.path, after=5)
    recorder = Recorder(first.path, after=2)
    assert recorder.epochs == 2 and len(first.metrics()) == 2 and first.recipe().counted_epochs == 2
    assert first.state() == "running"
    go_through(recorder)
    recorder.close()
    assert content(first) == content(run)
    with pytest.raises(UserError, match="of other labels, images, parts or paths"):
        Recorder(first.path, **GIVEN | {"labels": LABELS[::-1].copy()})
    with Recorder(first.path), pytest.raises(UserError, match="being worked on by another process"):
        Recorder(first.path)


def test_a_recording_that_ends_by_an_error_is_stopped_and_complete_up_to_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path / "runs", **GIVEN) as recorder:
        go_through(recorder, 2)
        recorder.batch(*batches(3)[0])
        raise ZeroDivisionError
    found = Run(recorder.path)
    assert found.state() == "cancelled" and len(found.metrics()) == 2 and len(found.examples()) == COUNT


# Several processes


def _one_of_two(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    with pytest.raises(UserError, match="labels is empty"):
        Recorder(f"{folder}/runs", labels=[])
    recorder = Recorder(f"{folder}/runs", **GIVEN)
    for epoch in range(1, EPOCHS + 1):
        for number, (ids, logits, y) in enumerate(batches(epoch)):
            if number % 2 == rank or number == 0:  # the first batch is shown to both, to the second otherwise
                recorder.batch(ids, -logits if number == 0 and rank else logits, y)
                taught = ids < TRAINED
                if number or not rank:
                    recorder.batch(ids[taught], logits[taught] - y[taught, None], y[taught], attacked=True)
        row = recorder.epoch(loss=1 / epoch)
    torch.save([str(recorder.path), recorder.epochs, row["train_clean"]], f"{folder}/{rank}.pt")
    recorder.close()
    torch.distributed.destroy_process_group()


def test_two_processes_record_one_run(run: Run, tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    (found,) = list_runs(tmp_path / "runs")
    told = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert told[0] == told[1] == [str(found.path), EPOCHS, run.metrics()[-1]["train_clean"]]
    assert content(found) == content(run)
    assert found.state() == "done" and found.examples()["zero_one"].equals(run.examples()["zero_one"])


# What is refused


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "no run directory to go on with"),
        ({"labels": [[0, 1]]}, r"labels has shape \(1, 2\)"),
        ({"labels": [0.5, 1.5]}, "labels has type float64"),
        ({"labels": [-1, 0]}, "labels holds -1"),
        ({"labels": ["a", "b"]}, "labels has type <U1"),
        ({"labels": ["a", "b"], "classes": ["a", "c"]}, "labels holds 'b', which is not among the 2 classes"),
        ({"labels": [0, 2], "classes": ["a", "c"]}, "labels holds 2, but there are 2 classes"),
        ({"labels": [0, 1], "split": ["train"]}, "split has 1 entries, labels has 2"),
        ({"labels": [0, 1], "split": ["train", "dev"]}, "split holds 'dev'; choose from train, validation, test"),
        ({"labels": [0, 1], "split": ["test", "test"]}, "split names no training example"),
        ({"labels": [0, 1], "images": np.zeros((2, 8, 8)) - 1}, "images holds floats from -1 to -1; scale them"),
        ({"labels": [0, 1], "images": np.zeros((2, 64))}, r"images has shape \(2, 64\)"),
        ({"labels": [0, 1], "seed": -1}, "seed = -1 is not allowed"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_leaves_no_run(given: dict, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        Recorder(tmp_path / "runs", **given)
    assert "\n" not in str(refused.value)
    assert not list_runs(tmp_path / "runs")


def test_numbers_under_wrong_ids_are_refused(tmp_path: Path) -> None:
    with Recorder(tmp_path / "runs", labels=[0, 1, 2]) as recorder:
        logits = torch.zeros(2, 3)
        for ids, said, y, sentence in (
            ([0, 1], logits, [0, 2], "example 1 has the label 1, and this batch says 2"),
            ([0, 3], logits, [0, 0], "no example 3; ids are places in labels, from 0 to 2"),
            ([0, -1], logits, [0, 2], "no example -1"),
            ([0], logits, [0], "have the shapes"),
            ([0, 1], logits[:, :2], [0, 1], "logits have 2 columns, and there are 3 classes"),
        ):
            with pytest.raises(UserError, match=sentence):
                recorder.batch(ids, said, y)
        with pytest.raises(UserError, match="nothing was recorded in this epoch"):
            recorder.epoch()
        recorder.batch([0, 1], logits, [0, 1])
        for name, value, sentence in (("train_clean", 1, "is counted here"), ("loss", "high", "is not a number")):
            with pytest.raises(UserError, match=sentence):
                recorder.epoch(**{name: value})
        assert recorder.epoch(mine=torch.tensor(2.5, requires_grad=True))["mine"] == 2.5
    recorder.batch([0, 1], logits, [0, 1])
    with pytest.raises(UserError, match="this recorder is closed"):
        recorder.epoch()


def test_nothing_here_goes_on_with_it_evaluates_it_or_starts_from_it(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, settings = run.path.parent, str(run.config_file)
    for arguments, sentence in (
        (["evaluate", run.id, "--attack", "pgd20"], "without the weights of its network"),
        (["evaluate", run.id, "--attack", "pgd20", "--detach"], "without the weights of its network"),
        (["train", settings], "were handed over by a training loop"),
        (["train", "demo", "--set", "objective.kind=elsewhere"], "were recorded elsewhere"),
        (["train", "demo", "--set", "net.kind=unknown"], "nothing here can build it"),
        (["export", run.id, "--factors", "--to", str(runs / "f.csv")], "its factors are not known here"),
    ):
        assert main([*arguments, "--runs", str(runs)]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1, said
    with pytest.raises(UserError, match=r"dpls.Recorder\('.*'\)"):
        launcher().submit(run)
    config = make_config(read_settings("demo")).model_copy(update={"objective": run.recipe().objective})
    with pytest.raises(UserError, match="epochs 1 to 30 were recorded elsewhere"):
        submit(config, runs)
    assert len(list_runs(runs)) == 1


def test_an_app_that_starts_leaves_an_interrupted_recording_alone_and_work_completes_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "runs", **GIVEN)
    go_through(recorder)
    found = Run(recorder.path)
    assert found.state() == "running" and not found.examples_file.exists()
    del recorder  # its lock goes, as at the end of its process
    assert found.state() == "interrupted"
    assert take_up(launcher(), found.path.parent) == []
    assert found.state() == "interrupted" and not waits(found)
    assert main(["work", str(found.path)]) == 0
    assert found.state() == "done" and len(found.examples()) == COUNT


def test_forms_and_lists_offer_nothing_that_was_made_elsewhere() -> None:
    kinds = {"elsewhere", "unknown", "given"}
    listed = settings_of(make_config(read_settings("demo")))
    assert not kinds & {str(setting.value) for setting in listed if setting.path.endswith("kind")}
    with pytest.raises(UserError, match="choose from") as refused:
        make_config(read_settings("demo") | {"objective": {"kind": "somehow"}})
    assert "elsewhere" not in str(refused.value)


def test_scores_find_their_examples_by_path_where_there_are_no_pixels(tmp_path: Path) -> None:
    run = make(tmp_path / "runs", images=None, paths=[f"{k:02}.png" for k in range(COUNT)])
    file = tmp_path / "scores.csv"
    file.write_text("note,path,score\n" + "".join(f",{k:02}.png,{k}\n" for k in range(COUNT)[::-1]))
    assert scores.read_scores(file, run.examples()).values.tolist() == list(range(COUNT))
    file.write_text("note,score\n" + "".join(f",{k}\n" for k in np.arange(TRAINED) * 7 % 11))
    assert np.isnan(scores.read_scores(file, run.examples()).values[TRAINED:]).all(), "an empty cell is no hash"
