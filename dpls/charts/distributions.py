"""Difficulty of many images, and shares over classes: counted bars and heat maps, never a point per example."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dpls.charts.figure import ATTACKED, CLEAN, GREY, figure, plain

CAUSE_COLOURS = ("#d55e00", "#e69f00", "#cc79a7", "#56b4e9", "#009e73", "#b8a200", "#6a3d9a")


def bins_of(difficulty: NDArray[np.floating], most: int = 40) -> NDArray[np.float64]:
    """Edges over [0, 1]: a bin around every value where the values lie on few, even levels, else ``most`` bins.

    Counted measures do; bins of their own width would show gaps and spikes that are not there.
    """
    levels = np.unique(difficulty[~np.isnan(difficulty)])
    if 2 <= len(levels) <= 2 * most:
        step = float(np.diff(levels).min())
        if step >= 1 / most - 1e-9 and np.allclose(levels / step, np.round(levels / step), atol=1e-6):
            return np.asarray((np.arange(round(1 / step) + 2) - 0.5) * step, dtype=np.float64)
    return np.linspace(0, 1, most + 1)


def histogram(
    groups: Mapping[str, NDArray[np.floating]], edges: NDArray[np.floating], low: float, high: float, x: str
) -> go.Figure:
    """Stacked counts of difficulty by group; what lies outside [low, high] is pale. Drag across it to select."""
    centres = (edges[:-1] + edges[1:]) / 2
    inside = (centres >= low - 1e-9) & (centres <= high + 1e-9)
    traces = [
        {
            "type": "bar",
            "x": centres,
            "y": np.histogram(values[~np.isnan(values)], edges)[0],
            "name": name,
            "marker": {
                "color": CLEAN if number == 0 else CAUSE_COLOURS[(number - 1) % len(CAUSE_COLOURS)],
                "opacity": np.where(inside, 1.0, 0.25),
            },
            "hovertemplate": "%{y:,}",
        }
        for number, (name, values) in enumerate(groups.items())
    ]
    return figure(
        320,
        traces,
        {"title": x, "range": [edges[0] - 0.01, edges[-1] + 0.01], "tickformat": ".1f", "hoverformat": ".3f"},
        {"title": "images"},
        barmode="stack",
        bargap=0.04,
        dragmode="select",
        selectdirection="h",
        showlegend=len(groups) > 1,
    )


def by_class(
    classes: Sequence[str], labels: NDArray[np.int64], difficulty: NDArray[np.floating], edges: NDArray[np.floating]
) -> go.Figure:
    """Where each class's examples lie: share of the class by bin, the mean as a dot. Hardest class on top."""
    bins = len(edges) - 1
    known = ~np.isnan(difficulty)
    labels, difficulty = labels[known], difficulty[known]
    place = np.clip(np.searchsorted(edges, difficulty, "right") - 1, 0, bins - 1)
    counts = np.bincount(labels * bins + place, minlength=len(classes) * bins).reshape(len(classes), bins)
    sizes = counts.sum(1)
    sums = np.bincount(labels, weights=difficulty, minlength=len(classes))
    means = np.divide(sums, sizes, out=np.full(len(classes), np.nan), where=sizes > 0)
    order = [int(k) for k in np.argsort(np.nan_to_num(means, nan=-1), kind="stable") if sizes[k]]
    names = plain([classes[k] for k in order])
    share = counts[order] / np.maximum(sizes[order], 1)[:, None]
    cells = {
        "type": "heatmap",
        "x": (edges[:-1] + edges[1:]) / 2,
        "y": names,
        "z": np.sqrt(share),  # so that the few hard ones of a class can be seen beside the many easy ones
        "customdata": np.stack([share, counts[order]], -1),
        "hovertemplate": "%{y}: %{customdata[0]:.1%} (%{customdata[1]:,}) at %{x:.2f}<extra></extra>",
        "showscale": False,
        "ygap": 2,
    }
    dots = {
        "type": "scatter",
        "x": means[order],
        "y": names,
        "mode": "markers",
        "marker": {"color": ATTACKED, "size": 9, "line": {"color": "white", "width": 1.5}},
        "hovertemplate": "%{y}: mean %{x:.3f}<extra></extra>",
    }
    return figure(
        90 + 26 * len(order),
        [cells, dots],
        {"title": "difficulty", "range": [edges[0], edges[-1]], "tickformat": ".1f"},
        {"type": "category"},
        showlegend=False,
        hovermode="closest",
    )


def shares(names: Sequence[str], values: NDArray[np.floating], label: str, colour: str, most: int = 6) -> go.Figure:
    """The largest shares of a distribution over classes as bars, largest on top; the label's own (if it is not "") is
    always there, and what is left to all others together comes last."""
    order = np.argsort(-values, kind="stable")[: most if len(names) > most + 1 else None].tolist()
    if label and names.index(label) not in order:
        order[-1] = names.index(label)
    shown, labels = values[order].tolist(), plain([names[k] for k in order])
    colours = [colour if names[k] == label else GREY for k in order]
    if others := len(names) - len(order):
        shown.append(max(0.0, float(values.sum()) - sum(shown)))
        labels.append(f"({others:,} others)")
        colours.append(GREY)
    bars = {
        "type": "bar",
        "x": shown[::-1],
        "y": labels[::-1],
        "orientation": "h",
        "marker": {"color": colours[::-1]},
        "text": [f"{share:.1%}" for share in shown[::-1]],
        "textposition": "outside",
        "cliponaxis": False,
    }
    return figure(
        30 + 26 * len(shown),
        [bars],
        {"range": [0, 1], "showticklabels": False, "showgrid": False, "zeroline": False},
        {"type": "category"},
        showlegend=False,
        hovermode=False,
        margin={"l": 8, "r": 48, "t": 4, "b": 4},
    )
