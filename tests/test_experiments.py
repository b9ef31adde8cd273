"""Experiments: plans, who judges whom, branches, folders that are started, stopped and resumed. Real runs, tiny."""

import contextlib
import io
import itertools
import os
import re
import shutil
import signal
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from dpls.cli.main import main
from dpls.data import TRAIN
from dpls.difficulty.scale import Difficulty
from dpls.errors import UserError
from dpls.experiments import cost as costs
from dpls.experiments.base import ByDifficulty, Experiment
from dpls.experiments.conduct import cancel, resume, start, submit_all
from dpls.experiments.kinds import KINDS, make_experiment, read_experiment
from dpls.experiments.kinds.membership import Membership, gap
from dpls.experiments.outcomes import ALL, Outcomes, dropped, role_of
from dpls.experiments.stored import Stored, list_experiments
from dpls.jobs import submission
from dpls.jobs.launchers import take_up
from dpls.jobs.local import Local
from dpls.jobs.queue import hindrance
from dpls.methods.subset import Subset
from dpls.recipe import Phase, RunConfig, hash_at, make_config, override, read_settings
from dpls.runs.choice import scores_of
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.folder import list_runs
from dpls.training.loop import build, presentations
from tests.conftest import Hold
from tests.test_jobs import wait_for, work_on, worker_of
from tests.test_run import metrics

TOML = """
eps = 0.1
device = "cpu"
evaluations = [{ kind = "pgd", steps = 1 }]

[data]
source = { kind = "digits" }
limit = 100
validation = 0.05
test = 0.05
probes = [{ kind = "flip", share = 0.08 }]

[net]
kind = "small_cnn"
width = 4

[optimiser]
lr = 0.1
batch_size = 25

[schedule]
decays = [2]
factor = 0.3

[objective]
kind = "pgd_at"
attack = { kind = "pgd", steps = 1 }

[selection]
attack = { kind = "pgd", steps = 1 }

[[phases]]
until = 4
"""
BASE = tomllib.loads(TOML)
BORDER, EPOCHS, COUNT = 2, 4, 100
BY_DIFFICULTY = [kind for kind, model in KINDS.items() if issubclass(model, ByDifficulty)]
SCORES = ("another_seed", "folds", "same_seed")
PRUNING = ("sweep=[0.001]", "doses=[0.5]")
MEMBERSHIP = ("share=0.2", "answers=2")


def experiment(kind: str, *assignments: str) -> Experiment:
    return make_experiment(override({"kind": kind, "base": BASE, "seeds": 1}, list(assignments)))


def finish_all(stored: Stored) -> None:
    """As a launcher's worker would, here."""
    waiting = [run for run in stored.runs().values() if run.state() == "queued"]
    if waiting:
        work_on(waiting[0])
    assert stored.states() == Counter(done=len(stored.content["arms"]))


class Finished(NamedTuple):
    stored: Stored
    printed: str


