"""Choosing examples by difficulty: extremes, ties, folds, class mix; no id is renumbered through any plan."""

import itertools
import math
import time

import numpy as np
import pytest
import torch
from conftest import make_tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy import stats

from dpls.data import TRAIN
from dpls.data.split import Split
from dpls.methods.subset import Subset, Taken
from dpls.randomness import Noise

scores = arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 1)))


def take(difficulty: np.ndarray, share: float, which: str, seed: int, labels: np.ndarray | None = None) -> Taken:
    labels = np.zeros(len(difficulty), dtype=np.int64) if labels is None else labels
    return Subset(which=which, share=share, seed=seed).take(difficulty, labels)


@pytest.mark.parametrize("which", ["hardest", "easiest", "random"])
@pytest.mark.parametrize("share", [0, 0.004, 1e-9])
def test_defect_12_a_share_of_nothing_keeps_all(which: str, share: float) -> None:
    selection = take(np.random.default_rng(0).random(100), share, which, 0)
    assert not selection.chosen.any() and len(selection.chosen) == 100 and selection.tied == 0


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.99])
def test_leaving_out_takes_the_extremes(share: float) -> None:
    difficulty = np.random.default_rng(0).permutation(100) / 100
    count = round(share * 100)
    hardest, easiest = (take(difficulty, share, which, 0) for which in ("hardest", "easiest"))
    assert sorted(difficulty[hardest.chosen]) == [x / 100 for x in range(100 - count, 100)]
    assert sorted(difficulty[easiest.chosen]) == [x / 100 for x in range(count)]
    assert hardest.tied == easiest.tied == 0
    assert take(difficulty, share, "random", 0).chosen.sum() == count


def test_leaving_out_at_random_ignores_difficulty() -> None:
    difficulty = np.random.default_rng(0).random(2000)
    dropped = take(difficulty, 0.5, "random", 3).chosen
    assert stats.kstest(difficulty[dropped], "uniform").pvalue > 1e-3
    assert np.array_equal(dropped, take(difficulty[::-1], 0.5, "random", 3).chosen)
    assert not np.array_equal(dropped, take(difficulty, 0.5, "random", 4).chosen)


def test_defect_13_ids_survive_repeated_leaving_out() -> None:
    split = Split.of(make_tiny(75), TRAIN, torch.device("cpu"))
    ids = split.ids.numpy()
    assert (np.diff(ids) > 1).any()  # ids are not positions in the split
    difficulty = np.random.default_rng(0).random(len(ids))
    keep = ~take(difficulty, 0.2, "hardest", 0).chosen
    keep &= ~take(difficulty, 0.2, "easiest", 0).chosen
    low, high = np.sort(difficulty)[[9, 35]]
    expected = set(ids[(difficulty >= low) & (difficulty <= high)])
    rows = torch.from_numpy(np.flatnonzero(keep))
    rows = rows[Noise(0, split.ids[rows]).order()]
    met = [i for part in rows.split(7) for i in split.ids[split.batch(part).rows].tolist()]
    assert len(met) == len(set(met)) == 27 and set(met) == expected
    for part in rows.split(7):
        batch = split.batch(part)
        assert torch.equal(batch.y, split.labels[batch.rows])
        assert torch.equal((batch.x * 255).round().to(torch.uint8), split.images[batch.rows])


def test_defect_14_ties_are_broken_by_the_seed_and_reported() -> None:
    difficulty = np.repeat([0.0, 0.5, 1.0], [40, 50, 10])
    first, again, other = (take(difficulty, 0.3, "hardest", seed) for seed in (0, 0, 1))
    for selection in (first, again, other):
        dropped = selection.chosen
        assert dropped.sum() == 30 and dropped[90:].all() and not dropped[:40].any()
        assert selection.tied == 30  # 20 of the 50 in the middle went, 30 could as well have gone
    assert np.array_equal(first.chosen, again.chosen) and not np.array_equal(first.chosen, other.chosen)
    assert take(difficulty, 0.1, "hardest", 0).tied == 0
    assert take(difficulty, 0.05, "hardest", 0).tied == 5
    assert take(difficulty, 0.25, "easiest", 0).tied == 15


def test_defect_14_every_tied_example_is_as_likely_to_leave() -> None:
    counts = sum(take(np.zeros(20), 0.25, "hardest", seed).chosen.astype(int) for seed in range(400))
    assert stats.chisquare(counts).pvalue > 1e-3


def test_unseen_examples_are_neither_hardest_nor_easiest() -> None:
    difficulty = np.array([math.nan, 0.1, 0.9, math.nan, 0.5, 0.2, math.nan, 0.3])
    for which, expected in (("hardest", {2, 4}), ("easiest", {1, 5})):
        assert set(np.flatnonzero(take(difficulty, 0.25, which, 0).chosen)) == expected


@given(data=scores, share=st.floats(0, 0.99), which=st.sampled_from(["hardest", "easiest", "random"]))
def test_what_leaves_is_never_on_the_wrong_side_of_what_stays(data: np.ndarray, share: float, which: str) -> None:
    selection = take(data, share, which, 7)
    keep = ~selection.chosen
    assert (~keep).sum() == round(share * len(data))
    if which == "random" or keep.all():
        return
    sign = 1 if which == "hardest" else -1
    cut = (sign * data[~keep]).min()
    assert (sign * data[keep]).max(initial=-math.inf) <= cut
    assert selection.tied == (sign * data[keep] == cut).sum()
    assert (selection.border, selection.inside) == ((data == sign * cut).sum(), (data[~keep] == sign * cut).sum())


