"""Runs trained by scores computed elsewhere: who they are, what they keep, what is refused. Tiny and real."""

from pathlib import Path

import numpy as np
import pytest

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.experiments.conduct import settled, submit_all
from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.recipe import hash_at, make_config, override, same_run
from dpls.runs import scores
from dpls.runs.choice import choice_at
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.report import method_of, report
from dpls.runs.scores.training import digest_of, own, pinned
from tests.made_outcomes import of_kind
from tests.test_run import TINY, config

WITHOUT = 7
"""Training images that have no score."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by scores") / "runs"


@pytest.fixture(scope="module")
def fingerprint(runs: Path) -> str:
    return config().data(data_root(runs))[1]


def bring(runs: Path, name: str, seed: int = 0) -> np.ndarray:
    dataset, fingerprint = config().data(data_root(runs))
    values = np.random.default_rng(seed).normal(size=len(dataset.labels))
    values[dataset.ids(0)[:WITHOUT]] = np.nan
    scores.keep(runs, fingerprint, name, values)
    return values


@pytest.fixture(scope="module")
def run(runs: Path) -> Run:
    bring(runs, "mine")
    assert main(["train", str(write_settings(runs)), "--set", "difficulty.scores=mine", "--runs", str(runs)]) == 0
    (found,) = [Run(path) for path in runs.glob("20*")]
    return found


def write_settings(runs: Path) -> Path:
    import json

    runs.mkdir(parents=True, exist_ok=True)
    file = runs.parent / "tiny.json"
    file.write_text(json.dumps(TINY))
    return file


def test_the_factors_are_those_of_the_scores_and_who_has_none_keeps_a_hard_label(run: Run) -> None:
    values, table = bring(run.path.parent, "the same"), run.examples()
    train = (table["split"] == "train").to_numpy()
    low, high = np.nanmin(values[train]), np.nanmax(values[train])
    expected = np.clip((values - low) / (high - low), 0, 1)
    np.testing.assert_allclose(table["difficulty"], expected, rtol=1e-12)
    np.testing.assert_allclose(table["factor"][train], 1 - 0.5 * np.nan_to_num(expected[train]), rtol=1e-12)
    chosen = run.factors(4)
    assert chosen is not None and (chosen.factors == 1).sum() >= WITHOUT
    np.testing.assert_array_equal(chosen.factors, table["factor"][train])


def test_how_many_have_none_is_said_in_log_and_report(run: Run) -> None:
    words = f"{WITHOUT} of 80 training images have none"
    assert words in run.log_file.read_text()
    said = report(run)
    assert "Difficulty is that of the scores 'mine'" in said
    assert f"{WITHOUT} training images have no difficulty (they have no score" in said
    assert method_of(run.recipe()).endswith("DPLS 0.5 by mine")


def test_a_run_is_told_by_the_content_of_its_scores(run: Run, fingerprint: str) -> None:
    values = own(run)
    assert run.recipe().difficulty.scores == f"mine@{digest_of(values)}"
    first = run.recipe()
    changed = make_config(override(first.model_dump(mode="json"), ["difficulty.scores=mine@" + "0" * 20]))
    plain = config()
    for other in (changed, plain):
        assert same_run(first) != same_run(other)
        assert hash_at(first, 6, fingerprint) != hash_at(other, 6, fingerprint)
        assert hash_at(first, 4, fingerprint) == hash_at(other, 4, fingerprint), "before, labels are hard"
    assert digest_of(values[::-1]) != first.difficulty.scores_digest


def test_changed_scores_make_another_run_and_those_of_before_are_refused(runs: Path, fingerprint: str) -> None:
    bring(runs, "changing")
    before = submit(config("difficulty.scores=changing"), runs)
    bring(runs, "changing", seed=1)
    after = submit(config("difficulty.scores=changing"), runs)
    assert before.config()["recipe_hash"] != after.config()["recipe_hash"]
    assert not np.array_equal(own(before), own(after), equal_nan=True), "each keeps its own"
    with pytest.raises(UserError, match=r"'changing' has changed since .* write difficulty.scores=changing to train"):
        submit(before.recipe(), runs)
    again = pinned(after.recipe(), runs, fingerprint)
    assert again == after.recipe() and same_run(pinned(config("difficulty.scores=changing"), runs, fingerprint)) == (
        same_run(after.recipe())
    )


def test_a_run_whose_scores_are_gone_trains_by_its_copy_and_then_by_its_factors(
    runs: Path, run: Run, fingerprint: str
) -> None:
    values = bring(runs, "going")
    left = submit(config("difficulty.scores=going", "seed=3"), runs)
    scores.file_of(runs, fingerprint, "going").unlink()
    work(left)
    np.testing.assert_array_equal(own(left), values)
    dataset, _ = config().data(data_root(runs))
    train = dataset.ids(0)
    (left.path / "scores.parquet").unlink()
    chosen = choice_at(
        left.recipe(), left, 4, train, dataset.labels[train], len(dataset.classes), np.ones(len(train), dtype=bool)
    )
    np.testing.assert_array_equal(chosen.factors, run.factors(4).factors, err_msg="both have the same scores")  # type: ignore[union-attr]


def test_wrong_names_are_answered_with_the_choices(
    run: Run, runs: Path, capsys: pytest.CaptureFixture[str], fingerprint: str
) -> None:
    file = str(write_settings(runs))
    assert main(["train", file, "--set", "difficulty.scores=nobody", "--runs", str(runs)]) == 2
    said = capsys.readouterr().err.strip()
    assert "no scores 'nobody' for these images; choose from" in said and "mine" in said and "\n" not in said
    with pytest.raises(UserError, match="there are none yet"):
        submit(config("difficulty.scores=nobody", "data.source.train=81"), runs)
    with pytest.raises(UserError, match="not counted on attacked images"):
        config("difficulty.scores=mine", "difficulty.adversarial=true")
    dataset, _ = config().data(data_root(runs))
    scores.keep(runs, fingerprint, "flat", np.ones(len(dataset.labels)))
    with pytest.raises(UserError, match="same difficulty score"):
        submit(config("difficulty.scores=flat"), runs)


def test_the_first_phase_may_be_smoothed_by_scores(run: Run, runs: Path) -> None:
    smooth = '{"kind": "dpls", "lambda_min": 0.5}'
    one = config("difficulty.scores=mine", f"phases.0.factors={smooth}")
    found = submit(one, runs)
    dataset, _ = config().data(data_root(runs))
    train = dataset.ids(0)
    chosen = choice_at(
        found.recipe(), found, 0, train, dataset.labels[train], len(dataset.classes), np.ones(len(train), dtype=bool)
    )
    np.testing.assert_array_equal(chosen.factors, run.factors(4).factors)  # type: ignore[union-attr]
    with pytest.raises(UserError, match="the first phase cannot use difficulty"):
        config(f"phases.0.factors={smooth}")


def test_an_experiment_is_told_by_the_content_of_its_scores_and_trains_nothing_twice(tmp_path: Path) -> None:
    runs, plain = tmp_path / "runs", of_kind("smoothing", seeds=1)
    assert settled(plain, runs) is plain
    asked = of_kind("smoothing", seeds=1, lambda_mins=[0.5], **{"base.difficulty.scores": "mine"})
    dataset, fingerprint = asked.base.data(data_root(runs))
    found = []
    for seed in (0, 1):
        scores.keep(runs, fingerprint, "mine", np.random.default_rng(seed).normal(size=len(dataset.labels)))
        found.append(submit_all(asked, runs))
        again = submit_all(asked, runs)
        assert again.content["runs"] == found[-1].content["runs"] and again.id == found[-1].id
        made = {run.recipe().difficulty.scores for run in again.runs().values()}
        assert made == {again.experiment.base.difficulty.scores} and "@" in made.pop()
    assert found[0].id != found[1].id
    assert not set(found[0].content["runs"].values()) & set(found[1].content["runs"].values())