@pytest.fixture(autouse=True)
def _own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPLS_SLOTS", str(tmp_path / "slots"))
    monkeypatch.setattr(costs, "TRIAL", 0.01)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A pruning experiment, by the command line."""
    folder, printed = tmp_path_factory.mktemp("experiments"), io.StringIO()
    (folder / "tiny.toml").write_text(TOML)
    arguments = [f"--set={assignment}" for assignment in ("seeds=1", *PRUNING)]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(costs, "TRIAL", 0.01)
        code = main(["experiment", "pruning", str(folder / "tiny.toml"), *arguments, "--runs", str(folder / "runs")])
    assert code == 0
    (stored,) = list_experiments(folder / "runs")
    return Finished(stored, printed.getvalue())


@pytest.fixture(scope="module")
def members(pruned: Finished) -> Stored:
    """A membership experiment in the same folder, after it."""
    stored = submit_all(experiment("membership", *MEMBERSHIP), pruned.stored.runs_folder)
    finish_all(stored)
    return stored


# Plans


def test_a_sweep_of_lambda_min_shares_one_start_and_gives_controls_the_same_mean() -> None:
    planned = experiment("smoothing", "seeds=2", "lambda_mins=[0.3,0.8]", "control=0.5")
    plan = planned.plan()
    assert [run.arm for run in plan if run.seed == 0] == [
        ALL, "DPLS 0.3", "DPLS 0.5", "DPLS 0.8", "uniform 0.5", "permuted 0.5", "inverted 0.5", "hardest 0.5"
    ]  # fmt: skip
    difficulty = np.random.default_rng(0).random(50)
    start = {s: hash_at(plan[s].config.resolved(), planned.border, "images") for s in (0, 1)}
    for run in plan[2:]:
        assert run.after == role_of(ALL, run.seed)
        assert hash_at(run.config.resolved(), planned.border, "images") == start[run.seed]
        if run.arm.endswith("0.5"):
            mean = run.config.phases[1].factors(difficulty, 10).mean()
            assert mean == pytest.approx(1 - 0.5 * difficulty.mean(), abs=1e-12)
    two_phases = make_experiment({"kind": "smoothing", "base": read_settings("demo")})
    assert two_phases.border == 30, "where the base's own last phase starts"


@pytest.mark.parametrize("kind", BY_DIFFICULTY)
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_plans_are_sound(kind: str, scores: str, seeds: int) -> None:
    planned = experiment(kind, f"scores={scores}", f"seeds={seeds}", "folds=3", "base.seed=7", "standard=true")
    plan = planned.plan()
    roles = [run.role for run in plan]
    assert len(set(roles)) == len(roles)
    by_role = {run.role: run for run in plan}
    for number, run in enumerate(plan):
        assert RunConfig.model_validate(run.config.model_dump()) == run.config
        assert set(run.scores) | ({run.after} - {None}) <= set(roles[:number]), "what a run refers to comes earlier"
        assert run.config.seed == run.seed
        assert run.config.borders[0] == BORDER == planned.border
        if run.after:
            after = by_role[run.after].config.resolved()
            assert hash_at(after, BORDER, "images") == hash_at(run.config.resolved(), BORDER, "images")
        judges = [by_role[role] for role in run.scores]
        if scores == "another_seed":
            assert all(judge.seed != run.seed for judge in judges)
        elif scores == "same_seed":
            assert {judge.role for judge in judges} <= {role_of(ALL, run.seed)}
        else:
            assert all(judge.config.phases[0].subset.which == "random" for judge in judges)
            assert len(judges) in (0, 3)
        if scores != "same_seed":
            assert not {run.role, run.after} & set(run.scores), "nobody is judged by itself"
        assert not any(judge.scores for judge in judges), "judges need no judge"
    assert {run.seed for run in plan if run.arm == ALL} == set(range(7, 7 + seeds))
    settings = planned.model_dump(mode="json")
    assert make_experiment(settings) == planned


@pytest.mark.parametrize("kind", KINDS)
def test_every_seed_has_the_same_arms_which_differ_in_examples_and_methods_alone(kind: str) -> None:
    """Order, augmentation, attack noise and first weights come from the run's seed."""
    plan = [run for run in experiment(kind, "seeds=3").plan() if run.arm != "scores"]
    arms = {seed: [run.arm for run in plan if run.seed == seed] for seed in (0, 1, 2)}
    assert arms[0] == arms[1] == arms[2]
    for seed in (0, 1, 2):
        apart = {"phases": (), "difficulty": Difficulty()}
        ours = [run.config.model_copy(update=apart) for run in plan if run.seed == seed]
        kinds = {config.objective.kind: config for config in ours}
        assert all(config == kinds[config.objective.kind] for config in ours)


def test_shares_that_look_alike_are_different_arms() -> None:
    plan = experiment("pruning", "share=0.1", "sweep=[0.104, 0.4]", "doses=[0.25, 0.254]").plan()
    subsets = [(*(p.subset for p in run.config.phases), run.config.objective.kind, run.seed) for run in plan]
    assert len(set(subsets)) == len(plan)
    assert {"without hardest 10%", "without hardest 10.4%", "with 25.4% of hardest 10%"} <= {run.arm for run in plan}


@pytest.mark.parametrize(
    ("kind", "assignment", "sentence"),
    [
        ("pruning", "share=2", "share = 2 is not allowed: input should be less than 0.9"),
        ("pruning", "share=0", "share = 0 is not allowed: input should be greater than 0"),
        ("pruning", "doses=[1]", "doses must lie between 0 and 1, got [1.0]"),
        ("subsets", "seeds=0", "seeds = 0 is not allowed: input should be greater than or equal to 1"),
        ("subsets", "dpls=true", "subsets has no setting 'dpls'; choose from base, equal_steps"),
        ("membership", "base.epochs=4", "base has no setting 'epochs'; choose from attack_warmup, augmentation"),
        ("membership", "answers=1", "answers = 1: one fold would leave nothing to train on"),
        ("membership", "scores=mine", "scores = 'mine' is unknown; choose from another_seed, folds"),
        ("pruning", "base.schedule={}", "base has one phase and no decay of the learning rate; set base.schedule"),
        ("pruning", "base.seed=2147483647", "base does not fit: in one of the runs seed = 2147483648 is not allowed"),
        ("pruning", "base.phases.0.until=1", "base has one phase and no decay of the learning rate"),
    ],
)
def test_bad_settings_end_with_2_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, assignment: str, sentence: str
) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    arguments = ["experiment", kind, str(tmp_path / "tiny.toml"), "--set", assignment]
    assert main([*arguments, "--runs", str(tmp_path / "runs")]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"dpls: {sentence}")
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "runs").exists()


