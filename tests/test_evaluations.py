"""Evaluations as files: stopped anywhere and resumed they equal undisturbed ones; what is kept beside right and wrong."""

import copy
import json
import math
import os
import pkgutil
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import candidate_of, declared, make_tiny
from torch import nn

import dpls.evaluations
from dpls.attacks import PGD, Attack
from dpls.component import members
from dpls.data import TEST
from dpls.data.split import Split
from dpls.evaluations import A3, AnyEvaluation, AutoAttack, DiffPure, RayS, judge, named
from dpls.evaluations.accuracy import Accuracy
from dpls.evaluations.base import Procedure, evaluation_name
from dpls.evaluations.conduct import evaluate
from dpls.evaluations.evaluation import Evaluation
from dpls.evaluations.judge import correct
from dpls.evaluations.store import Store
from dpls.jobs.evaluating import evaluate_run
from dpls.jobs.submission import submit
from dpls.jobs.wanted import asked
from dpls.jobs.worker import Stopped, work
from dpls.runs.directory import Run
from dpls.runs.folder import create_run
from tests.test_run import config

MIXED = PGD(steps=5, eps=0.11)
"""Breaks some of the trained net's test examples and not others."""
NAME = evaluation_name(MIXED, "best")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", {}, 1)


@pytest.fixture
def tens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of ten images: six of the 60 that are tested."""
    for kind in (Procedure, *(kind for kind in members(AnyEvaluation) if "images_a_chunk" in vars(kind))):
        monkeypatch.setattr(kind, "images_a_chunk", 10)


def split_of(part: int = TEST) -> Split:
    return Split.of(make_tiny(count=300, seed=1), part, torch.device("cpu"))


def made(run: Run, net: nn.Module, attack: Attack | None = MIXED, **changes: Any) -> Accuracy:
    return evaluate(run.evaluations, candidate_of(net), split_of(), attack, **changes)


def contents(run: Run) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Of the one evaluation that is finished; without the time it took."""
    (name,) = run.evaluation_names()
    return run.outcomes(name), run.evaluation(name) | {"seconds": 0}


def files(run: Run) -> list[str]:
    return sorted(file.name for file in run.evaluations.iterdir())


def assert_same(run: Run, other: Run) -> None:
    (table, content), (expected, said) = contents(run), contents(other)
    pd.testing.assert_frame_equal(table, expected)
    assert content == said
    assert files(run) == [f"{NAME}.json", f"{NAME}.parquet"]


@pytest.fixture
def undisturbed(tmp_path: Path, trained: nn.Module, tens: None) -> Run:
    run = create_run(tmp_path / "undisturbed", {}, 1)
    made(run, trained)
    return run


def counted(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None] = lambda count: None) -> list[int]:
    """Sizes of the batches that are judged from here on; ``before`` each is told how many there were."""
    real, sizes = judge.judged, []

    def judged(*args: Any) -> judge.Outcome:
        before(len(sizes))
        sizes.append(len(args[3]))
        return real(*args)

    monkeypatch.setattr(judge, "judged", judged)
    return sizes


# Stopped and resumed


class Died(BaseException):
    """The process ends here, as far as files are concerned."""


