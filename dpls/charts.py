"""Tables to plotly figures: counted bars, lines and heat maps, never a point per example. No streamlit, no torch.

Colours mean the same everywhere: blue clean, vermilion attacked, green what DPLS does, grey the rest. They are of Okabe
and Ito's palette, told apart by people who see colours differently.

Figures are written as plain traces and layouts and handed to plotly once: building them by its update methods takes
fifteen times as long, more than all the rest of a page.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

CLEAN, ATTACKED, SMOOTHED, GREY = "#0072b2", "#d55e00", "#009e73", "#8a939c"
CAUSE_COLOURS = ("#d55e00", "#e69f00", "#cc79a7", "#56b4e9", "#009e73", "#b8a200", "#6a3d9a")
MOST_POINTS = 500
"""Points a curve is thinned to."""

Part = dict[str, Any]


def figure(height: int, traces: Sequence[Part], x: Part, y: Part, **layout: Any) -> go.Figure:
    """A figure in the house's style; ``x`` and ``y`` are axes, their ``title`` a text."""
    return go.Figure(
        data=traces,
        layout={
            "height": height,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hovermode": "x unified",
            "xaxis": _axis(x),
            "yaxis": _axis(y),
            **layout,
        },
    )


def _axis(settings: Part) -> Part:
    return {"automargin": True, **settings, "title": {"text": settings.get("title", "")}}


def plain(names: Sequence[str]) -> list[str]:
    """Names from outside, shown as they are: plotly would read tags in them."""
    return [html.escape(name, quote=False) for name in names]


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


def trail(
    clean: NDArray[np.floating], attacked: NDArray[np.floating] | None, border: int | None, counted: int
) -> go.Figure:
    """Probability of an image's label, epoch by epoch; T shaded, the border to the last phase dotted."""
    traces = [_line(clean, "clean", CLEAN, "solid", "%{y:.0%}")]
    if attacked is not None and not np.isnan(attacked).all():
        traces.append(_line(attacked, "attacked", ATTACKED, "dot", "%{y:.0%}"))
    shapes, notes = _borders(border, ())
    shaded = {"type": "rect", "yref": "paper", "x0": 0.5, "x1": counted + 0.5, "y0": 0, "y1": 1}
    shapes.append(shaded | {"fillcolor": GREY, "opacity": 0.1, "line": {"width": 0}})
    return figure(
        250,
        traces,
        {"title": "epoch"},
        {"title": "probability of the label", "range": [-0.03, 1.03], "tickformat": ".0%"},
        shapes=shapes,
        annotations=notes,
    )


def _line(y: Any, name: str, colour: str, dash: str, hover: str, x: Any = None) -> Part:
    return {
        "type": "scatter",
        "x": np.arange(1, len(y) + 1) if x is None else x,
        "y": y,
        "name": name,
        "mode": "lines+markers" if len(y) < 3 else "lines",
        "line": {"color": colour, "dash": dash},
        "hovertemplate": hover,
    }


def shares(names: Sequence[str], values: NDArray[np.floating], label: str, colour: str, most: int = 6) -> go.Figure:
    """The largest shares of a distribution over classes as bars, largest on top; the label's own is always there, and
    what is left to all others together comes last."""
    order = np.argsort(-values, kind="stable")[: most if len(names) > most + 1 else None].tolist()
    if names.index(label) not in order:
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


def accuracies(rows: Sequence[Mapping[str, Any]], border: int | None, decays: Sequence[int], last: int) -> go.Figure:
    """Train and validation accuracy, clean and robust, by epoch."""
    traces = []
    for name, title, colour, dash in (
        ("train_clean", "train, clean", CLEAN, "dot"),
        ("validation_clean", "validation, clean", CLEAN, "solid"),
        ("train_robust", "train, attacked", ATTACKED, "dot"),
        ("validation_robust", "validation, attacked", ATTACKED, "solid"),
    ):
        known = [(row["epoch"], row[name]) for row in rows if row[name] is not None]
        if known:
            x, y = zip(*known, strict=True)
            traces.append(_line(y, title, colour, dash, "%{y:.1%}", x))
    shapes, notes = _borders(border, decays)
    return figure(
        330,
        traces,
        {"title": "epoch", "range": [0.5, max(2, last) + 0.5]},
        {"title": "accuracy", "range": [0, 1.02], "tickformat": ".0%"},
        shapes=shapes,
        annotations=notes,
    )