def test_folds_need_judges_that_can_judge() -> None:
    """Both would be found out only by the runs, one after the other."""
    with pytest.raises(UserError, match="scores = folds needs base"):
        experiment("subsets", "scores=folds", "base.difficulty.adversarial=true")
    with pytest.raises(UserError, match=r"in one of the runs schedule\.warmup = 2 must be shorter than the 2 epochs"):
        experiment("subsets", "scores=folds", "base.schedule.warmup=2")
    assert experiment("subsets", "base.schedule.warmup=2", "base.difficulty.adversarial=true", "seeds=2")


def test_defect_12_a_share_of_nothing_keeps_all() -> None:
    difficulty, labels = np.linspace(0, 1, COUNT), np.arange(COUNT) % 10
    for which, share in itertools.product(("hardest", "easiest", "matched", "random"), (0, 0.001)):
        assert Subset(which=which, share=share).keep(difficulty, labels).all()


# Who judges whom, on real runs


def test_the_lesson_shows_memorization_with_one_seed(tmp_path: Path) -> None:
    """The classroom's own training; less is judged beside the training images, and the random arm is left out."""
    less = ["seeds=1", "base.evaluations.0.steps=1", "base.data.test_limit=20", "base.selection.every=18"]
    lesson = read_experiment("membership", "classroom", less)
    assert isinstance(lesson, Membership)
    stored = submit_all(lesson, tmp_path / "runs")
    stored.runs()[role_of(dropped("matched", lesson.share), 0)].write_status(state="cancelled")
    work_on(stored.runs()[role_of(ALL, 0)])
    found = [gap(stored.outcomes(), which, lesson.share, "clean_last") for which in ("hardest", "easiest")]
    hardest, easiest = (float(np.nanmean(of.gained)) for of in found if of)
    assert hardest > 0.7 and hardest > easiest + 0.4, (hardest, easiest)
    assert lesson.summarise(stored.outcomes()).claims[0].agreement == "agrees"


def test_with_folds_an_example_is_judged_by_a_run_that_never_trained_on_it(tmp_path: Path) -> None:
    stored = submit_all(
        experiment("subsets", "scores=folds", "folds=3", "standard=false", "share=0.3"), tmp_path / "runs"
    )
    finish_all(stored)
    runs = stored.runs()
    judges = [runs[role] for role in stored.content["judges"]["0"]]
    tables = [judge.examples() for judge in judges]
    train = (tables[0]["split"] == "train").to_numpy()
    trained, difficulty = (np.stack([table[name].to_numpy() for table in tables]) for name in ("trained", "difficulty"))
    assert set(np.unique(trained[:, train])) == {0, BORDER}
    assert ((trained[:, train] == 0).sum(0) == 1).all(), "one of them has left it out"
    assert (trained[:, ~train] == 0).all()
    found = scores_of(stored.runs_folder, [judge.id for judge in judges])
    np.testing.assert_array_equal(
        found[train], difficulty[:, train][trained[:, train] == 0][_by_column(trained, train)]
    )
    np.testing.assert_allclose(found[~train], difficulty[:, ~train].mean(0))
    for judge, own in zip(judges, trained, strict=True):
        np.testing.assert_array_equal(shown_in(judge), own)
    for role, run in runs.items():
        if "only" in role:
            assert_chosen_by(found, run)


