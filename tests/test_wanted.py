"""Evaluations asked for of a run that is done: made by its worker, stopped, gone on with, failed, taken up."""

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest

from dpls.cli.main import main
from dpls.data import TEST
from dpls.data.split import Split
from dpls.errors import UserError
from dpls.evaluations.base import Procedure
from dpls.evaluations.store import Store
from dpls.jobs import launchers, wanted
from dpls.jobs.launchers import ask_for, launcher, take_up
from dpls.jobs.queue import next_ready
from dpls.jobs.wanted import FAILED, QUEUED, STOPPED, Wanted, asked, want
from dpls.jobs.worker import Stopped, work
from dpls.runs.agreement import check_seal
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs
from tests.conftest import make_tiny
from tests.test_jobs import wait_for
from tests.test_run import finish

SHORT = ("phases.0.until=1", "phases.1.until=2", "schedule={}", 'evaluations=[{"kind":"pgd","steps":1}]')


@pytest.fixture(autouse=True)
def _own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPLS_SLOTS", str(tmp_path / "slots"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finish(tmp_path / "runs", *SHORT)


def states(run: Run) -> dict[str, str]:
    return {one.name: one.state for one in wanted.wanted(run)}


def test_what_is_asked_for_is_made_by_the_worker(run: Run) -> None:
    before, finished = run.evaluation_names(), run.status()["finished"]
    want(run, asked(run, "pgd2"))
    want(run, asked(run, "pma3", ["eps=4/255"], "last", "train", 10))
    assert states(run) == {"pgd2_8-255_best": QUEUED, "pma3_4-255_last_of10_train": QUEUED}
    assert next_ready(run.path.parent) == run
    work(run, if_queued=True)
    assert states(run) == {} and next_ready(run.path.parent) is None
    assert run.evaluation_names(others=True) == sorted([*before, "pgd2_8-255_best", "pma3_4-255_last_of10_train"])
    assert run.evaluation("pma3_4-255_last_of10_train")["sample_of"] == 80
    assert run.examples()["correct_pma3_4-255_last_of10_train"].notna().sum() == 10
    assert run.state() == "done" and run.status()["finished"] == finished and run.status()["stage"] is None
    check_seal(run)


def test_more_images_than_there_are_is_all_of_them(run: Run) -> None:
    want(run, asked(run, "pgd2", images=1000))
    work(run, if_queued=True)
    assert run.evaluation("pgd2_8-255_best")["n"] == 20 and states(run) == {}


def test_one_that_fails_says_why_and_the_others_are_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    good = asked(run, "pgd2")
    want(run, good._replace(name="bad", checkpoint="77", asked="2020-01-01T00:00:00+00:00"))
    want(run, good)
    work(run, if_queued=True)
    (left,) = wanted.wanted(run)
    assert (left.name, left.state) == ("bad", FAILED) and "77" in str(left.error)
    assert "pgd2_8-255_best" in run.evaluation_names() and run.state() == "done"
    wanted.drop(run, "bad")
    assert states(run) == {}