def losses(rows: Sequence[Mapping[str, Any]], border: int | None, decays: Sequence[int], last: int) -> go.Figure:
    """Training loss by epoch."""
    loss = _line([row["loss"] for row in rows], "loss", GREY, "solid", "%{y:.3f}", [row["epoch"] for row in rows])
    shapes, notes = _borders(border, decays)
    return figure(
        330,
        [loss],
        {"title": "epoch", "range": [0.5, max(2, last) + 0.5]},
        {"title": "training loss"},
        showlegend=False,
        shapes=shapes,
        annotations=notes,
    )


def _borders(border: int | None, decays: Sequence[int]) -> tuple[list[Part], list[Part]]:
    """Lines and words where the last phase starts and the learning rate falls."""
    marks = [(epoch, GREY, "dash", 1, "lr ↓", 0.02) for epoch in decays]
    if border:
        marks.append((border, SMOOTHED, "dot", 2, "last phase", 0.12))
    shapes, notes = [], []
    for epoch, colour, dash, width, text, y in marks:
        line = {"color": colour, "dash": dash, "width": width}
        x = epoch + 0.5
        shapes.append({"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line})
        note = {"x": x, "y": y, "yref": "paper", "text": text, "showarrow": False, "xanchor": "left"}
        notes.append(note | {"font": {"color": colour}})
    return shapes, notes


def factor_curve(factors: NDArray[np.floating], lambda_min: float, mean: float) -> go.Figure:
    """Factors from the easiest to the hardest example, with the uniform twin of the same mean."""
    ordered = np.sort(factors)[::-1]
    place = np.unique(np.linspace(0, len(ordered) - 1, min(MOST_POINTS, len(ordered))).round().astype(int))
    dpls = _line(ordered[place], "DPLS", SMOOTHED, "solid", "%{y:.3f}", place / max(1, len(ordered) - 1))
    twin = _line([mean, mean], "uniform twin, same mean", GREY, "dash", "%{y:.3f}", [0, 1])
    return figure(
        300,
        [dpls | {"mode": "lines", "line": {"color": SMOOTHED, "width": 3}}, twin | {"mode": "lines"}],
        {"title": "training images, easiest to hardest", "tickformat": ".0%", "range": [0, 1], "dtick": 0.25},
        {"title": "factor (mass on the label)", "range": [min(0.45, lambda_min - 0.05), 1.02]},
    )


def factor_histogram(factors: NDArray[np.floating]) -> go.Figure:
    """How many examples have which factor."""
    edges = np.linspace(min(float(factors.min()), 0.99), 1, 41)
    bars = {
        "type": "bar",
        "x": (edges[:-1] + edges[1:]) / 2,
        "y": np.histogram(factors, edges)[0],
        "marker": {"color": SMOOTHED},
        "hovertemplate": "%{y:,} images at %{x:.3f}<extra></extra>",
    }
    return figure(
        300, [bars], {"title": "factor"}, {"title": "images"}, showlegend=False, bargap=0.04, hovermode="closest"
    )


def budget(share: NDArray[np.floating]) -> go.Figure:
    """Share of all smoothing that each part of the examples takes, easiest to hardest; uniformly all take the same."""
    parts = len(share)
    bars = {
        "type": "bar",
        "x": list(range(1, parts + 1)),
        "y": share,
        "marker": {"color": SMOOTHED},
        "text": [f"{s:.0%}" for s in share],
        "textposition": "outside",
        "cliponaxis": False,
    }
    uniform = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1 / parts, "y1": 1 / parts}
    return figure(
        260,
        [bars],
        {"title": "tenth of the images, easiest to hardest", "dtick": 1},
        {"title": "share of all smoothing", "tickformat": ".0%", "range": [0, max(1.5 / parts, 1.15 * share.max())]},
        showlegend=False,
        hovermode=False,
        shapes=[uniform | {"layer": "below", "line": {"color": GREY, "dash": "dash"}}],
    )
