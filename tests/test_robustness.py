"""Evaluations side by side: closed forms on a handful of images, and what holds whatever was measured."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpls import charts
from dpls.attacks import PGD
from dpls.data.cache import open_dataset
from dpls.evaluations import compared
from dpls.evaluations.base import evaluation_name
from dpls.evaluations.compared import Judged, judged
from dpls.evaluations.procedures.autoattack import AutoAttack
from dpls.intervals import Difference, Estimate, wilson
from dpls.jobs.estimate import _attacked, evaluation_seconds, forward_operations, outline_of
from dpls.runs.files import data_root, write_json
from dpls.ui.rivals import in_words
from tests.made_runs import make_run


def made(attack: str, right: str, ids: list[int] | None = None, eps: str = "0.1", **columns: list[Any]) -> Judged:
    """right: a digit an image, 1 is right."""
    name = f"{attack}_best" if attack == "clean" else f"{attack}_{eps.replace('/', '-')}_best"
    correct = [digit == "1" for digit in right]
    table = pd.DataFrame({"id": ids or list(range(len(right))), "correct": correct, **columns})
    return judged(name, {"attack": attack.upper(), "warnings": []}, table)


A, B = made("pgd20", "1100"), made("margins", "1010")


def test_the_worst_case_is_who_withstood_all_of_the_images_that_all_judged() -> None:
    assert compared.worst_case([A, B]).to_dict() == {0: True, 1: False, 2: False, 3: False}
    late = made("a3", "111", [2, 0, 9])
    assert compared.worst_case([A, late]).to_dict() == {0: True, 2: False}
    assert compared.shared([A, B, late]).tolist() == [0, 2]
    assert compared.worst_case([A, made("a3", "1", [7])]).empty
    assert str(compared.share(compared.worst_case([A, B]))) == str(Estimate(0.25, *wilson(1, 4), 4))


OUTCOMES = st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=5)


@given(OUTCOMES, st.integers(0, 2**31))
def test_the_worst_case_is_never_above_an_attack_and_groups_add_up(rows: list[list[bool]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = []
    for k, row in enumerate(rows):
        ids = rng.permutation(12)[: rng.integers(1, 13)]
        found.append(made(f"a{k}", "".join("01"[row[i]] for i in ids), ids.tolist()))
    worst = compared.worst_case(found)
    for one in found:
        assert not (worst & ~one.right[worst.index]).any()
        order = rng.permutation(12)
        tenth = compared.tenths(order, one.outcomes.index)
        groups = compared.by_group(one.right, tenth)
        assert sum(e.n for e in groups.values()) == len(one.outcomes)
        assert sum(e.n * e.value for e in groups.values()) / len(one.outcomes) == pytest.approx(one.accuracy.value)
    for first, second in itertools.product(found, found):
        flips = compared.flips(first, second)
        ids = compared.shared([first, second])
        change = int(first.right[ids].sum()) - int(second.right[ids].sum())
        assert len(flips.lost) - len(flips.won) == change
        assert flips.n == len(ids)
        assert not set(flips.lost) & set(flips.won)


def test_the_ladder_is_clean_then_weakest_to_strongest_by_the_images_all_judged() -> None:
    easy = made("rays", "11", [0, 1])  # all right, but of easy images: no better than pgd20 there
    strong = made("a3", "0000")
    found = compared.ladder([strong, made("clean", "1111"), B, easy, A])
    assert [one.attack for one in found] == ["clean", "rays", "pgd20", "margins", "a3"]
    assert compared.ladder([made("clean", "1")])[0].is_clean
    few, many = (
        judged(f"{name}_0.1_best", {"forward_passes": p}, A.outcomes.reset_index()) for name, p in (("z", 1), ("b", 9))
    )
    assert compared.ladder([many, few]) == [few, many], "of equals who tried longer is the stronger"
    assert compared.ladder([]) == []


def test_of_an_attack_the_largest_sample_counts() -> None:
    small = judged("pgd20_0.1_best_of2", A.said, A.outcomes.reset_index().head(2))
    assert compared.largest([small, A, B]) == compared.largest([A, small, B]) == [A, B]
    assert (small.attack, small.eps, compared.part_of(small.name)) == ("pgd20", "0.1", "test")


@pytest.mark.parametrize("attack", [None, PGD(eps=8 / 255), PGD(eps=0.03, step=0.01), AutoAttack(eps=1.0, steps=5)])
@pytest.mark.parametrize("images", [None, 200])
@pytest.mark.parametrize("part", [0, 2])
def test_a_name_says_attack_eps_and_part(attack: PGD | AutoAttack | None, images: int | None, part: int) -> None:
    one = Judged(evaluation_name(attack, "best", part, images), {"attack": "x"}, A.outcomes)
    assert one.attack == (attack.name if attack else "clean")
    assert one.radius == pytest.approx(attack.radius if attack else 0)
    assert one.eps == ("" if attack is None else {8 / 255: "8/255", 0.03: "0.03", 1.0: "255/255"}[attack.radius])
    assert compared.part_of(one.name) == ("train", "validation", "test")[part]


def test_a_name_from_elsewhere_has_no_eps() -> None:
    assert compared.eps_of("mine") == compared.eps_of("mine_best") == compared.eps_of("") == ""


def test_attacks_of_one_title_are_told_apart() -> None:
    a, b = (Judged(name, {"attack": "PGD20, eps 0.1"}, A.outcomes) for name in ("pgd20_0.1_best", "pgd20x5_0.1_best"))
    assert compared.names([a, b, B]) == {
        "pgd20": "PGD20 (pgd20)",
        "pgd20x5": "PGD20 (pgd20x5)",
        "margins": "MARGINS",
    }
    light = Judged("autoattack-light_0.1_best", {"attack": "AutoAttack light (APGD-CE, Square), eps 0.1"}, A.outcomes)
    assert light.title == "AutoAttack light"


def test_a_curve_is_what_was_measured_by_eps() -> None:
    half, tenth = made("pgd20", "1110", eps="1/255"), made("pgd20", "0000", eps="0.5")
    found = compared.curves([tenth, made("clean", "1111"), A, half])
    assert [(eps, e.value) for eps, e in found["pgd20"]] == [(1 / 255, 0.75), (0.1, 0.5), (0.5, 0.0)]
    assert list(found) == ["pgd20"]


def test_the_curve_of_radii_counts_whose_nearest_error_lies_farther() -> None:
    rays = made("rays", "0011", radius=[0.0, 0.05, 0.2, None])
    eps, share = compared.radius_curve(rays, 0.2, points=5)
    assert eps.tolist() == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert share.tolist() == [0.75, 0.5, 0.5, 0.5, 0.25]
    assert share[2] == rays.accuracy.value, "at the eps it was made at it is its accuracy"


def test_tenths_go_from_the_easiest_to_the_hardest_and_leave_out_who_is_not_asked_for() -> None:
    hardest_first = np.arange(40)[::-1]
    found = compared.tenths(hardest_first, pd.Index(range(0, 40, 2)))
    assert found.to_dict() == {example: example // 4 + 1 for example in range(0, 40, 2)}
    few = compared.tenths(np.array([5, 3]), pd.Index([3, 5]))
    assert few.to_dict() == {3: 1, 5: 2}
    assert compared.tenths(np.array([], dtype=int), pd.Index([3])).empty


def test_flips_are_counted_both_ways() -> None:
    found = compared.flips(A, B)
    assert (found.lost.tolist(), found.won.tolist(), found.n) == ([1], [2], 4)


def test_how_an_image_was_broken_is_said_as_far_as_it_was_kept() -> None:
    one = made(
        "rays",
        "0011",
        broken_by=["clean", "rays", None, None],
        queries=[1, 1200, 40, 40],
        steps=[None, 7, None, 3],
    )
    said = ["clean, query 1", "step 7, query 1,200", "", "step 3"]
    assert compared.how_broken(one, np.arange(4)) == dict(enumerate(said))
    assert compared.how_broken(A, np.array([2])) == {2: ""}


def test_figures_stay_small_and_show_names_as_they_are() -> None:
    many = {k: Estimate(0.5, 0.4, 0.6, 10) for k in range(1, 11)}
    radii = {"<b>x</b>": (np.linspace(0, 1, 101), np.linspace(1, 0, 101))}
    figures = [
        charts.ladder(["clean", "<b>x</b>"], list(many.values())[:2], many[1]),
        charts.groups([f"class {k}" for k in range(20)], list(many.values()) * 2, list(many.values()) * 2),
        charts.tenths(many, many),
        charts.against_eps(many[1], {"<b>x</b>": [(0.1, many[1]), (0.2, many[2])]}, radii, 0.1),
    ]
    assert all(len(figure.to_json()) < 60_000 for figure in figures)
    assert "&lt;b&gt;x&lt;/b&gt;" in figures[0].layout.yaxis.ticktext
    assert list(figures[0].data[-1].x) == [50.0] and list(figures[0].data[-1].y) == [0], "the worst case is below"
    assert list(charts.groups(["a"], [], [many[1]]).data[0].x) == [50.0]


def test_a_difference_is_one_only_where_its_interval_does_not_span_zero() -> None:
    assert in_words(Difference(0.01, -0.02, 0.04, 100)) == "not distinguishable (+1.0 ± 3.0 points)"
    assert in_words(Difference(0.05, 0.02, 0.08, 100)) == "higher by 5.0 ± 3.0 points"
    assert in_words(None) == "another attack's settings"


def test_what_an_evaluation_will_take_is_its_passes_by_the_speed_of_the_run(tmp_path: Any) -> None:
    run = make_run(tmp_path / "runs")
    root = data_root(run.path.parent)
    write_json(run.manifest_file, {"device": "cpu", "precision": "float32", "operations_per_second": None})
    attack = PGD(eps=0.1, steps=20)
    assert evaluation_seconds(run, attack, 40, root) is None
    write_json(run.manifest_file, run.manifest() | {"operations_per_second": 1e9})
    config, sizes = run.recipe(), outline_of(open_dataset(root, run.config()["fingerprint"]))
    expected = 40 * _attacked(attack, config) * forward_operations(config.net, sizes) / 1e9
    assert evaluation_seconds(run, attack, 40, root) == pytest.approx(expected)