def _by_column(trained: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Where a mask of (judges, examples) with one hit a column finds each column."""
    _, columns = np.nonzero(trained[:, train] == 0)
    return np.argsort(columns)


def shown_in(run: Run) -> np.ndarray:
    """(N,): in how many epochs an example was attacked, that is trained on, by the record."""
    return (run.dynamics()["correct_adv"] != 255).sum(0)


def assert_chosen_by(difficulty: np.ndarray, run: Run) -> None:
    """A run trained on exactly what its last phase's subset leaves, by these scores."""
    config, table = make_config(run.config()["config"]), run.examples()
    start, subset = config.last_phase_start, config.phases[-1].subset
    train = (table["split"] == "train").to_numpy()
    taken = subset.take(difficulty[train], table["label"].to_numpy()[train]).chosen
    share = round(subset.share * COUNT)
    assert taken.sum() == share - round(subset.spared * share)
    left_out = taken if subset.action == "drop" else ~taken
    first = 0 if config.phases[0].subset else start
    np.testing.assert_array_equal(table["trained"][train], np.where(left_out, first, config.epochs))
    assert (table["trained"][~train] == 0).all()
    if config.objective.kind != "standard":
        np.testing.assert_array_equal(shown_in(run), table["trained"])


def test_defect_13_left_out_is_what_the_other_runs_scores_say(pruned: Finished, members: Stored) -> None:
    checked = 0
    for stored in (pruned.stored, members):
        runs = stored.runs()
        (judge,) = stored.content["judges"]["0"]
        difficulty = runs[judge].examples()["difficulty"].to_numpy()
        assert np.isfinite(difficulty).all()
        for run in runs.values():
            needs = run.config()["needs"]
            assert needs in ([], [runs[judge].id])
            if needs:
                assert_chosen_by(difficulty, run)
                checked += 1
    assert checked == 12 + 5


def test_defect_13_an_id_is_the_same_example_in_every_run(pruned: Finished, members: Stored) -> None:
    tables = [run.examples() for stored in (pruned.stored, members) for run in stored.runs().values()]
    names = ["id", "hash", "split", "label", "class", "cause"]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table[names], tables[0][names])
    assert tables[0]["id"].tolist() == list(range(len(tables[0])))


# Branches


def test_a_branch_has_its_parents_beginning_and_trains_no_first_phase(pruned: Finished) -> None:
    runs = pruned.stored.runs()
    branches = {role: run for role, run in runs.items() if "with" in role}
    assert len(branches) == 12
    for role, run in branches.items():
        parent = runs[role_of(f"{ALL}, standard" if "standard" in role else ALL, 0)]
        assert run.config()["parent"]["run"] == parent.id
        assert run.config()["parent"]["epoch"] == BORDER
        assert run.metrics()[:BORDER] == parent.metrics()[:BORDER], "clock columns too: copied, not trained"
        for name, rows in run.dynamics().items():
            np.testing.assert_array_equal(rows[:BORDER], parent.dynamics()[name][:BORDER])
        tiny = "0.1%" in role
        assert (metrics(run) == metrics(parent)) == tiny
        assert (run.metrics() == parent.metrics()) is False, "its last phase it has trained itself"


def test_leaving_out_nothing_equals_the_full_run(pruned: Finished) -> None:
    runs = pruned.stored.runs()
    full = runs[role_of(ALL, 0)]
    for which in ("hardest", "random"):
        nothing = runs[role_of(f"without {which} 0.1%", 0)]
        assert metrics(nothing) == metrics(full)
        pd.testing.assert_frame_equal(nothing.examples(), full.examples())
        for name, rows in nothing.dynamics().items():
            np.testing.assert_array_equal(rows, full.dynamics()[name])


# Refill