class Fate:
    """Ends the process at one of the moments at which its files change or a chunk is judged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, random: random.Random) -> None:
        self.left, self._random = -1, random
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (judge, "judged")):
            monkeypatch.setattr(owner, name, self._mortal(getattr(owner, name), tears=name == "fsync"))

    def _mortal(self, real: Callable[..., Any], tears: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.moment(args[0] if tears else None)
            result = real(*args, **kwargs)
            self.moment(None)
            return result

        return call

    def moment(self, file: int | None) -> None:
        self.left -= 1
        if self.left == 0:
            if file is not None:  # what has not reached the disk is lost from some byte on
                os.truncate(file, os.fstat(file).st_size - self._random.randrange(1, 40))
            raise Died


@pytest.mark.parametrize("seed", range(10))
def test_ended_at_any_moment_and_resumed_equals_undisturbed(
    trained: nn.Module, run: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    sizes = counted(monkeypatch)
    fate, deaths = Fate(monkeypatch, chance), 0
    while True:
        fate.left = chance.randrange(1, 45)
        try:
            made(run, trained)
            break
        except Died:
            deaths += 1
        if run.evaluation_names():  # whatever is there to be read is whole
            pd.testing.assert_frame_equal(contents(run)[0], contents(undisturbed)[0])
    fate.left = -1
    for file in run.evaluations.glob(".*"):  # written aside by a process that ended
        file.unlink()
    assert_same(run, undisturbed)
    assert 6 <= len(sizes) <= 6 + deaths
    assert set(sizes) == {10}


def test_fate_strikes_at_every_moment(trained: nn.Module, run: Run, undisturbed: Run, monkeypatch: Any) -> None:
    """Each in turn, one death each time: so no moment is missed by chance."""
    fate, moment = Fate(monkeypatch, random.Random(0)), 0
    while True:
        moment += 1
        fate.left = moment
        try:
            made(run, trained)
            break
        except Died:
            fate.left = -1
            made(run, trained)
            for file in run.evaluations.glob(".*"):
                file.unlink()
            assert_same(run, undisturbed)
            for file in run.evaluations.iterdir():
                file.unlink()
    assert moment > 30


CHILD = """
import sys, time, torch
from pathlib import Path
sys.path.insert(0, "tests")
from conftest import candidate_of, declared, make_tiny
from dpls.attacks import PGD
from dpls.data import TEST
from dpls.data.split import Split
from dpls.evaluations import judge
from dpls.evaluations.base import Procedure, evaluation_name
from dpls.evaluations.conduct import evaluate
folder, net = Path(sys.argv[1]), torch.load(sys.argv[2], weights_only=False)
Procedure.images_a_chunk = 10
real = judge.judged
def judged(*args):
    time.sleep(0.05)
    return real(*args)