def test_one_that_is_stopped_stays_and_goes_on_where_it_was(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file that a page writes; no chunk is made twice."""
    monkeypatch.setattr(Procedure, "images_a_chunk", 5)
    real, sizes = Store.append, []

    def append(self: Store, chunk: dict) -> None:
        sizes.append(len(chunk["ids"]))
        real(self, chunk)
        if len(sizes) == 2:
            run.stop_file.touch()
            wait_for(lambda: False, 20)

    monkeypatch.setattr(Store, "append", append)
    want(run, asked(run, "pgd2"))
    with pytest.raises(Stopped):
        work(run, if_queued=True)
    assert states(run) == {"pgd2_8-255_best": STOPPED} and run.state() == "done" and run.status()["stage"] is None
    assert next_ready(run.path.parent) is None, "until somebody asks again"
    wanted.again(run, wanted.wanted(run)[0])
    work(run, if_queued=True)
    assert sizes == [5] * 4 and states(run) == {}


def test_what_is_made_in_a_terminal_is_asked_for_no_more(run: Run) -> None:
    one = asked(run, "pgd2", images=1000)
    want(run, one)
    launcher().cancel(run)
    assert main(["evaluate", run.id, "--attack", "pgd2", "--images", "1000", "--runs", str(run.path.parent)]) == 0
    assert states(run) == {} and run.evaluation("pgd2_8-255_best")["n"] == 20
    check_seal(run)


def test_a_detached_worker_makes_it_and_an_app_that_starts_takes_it_up(run: Run) -> None:
    ask_for(run, asked(run, "pgd2"))
    wait_for(lambda: states(run) == {} and not run.is_locked())
    assert "pgd2_8-255_best" in run.evaluation_names() and run.state() == "done"
    want(run, asked(run, "pgd3"))  # its worker was killed before it could begin
    assert take_up(launcher(), run.path.parent) == [run]
    wait_for(lambda: states(run) == {} and not run.is_locked())
    assert "pgd3_8-255_best" in run.evaluation_names()


def test_one_that_waits_can_be_stopped(run: Run) -> None:
    want(run, asked(run, "pgd2"))
    launcher().cancel(run)
    assert states(run) == {"pgd2_8-255_best": STOPPED} and run.state() == "done"
    with pytest.raises(UserError, match="is done; only a queued or running one can be stopped"):
        launcher().cancel(run)


def test_what_cannot_be_evaluated_is_refused_in_a_sentence(run: Run) -> None:
    with pytest.raises(UserError, match="unknown attack 'deepfool'"):
        asked(run, "deepfool")
    with pytest.raises(UserError, match="there are no holdout images; choose from train, validation, test"):
        asked(run, "pgd2", part="holdout")
    with pytest.raises(UserError, match="0 images are none"):
        asked(run, "pgd2", images=0)
    with pytest.raises(UserError, match="pgd has no setting 'stepz'"):
        asked(run, "pgd2", ["stepz=3"])
    recorded = list_runs(RECORDED)[0]
    with pytest.raises(UserError, match="recorded run without checkpoints"):
        ask_for(recorded, asked(recorded, "pgd2"))
    run.write_status(state="cancelled")
    with pytest.raises(UserError, match="it can be evaluated once it is done"):
        ask_for(run, asked(run, "pgd2"))


def test_the_command_line_asks_for_it_too(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[Run, Wanted]] = []
    monkeypatch.setattr(launchers, "ask_for", lambda *what: given.append(what))
    where = ["--runs", str(run.path.parent), "--images", "10"]
    assert main(["evaluate", run.id, "--attack", "pma2", "--detach", *where]) == 0
    assert capsys.readouterr().out == "pma2_8-255_best_of10\n" and given[0][1].images == 10
    assert main(["evaluate", run.id, "--attack", "pma2", *where]) == 0
    assert capsys.readouterr().out.startswith("PMA2, eps 8/255, test, best checkpoint")
    assert run.evaluation("pma2_8-255_best_of10")["n"] == 10


def test_files_that_cannot_be_read_are_passed_over(run: Run) -> None:
    want(run, asked(run, "pgd2"))
    (run.path / "wanted" / "torn.json").write_text("{")
    (run.path / "wanted" / "other.json").write_text('{"settings": 3}')
    whole = json.loads((run.path / "wanted" / "pgd2_8-255_best.json").read_text())
    for entry, value in (("images", 0), ("part", "holdout"), ("asked", "yesterday")):
        (run.path / "wanted" / f"{entry}.json").write_text(json.dumps(whole | {entry: value}))
    assert list(states(run)) == ["pgd2_8-255_best"]


def test_a_sample_has_every_class_in_proportion_and_smaller_ones_lie_in_larger() -> None:
    import torch

    split = Split.of(make_tiny(count=300), TEST, torch.device("cpu"))
    samples = [split.sample(count) for count in (3, 20, 45, len(split))]
    for small, large in itertools.pairwise(samples):
        assert set(small.ids.tolist()) < set(large.ids.tolist())
    for sample in samples:
        counts = pd.Series(sample.labels.tolist()).value_counts()
        assert len(counts) == 3 and counts.max() - counts.min() <= 1
        assert sample.ids.tolist() == sorted(sample.ids.tolist())
    assert samples[-1].ids.tolist() == split.ids.tolist()
    assert samples[1].ids.tolist() != split.ids[:20].tolist(), "not the first rows"