@pytest.mark.parametrize(
    ("subset", "kept"),
    [
        (Subset(which="hardest", share=0.2, refill=True), 80),
        (Subset(which="easiest", share=0.55, refill=True), 45),
        (Subset(which="hardest", share=0.2, action="keep", refill=True), 20),
        (Subset(which="random", share=0.03, action="keep", refill=True), 3),
    ],
)
def test_refill_shows_what_is_kept_again_and_nothing_else(pruned: Finished, subset: Subset, kept: int) -> None:
    config = make_config(BASE).resolved()
    parts = build(config, config.data(data_root(pruned.stored.runs_folder))[0])
    ids = parts.splits[TRAIN].ids
    keep = np.flatnonzero(subset.keep(np.random.default_rng(0).random(COUNT), np.zeros(COUNT, dtype=np.int64)))
    assert len(keep) == kept
    phase, orders = Phase(until=4, subset=subset), []
    for epoch in (3, 4):
        rows, visits = presentations(parts, phase, torch.from_numpy(keep), epoch)
        assert len(rows) == len(visits) == COUNT, "as many steps as with all"
        shown = np.bincount(rows.numpy(), minlength=COUNT)
        assert set(np.flatnonzero(shown)) == set(keep)
        assert shown[keep].min() >= COUNT // kept
        assert shown.max() <= -(-COUNT // kept)
        assert len(visits.unique()) == COUNT, "noise of its own for every showing"
        assert set(rows[visits == ids[rows]].tolist()) == set(keep), "the first showing's noise is what it always was"
        orders.append(rows.tolist())
    assert orders[0] != orders[1]


def test_without_refill_every_example_kept_is_shown_once(pruned: Finished) -> None:
    config = make_config(BASE).resolved()
    parts = build(config, config.data(data_root(pruned.stored.runs_folder))[0])
    keep = torch.arange(0, COUNT, 3)
    rows, visits = presentations(parts, Phase(until=4, subset=Subset(which="random", share=0.66)), keep, 3)
    assert sorted(rows.tolist()) == keep.tolist()
    assert torch.equal(visits, parts.splits[TRAIN].ids[rows])


def test_refilled_runs_never_train_on_what_they_dropped(pruned: Finished) -> None:
    """By the record; and that as many steps differ from fewer."""
    runs = pruned.stored.runs()
    short, long = (runs[role_of(f"without hardest 20%{more}", 0)] for more in ("", ", equal steps"))
    np.testing.assert_array_equal(shown_in(short), shown_in(long))
    assert (shown_in(long) == BORDER).sum() == 20
    assert metrics(short)[:BORDER] == metrics(long)[:BORDER]
    assert metrics(short)[BORDER:] != metrics(long)[BORDER:]


# Starting again


def ids_of(stored: Stored) -> dict[str, str]:
    return {role: run.id for role, run in stored.runs().items()}


def test_started_again_nothing_is_trained(pruned: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    runs, before = pruned.stored.runs_folder, ids_of(pruned.stored)
    folders = list_runs(runs)
    again = submit_all(experiment("pruning", *PRUNING, "base.device=auto"), runs)
    assert again.id == pruned.stored.id, "where it computes does not matter"
    assert ids_of(again) == before
    file = runs.parent / "tiny.toml"
    arguments = ["--set=seeds=1", *(f"--set={assignment}" for assignment in PRUNING)]
    assert main(["experiment", "pruning", str(file), *arguments, "--runs", str(runs)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("All 15 runs are there already; nothing needs to be trained.\n")
    assert out.splitlines()[-1] == again.id
    assert list_runs(runs) == folders


def test_another_experiment_takes_the_runs_it_shares(pruned: Finished, members: Stored) -> None:
    shared = {role: name for role, name in ids_of(members).items() if role in ids_of(pruned.stored)}
    ours = {role: name for role, name in ids_of(pruned.stored).items() if role in shared}
    assert shared[role_of(ALL, 0)] == ours[role_of(ALL, 0)]
    assert shared["seed 1: scores"] == ours["seed 1: scores"]
    assert len(set(ids_of(members).values()) & set(ids_of(pruned.stored).values())) == 2


def test_what_is_deleted_is_trained_again_alone(pruned: Finished, tmp_path: Path) -> None:
    shutil.copytree(pruned.stored.runs_folder, tmp_path / "runs")
    stored, planned = Stored(tmp_path / "runs" / "experiments" / pruned.stored.id), experiment("pruning", *PRUNING)
    before, deleted = ids_of(stored), role_of("without easiest 20%", 0)
    old = stored.runs()[deleted]
    rows = metrics(old)
    shutil.rmtree(old.path)
    assert stored.states() == Counter(done=15), "its outcomes are there"
    assert submit_all(planned, tmp_path / "runs").runs().keys() == before.keys() - {deleted}, "so nothing is trained"
    for file in stored.tables:
        file.unlink()
    assert stored.states() == Counter(done=14, missing=1)
    assert costs.cost(planned, tmp_path / "runs").in_words.startswith("1 run to train; 14 are there already: about ")
    stored = submit_all(planned, tmp_path / "runs")
    after = ids_of(stored)
    assert {role for role in after if after[role] != before[role]} == {deleted}
    assert len(list_runs(tmp_path / "runs")) == len(list_runs(pruned.stored.runs_folder))
    finish_all(stored)
    assert metrics(stored.runs()[deleted]) == rows
    assert stored.runs()[deleted].config()["parent"]["run"] == before[role_of(ALL, 0)]


def test_a_judge_that_is_gone_is_trained_again_with_those_that_still_wait_for_it(
    pruned: Finished, tmp_path: Path
) -> None:
    """Those that have finished stay; those that have not could wait for ever."""
    shutil.copytree(pruned.stored.runs_folder, tmp_path / "runs")
    stored, planned = Stored(tmp_path / "runs" / "experiments" / pruned.stored.id), experiment("pruning", *PRUNING)
    before, judge, waits = ids_of(stored), "seed 1: scores", role_of("without easiest 20%", 0)
    for file in stored.tables:
        file.unlink()
    stored.runs()[waits].write_status(state="cancelled")
    shutil.rmtree(stored.runs()[judge].path)
    assert costs.cost(planned, tmp_path / "runs").new == 2
    stored = submit_all(planned, tmp_path / "runs")
    after = ids_of(stored)
    assert {role for role in after if after[role] != before[role]} == {judge, waits}
    assert stored.runs()[waits].config()["needs"] == [after[judge]]
    finish_all(stored)
    assert_same_outcomes(stored.outcomes(), pruned.stored.outcomes())


def test_other_images_are_another_matter(tmp_path: Path) -> None:
    """Under the same settings: a file that has changed since."""
    npz, rng = tmp_path / "images.npz", np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    np.savez(npz, x_train=images, y_train=labels)
    data = {"source": {"kind": "npz", "path": str(npz)}}
    planned = make_experiment({"kind": "subsets", "base": BASE | {"data": data}, "seeds": 1, "standard": False})
    stored = submit_all(planned, tmp_path / "runs")
    old = stored.runs()
    np.savez(npz, x_train=255 - images, y_train=labels)
    os.utime(npz, (1, 1))
    assert ids_of(submit_all(planned, tmp_path / "runs")) == ids_of(stored), "all are there, none is looked for"
    shutil.rmtree(old[role_of("only random 20%", 0)].path)
    with pytest.raises(UserError, match=f"the images are no longer those of {stored.id}; bring them back"):
        submit_all(planned, tmp_path / "runs")
    shutil.rmtree(stored.path)
    assert costs.cost(planned, tmp_path / "runs").new == 5
    new = submit_all(planned, tmp_path / "runs").runs()
    assert not {run.id for run in new.values()} & {run.id for run in old.values()}
    assert len({run.config()["fingerprint"] for run in new.values()}) == 1


# Stopped, killed, resumed


def assert_same_outcomes(some: Outcomes, whole: Outcomes) -> None:
    """Every arm that the first has is, example by example, what it is in the other."""
    order = ["arm", "seed", "id"]
    expected = whole.outcomes[whole.outcomes["arm"].isin(some.arms)]
    pd.testing.assert_frame_equal(
        some.outcomes.sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True)
    )
    pd.testing.assert_frame_equal(some.scores, whole.scores)
    assert some.attack == whole.attack == "PGD1, eps 0.1, step 0.025"


@pytest.fixture
def disturbed(tmp_path: Path, hold: Hold) -> Iterator[Stored]:
    """The membership experiment without DPLS and answers, in a folder of its own, begun by a worker.

    Its first run comes to its end, and the next waits in its second epoch.
    """
    planned = experiment("membership", "share=0.2", "dpls=false")
    submit_all(planned, tmp_path / "runs")
    hold.at(150, list_runs(tmp_path / "runs")[0].id)
    stored = start(planned, tmp_path / "runs", Local())
    assert len(stored.runs()) == 5
    yield stored
    if stored.states()["done"] < 5:  # a test that failed leaves no worker behind
        cancel(stored, Local())
        wait_for(lambda: not stored.is_worked_on())


def in_the_middle(stored: Stored) -> bool:
    """Some run is done, and another trains."""
    states = stored.states()
    return bool(states["done"] and states["running"])


def test_stopped_and_resumed_it_comes_to_the_same(disturbed: Stored, members: Stored, hold: Hold) -> None:
    wait_for(lambda: in_the_middle(disturbed))
    cancel(disturbed, Local())
    wait_for(lambda: not disturbed.is_worked_on())
    hold.let_go()
    assert disturbed.states() == Counter(done=1, cancelled=4, missing=0)
    assert take_up(Local(), disturbed.runs_folder) == [], "stopped is stopped"
    resume(disturbed, Local())
    wait_for(lambda: disturbed.states()["done"] == 5)
    assert_same_outcomes(disturbed.outcomes(), members.outcomes())
    assert_same_outcomes(Stored(disturbed.path).outcomes(), members.outcomes())  # as read from the folder


def test_stopped_while_it_is_laid_out_it_stays_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: Stop at the moment of Start, whose last step would set going again what was stopped."""
    one, laid_out, asked = submission.submit, Event(), Event()

    def submit_and_wait(*args: Any) -> Run:
        run = one(*args)
        laid_out.set()
        assert asked.wait(60)
        return run

    monkeypatch.setattr(submission, "submit", submit_and_wait)
    planned = experiment("membership", "share=0.2", "dpls=false")
    starter = Thread(target=start, args=(planned, tmp_path / "runs", Local()))
    starter.start()
    assert laid_out.wait(60)
    (found,) = list_experiments(tmp_path / "runs")
    asked.set()
    cancel(found, Local())
    starter.join()
    wait_for(lambda: not Stored(found.path).is_worked_on())
    assert Stored(found.path).states() == Counter(cancelled=5, missing=0)


def test_killed_and_taken_up_it_comes_to_the_same(disturbed: Stored, members: Stored, hold: Hold) -> None:
    wait_for(lambda: in_the_middle(disturbed))
    os.kill(worker_of_folder(disturbed), signal.SIGKILL)
    wait_for(lambda: not disturbed.is_worked_on())
    hold.let_go()
    assert disturbed.states() == Counter(done=1, queued=3, interrupted=1, missing=0)
    assert len(take_up(Local(), disturbed.runs_folder)) == 1
    wait_for(lambda: disturbed.states()["done"] == 5)
    assert_same_outcomes(disturbed.outcomes(), members.outcomes())


def worker_of_folder(stored: Stored) -> int:
    return worker_of(Run(stored.runs_folder))


# Cost


def test_cost_counts_what_is_there(pruned: Finished, members: Stored, tmp_path: Path) -> None:
    planned = experiment("pruning", *PRUNING)
    new = costs.cost(planned, tmp_path / "runs")
    assert (new.runs, new.new) == (15, 15)
    assert new.in_words.startswith("15 runs to train: about ")
    assert new.in_words.endswith(" MB of its disk.")
    assert not list_runs(tmp_path / "runs"), "asking starts nothing"
    there = costs.cost(planned, pruned.stored.runs_folder)
    assert there == (15, 0, 0, 0, 0)
    rates = dict.fromkeys(("pgd_at", "standard"), costs.Rate(1e9, 1e9))
    some = costs.cost(experiment("subsets"), pruned.stored.runs_folder, rates)
    assert (some.runs, some.new) == (8, 6)
    assert some.in_words.startswith("6 runs to train; 2 are there already: about ")
    more = costs.cost(experiment("pruning", "sweep=[0.001]", "doses=[0.5, 0.25]"), pruned.stored.runs_folder, rates)
    assert (more.runs, more.new) == (16, 1), "runs with the same settings count, whoever began them"
    assert 0 < more.seconds < some.seconds
    assert 0 < more.processor_seconds < some.processor_seconds
    assert 0 < more.size < some.size < new.size


def test_cost_of_runs_that_wait_is_still_to_come(tmp_path: Path) -> None:
    planned = experiment("subsets", "standard=false")
    submit_all(planned, tmp_path / "runs")
    assert costs.cost(planned, tmp_path / "runs", {"pgd_at": costs.Rate(1e9, 1e9)})[:2] == (5, 5)


# The command line


def test_a_terminal_shows_cost_progress_and_verdict(pruned: Finished) -> None:
    lines = pruned.printed.splitlines()
    assert lines[0].startswith("15 runs to train: about ")
    assert sum(line.split(": ")[0] in {f"{n} of 15" for n in range(1, 16)} for line in lines) == 15
    assert lines[-1] == pruned.stored.id
    assert "| adversarial | without hardest 20% | attacked, best |" in pruned.printed
    assert "Attacked means PGD1, eps 0.1" in pruned.printed
    result = pruned.stored.result()
    assert result.claims
    assert all(f": {claim.words}" in pruned.printed for claim in result.claims)
    assert result.text() in pruned.printed


def test_a_plan_is_said_and_nothing_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    arguments = ["experiment", "membership", str(tmp_path / "tiny.toml"), "--set=seeds=1", "--plan"]
    assert main([*arguments, "--runs", str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("8 runs to train: about ")
    assert lines[1] == "  seed 0: all images"
    assert "  seed 0: all images, DPLS  (from epoch 2 on)" in lines
    assert lines[9:] == costs.said_of_ties(experiment("membership"), tmp_path / "runs")
    assert "the seed draws" in lines[9], "how many are tied nobody knows yet"
    assert not (tmp_path / "runs").exists()


def test_a_plan_says_how_many_are_tied_once_it_is_known(pruned: Finished) -> None:
    planned, notes = experiment("pruning", *PRUNING), pruned.stored.result().notes
    said = costs.said_of_ties(planned, pruned.stored.runs_folder)
    assert said and set(said) <= set(notes)
    drawn = [int(seed) for seed in re.findall(r"\(seed (\d+)\)", said[0])]
    logs = {s: (pruned.stored.runs()[f"seed {s}: without hardest 20%"].path / "log.txt").read_text() for s in drawn}
    for seed, (border, inside) in zip(drawn, re.findall(r"of (\d+)(?: images[^,]*)?, (\d+)", said[0]), strict=True):
        assert f"of {border} images tied at the border, {inside} " in logs[seed], "the run itself says the same"


def test_a_run_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    settings = ("standard=false", "sweep=[]", "doses=[]", "equal_steps=false")
    arguments = [str(tmp_path / "tiny.toml"), "--set=seeds=1", *(f"--set={s}" for s in settings)]
    stored = submit_all(experiment("pruning", *settings), tmp_path / "runs")
    judge = stored.runs()["seed 1: scores"]
    content = judge.config_file.read_text()
    judge.config_file.write_text(content.replace('"small_cnn"', '"no such net"'))
    assert main(["experiment", "pruning", *arguments, "--runs", str(tmp_path / "runs")]) == 1
    _, err = capsys.readouterr()
    assert "dpls: seed 1: scores: " in err
    assert f"dpls: 4 runs of {stored.id} did not finish; the same command goes on with them" in err
    assert stored.states() == Counter(done=1, failed=1, queued=3)
    judge.config_file.write_text(content)
    assert main(["experiment", "pruning", *arguments, "--runs", str(tmp_path / "runs")]) == 0
    assert stored.states() == Counter(done=5)
    assert all(hindrance(run) is None for run in stored.runs().values())


def test_what_was_evaluated_otherwise_changes_no_outcome(pruned: Finished, tmp_path: Path) -> None:
    """Somebody attacks one run harder, and evaluates another checkpoint of it."""
    shutil.copytree(pruned.stored.runs_folder, tmp_path / "runs")
    shutil.copytree(pruned.stored.runs_folder.parent / "data", tmp_path / "data")
    stored = Stored(tmp_path / "runs" / "experiments" / pruned.stored.id)
    before = stored.outcomes()
    for file in stored.tables:
        file.unlink()
    run = stored.runs()[role_of(ALL, 0)]
    for more in (["--attack", "pgd3", "--set", "eps=0.3"], ["--checkpoint", "2"]):
        assert main(["evaluate", run.id, *more, "--runs", str(tmp_path / "runs")]) == 0
    after = stored.outcomes()
    pd.testing.assert_frame_equal(before.outcomes, after.outcomes)
    assert before.attack == after.attack


def test_damaged_outcomes_are_made_again_and_a_full_disk_hides_nothing(
    pruned: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pruned.stored.runs_folder, tmp_path / "runs")
    stored = Stored(tmp_path / "runs" / "experiments" / pruned.stored.id)
    expected = stored.outcomes()
    stored.tables[0].write_bytes(b"PAR1 and then nothing")
    pd.testing.assert_frame_equal(stored.outcomes().outcomes, expected.outcomes)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    stored.tables[0].unlink()
    monkeypatch.setattr("dpls.experiments.stored.write_whole", full)
    pd.testing.assert_frame_equal(stored.outcomes().outcomes, expected.outcomes)


@pytest.mark.parametrize(
    ("kind", "wrong", "sentence"),
    [
        ("pruning", "share=0.001", "chooses none of the 100 training images"),
        ("membership", "lambda_min=0.05", "below 1/10"),
        ("pruning", "kind=subsets", "the kind is pruning, as the command says"),
        ("pruning", "base.evaluations=[]", "base.evaluations names no attack"),
        ("pruning", "judge=checks", "judge = checks says nothing of a net under attack"),
        ("pruning", "judge=deepfool", "unknown attack 'deepfool'"),
        ("pruning", "base.objective.kind=standard", "base trains without attack already"),
        ("pruning", "base.phases.0.objective.kind=trades", "have objectives of their own"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    kind: str, wrong: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    runs = tmp_path / "runs"
    assert main(["experiment", kind, str(tmp_path / "tiny.toml"), "--set", wrong, "--runs", str(runs)]) == 2
    assert sentence in capsys.readouterr().err
    assert not list_runs(runs) and not list_experiments(runs)


def test_judges_anneal_as_those_they_judge_for() -> None:
    for scores in ("another_seed", "folds"):
        plan = experiment("membership", "base.schedule.anneal=true", f"scores={scores}").plan()
        rates = {tuple(run.config.schedule.scale(epoch, run.config.epochs) for epoch in range(BORDER)) for run in plan}
        assert len(rates) == 1