def test_ties_are_said_with_their_numbers() -> None:
    """218 examples, those of the middle alike: as many as the share asks for, and the seed decides which."""
    difficulty, labels = np.array([1.0] * 8 + [0.5] * 205 + [0.0] * 5), np.zeros(218, dtype=np.int64)
    subset = Subset(which="hardest", share=21 / 218)
    taken = subset.take(difficulty, labels)
    assert (taken.chosen.sum(), taken.border, taken.inside, taken.tied) == (21, 205, 13, 192)
    assert subset.ties_in_words(taken) == "of 205 images tied at the border, 13 were dropped"
    keep, spared = (Subset(which="hardest", share=21 / 218, **more) for more in ({"action": "keep"}, {"spared": 0.5}))
    assert keep.ties_in_words(taken).endswith("13 were kept")
    assert spared.ties_in_words(taken).endswith("13 were drawn"), "half of them stay in after all"


def test_defect_15_leaving_out_5000_of_50000_takes_no_time() -> None:
    difficulty = np.round(np.random.default_rng(0).random(50_000), 2)
    seconds = []
    for seed in range(3):
        began = time.perf_counter()
        assert take(difficulty, 0.1, "hardest", seed).chosen.sum() == 5000
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.2


# Folds, class mix, sparing, showing again


def test_folds_are_disjoint_and_cover_everything() -> None:
    for n, folds in ((100, 4), (103, 5), (37, 8)):
        found = [
            Subset(which="random", share=1 / folds, fold=k).take(np.zeros(n), np.zeros(n, int)).chosen
            for k in range(folds)
        ]
        assert (np.sum(found, axis=0) == 1).all()
    with pytest.raises(ValidationError, match="only 4 disjoint shares"):
        Subset(which="random", share=0.25, fold=4)


@given(labels=arrays(np.int64, 60, elements=st.integers(0, 4)), share=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_matched_has_the_class_mix_of_the_hardest(labels: np.ndarray, share: float, seed: int) -> None:
    difficulty = np.round(np.random.default_rng(seed).random(60), 1)
    hardest, matched = (take(difficulty, share, which, seed, labels).chosen for which in ("hardest", "matched"))
    assert np.array_equal(np.bincount(labels[hardest], minlength=5), np.bincount(labels[matched], minlength=5))


def test_matched_is_otherwise_at_random() -> None:
    difficulty, labels = np.linspace(0, 1, 2000), np.random.default_rng(0).integers(0, 3, 2000)
    assert stats.kstest(difficulty[take(difficulty, 0.3, "matched", 1, labels).chosen], "uniform").pvalue > 1e-3


def test_what_a_larger_dose_leaves_out_the_smaller_leaves_out_too() -> None:
    difficulty, labels = np.random.default_rng(0).random(200), np.zeros(200, dtype=np.int64)
    doses = [
        Subset(which="hardest", share=0.2, spared=s).take(difficulty, labels).chosen for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert [int(d.sum()) for d in doses] == [40, 30, 20, 10, 0]
    for larger, smaller in itertools.pairwise(doses):
        assert not (smaller & ~larger).any()


def test_keep_is_the_other_side_of_drop() -> None:
    difficulty, labels = np.random.default_rng(0).random(50), np.zeros(50, dtype=np.int64)
    for which in ("hardest", "easiest", "random", "matched"):
        drop, keep = (Subset(which=which, share=0.3, action=a) for a in ("drop", "keep"))
        assert np.array_equal(drop.keep(difficulty, labels), ~keep.keep(difficulty, labels))
        assert drop.left == pytest.approx(0.7) and keep.left == pytest.approx(0.3)
    with pytest.raises(ValidationError, match="leaves nothing to train on"):
        Subset(which="hardest", share=0, action="keep")


plans = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["drop", "keep"]),
        "which": st.sampled_from(["hardest", "easiest", "random", "matched"]),
        "share": st.floats(0.05, 0.5),
        "spared": st.sampled_from([0, 0.25, 0.5]),
        "fold": st.integers(0, 1),
        "seed": st.integers(0, 1000),
    }
)


@settings(max_examples=1000)
@given(plan=st.lists(plans, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_no_plan_renumbers_an_id(plan: list[dict], seed: int) -> None:
    """Prune, branch, subset, fold, one after the other: an example keeps its label and image under its id."""
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.permutation(500)[:60])
    labels, difficulty = ids % 7, np.round(rng.random(60), 1)
    alive = np.ones(60, dtype=bool)
    for settings_of in plan:
        subset = Subset(**settings_of)
        keep = subset.keep(difficulty, labels)
        assert keep.shape == (60,)
        assert keep.sum() == pytest.approx(subset.left * 60, abs=1.5)
        again = subset.keep(difficulty, labels)
        assert np.array_equal(keep, again)
        alive &= keep
    assert np.array_equal(labels[alive], ids[alive] % 7)
