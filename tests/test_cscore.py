"""The held-out C-score: closed forms on made outcomes, and a tiny experiment that becomes a measure a run trains by."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpls.difficulty.verdict import spearman
from dpls.experiments.conduct import submit_all
from dpls.experiments.kinds.cscore import AGREEING, CAUSES, COUNTED, CScore, HeldOut, held_out
from dpls.experiments.outcomes import ALL, COLUMNS, Outcomes
from dpls.experiments.stored import Stored
from dpls.jobs.submission import submit
from dpls.recipe import make_config
from dpls.runs import scores
from dpls.runs.scores.training import own
from tests.made_outcomes import of_kind, shown
from tests.test_experiments import BASE, experiment
from tests.test_jobs import work_on

N, FOLDS, SEEDS = 6, 3, 2
LEFT_OUT = {(seed, fold): [(2 * fold + seed + k) % N for k in (0, 1)] for seed in range(SEEDS) for fold in range(FOLDS)}


def made(right: dict[int, int], cause: tuple[str, ...] = ("",) * N) -> Outcomes:
    """Six training images, each left out once a seed; ``right``: in how many of the seeds it is right then. Whoever
    trained on an image is right. Image 6 is a test image, right in the first fold of each seed."""
    rows = []
    for seed in range(SEEDS):
        for fold, name in enumerate([None, *range(FOLDS)]):
            out = [] if name is None else LEFT_OUT[seed, name]
            for image in range(N + 1):
                seen = image < N and image not in out
                known = float(seen or (image < N and right.get(image, 0) > seed) or (image == N and fold == 1))
                row = {"arm": ALL if name is None else f"without fold {name + 1} of {FOLDS}", "seed": seed, "id": image}
                row |= {"split": "train" if image < N else "test", "trained": 4 * seen, "factor": 1.0, "predicted": "a"}
                rows.append(row | dict.fromkeys(COLUMNS, np.nan) | {"clean_last": known, "attacked_last": 0.0})
    found = pd.DataFrame(rows)
    found.attrs["attack"] = "PGD-20 within 8/255"
    ids = np.arange(N + 1)
    table = pd.DataFrame({"id": ids, "split": ["train"] * N + ["test"], "label": 0, "class": "a"})
    table["cause"] = [*cause, ""]
    table["difficulty"] = table["zero_one"] = [1.0, 0.8, 0.6, 0.4, 0.2, 0.0, 0.5]
    table["aum"] = -table["difficulty"]
    return Outcomes(found, pd.concat([table.assign(seed=seed) for seed in range(SEEDS)], ignore_index=True))


def kind(**changes: object) -> CScore:
    found = of_kind("cscore", seeds=SEEDS, folds=FOLDS, **changes)
    assert isinstance(found, CScore)
    return found


def test_the_score_is_the_share_of_the_runs_that_did_not_train_on_an_image() -> None:
    o = made({0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2})
    score = held_out(o, kind().folds_left_out, "clean_last")
    np.testing.assert_array_equal(score.runs, [2] * N + [6])
    np.testing.assert_allclose(score.share, [0, 0, 0.5, 0.5, 1, 1, 2 / 6])
    np.testing.assert_allclose(score.error[:N], [0, 0, 0.5, 0.5, 0, 0])
    found = kind().new_measures(o)
    np.testing.assert_allclose(found[""], [1, 1, 0.5, 0.5, 0, 0, 4 / 6])
    assert list(found) == [""], "attacked, all are alike: no measure"


def test_the_standard_error_is_that_of_a_mean() -> None:
    outcomes = np.array([1, 0, 0, 1, 1, 0, 0, 0.0])
    score = HeldOut(np.array([outcomes.sum(), 1, 0]), np.array([len(outcomes), 1, 0.0]))
    assert score.error[0] == pytest.approx(outcomes.std(ddof=1) / np.sqrt(len(outcomes)))
    assert np.isnan(score.error[1:]).all() and np.isnan(score.share[2]), "of one run none; left out by none: no score"


def test_what_the_result_says() -> None:
    o = made({2: 1, 3: 1, 4: 2, 5: 2}, ("flip", "flip", "", "", "", "rare"))
    result = shown(kind(), o)
    lines = {(line.arm, line.quantity): line for line in result.lines}
    assert lines["left out", "clean, last"].estimate.value == 0.5 and lines["seen", "clean, last"].estimate.value == 1
    assert lines["seen", "clean, last"].difference.value == 0.5  # type: ignore[union-attr]
    counted = result.tables[COUNTED].set_index("right in")
    assert counted["clean"].to_dict() == {"0 of 2": 2, "1 of 2": 2, "2 of 2": 2}
    assert counted["attacked"].to_dict() == {"0 of 2": 6, "1 of 2": 0, "2 of 2": 0}
    rho = spearman(np.array([1, 1, 0.5, 0.5, 0, 0]), np.array([1, 0.8, 0.6, 0.4, 0.2, 0]))
    agreeing = result.tables[AGREEING].set_index("measure")
    for measure in ("its own difficulty", "0-1 (times wrong), clean", "AUM (margin), clean"):
        assert (
            agreeing.loc[measure, "C-score, clean"] == f"{rho:.2f}"
            and agreeing.loc[measure, "C-score, attacked"] == "-"
        )
    assert f"rank correlation of {rho:.2f} (clean)." in result.claims[0].seen
    causes = result.tables[CAUSES].set_index("planted cause")
    assert causes["C-score, clean"].to_dict() == {"flip": "1.00", "rare": "0.10"}
    assert causes["one run's difficulty"].to_dict() == {"flip": "1.00", "rare": "0.00"}
    text = result.text()
    assert "the share of the 2 runs that never trained on an image" in text
    assert (
        "standard error is 0.17 on average (0 where none or all were right), at most 0.35 by its number of runs" in text
    )
    assert result.images[0].ids.tolist() == [0, 1], "the hardest, ties by the difficulty of the run on all images"


def test_who_was_left_out_by_no_run_has_no_score_and_is_counted() -> None:
    o = made({4: 2})
    some = Outcomes(o.outcomes[~o.outcomes["arm"].str.startswith("without fold 3")], o.scores)
    some.outcomes.attrs.update(o.outcomes.attrs)
    missing = sorted(set(LEFT_OUT[0, 2]) & set(LEFT_OUT[1, 2]))
    score = held_out(some, kind().folds_left_out, "clean_last")
    assert np.isnan(score.share[missing]).all() and len(missing) == 1
    assert "1 training images were left out by none" in shown(kind(), some).text()


def test_folds_are_disjoint_cover_all_and_differ_by_seed() -> None:
    e = experiment("cscore", "seeds=2", "folds=3", "standard=true")
    parts = {}
    for planned in e.plan():
        subset = planned.config.phases[0].subset
        assert planned.config.objective.kind == "standard" and planned.config.evaluate_also == ("train", "validation")
        if planned.arm != ALL:
            assert subset is not None and planned.config.phases[1].subset == subset and planned.after is None
            parts[planned.role] = ~subset.keep(np.zeros(100), np.zeros(100, dtype=np.int64))
    assert len(parts) == 6
    first, second = list(parts.values())[:3], list(parts.values())[3:]
    assert (sum(first) == 1).all() and (sum(second) == 1).all() and not np.array_equal(first[0], second[0])
    assert "3 folds, standard training" in e.in_words


def test_an_experiment_becomes_a_measure_that_a_run_is_trained_by(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    stored = submit_all(experiment("cscore", "folds=2"), runs)
    waiting = [run for run in stored.runs().values() if run.state() == "queued"]
    assert len(waiting) == 3
    fingerprint = waiting[0].config()["fingerprint"]
    assert scores.names(runs, fingerprint) == []
    work_on(waiting[0])
    assert Stored(stored.path).is_complete, "the worker of the last run has written what it makes"
    name = f"cscore-{stored.id[-4:]}"
    assert name in scores.names(runs, fingerprint)
    kept = scores.load(scores.file_of(runs, fingerprint, name))
    table = waiting[0].examples()
    train = (table["split"] == "train").to_numpy()
    assert set(np.unique(kept[train])) == {0.0, 1.0}, "one run has left each image out"
    right = np.zeros(len(table))
    for role, run in stored.runs().items():
        if "without" in role:
            out = (run.examples()["trained"] == 0).to_numpy() & train
            judged = run.outcomes("clean_last_train").set_index("id")["correct"]
            right[out] = judged.reindex(np.flatnonzero(out)).to_numpy(float)
    np.testing.assert_array_equal(kept[train], 1 - right[train])
    text = Stored(stored.path).result().text()
    assert "AUM (margin), attacked" in text and "of one run no error is known" in text
    smooth = BASE | {
        "phases": [{"until": 2}, {"until": 4, "factors": {"kind": "dpls"}}],
        "difficulty": {"scores": name},
    }
    trained = submit(make_config(smooth), runs)
    work_on(trained)
    np.testing.assert_array_equal(own(trained), kept)
    factors = trained.examples()["factor"].to_numpy()[train]
    np.testing.assert_array_equal(factors, np.where(kept[train] == 1, 0.5, 1.0))
