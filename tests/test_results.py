"""From outcomes to a result: planted effects are found again, what is the same is no difference, gaps are no error.

Outcomes are made here from a planted truth, example by example, as the runs of an experiment would have left them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpls import intervals
from dpls.experiments.compare import compare, p_values, seen, sentence, ties
from dpls.experiments.kinds import membership, pruning
from dpls.experiments.outcomes import ALL, COLUMNS, Outcomes, among, arm, dropped, kept, role_of
from dpls.experiments.result import Images, Line, Result
from dpls.experiments.stored import Stored
from dpls.intervals import Difference
from tests.made_outcomes import Truth, World, of_kind, of_plan, only, shown


def branches(gains: Mapping[str, float], share: float = 0.2, **settings: Any) -> dict[str, Truth]:
    return {dropped(w, share, **settings): Truth(w, share, gain=gain) for w, gain in gains.items()}


def line_of(result: Result, group: str, name: str, quantity: str) -> Line:
    (found,) = [line for line in result.lines if (line.group, line.arm, line.quantity) == (group, name, quantity)]
    return found


def images_of(result: Result, title: str) -> Images:
    (found,) = [images for images in result.images if images.title == title]
    return found


def tiny(rows: list[tuple[Any, ...]], scores: list[tuple[Any, ...]]) -> Outcomes:
    """By hand. Rows: arm, seed, id, split, trained, predicted, right (in every column that may be known).

    Scores: seed, id, split, class, cause, difficulty.
    """
    names = ["arm", "seed", "id", "split", "trained", "predicted", "right"]
    outcomes = pd.DataFrame(rows, columns=names)
    for column in COLUMNS:
        known = (outcomes["split"] == "test") | column.endswith("last")
        outcomes[column] = outcomes["right"].where(known).astype(float)
    table = pd.DataFrame(scores, columns=["seed", "id", "split", "class", "cause", "difficulty"])
    return Outcomes(outcomes.drop(columns="right"), table.assign(label=table["class"].astype("category").cat.codes))


# Outcomes as arrays


def test_outcomes_are_spread_by_seed_and_id() -> None:
    o = tiny(
        [(ALL, 4, 0, "train", 9, "a", 1), (ALL, 4, 2, "test", 0, "b", 0), ("other", 3, 2, "test", 0, "b", 1)],
        [(s, i, split, "a", "", 0.25 * (i + s)) for s in (4, 3) for i, split in enumerate(("train", "train", "test"))],
    )
    assert o.seeds == [3, 4] and o.count == 3 and o.arms == [ALL, "other"] and o.attack == "attacked"
    nan = np.nan
    for found, expected in (
        (o.right(ALL, "clean_last"), [[nan, nan, nan], [nan, nan, 0]]),
        (o.right(ALL, "clean_last", "train"), [[nan, nan, nan], [1, nan, nan]]),
        (o.right(ALL, "clean_best", "train"), [[nan] * 3] * 2),
        (o.right("other", "attacked_best"), [[nan, nan, 1], [nan, nan, nan]]),
        (o.right("nobody", "clean_last"), [[nan] * 3] * 2),
        (o.took_part(ALL), [[nan, nan, nan], [9, nan, nan]]),
        (o.score("difficulty"), [[0.75, 1, nan], [1, 1.25, nan]]),
        (o.score("difficulty", "test"), [[nan, nan, 1.25], [nan, nan, 1.5]]),
        (among(o.score("difficulty"), np.array([True, False, True])), [[0.75, nan, nan], [1, nan, nan]]),
        (o.mean_difficulty(), [0.875, 1.125, nan]),
        (o.mean_difficulty(("train", "test")), [0.875, 1.125, 1.375]),
    ):
        np.testing.assert_array_equal(found, expected)
    assert not o.chosen(ALL).any() and not o.causes().any()


def test_chosen_are_those_that_took_part_less_by_seed() -> None:
    world = World(planted=12)
    name = dropped("hardest", 0.2)
    o = world.outcomes({ALL: Truth(), name: Truth("hardest", 0.2)}, [(name, 8)])
    chosen = o.chosen(name)
    assert chosen.sum(1).tolist() == [60, 0, 60] and not chosen[:, world.train :].any()
    for place in (0, 2):
        difficulty = world.difficulty(world.seeds[place])[: world.train]
        inside = chosen[place, : world.train]
        assert difficulty[inside].min() >= difficulty[~inside].max()
    assert np.flatnonzero(o.causes()).tolist() == list(range(12))


def test_outcomes_that_were_stored_give_the_same_result(tmp_path: Path) -> None:
    experiment, o = of_kind("pruning", seeds=3), World().outcomes({ALL: Truth(), **branches({"hardest": 0.05})})
    path = tmp_path / "runs" / "experiments" / "pruning-0123456789"
    path.mkdir(parents=True)
    content = {"created": "", "fingerprint": None, "settings": experiment.model_dump(mode="json")}
    content |= {"arms": {}, "judges": {}, "runs": {}}
    (path / "experiment.json").write_text(json.dumps(content))
    o.outcomes.to_parquet(path / "outcomes.parquet", index=False)
    o.scores.to_parquet(path / "scores.parquet", index=False)
    assert Stored(path).experiment == experiment
    found, expected = replace(Stored(path).result(), trust=()), experiment.summarise(o)
    assert found.text() == expected.text() and "Attacked means PGD-20 within 8/255." in found.text()
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(found.images, expected.images, strict=True))


# Pruning

GAINS = {"hardest": 0.06, "easiest": -0.06, "matched": 0.0}


@pytest.mark.parametrize("seeds", [1, 3])
def test_pruning_finds_what_was_planted_and_nothing_else(seeds: int) -> None:
    o = World(test=1200, seeds=seeds).outcomes({ALL: Truth(), **branches(GAINS)})
    result = of_kind("pruning", seeds=seeds).summarise(o)
    for which, gain in GAINS.items():
        for quantity in ("attacked, best", "attacked, last", "clean, best", "clean, last"):
            line = line_of(result, "adversarial", dropped(which, 0.2), quantity)
            change = line.difference
            assert change is not None and line.against == ALL
            assert (change.n, change.seeds) == (1200, seeds)
            assert change.low - 0.01 < gain < change.high + 0.01
            begins = {1: "higher by ", -1: "lower by ", 0: "no difference seen"}[int(np.sign(gain))]
            assert str(change).startswith(begins)
            ps = [float(p) for p in line.p.split(", ")]
            assert len(ps) == seeds and (max(ps) < 0.001 if gain else min(ps) > 0.005)
    reference = line_of(result, "adversarial", ALL, "attacked, best")
    assert reference.difference is None and abs(reference.estimate.value - 0.5) < 0.05
    hardest, easiest = result.claims
    told = {"hardest": hardest.numbers[0], "matched": hardest.numbers[1], "easiest": easiest.numbers[0]}
    for which, words in told.items():
        for end in ("best", "last"):
            change = line_of(result, "adversarial", dropped(which, 0.2), f"attacked, {end}").difference
            assert change is not None and f"{end}: {change.short}" in words and change.counts in words
    assert hardest.agreement == easiest.agreement == "agrees"
    assert hardest.seen.startswith("Without the hardest, the network withstands attacks more often, by ")
    assert easiest.seen.startswith("Without the easiest, the network withstands attacks less often, by ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Difference(0.024, 0.004, 0.044, 90), "More, by 2.4 ± 2.0 points."),
        (Difference(-0.024, -0.044, -0.004, 90), "Less, by 2.4 ± 2.0 points."),
        (Difference(-0.0004, -0.02, 0.0192, 90), "Who knows (+0.0 ± 2.0 points)."),
        (Difference(math.nan, math.nan, math.nan, 0), "Not finished yet."),
        (None, "Not finished yet."),
    ],
)
def test_a_difference_becomes_a_plain_sentence(change: Difference | None, expected: str) -> None:
    """It claims a direction only where the interval does not span zero, and never says -0.0."""
    assert sentence(change, higher="More,", lower="Less,", unseen="Who knows") == expected


def test_what_any_fewer_images_do_is_no_effect_of_the_hardest() -> None:
    """Trap: a badge that looks away from the control. All three gain here."""
    o = World(test=1200, seeds=5).outcomes({ALL: Truth(), **branches(dict.fromkeys(GAINS, 0.1))})
    hardest, easiest = of_kind("pruning", seeds=5).summarise(o).claims
    assert hardest.seen.startswith("Without the hardest, the network withstands attacks more often, by ")
    assert "against as many at random, best: no difference seen" in hardest.words
    assert (hardest.agreement, easiest.agreement) == ("cannot tell", "disagrees")


@pytest.mark.parametrize("kind", ["pruning", "membership"])
def test_seeds_of_pruning_and_membership_are_those_of_the_arm_that_has_fewest(kind: str) -> None:
    """Trap: all runs on all images come first, and one seed of an arm passed for three."""
    o = World().outcomes({ALL: Truth(), **branches(GAINS)} if kind == "pruning" else of_membership())
    (first, *_), names = o.seeds, [name for name in o.arms if name != ALL]
    some = only(o, [(ALL, seed) for seed in o.seeds] + [(name, first) for name in names], o.seeds)
    text = of_kind(kind, seeds=3, share=0.2).summarise(some).text()
    assert "Of every arm at least 1 of 3 seeds so far." in text and "One seed says nothing about other seeds." in text
    assert "Seeds: 3." not in text and ", 3 seeds" not in text


def test_pruning_says_what_the_article_claims_and_what_was_seen() -> None:
    o = World().outcomes({ALL: Truth(), **branches(GAINS)})
    result = of_kind("pruning", seeds=3).summarise(o)
    text, table = result.text(), result.table()
    for claim in result.claims:
        assert f"The article: {claim.article}" in text and f": {claim.words}" in text
    for note in result.notes:
        assert f"Note: {note}" in text
    assert len(table) == len(result.lines) == 24
    for line, row in zip(result.lines, table.to_dict("records"), strict=True):
        assert (row["of"], row["arm"], row["accuracy of"]) == line[:3] and row["value"] == str(line.estimate)
        assert row["difference"] == (str(line.difference) if line.difference else "")
        assert f"| {line.arm} | {line.quantity} | {line.estimate} |" in text
    assert "Seeds: 3." in text and "One seed" not in text
    assert "in a run of another seed" in text and "robust accuracy on validation images" in text


def test_an_arm_is_compared_with_the_one_of_its_objective() -> None:
    """Standard arms gain 5 points over standard training, which is 15 points better."""
    truths = {ALL: Truth(), **branches(GAINS), arm(ALL, standard=True): Truth(gain=0.15)}
    truths |= {arm(dropped(w, 0.2), standard=True): Truth(w, 0.2, gain=0.2) for w in GAINS}
    result = of_kind("pruning", standard=True).summarise(World(test=1200).outcomes(truths))
    for which in GAINS:
        line = line_of(result, "standard", arm(dropped(which, 0.2), standard=True), "clean, best")
        assert line.difference is not None and line.against == arm(ALL, standard=True)
        assert abs(line.difference.value - 0.05) < 0.02 and line.difference.short in result.claims[2].words
    assert "standard training" in result.claims[2].article


def test_the_sweep_and_the_doses_are_drawn_from_what_is_there() -> None:
    """A dose d of the hardest was planted to cost 10 points times d."""
    doses = {0.25: 0.075, 0.5: 0.05, 0.75: 0.025}
    truths = {ALL: Truth(), **branches({"hardest": 0.06, "matched": 0}), **branches({"hardest": 0.08}, 0.4)}
    truths |= branches({"hardest": 0.1}, refill=True)
    truths |= {dropped("hardest", 0.2, refill=True, spared=d): Truth("hardest", 0.2, gain=g) for d, g in doses.items()}
    settings = of_kind("pruning", sweep=[0.1, 0.4], doses=list(doses), equal_steps=True)
    result = settings.summarise(World(test=1200).outcomes(truths))
    sweep, response = result.charts
    by_name = {series.name: series for series in sweep.series}
    assert by_name.keys() == {f"hardest dropped, {end}" for end in ("best", "last")}, "one share alone is no line"
    assert list(by_name["hardest dropped, best"].x) == [0.2, 0.4]
    for change, gain in zip(by_name["hardest dropped, best"].y, (0.06, 0.08), strict=True):
        assert change.low - 0.01 < gain < change.high + 0.01
    for series in response.series:
        assert list(series.x) == [0, 0.25, 0.5, 0.75, 1] and len(series.y) == 5
        assert series.y[0].value > series.y[-1].value + 0.05
    assert pruning.doses(settings, World().outcomes(truths))[1][0] == dropped("hardest", 0.2, refill=True)
    (claim,) = [claim for claim in result.claims if "its theory" in claim.article]
    assert claim.words.count("lower by ") == 2 and "the less often the network withstands attacks" in claim.seen
    assert "How much to drop" in result.text() and "Dose and response" in result.text()


def test_the_images_of_pruning_are_of_the_right_split() -> None:
    world = World()
    name = dropped("hardest", 0.2)
    o = world.outcomes({ALL: Truth(), name: Truth("hardest", 0.2, gain=0.05)})
    result = of_kind("pruning").summarise(o)
    pruned, easiest, rescued, lost = (images_of(result, t).ids for t in ("Pruned", "Kept, easiest", "Rescued", "Lost"))
    often = o.chosen(name).sum(0)
    assert set(pruned) == set(np.flatnonzero(often)) and (np.diff(often[pruned]) <= 0).all()
    assert set(easiest) == set(range(world.train)) - set(pruned)
    assert (np.diff(o.mean_difficulty()[easiest]) >= 0).all()
    change = (o.right(name, "attacked_last") - o.right(ALL, "attacked_last")).sum(0)
    for ids, sign in ((rescued, 1), (lost, -1)):
        assert set(ids) == set(np.flatnonzero(sign * np.nan_to_num(change) > 0)) and (ids >= world.train).all()
        assert (np.diff(sign * change[ids]) <= 0).all()


@pytest.mark.parametrize("planted", [0, 30])
def test_planted_causes_are_counted_where_there_are_any(planted: int) -> None:
    name = dropped("hardest", 0.2)
    o = World(planted=planted, seeds=2).outcomes({ALL: Truth(), name: Truth("hardest", 0.2)})
    counts = (o.chosen(name) & o.causes()).sum(1)
    text = of_kind("pruning", seeds=2).summarise(o).text()
    words = f"{counts.sum() / 120:.0%} of the hardest were made hard on purpose"
    assert (words in text) is (planted > 0)
    assert not planted or counts.min() > 20


def test_ties_at_the_cut_are_counted_by_seed() -> None:
    rows = [(ALL, s, i, "train", 9, "a", 1) for s in (0, 1) for i in range(5)]
    difficulties = {0: (1, 0.5, 0.5, 0.5, 0), 1: (1, 0.9, 0.5, 0.5, 0)}
    scores = [(s, i, "train", "ab"[i % 2], "", d) for s, values in difficulties.items() for i, d in enumerate(values)]
    notes = of_kind("pruning", share=0.4).summarise(tiny(rows, scores)).notes
    arbitrary = [note for note in notes if "partly arbitrary" in note]
    assert arbitrary[:2] == [
        "Which are the hardest 40% is partly arbitrary: of 3 images tied at the border, 1 was dropped (seed 0).",
        "Which are the easiest 40% is partly arbitrary: of 3 images tied at the border, 1 was dropped (seed 0);"
        " of 2, 1 (seed 1).",
    ]
    assert "1 was kept (seed 0)" in ties(of_kind("subsets", share=0.4), tiny(rows, scores))[0]


def test_p_values_are_of_seeds_that_have_both() -> None:
    first = np.array([[0, 0, 0, 0, 0, 0, 1], [1] * 7, [np.nan] * 7, [1] * 7], dtype=float)
    second = np.array([[1, 1, 1, 1, 1, 1, 1], [np.nan] * 7, [1] * 7, [1] * 7], dtype=float)
    assert p_values(first, second) == "0.031, 1"  # 2 / 2^6


# Subsets


def of_subsets(share: float = 0.2, hardest: float = -0.2, **changes: Any) -> dict[str, Truth]:
    """Scratch runs, adversarial and standard; ``changes`` of the hardest, adversarial."""
    gains = {"hardest": hardest, "easiest": 0.1, "matched": 0.0}
    made = {
        arm(kept(w, share), standard=standard): Truth(w, share, "keep", True, 0 if standard else gain)
        for standard in (False, True)
        for w, gain in gains.items()
    }
    made[kept("hardest", share)] = made[kept("hardest", share)]._replace(**changes)
    return {ALL: Truth(gain=0.2), **made}


def test_subsets_are_compared_with_a_random_one() -> None:
    o = World(test=1200).outcomes(of_subsets())
    result = of_kind("subsets", standard=True, seeds=3).summarise(o)
    for name, begins in ((ALL, "higher"), (kept("easiest", 0.2), "higher"), (kept("hardest", 0.2), "lower")):
        line = line_of(result, "adversarial", name, "attacked, best")
        assert str(line.difference).startswith(begins) and line.against == kept("matched", 0.2)
    for which in ("easiest", "hardest"):
        line = line_of(result, "standard", arm(kept(which, 0.2), standard=True), "clean, best")
        assert str(line.difference).startswith("no difference seen")
    for claim, standard in zip(result.claims, (False, True), strict=True):
        for name, which in (("hardest", "hardest"), ("easiest", "easiest"), ("random", "matched")):
            column, kind = ("clean_best", "clean") if standard else ("attacked_best", "attacked")
            estimate = intervals.mean(o.right(arm(kept(which, 0.2), standard=standard), column))
            assert f"Only {name} 20%: {estimate} {kind}." in claim.numbers
        assert claim.article in result.text()
    assert "ends below 10% robust accuracy" in result.claims[0].article
    assert result.claims[1].agreement == "cannot tell", "no difference seen is no proof of none"


def test_each_half_of_the_articles_claim_on_subsets_has_a_verdict_of_its_own() -> None:
    """Trap: one badge over two statements, of which one is contradicted."""
    o = World(test=1200).outcomes(of_subsets())
    for standard, column in ((False, "attacked_best"), (True, "clean_best")):
        row = (o.outcomes["arm"] == arm(kept("hardest", 0.2), standard=standard)) & (o.outcomes["split"] == "test")
        o.outcomes.loc[row, column] = 0.0
    claims = of_kind("subsets", standard=True, seeds=3).summarise(Outcomes(o.outcomes, o.scores)).claims
    assert [claim.agreement for claim in claims] == ["agrees", "disagrees"]
    assert "in 0% of the test images, less often than guessing" in claims[0].seen
    assert "right less often on the hardest alone than on the easiest alone, by " in claims[1].seen


def collapse(o: Outcomes, share: float = 0.2) -> pd.DataFrame:
    (table,) = of_kind("subsets", share=share).summarise(o).tables.values()
    return table.set_index("arm")


@pytest.mark.parametrize("classes", [2, 10])
def test_a_net_that_says_one_class_has_collapsed_and_an_even_one_has_not(classes: int) -> None:
    o = World(classes=classes, seeds=2).outcomes(of_subsets(says=1))
    table = collapse(o)
    assert table.loc[kept("hardest", 0.2), "collapsed"] == "yes"
    assert table.loc[kept("hardest", 0.2), "said most"] == "class 1, 100%; class 1, 100%"
    assert table.loc[kept("hardest", 0.2), "entropy"] == f"0.00 of {np.log2(classes):.2f} bits"
    others = table.drop(kept("hardest", 0.2))
    assert len(others) == 6 and (others["collapsed"] == "no").all()
    for entropy in others["entropy"]:
        assert float(entropy.split()[0]) > 0.9 * np.log2(classes)


@pytest.mark.parametrize("classes", [2, 10])
def test_collapsed_is_more_than_halfway_from_even_to_one_class(classes: int) -> None:
    half = (1 + 1 / classes) / 2
    for most, expected in ((half - 0.02, "no"), (half + 0.02, "yes")):
        rows = [
            (kept("hardest", 0.2), 0, i, "test", 0, "c0" if i < 1000 * most else f"c{1 + i % (classes - 1)}", 1)
            for i in range(1000)
        ]
        scores = [(0, i, "test", f"c{i % classes}", "", 0.5) for i in range(1000)] + [(0, 1000, "train", "c0", "", 0.5)]
        assert collapse(tiny(rows, scores))["collapsed"].tolist() == [expected]


def test_nets_that_each_say_another_class_alone_have_collapsed() -> None:
    name = kept("hardest", 0.2)
    rows = [(name, s, i, "test", 0, f"c{s}", 1) for s in range(4) for i in range(8)]
    scores = [(s, i, "test", f"c{i % 4}", "", 0.5) for s in range(4) for i in range(8)]
    scores += [(s, 8, "train", "c0", "", 0.5) for s in range(4)]
    assert collapse(tiny(rows, scores)).loc[name].tolist() == [
        "0.00 of 2.00 bits",
        "c0, 100%; c1, 100%; c2, 100%; c3, 100%",
        "yes",
    ]
    rows = [row if row[1] else (*row[:5], f"c{row[2] % 4}", 1) for row in rows]
    assert collapse(tiny(rows, scores)).loc[name, "collapsed"] == "3 of 4 seeds"


def test_the_images_of_subsets_are_training_images_the_most_telling_first() -> None:
    world = World()
    o = world.outcomes(of_subsets())
    result = of_kind("subsets").summarise(o)
    for title, which, sign in (("Hardest", "hardest", -1), ("Easiest", "easiest", 1)):
        ids = images_of(result, title).ids
        often = (o.took_part(kept(which, 0.2)) > 0).sum(0)
        assert (ids < world.train).all() and set(ids) == set(np.flatnonzero(often))
        every_seed = ids[often[ids] == 3]
        assert len(every_seed) and (np.diff(sign * o.mean_difficulty()[every_seed]) >= 0).all()


# Membership


def by_hand() -> Outcomes:
    """Two seeds of ten training examples, of which each excludes its two hardest of each kind; 0 and 1 are planted."""
    excluded = {0: (0, 2), 1: (0, 3)}
    scores = [
        (s, i, "train", "ab"[i % 2], "label noise" if i < 2 else "", 1.0 if i in excluded[s] else 0.1 + i / 100)
        for s in (0, 1)
        for i in range(10)
    ]
    scores += [(s, i, "test", "ab"[i % 2], "", 1.0 if i == 10 else 0.1) for s in (0, 1) for i in (10, 11)]
    without = dropped("hardest", 0.2)
    right_without = {(0, 0): 0, (0, 2): 1, (1, 0): 0, (1, 3): 0}
    right_with = {(0, 0): 1, (0, 2): 1, (1, 0): 1, (1, 3): 0}
    rows = [(ALL, s, i, "train", 9, "a", right_with.get((s, i), i != 9)) for s in (0, 1) for i in range(10)]
    rows += [
        (without, s, i, "train", 0 if i in excluded[s] else 9, "a", right_without.get((s, i), 1))
        for s in (0, 1)
        for i in range(10)
    ]
    rows += [(name, s, i, "test", 0, "a", i == 11) for name in (ALL, without) for s in (0, 1) for i in (10, 11)]
    return tiny(rows, scores)


def test_the_gap_is_that_of_the_excluded_alone() -> None:
    o = by_hand()
    assert {
        s: np.flatnonzero(row).tolist() for s, row in zip(o.seeds, o.chosen(dropped("hardest", 0.2)), strict=True)
    } == {
        0: [0, 2],
        1: [0, 3],
    }
    for planted, excluded, included in (
        (None, {(0, 0): 0, (0, 2): 1, (1, 0): 0, (1, 3): 0}, {(0, 0): 1, (0, 2): 1, (1, 0): 1, (1, 3): 0}),
        (True, {(0, 0): 0, (1, 0): 0}, {(0, 0): 1, (1, 0): 1}),
        (False, {(0, 2): 1, (1, 3): 0}, {(0, 2): 1, (1, 3): 0}),
    ):
        found = membership.gap(o, "hardest", 0.2, "clean_last", planted=planted)
        assert found is not None
        for values, expected in zip(found, (excluded, included), strict=True):
            assert {(s, i): values[s, i] for s, i in np.argwhere(~np.isnan(values)).tolist()} == expected
    assert membership.gap(o, "easiest", 0.2, "clean_last") is None
    assert membership.gap(o, "hardest", 0.2, "clean_last", dpls=True) is None


def test_what_is_memorized_is_included_minus_excluded() -> None:
    o = by_hand()
    for planted, value, n in ((None, 0.5, 3), (True, 1.0, 1), (False, 0.0, 2)):
        gap = membership.gap(o, "hardest", 0.2, "clean_last", planted=planted)
        assert gap is not None
        found = intervals.difference(*gap)
        assert (found.value, found.n, found.seeds) == (value, n, 2)
    result = of_kind("membership", share=0.2, seeds=2).summarise(o)
    values = {line.arm: line.estimate.value for line in result.lines if line.quantity == "clean"}
    assert values == {
        "hardest 20%, excluded": 0.25,
        "hardest 20%, included": 0.75,
        "hardest 20%, planted, excluded": 0,
        "hardest 20%, planted, included": 1,
        "hardest 20%, natural, excluded": 0.5,
        "hardest 20%, natural, included": 0.5,
    }
    change = line_of(result, "adversarial", "hardest 20%, included", "clean")
    assert change.difference is not None and change.difference.value == 0.5 and change.against == "excluded"


def test_the_four_cells_are_of_the_run_on_all_images() -> None:
    """By hand: the hard of training are (0, 2) and (0, 3) by seed, 3 of 4 right; of the others all but 9; test 0, 1."""
    result = of_kind("membership", share=0.2).summarise(by_hand())
    cells = result.tables["Normal and hard, seen and unseen"].set_index("images")
    assert {name: (row["clean"].split()[0], row["images a seed"]) for name, row in cells.iterrows()} == {
        "normal, training": ("87.5%", 8),
        "hard, training": ("75.0%", 2),
        "normal, test": ("100.0%", 1),
        "hard, test": ("0.0%", 1),
    }
    assert (cells["attacked"] == cells["clean"]).all()


def of_membership(share: float = 0.2, hardest: float = 0.1, smoothed: float = 0.6, folds: int = 0) -> dict[str, Truth]:
    """Right when unseen: hardest a tenth, easiest nearly all, random half; under DPLS more of the hardest."""
    unseen = {"hardest": hardest, "easiest": 0.97, "matched": 0.5}
    made = {dropped(w, share): Truth(w, share, from_scratch=True, unseen=u) for w, u in unseen.items()}
    made |= {arm(ALL, dpls=True): Truth()}
    for which, value in (("hardest", smoothed), ("matched", 0.5)):
        made[arm(dropped(which, share), dpls=True)] = Truth(which, share, from_scratch=True, unseen=value)
    made |= {f"without fold {k + 1} of {folds}": Truth() for k in range(folds)}
    return {ALL: Truth(), **made}


@pytest.mark.parametrize("seeds", [1, 4])
def test_membership_finds_a_planted_gap(seeds: int) -> None:
    o = World(train=1000, test=100, planted=60, seeds=seeds).outcomes(of_membership())
    result = of_kind("membership", share=0.2, dpls=True, seeds=seeds).summarise(o)
    for name, gap in (("hardest 20%", 0.89), ("random 20%", 0.49), ("easiest 20%", 0.02)):
        change = line_of(result, "adversarial", f"{name}, included", "clean").difference
        assert change is not None and abs(change.value - gap) < 0.09 and (gap < 0.1 or change.is_seen)
    claims = {claim.article.split(":")[0]: claim.words for claim in result.claims}
    assert "higher by" in claims["Hard examples are memorized, others learnt."]
    assert "lower by" in claims["DPLS reduces memorization."] and "fewer" in claims["DPLS reduces memorization."]
    text = result.text()
    assert "about 100% right when included" in text
    assert all(f": {claim.words}" in text for claim in result.claims)
    assert [claim.agreement for claim in result.claims] == ["agrees"] * 3


@pytest.mark.parametrize(("unseen", "expected"), [(0.1, "agrees"), (0.5, "cannot tell"), (0.9, "disagrees")])
def test_a_gap_alone_is_not_what_the_article_claims(unseen: float, expected: str) -> None:
    """Trap: any gap passed for "100% included, 0% excluded". Here the hardest are right when included."""
    o = World(train=1000, test=100).outcomes(of_membership(hardest=unseen))
    claim = of_kind("membership", share=0.2).summarise(o).claims[0]
    assert claim.agreement == expected and f"and {round(100 * unseen) // 10}" in claim.seen


def test_an_equal_gap_is_no_difference() -> None:
    o = World(train=1000, test=100).outcomes(of_membership(hardest=0.5, smoothed=0.5))
    result = of_kind("membership", share=0.2, dpls=True).summarise(o)
    assert all("no difference seen" in claim.words for claim in result.claims[1:])
    assert all(" not seen to " in claim.seen for claim in result.claims[1:])


@pytest.mark.parametrize("planted", [0, 60])
def test_planted_and_natural_are_apart_only_where_something_was_planted(planted: int) -> None:
    o = World(planted=planted).outcomes(of_membership())
    result = of_kind("membership", share=0.2).summarise(o)
    names = {line.arm for line in result.lines}
    assert ("hardest 20%, planted, included" in names) is (planted > 0)
    assert ("hardest 20%, natural, included" in names) is (planted > 0)
    whole = membership.gap(o, "hardest", 0.2, "clean_last")
    if planted:
        sides = [membership.gap(o, "hardest", 0.2, "clean_last", planted=side) for side in (True, False)]
        sizes = [np.isfinite(found[0]).sum() for found in (*sides, whole) if found]
        assert len(sizes) == 3 and sizes[0] + sizes[1] == sizes[2]


def test_the_images_of_membership_were_excluded_training_images() -> None:
    world = World()
    o = world.outcomes(of_membership())
    result = of_kind("membership", share=0.2).summarise(o)
    found = membership.gap(o, "hardest", 0.2, "clean_last")
    assert found is not None
    gained = np.nansum(found[1] - found[0], axis=0)
    memorized, others = (images_of(result, t).ids for t in ("Memorized", "Hard, not memorized"))
    assert set(memorized) == set(np.flatnonzero(gained > 0)) and (np.diff(gained[memorized]) <= 0).all()
    chosen = o.chosen(dropped("hardest", 0.2)).any(0)
    assert set(memorized) | set(others) == set(np.flatnonzero(chosen & (gained >= 0)))
    assert not set(memorized) & set(others) and max(*memorized, *others) < world.train


def test_answers_image_by_image_are_counted_by_who_saw_it() -> None:
    """Three seeds of two folds. Example 0 is right where it was seen only, 1 always; 2 is not in any fold yet run."""
    rows = [
        (f"without fold {fold + 1} of 2", s, i, "train", 0 if i == fold else 9, "a", i != fold or i == 1)
        for s in range(3)
        for fold in range(2)
        for i in range(3)
    ]
    rows += [(ALL, s, i, "train", 9, "a", 1) for s in range(3) for i in range(3)]
    scores = [(s, i, "train", "ab"[i % 2], "", (0.5, 0.25, 0.75)[i]) for s in range(3) for i in range(3)]
    result = of_kind("membership", answers=2, seeds=3).summarise(tiny(rows, scores))
    assert result.by_image is not None and result.by_image.title == "Image by image"
    table = result.by_image.table
    assert table[["id", "difficulty", "seen", "unseen"]].to_numpy().tolist() == [
        [0, 0.5, "3 of 3", "0 of 3"],
        [1, 0.25, "3 of 3", "3 of 3"],
    ]
    assert [words.split()[0] for words in table["memorized"]] == ["+100%", "+0%"]
    assert any("there are 3 runs without each image: too few" in note for note in result.notes)
    assert result.by_image.ids_below == 3
    assert result.by_image.of([1, 2, 1])["id"].tolist() == [1, 1], "of 2 nothing is known"
    assert result.by_image.of([2]).empty


# What is there so far

PRUNING = {
    ALL: Truth(),
    **branches(GAINS),
    **branches(GAINS, refill=True),
    **branches({"hardest": 0, "matched": 0}, 0.4),
    dropped("hardest", 0.2, refill=True, spared=0.5): Truth("hardest", 0.2),
    arm(ALL, standard=True): Truth(),
    arm(dropped("hardest", 0.2), standard=True): Truth("hardest", 0.2),
}
SMALL = World(train=60, test=40, classes=3, planted=6)


def test_a_seed_that_lacks_an_arm_of_pruning_does_not_count_in_its_difference() -> None:
    name, missing = dropped("hardest", 0.2), SMALL.seeds[2]
    runs = [(arm_, s) for arm_ in (ALL, name, dropped("matched", 0.2)) for s in SMALL.seeds]
    o = only(SMALL.outcomes(PRUNING), [run for run in runs if run != (name, missing)])
    result = shown(of_kind("pruning", sweep=[0.4], doses=[0.5], equal_steps=True, standard=True, seeds=3), o)
    line = line_of(result, "adversarial", name, "attacked, best")
    assert line.difference is not None and line.difference.seeds == 2 and len(line.p.split(", ")) == 2
    two = only(SMALL.outcomes(PRUNING), [run for run in runs if run[1] != missing])
    assert line.difference.value == pytest.approx(
        (two.right(name, "attacked_best") - two.right(ALL, "attacked_best"))[:2, SMALL.train :].mean()
    )
    assert line_of(result, "adversarial", ALL, "attacked, best").estimate.seeds == 3


def test_arms_of_pruning_of_different_seeds_are_not_compared() -> None:
    first, second, _ = SMALL.seeds
    name = dropped("hardest", 0.2)
    o = only(SMALL.outcomes(PRUNING), [(ALL, first), (name, second)])
    assert seen(o, name, "attacked_best", ALL) is None
    assert [line.difference for line in compare(o, "adversarial", [name], ALL)] == [None] * 12
    result = shown(of_kind("pruning", sweep=[0.4], doses=[0.5], equal_steps=True, standard=True, seeds=3), o)
    assert not result.charts and result.claims[0].words == "Not finished yet."


def test_gaps_of_membership_of_different_seeds_are_not_compared() -> None:
    first, second, third = SMALL.seeds
    hardest, random, smoothed = (
        dropped("hardest", 0.2),
        dropped("matched", 0.2),
        arm(dropped("hardest", 0.2), dpls=True),
    )
    runs = [(name, s) for name in (ALL, arm(ALL, dpls=True)) for s in (first, second)]
    runs += [(hardest, first), (hardest, third), (random, second), (smoothed, second)]
    o = only(SMALL.outcomes(of_membership(folds=2)), runs)
    result = shown(of_kind("membership", share=0.2, dpls=True, answers=2, standard=True, seeds=3), o)
    assert len(result.claims) == 1
    assert [line.split(" ")[0] for line in result.claims[0].numbers][:3] == ["Hardest", "Random", "Clean"]
    for name in ("hardest", "matched"):
        found = membership.gap(o, name, 0.2, "clean_last")
        assert found is not None and np.array_equal(np.isnan(found[0]), np.isnan(found[1]))
        assert np.isfinite(found[0]).any(1).sum() == 1


@pytest.mark.parametrize("kind", ["pruning", "subsets", "smoothing"])
def test_lines_of_pruning_subsets_and_smoothing_name_every_arm_of_their_plan(kind: str) -> None:
    """The names the result looks for are those that the plan gives."""
    more = {"pruning": {"sweep": [0.1, 0.4], "doses": [0.25, 0.5], "equal_steps": True, "standard": True}}
    experiment = of_kind(kind, seeds=2, **more.get(kind, {}))
    truths = of_plan(experiment)
    assert {p.role for p in experiment.plan()} == {role_of(name, s) for name in truths for s in range(2)}
    o = World(train=60, test=40, classes=3, seeds=2, validation=40).outcomes(truths)
    doses = pruning.doses(experiment, o)[1] if isinstance(experiment, pruning.Pruning) else []
    assert {line.arm for line in experiment.summarise(o).lines} | set(doses) == set(truths)


def test_lines_of_membership_are_of_every_arm_of_its_plan() -> None:
    experiment = of_kind("membership", seeds=2, standard=True, dpls=True)
    result = experiment.summarise(World(train=60, test=40, classes=3, seeds=2).outcomes(of_plan(experiment)))
    groups = {(line.group, line.arm.split(" ")[0]) for line in result.lines}
    everyone = {(g, w) for g in ("adversarial", "standard") for w in ("hardest", "easiest", "random")}
    assert groups == everyone | {("DPLS", "hardest"), ("DPLS", "random")}