judge.judged = judged
split = Split.of(make_tiny(count=300, seed=1), TEST, torch.device("cpu"))
evaluate(folder, candidate_of(net), split, PGD(steps=5, eps=0.11))
"""


def test_a_killed_process_repeats_at_most_one_chunk(
    trained: nn.Module, run: Run, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(trained, tmp_path / "net.pt")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(run.evaluations), str(tmp_path / "net.pt")],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"PYTHONPATH": "."},
    )
    chunks, deadline = run.evaluations / f"{NAME}.partial.jsonl", time.monotonic() + 60
    while not chunks.exists() or chunks.read_bytes().count(b"\n") < 3:
        assert child.poll() is None and time.monotonic() < deadline, "it never got so far"
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert run.evaluation_names() == [] and files(run) == [chunks.name]
    committed = chunks.read_bytes().count(b"\n") - 1
    sizes = counted(monkeypatch)
    made(run, trained)
    assert len(sizes) == 6 - committed
    assert_same(run, undisturbed)


def interrupted(run: Run, net: nn.Module, monkeypatch: pytest.MonkeyPatch, after: int = 3) -> Path:
    """Committed chunks of an evaluation that was stopped after so many; the file that holds them."""

    def stop(count: int) -> None:
        if count == after:
            raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        counted(patched, stop)
        made(run, net)
    return run.evaluations / f"{NAME}.partial.jsonl"


@pytest.mark.parametrize("torn", [b'{"ids": [3, 4', b"\0\0\0\n", b"{}"])
def test_a_torn_last_line_is_skipped(
    trained: nn.Module, run: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch, torn: bytes
) -> None:
    chunks = interrupted(run, trained, monkeypatch)
    with chunks.open("ab") as file:
        file.write(torn)
    interrupted(run, trained, monkeypatch, after=2)  # what is appended behind it counts, too
    sizes = counted(monkeypatch)
    made(run, trained)
    assert len(sizes) == 1
    assert_same(run, undisturbed)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda chunk: json.dumps(chunk),  # a chunk twice
        lambda chunk: json.dumps(chunk | {"ids": chunk["ids"][:3], "correct": chunk["correct"][:3]}),
        lambda chunk: json.dumps(chunk | {"correct": chunk["correct"][:-1]}),
        lambda chunk: json.dumps({name: value for name, value in chunk.items() if name != "ids"}),
        lambda chunk: json.dumps({name: value for name, value in chunk.items() if name != "seconds"}),
        lambda chunk: json.dumps(chunk | {"correct": ["yes"] * len(chunk["correct"])}),
        lambda chunk: "null",
        lambda chunk: "5",
    ],
)
def test_a_line_that_is_no_chunk_counts_for_nothing(
    spoil: Callable[[dict], str], trained: nn.Module, run: Run, undisturbed: Run, tens: None, monkeypatch: Any
) -> None:
    file = interrupted(run, trained, monkeypatch)
    header, *chunks = file.read_text().splitlines()
    file.write_text("\n".join([header, *chunks, spoil(json.loads(chunks[-1])), ""]))
    made(run, trained)
    assert_same(run, undisturbed)


@pytest.mark.parametrize("what", ["rows", "accuracy", "torn"])
def test_a_finished_one_that_does_not_fit_its_table_is_made_again(
    what: str, trained: nn.Module, run: Run, undisturbed: Run, tens: None
) -> None:
    made(run, trained)
    table, content = (next(run.evaluations.glob(f"*.{ending}")) for ending in ("parquet", "json"))
    if what == "rows":
        table.write_bytes(pd.read_parquet(table)[:-1].to_parquet(index=False))
    elif what == "torn":
        table.write_bytes(table.read_bytes()[:100])
    else:
        content.write_text(json.dumps(json.loads(content.read_text()) | {"accuracy": 0.99}))
    made(run, trained)
    assert_same(run, undisturbed)


def test_a_file_torn_in_its_first_chunk_begins_again(
    trained: nn.Module, run: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = interrupted(run, trained, monkeypatch)
    chunks.write_bytes(chunks.read_bytes().split(b"\n")[0] + b'\n{"ids": [')
    interrupted(run, trained, monkeypatch, after=2)
    sizes = counted(monkeypatch)
    made(run, trained)
    assert len(sizes) == 4
    assert_same(run, undisturbed)


def test_chunks_of_other_weights_are_forgotten(
    trained: nn.Module, run: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other[-1].bias += 1e-6
    interrupted(run, other, monkeypatch)
    sizes = counted(monkeypatch)
    made(run, trained)
    assert len(sizes) == 6
    assert_same(run, undisturbed)


@pytest.mark.parametrize("name", ["settings", "split", "weights", "fingerprint", "epoch", "proposed_in", "device", "n"])
def test_everything_an_outcome_depends_on_is_in_the_header(
    trained: nn.Module, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Procedure, "images_a_chunk", 10)
    chunks = interrupted(run, trained, monkeypatch)
    header, *lines = chunks.read_text().splitlines(keepends=True)
    chunks.write_text(json.dumps(json.loads(header) | {name: "another"}) + "\n" + "".join(lines))
    sizes = counted(monkeypatch)
    made(run, trained)
    assert len(sizes) == 6


def test_a_finished_evaluation_is_left_alone(
    trained: nn.Module, run: Run, tens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(run, trained)
    before = [(file, file.stat().st_mtime_ns, file.read_bytes()) for file in sorted(run.evaluations.iterdir())]
    sizes = counted(monkeypatch)
    heard: list[int] = []
    assert made(run, trained, told=lambda done, total, doing: heard.append(done)) == first
    assert not sizes and not heard
    assert before == [(f, f.stat().st_mtime_ns, f.read_bytes()) for f in sorted(run.evaluations.iterdir())]


def test_a_finished_one_of_other_weights_or_without_its_table_is_made_again(
    trained: nn.Module, run: Run, tens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run, trained)
    with torch.no_grad():
        trained[-1].weight.neg_()
    sizes = counted(monkeypatch)
    made(run, trained)
    assert len(sizes) == 6 and contents(run)[0]["correct"].mean() == contents(run)[1]["accuracy"] < 0.5
    (run.evaluations / f"{NAME}.parquet").unlink()
    made(run, trained)
    assert len(sizes) == 12 and len(contents(run)[0]) == 60


def test_what_is_said_of_an_evaluation_is_written_last(
    trained: nn.Module, run: Run, tens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table alone, or chunks alone, are no evaluation; nor is a new table what an older evaluation speaks of."""
    real, order = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        assert run.evaluation_names() == []
        order.append(target.suffix)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    made(run, trained)
    with torch.no_grad():
        trained[-1].weight.neg_()
    made(run, trained)
    assert order == [".parquet", ".json"] * 2


