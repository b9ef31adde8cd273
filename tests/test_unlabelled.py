"""Images without labels: hidden, left alone, given the class another run says; and what the default leaves as it was."""

import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from dpls.component import canonical
from dpls.data import TEST, TRAIN, UNLABELLED, VALIDATION, Data, Digits, Folder
from dpls.data.cache import folder_of
from dpls.data.unlabelled import PSEUDO
from dpls.errors import UserError
from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.recipe import RunConfig, hash_at, make_config, override
from dpls.recipe.config import Phase
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.report import report
from dpls.runs.sidecar import sidecar
from dpls.training.loop import build, presentations
from tests.conftest import Hold
from tests.test_own_images import lay
from tests.test_run import TINY, metrics, start_worker, stop_worker, wait_for_rows

HIDDEN = {"source": {"kind": "digits"}, "limit": 120, "test_limit": 40, "validation": 0.03, "hidden": 0.75}
SMALL = {
    **TINY,
    "data": HIDDEN,
    "net": {"kind": "small_cnn", "width": 4},
    "schedule": {},
    "phases": [{"until": 2}, {"until": 3, "factors": {"kind": "dpls", "lambda_min": 0.5}}],
    "objective": {"kind": "trades", "attack": {"kind": "pgd", "steps": 1, "start": "gaussian"}},
    "selection": {"by": "clean"},
    "evaluations": [],
}  # fmt: skip


def config(*assignments: str) -> RunConfig:
    return make_config(override(SMALL, list(assignments)))


