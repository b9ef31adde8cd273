"""Figures: what they count is what there is, and they stay small however many examples there are."""

import numpy as np
import pytest

from dpls import charts


@pytest.mark.parametrize(("worst", "best", "epochs"), [(8, 0, 8), (7, 1, 10), (30, 0, 30), (29, 2, 30)])
def test_bins_of_counted_difficulty_hold_one_level_each(worst: int, best: int, epochs: int) -> None:
    """No comb: min-max stretches the levels where nobody was always wrong or always right."""
    wrong = np.arange(best, worst + 1)
    difficulty = (wrong - best) / (worst - best)
    edges = charts.bins_of(difficulty)
    assert np.histogram(difficulty, edges)[0].tolist() == [1] * len(wrong)


def test_bins_of_other_scores_are_even() -> None:
    assert len(charts.bins_of(np.random.default_rng(0).random(500))) == 41
    assert len(charts.bins_of(np.array([0.0, 1.0, np.nan]))) == 3
    assert len(charts.bins_of(np.zeros(3))) == 41


def test_histogram_counts_every_known_example_once_and_pales_what_is_outside() -> None:
    rng = np.random.default_rng(0)
    values = np.append(rng.random(1000), np.nan)
    found = charts.histogram({"a": values, "b": rng.random(50)}, charts.bins_of(values), 0.5, 1.0, "x")
    assert sum(found.data[0].y) == 1000
    assert sum(found.data[1].y) == 50
    opacity, x = np.array(found.data[0].marker.opacity), np.array(found.data[0].x)
    assert (opacity[x >= 0.5] == 1).all()
    assert (opacity[x < 0.5] < 1).all()


def test_by_class_shows_means_and_shares() -> None:
    rng = np.random.default_rng(0)
    labels, difficulty = rng.integers(0, 3, 500), rng.random(500)
    difficulty[labels == 2] /= 2
    found = charts.by_class(["a", "b", "<b>c</b>", "absent"], labels, difficulty, charts.bins_of(difficulty))
    cells, dots = found.data
    assert np.array(cells.customdata)[..., 0].sum(1) == pytest.approx(1)
    means = dict(zip(dots.y, dots.x, strict=True))
    assert means["a"] == pytest.approx(difficulty[labels == 0].mean())
    assert "&lt;b&gt;c&lt;/b&gt;" in means, "a class name is text, not markup"
    assert "absent" not in means
    assert list(dots.x) == sorted(dots.x), "the hardest class is on top, and plotly draws from below"


@pytest.mark.parametrize("count", [1, 7, 1_000_000])
def test_figures_stay_small(count: int) -> None:
    """The trap of the message too large for Streamlit."""
    rng = np.random.default_rng(0)
    difficulty, labels = rng.random(count), rng.integers(0, 10, count)
    factors = 1 - 0.5 * difficulty
    figures = [
        charts.histogram({"all": difficulty}, charts.bins_of(difficulty), 0, 1, "x"),
        charts.by_class([str(k) for k in range(10)], labels, difficulty, charts.bins_of(difficulty)),
        charts.factor_curve(factors, 0.5, float(factors.mean())),
        charts.factor_histogram(factors),
    ]
    assert all(len(f.to_json()) < 60_000 for f in figures)


def test_factor_curve_keeps_both_ends() -> None:
    factors = np.linspace(0.5, 1, 10_001)
    curve, twin = charts.factor_curve(factors, 0.5, 0.75).data
    assert (curve.y[0], curve.y[-1]) == (1, 0.5)
    assert list(twin.y) == [0.75, 0.75]


def test_shares_always_show_the_label_and_what_is_left_to_others() -> None:
    values = np.array([0.5, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01])
    (bars,) = charts.shares(list("abcdefgh"), values, "g", charts.CLEAN).data
    assert list(bars.y) == ["(2 others)", "g", "e", "d", "c", "b", "a"]
    np.testing.assert_allclose(bars.x, [0.05, 0.02, 0.05, 0.08, 0.1, 0.2, 0.5])
    assert bars.marker.color[1] == charts.CLEAN and charts.CLEAN not in bars.marker.color[2:]
    (few,) = charts.shares(list("abcdefg"), values[:7], "g", charts.CLEAN).data
    assert list(few.y) == list("gfedcba")


def test_curves_of_a_run_without_rows_or_attack() -> None:
    assert len(charts.accuracies([], None, [], 10).data) == 0
    row = {"epoch": 1, "loss": 1.0, "train_clean": 0.5, "validation_clean": 0.4}
    rows = [row | {"train_robust": None, "validation_robust": None}]
    assert {trace.name for trace in charts.accuracies(rows, 5, [3], 10).data} == {"train, clean", "validation, clean"}
    assert len(charts.losses(rows, 5, [3], 10).layout.shapes) == 2


def test_agreement_is_a_square_read_from_above_with_names_as_they_are() -> None:
    spearman, overlap = np.array([[1.0, 0.25], [0.25, np.nan]]), np.array([[1.0, 0.5], [0.5, 1.0]])
    (cells,) = charts.agreement(["a", "<b>c</b>"], spearman, overlap).data
    assert list(cells.x) == ["a", "&lt;b&gt;c&lt;/b&gt;"] and list(cells.y) == list(cells.x)[::-1]
    assert np.array(cells.text).tolist() == [["0.25", ""], ["1.00", "0.25"]], "the first is on top"
    np.testing.assert_array_equal(cells.customdata, overlap[::-1])


def test_stability_marks_what_is_suggested_and_shows_what_is_below_zero() -> None:
    epochs, falling = np.arange(1, 4), np.array([-0.4, np.nan, 1.0])
    found = charts.stability(epochs, falling, np.array([0.1, 0.95, 1.0]), 0.9, 2)
    assert [shape.x0 for shape in found.layout.shapes] == [0, 2] and found.layout.annotations[0].text == "T = 2"
    assert found.layout.yaxis.range[0] < -0.4
    without = charts.stability(epochs, falling, falling, 0.9, None)
    assert len(without.layout.shapes) == 1 and not without.layout.annotations