@pytest.mark.parametrize("after", [0, 3])
def test_an_attack_that_fails_leaves_no_half_evaluation(
    trained: nn.Module, run: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    def fail(count: int) -> None:
        if count == after:
            raise RuntimeError("this attack has a defect")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        counted(patched, fail)
        made(run, trained)
    assert run.evaluation_names(others=True) == []
    assert files(run) == ([] if after == 0 else [f"{NAME}.partial.jsonl"])
    made(run, trained)
    assert_same(run, undisturbed)


def test_progress_is_told_chunk_by_chunk(trained: nn.Module, run: Run, tens: None, monkeypatch: Any) -> None:
    heard: list[tuple[int, int]] = []
    interrupted(run, trained, monkeypatch)
    made(run, trained, told=lambda done, total, doing: heard.append((done, total)))
    assert heard == [(30, 60), (40, 60), (50, 60), (60, 60)]


def test_outcomes_are_those_of_correct_whatever_the_chunks(trained: nn.Module, run: Run, monkeypatch: Any) -> None:
    expected = correct(trained, split_of(), MIXED)
    for size in (500, 60, 7):
        monkeypatch.setattr(Procedure, "images_a_chunk", size)
        made(run, trained)
        assert contents(run)[0]["correct"].tolist() == expected.tolist()
        assert contents(run)[1]["images_a_chunk"] == size


# Steps


def threshold(level: float) -> nn.Module:
    """Answers class 0 up to a mean grey level of 4x4 images, class 1 above; ascent from class 0 brightens each pixel."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double().float()
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([torch.zeros(16), torch.ones(16)]))
        net[1].bias.copy_(torch.tensor([0, -16 * level / 255]))
    return net


def greys(levels: list[int]) -> Split:
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    return Split(images, torch.zeros(len(levels), dtype=torch.int64), torch.arange(len(levels)), torch.device("cpu"))


def test_steps_are_those_after_which_a_line_is_crossed(run: Run) -> None:
    """5 steps of 4 levels each; the line lies at 100.5. What only the last step breaks, the judge finds."""
    levels = [*range(60, 130)]
    attack = PGD(steps=5, eps=20 / 255, step=4 / 255, start="clean")
    evaluate(run.evaluations, candidate_of(threshold(100.5)), greys(levels), attack)
    needed = [max(0, math.ceil((100.5 - level) / 4)) for level in levels]
    table, content = contents(run)
    assert table["correct"].tolist() == [steps > 5 for steps in needed]
    assert [None if pd.isna(steps) else steps for steps in table["steps"]] == [s if s <= 5 else None for s in needed]
    assert table["steps"].dtype == "Int64" and {0, 1, 2, 3, 4, 5} == set(table["steps"].dropna())
    assert content["accuracy"] == np.mean(table["correct"])


def test_what_is_broken_where_the_attack_starts_took_no_step(run: Run) -> None:
    attack = PGD(steps=3, eps=60 / 255, step=1e-6)
    evaluate(run.evaluations, candidate_of(threshold(100.5)), greys([100] * 50 + [20] * 50), attack)
    table, _ = contents(run)
    assert 5 < (table["steps"][:50] == 0).sum() < 45 and table["steps"][50:].isna().all()
    assert table["steps"].isna().equals(table["correct"])


def test_steps_of_nobody_broken_are_missing_and_have_the_same_type(run: Run) -> None:
    evaluate(run.evaluations, candidate_of(threshold(200)), greys([10] * 5), PGD(steps=2, eps=2 / 255))
    assert contents(run)[0]["steps"].isna().all() and contents(run)[0]["steps"].dtype == "Int64"


def test_a_clean_evaluation_has_no_steps(trained: nn.Module, run: Run) -> None:
    made(run, trained, None)
    assert list(contents(run)[0].columns) == ["id", "correct"]


# Passes


def test_passes_are_those_one_reckons(run: Run) -> None:
    """One forward each to judge it clean, of the right one more to judge it attacked; a gradient takes one each way."""
    levels = [*range(60, 130)]
    evaluate(run.evaluations, candidate_of(threshold(100.5)), greys(levels), PGD(steps=5, eps=20 / 255, start="clean"))
    right = [level for level in levels if level <= 100]
    needed = [math.ceil((100.5 - level) / 5) for level in right]
    gradients = sum(min(steps + 1, 5) for steps in needed)
    agreed = sum(steps <= 4 for steps in needed)  # found broken on the way, on which the judge is asked
    _, content = contents(run)
    assert content["forward_passes"] == 70 + gradients + agreed + len(right)
    assert content["backward_passes"] == gradients


def test_a_clean_evaluation_passes_each_image_once(trained: nn.Module, run: Run, tens: None) -> None:
    made(run, trained, None)
    assert (contents(run)[1]["forward_passes"], contents(run)[1]["backward_passes"]) == (60, 0)


def test_a_procedure_counts_warns_and_says(trained: nn.Module, run: Run, tens: None, monkeypatch: Any) -> None:
    """Of each chunk alone, so a resumed one comes to the same."""

    class Talking(Brightest):
        def run(self, evaluation: Evaluation) -> None:
            for rows in evaluation.left():
                evaluation.say(f"brightening on {len(rows)} images")
                evaluation.warn("the first chunk" if 0 in rows else "another chunk")
                right = evaluation.judge(evaluation.split.batch(rows).x).argmax(1) == evaluation.split.labels[rows]
                evaluation.append(evaluation.split.ids[rows], right)

        def warnings(self, table: pd.DataFrame) -> list[str]:
            return [f"{len(table)} images"]

    heard: list[tuple[int, int, str]] = []
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        appended(patched, stop_after=2)
        made(run, trained, Talking(eps=0))
    made(run, trained, Talking(eps=0), told=lambda *said: heard.append(said))
    assert heard[:3] == [(20, 60, ""), (20, 60, "brightening on 10 images"), (30, 60, "")]
    content = contents(run)[1]
    assert content["warnings"][-3:] == ["another chunk", "the first chunk", "60 images"]
    assert content["forward_passes"] == 60


# What every evaluation promises


class Brightest(Procedure):
    """The largest brightening that changes nothing: one query a level, from above."""

    examples: ClassVar[str] = "brightest"
    kind: Literal["brightest"] = "brightest"

    @property
    def name(self) -> str:
        return "brightest"

    @property
    def title(self) -> str:
        return "brightening"

    def run(self, evaluation: Evaluation) -> None:
        for rows in reversed(evaluation.left()):
            batch = evaluation.split.batch(rows)
            right = [(evaluation.judge(batch.x + level / 255).argmax(1) == batch.y) for level in range(5)]
            held = torch.stack(right).long().cumprod(0).sum(0)
            radius = [None if h == 5 else h / 255 for h in held.tolist()]
            evaluation.append(
                evaluation.split.ids[rows], held == 5, queries=held + 1, radius=pd.array(radius, dtype="Float64")
            )


KINDS = [*members(AnyEvaluation), Brightest]
QUICK: dict[type[Attack], dict[str, Any]] = {
    AutoAttack: {"steps": 5, "targets": 2, "queries": 20},
    A3: {"steps": 30},
    RayS: {"queries": 50},
    DiffPure: {"t": 0, "steps": 2},  # the net itself: no model, and clean errors are errors
}
"""Settings for those whose defaults take long."""


def test_every_procedure_is_in_the_union() -> None:
    for module in pkgutil.iter_modules(dpls.evaluations.__path__):
        import_module(f"dpls.evaluations.{module.name}")
    assert declared(Procedure) == {kind for kind in members(AnyEvaluation) if issubclass(kind, Procedure)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_evaluation_is_kept_resumed_and_named(
    kind: type[Attack], trained: nn.Module, run: Run, tens: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = kind(eps=8 / 255, **QUICK.get(kind, {}))
    net, split = trained.eval(), split_of()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    evaluate(run.evaluations, candidate_of(net), split, attack)
    table, content = contents(run)
    assert run.evaluation_names() == [evaluation_name(attack, "best")]
    assert table["id"].tolist() == split.ids.tolist() and table["correct"].dtype == np.bool_
    assert not (table["correct"].to_numpy() & ~correct(net, split).numpy()).any(), "clean errors are errors"
    assert content["attack"] == attack.title and content["settings"]["kind"] == attack.kind
    assert content["accuracy"] == table["correct"].mean()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())

    other, real, count = create_run(tmp_path / "other", {}, 1), Store.append, []

    def append(self: Store, chunk: dict[str, Any]) -> None:
        if len(count) == 2:
            raise Stopped
        count.append(1)
        real(self, chunk)

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Store, "append", append)
        evaluate(other.evaluations, candidate_of(net), split, attack)
    evaluate(other.evaluations, candidate_of(net), split, attack)
    pd.testing.assert_frame_equal(contents(other)[0], table)
    assert contents(other)[1] == content


@pytest.mark.parametrize("kind", members(AnyEvaluation), ids=lambda kind: kind.__name__)
def test_every_evaluation_has_a_short_name(kind: type[Attack]) -> None:
    for name in kind.examples.split(" (")[0].split(", "):
        assert isinstance(named(name), kind) and named(name.upper()) == named(name)


def test_a_procedure_keeps_columns_of_its_own(trained: nn.Module, run: Run, tens: None) -> None:
    evaluate(run.evaluations, candidate_of(trained.eval()), split_of(), Brightest(eps=0))
    table, _ = contents(run)
    assert list(table.columns) == ["id", "correct", "queries", "radius"]
    assert table["queries"].dtype == "Int64" and table["radius"].dtype == "Float64"
    assert table["radius"].isna().equals(table["correct"])


class Broken(Brightest):
    """Hands over what is no chunk."""

    what: str

    def run(self, evaluation: Evaluation) -> None:
        first, ids = evaluation.left()[0], evaluation.split.ids
        right = torch.ones(len(first), dtype=torch.bool)
        if self.what == "half":
            evaluation.append(ids[first[:5]], right[:5])
        if self.what == "twice":
            evaluation.append(ids[first], right)
            evaluation.append(ids[first], right)


@pytest.mark.parametrize(("what", "error"), [("half", ValueError), ("twice", ValueError), ("nothing", AssertionError)])
def test_a_procedure_that_does_not_keep_to_chunks_finishes_nothing(
    trained: nn.Module, run: Run, tens: None, what: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="chunk"):
        evaluate(run.evaluations, candidate_of(trained), split_of(), Broken(eps=0, what=what))
    assert run.evaluation_names() == [] and not list(run.evaluations.glob("*.parquet"))


# After training


SHORT = ("phases.0.until=1", "phases.1.until=2", "schedule={}", 'evaluate_also=["train","validation"]')


def appended(monkeypatch: pytest.MonkeyPatch, stop_after: int = -1) -> list[int]:
    """Sizes of the chunks that are committed from here on; the run is stopped before the next one."""
    real, sizes = Store.append, []

    def append(self: Store, chunk: dict[str, Any]) -> None:
        if len(sizes) == stop_after:
            raise Stopped
        sizes.append(len(chunk["ids"]))
        real(self, chunk)

    monkeypatch.setattr(Store, "append", append)
    return sizes


def test_a_run_stopped_in_an_evaluation_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Procedure, "images_a_chunk", 8)
    whole, run = (submit(config(*SHORT), tmp_path / folder / "runs") for folder in ("whole", "stopped"))
    work(whole)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        appended(patched, stop_after=5)
        work(run)
    assert run.state() == "cancelled"
    done, (chunks,) = run.evaluation_names(others=True), run.evaluations.glob("*.partial.jsonl")
    assert done == ["clean_best"] and chunks.name.startswith("pgd3_8-255_best")
    sizes = appended(monkeypatch)
    work(run)
    test, train = [8, 8, 4], [8] * 10
    assert sizes == [4, *test * 2, *test * 2, *train * 2, *test * 2], "best, its validation; last, train, validation"
    assert len(run.evaluation_names(others=True)) == 10
    for name in whole.evaluation_names(others=True):
        pd.testing.assert_frame_equal(run.outcomes(name), whole.outcomes(name))
        assert run.evaluation(name) | {"seconds": 0} == whole.evaluation(name) | {"seconds": 0}
    pd.testing.assert_frame_equal(run.examples(), whole.examples())
    sizes.clear()
    work(run)
    assert run.state() == "done" and not sizes, "what is finished is left alone"


def test_net_and_data_are_built_once_for_all_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, real = submit(config(*SHORT), tmp_path / "runs"), Split.of
    parts: list[int] = []
    monkeypatch.setattr(Split, "of", staticmethod(lambda *some: parts.append(some[1]) or real(*some)))
    work(run)
    assert sorted(parts) == [0, 0, 1, 1, 2, 2], "once for training, once for what follows"


def test_pages_are_told_how_far_an_evaluation_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Procedure, "images_a_chunk", 8)
    run = submit(config(*SHORT), tmp_path / "runs")
    seen: list[tuple[str, int, int]] = []
    real = Run.write_status

    def write_status(self: Run, **changes: Any) -> None:
        if str(changes.get("stage")).startswith("evaluating"):
            seen.append((changes["stage"], changes["images"], changes["images_total"]))
        real(self, **changes)

    monkeypatch.setattr(Run, "write_status", write_status)
    work(run)
    assert seen[:4] == [("evaluating: clean, best checkpoint", done, 20) for done in (0, 8, 16, 20)]
    assert seen[4][0] == "evaluating: PGD3, eps 8/255, step 2/255, best checkpoint"
    assert run.status()["stage"] is None and run.state() == "done"


def test_the_command_line_goes_on_with_what_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Procedure, "images_a_chunk", 8)
    run = submit(config(*SHORT), tmp_path / "runs")
    work(run)

    def stop(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        counted(patched, stop)
        evaluate_run(run, asked(run, "pgd2", ["eps=4/255"], "last"))
    assert "pgd2_4-255_last" not in run.evaluation_names()
    sizes = counted(monkeypatch)
    words = evaluate_run(run, asked(run, "pgd2", ["eps=4/255"], "last"))
    assert sizes == [4] and words.startswith("PGD2, eps 4/255, step 1/255, test, last checkpoint (epoch 2): ")
    assert evaluate_run(run, asked(run, "pgd2", ["eps=4/255"], "last")) == words and sizes == [4]
    assert run.examples()["correct_pgd2_4-255_last"].notna().sum() == 20
    assert run.status()["stage"] is None


def test_evaluations_at_radii_that_differ_have_names_that_differ() -> None:
    """Another name, however near: one must not take the place of the other."""
    radii = (8 / 255, 0.03137255, 0.1234567, 0.12345671, 0.1)
    names = [evaluation_name(PGD(eps=eps), "best") for eps in radii]
    assert len(set(names)) == len(radii) and names[0] == "pgd10_8-255_best" and names[-1] == "pgd10_0.1_best"