def finish(runs: Path, *assignments: str) -> Run:
    run = submit(config(*assignments), runs)
    work(run)
    return run


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on 30 labelled images; the labels of 90 are hidden."""
    return finish(tmp_path_factory.mktemp("teacher") / "runs")


@pytest.fixture(scope="module")
def student(teacher: Run) -> Run:
    """On the same images, 90 of them with the class the teacher says."""
    return finish(teacher.path.parent, "data.pseudo.run=" + teacher.id, "data.pseudo.share=0.4")


def refusal(data: Data, root: Path) -> str:
    with pytest.raises(UserError) as caught:
        data(root)
    text = str(caught.value)
    assert "\n" not in text and not re.search(r"[.!?] [A-Z]", text)
    return text


# Hidden labels


def test_nothing_hidden_is_the_identity(tmp_path: Path) -> None:
    plain, none = Data(source=Digits(), limit=100), Data(source=Digits(), limit=100, hidden=0, pseudo=None)
    assert canonical(plain) == canonical(none) and "hidden" not in canonical(plain)
    assert plain(tmp_path)[1] == none(tmp_path / "b")[1]
    assert plain(tmp_path)[1] != Data(source=Digits(), limit=100, hidden=0.01)(tmp_path)[1]


def test_the_same_share_of_each_class_is_hidden_and_nothing_else_changes(tmp_path: Path) -> None:
    whole, _ = Data(source=Digits(), limit=200)(tmp_path)
    some, _ = Data(source=Digits(), limit=200, hidden=0.5)(tmp_path)
    bare = some.ids(UNLABELLED)
    assert len(bare) == 100 and (some.labels[bare] == -1).all() and (some.true_labels == whole.labels).all()
    np.testing.assert_array_equal(some.images, whole.images)
    for part in (VALIDATION, TEST):
        np.testing.assert_array_equal(some.ids(part), whole.ids(part))
    before, after = (np.bincount(data.labels[data.ids(TRAIN)]) for data in (whole, some))
    assert (abs(after - before / 2) <= 1).all()
    planted, _ = Data(source=Digits(), limit=200, hidden=0.5, probes=[{"kind": "flip", "share": 0.1}])(tmp_path)
    np.testing.assert_array_equal(planted.ids(UNLABELLED), bare)
    assert (planted.cause == "flip").sum() == 10 and (planted.cause[bare] == "").all()


def test_a_class_without_a_label_is_refused(tmp_path: Path) -> None:
    text = refusal(Data(source=Digits(), limit=20, hidden=0.95), tmp_path)
    assert text.startswith("data.hidden leaves no label of class '") and "lower it, or add training images" in text


def test_a_run_leaves_images_without_labels_alone_but_says_what_they_show(teacher: Run) -> None:
    table, record = teacher.examples(), teacher.dynamics()
    bare = (table["split"] == "unlabelled").to_numpy()
    assert bare.sum() == 90 and (table["split"] == "train").sum() == 30
    assert (table["label"][bare] == -1).all() and (table["class"][bare] == "").all()
    assert (table["trained"][bare] == 0).all() and table["factor"][bare].isna().all()
    assert (record["correct"][:, bare] == 255).all() and np.isnan(record["loss"][:, bare]).all()
    assert (record["correct"][:, ~bare] != 255).all()
    said = teacher.probabilities()
    assert said is not None and len(said) == len(table)
    np.testing.assert_allclose(said.astype(float).sum(1), 1, atol=0.01)


# Sources with images that have no label


@pytest.mark.parametrize("classes", ["", "train/"])
@pytest.mark.parametrize("name", ["unlabelled/x", "Unlabeled"])
def test_a_folder_unlabelled_is_taken_where_it_is_asked_for(classes: str, name: str, tmp_path: Path) -> None:
    shown = {f"{classes}a/1.png": 1, f"{classes}a/2.png": 2, f"{classes}b/3.png": 3, f"{classes}b/4.png": 4}
    root = lay(tmp_path / "d", shown | {f"{name}/5.png": 5, f"{name}/6.png": 6})
    without = Folder(path=str(root), size=8)
    assert (len(without().classes), len(without().labels)) == ((3, 6) if not classes else (2, 4)), "as it always was"
    source = Folder(path=str(root), size=8, unlabelled=True)
    found = source.found()
    assert found and "Beside these, 2 images without labels." in found.notes and not found.skipped
    data = source()
    assert data.classes == ("a", "b") and data.part.tolist() == [TRAIN] * 4 + [UNLABELLED] * 2
    assert data.labels.tolist() == [0, 0, 1, 1, -1, -1] and data.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]
    lay(root, {f"{classes}{label}/{n}.png": n for label in "ab" for n in range(10, 20)})
    whole, _ = Data(source=source, limit=6)(tmp_path / "cache")
    assert [len(whole.ids(part)) for part in range(4)] == [6, 2, 5, 2]


def test_an_unlabelled_folder_that_is_not_there_or_twice_is_refused(tmp_path: Path) -> None:
    root = lay(tmp_path, {"a/1.png": 1, "b/2.png": 2})
    source = Folder(path=str(root), size=8, unlabelled=True)
    with pytest.raises(UserError, match="no folder unlabelled/ with images; make it one, or set"):
        source()
    lay(tmp_path, {"unlabelled/1.png": 1, "unlabeled/2.png": 2})
    with pytest.raises(UserError, match="holds both unlabeled/ and unlabelled/"):
        Folder(path=str(root), size=8, unlabelled=True)()


# Pseudo-labels


def with_share(config: RunConfig, share: float) -> RunConfig:
    assert config.data.pseudo
    pseudo = config.data.pseudo.model_copy(update={"share": share})
    return config.model_copy(update={"data": config.data.model_copy(update={"pseudo": pseudo})})


def test_unlabelled_images_become_training_images_of_the_class_the_run_says(teacher: Run, student: Run) -> None:
    bare = (teacher.examples()["split"] == "unlabelled").to_numpy()
    table, said = student.examples(), teacher.probabilities()
    assert said is not None
    assert (table["cause"][bare] == PSEUDO).all() and (table["cause"][~bare] == "").all()
    agree = table["label"][bare].to_numpy() == said[bare].astype(float).argmax(1)
    assert agree.mean() > 0.95, "half precision may tie"
    assert (table["split"] == "train").sum() == 120
    assert (table["factor"][bare] == 1).all()
    own = table["factor"][(table["split"] == "train").to_numpy() & ~bare]
    assert own.min() == 0.5 and own.max() == 1
    with np.load(student.path / "factors" / "after_0002.npz") as kept:
        assert kept["kept"].all() and (kept["factors"] == 1).sum() >= 90
    data, _ = student.recipe().data(data_root(student.path.parent))
    right = (data.labels == data.true_labels)[bare].mean()
    assert (
        f"the class that run {teacher.id} says; of those whose label was hidden, {right:.1%} are right."
        in data.said[-1]
    )


def test_an_epoch_shows_all_labelled_images_and_the_share_of_the_others(student: Run) -> None:
    """30 labelled ones beside 20 = 30 * 0.4 / 0.6, others in each epoch, mixed, the same again when asked again."""
    recipe = student.recipe().resolved()
    data, _ = recipe.data(data_root(student.path.parent))
    parts = build(recipe, data)
    keep, shown = torch.arange(120), []
    for epoch in (1, 2):
        rows, visits = presentations(parts, recipe.phases[0], keep, epoch)
        own = parts.own[rows]
        assert own.sum() == 30 and (~own).sum() == 20 and len(rows.unique()) == 50
        assert (visits == parts.splits[TRAIN].ids[rows]).all()
        assert 0 < own[:25].sum() < 25, "mixed"
        assert (presentations(parts, recipe.phases[0], keep, epoch)[0] == rows).all()
        shown.append(set(rows[~own].tolist()))
    assert shown[0] != shown[1]
    many = with_share(recipe, 0.9)
    rows, visits = presentations(build(many, data), Phase(until=1), keep, 1)
    assert len(rows) == 300 and len(visits.unique()) == 300, "90 images are shown three times, each with its own noise"
    seen = student.dynamics()["correct_adv"] != 255
    assert (seen.sum(1) == 50).all() and seen[:, (data.part == TRAIN) & (data.cause == "")].all()


def test_killed_and_resumed_it_equals_an_undisturbed_run(student: Run, hold: Hold) -> None:
    run = submit(student.recipe(), student.path.parent.with_name("killed"))  # beside the same images
    assert run.config()["parent"] is None
    hold.at(50 + 20)
    worker = start_worker(run)
    wait_for_rows(run, 1)
    stop_worker(worker, signal.SIGKILL)
    assert run.state() == "interrupted"
    work(run)
    assert metrics(run) == metrics(student)
    pd.testing.assert_frame_equal(run.examples(), student.examples())
    for name, array in run.dynamics().items():
        np.testing.assert_array_equal(array, student.dynamics()[name])


def test_the_share_is_part_of_what_a_run_is_and_a_run_without_has_its_old_hash(student: Run) -> None:
    config, fingerprint = student.recipe(), student.config()["fingerprint"]
    other = with_share(config, 0.5)
    assert hash_at(config, 3, fingerprint) != hash_at(other, 3, fingerprint)
    none = config.model_copy(update={"data": config.data.model_copy(update={"pseudo": None})})
    assert hash_at(none, 3, "x") == hash_at(none.model_copy(update={"data": Data()}), 3, "x")


def test_runs_that_cannot_say_the_classes_are_refused(teacher: Run, tmp_path: Path) -> None:
    root = data_root(teacher.path.parent)

    def asked(run: str, **changes: object) -> Data:
        return Data.model_validate(teacher.recipe().data.model_dump() | {"pseudo": {"run": run}} | changes)

    text = refusal(asked("2020-01-01_000000_abcd"), root)
    assert "is no finished run on these images; choose from" in text and teacher.id in text
    assert "is no finished run on these images; first train one with the same data but pseudo" in refusal(
        asked(teacher.id, seed=1), root
    )
    assert "is no finished run on these images" in refusal(asked("../../x"), root)
    assert "all images have labels; set data.hidden" in refusal(asked(teacher.id, hidden=0), root)
    file = folder_of(root, teacher.config()["fingerprint"]) / f"answers-{teacher.id}.npy"
    whole = file.read_bytes()
    for wrong in (whole[:40], b"", whole[:-80], whole[:-8] + b"\xff" * 8):
        file.write_bytes(wrong)
        assert f"{file} is damaged" in refusal(asked(teacher.id, pseudo={"run": teacher.id, "share": 0.3}), root)
    file.unlink()
    (teacher.path / "probabilities.npy").unlink()
    work(teacher)
    assert file.read_bytes() == whole, "work makes it again"


def test_pages_and_report_judge_by_labels_of_their_own_and_name_no_class_where_there_is_no_label(
    teacher: Run, student: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = teacher.examples().index[teacher.examples()["split"] == "unlabelled"][0]
    assert "Planted causes" not in report(student) and "among 120 images" not in report(student)
    assert len(sidecar(student.examples(), {})) == 30
    monkeypatch.setenv("DPLS_RUNS", str(student.path.parent))
    for run, page, expected in (
        (student, "smoothing", "Keeps most"),
        (student, "images", f"[{PSEUDO}] its label is what another run said"),
        (teacher, "images", f"**no label** · image {bare} · unlabelled"),
    ):
        app = AppTest.from_file(str(Path(__file__).parent.parent / "app.py"), default_timeout=60)
        app.query_params["run"], app.query_params["id"] = run.id, str(bare)
        app.run()
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception and not app.error
        assert any(expected in one.value for one in app.markdown), page
