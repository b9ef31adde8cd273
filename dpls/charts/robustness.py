"""Accuracy under attack: by attack, by eps, by group of images."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dpls.charts.figure import ATTACKED, CLEAN, GREY, SMOOTHED, Part, figure, plain
from dpls.component import show_fraction
from dpls.intervals import Estimate

DASHES = ("solid", "dash", "dot", "dashdot")
MOST_TICKS = 9
HOVER = "%{customdata[0]}, n = %{customdata[1]}"
Curve = tuple[NDArray[np.floating], NDArray[np.floating]]


def _dots(places: Sequence[float], found: Sequence[Estimate], name: str, colour: str, upright: bool) -> Part:
    """A dot and its interval each, percent; the accuracy runs upwards, or else to the right."""
    ends = {
        "type": "data",
        "symmetric": False,
        "array": [100 * (e.high - e.value) for e in found],
        "arrayminus": [100 * (e.value - e.low) for e in found],
        "thickness": 1.5,
        "width": 3,
        "color": colour,
    }
    along, across = ("y", "x") if upright else ("x", "y")
    return {
        "type": "scatter",
        along: [100 * e.value for e in found],
        across: list(places),
        f"error_{along}": ends,
        "name": name,
        "mode": "markers",
        "marker": {"color": colour, "size": 9},
        "customdata": [[str(e), f"{e.n:,}"] for e in found],
        "hovertemplate": HOVER,
    }


def ladder(labels: Sequence[str], found: Sequence[Estimate], worst: Estimate | None) -> go.Figure:
    """A row an evaluation, the first on top, which is the clean one where its label says so; then the worst case."""
    rows = list(range(len(found) + (worst is not None)))[::-1]
    clean = [k for k, label in enumerate(labels) if label == "clean"]
    attacked = [k for k in range(len(found)) if k not in clean]
    traces = [
        _dots([rows[k] for k in some], [found[k] for k in some], name, colour, False)
        for some, name, colour in ((clean, "clean", CLEAN), (attacked, "attacked", ATTACKED))
        if some
    ]
    names = plain(labels)
    if worst is not None:
        traces.append(_dots([0], [worst], "worst case", GREY, False))
        names.append("worst case")
    return _rows(traces, names, rows)


def _rows(traces: Sequence[Part], names: Sequence[str], rows: Sequence[int], legend: bool = False) -> go.Figure:
    traces = [
        trace | {"hovertemplate": f"{trace['name']}: {trace['hovertemplate']}<extra></extra>"} for trace in traces
    ]
    return figure(
        70 + 34 * len(names),
        traces,
        {"title": "accuracy, %", "range": [-2, 102]},
        {"tickvals": list(rows), "ticktext": list(names), "range": [-0.6, len(names) - 0.4], "showgrid": False},
        hovermode="closest",
        showlegend=legend,
    )


def groups(names: Sequence[str], clean: Sequence[Estimate], attacked: Sequence[Estimate]) -> go.Figure:
    """A row a group, clean beside attacked; the first on top. ``clean`` may be empty."""
    rows = list(range(len(names)))[::-1]
    traces = [
        _dots([row + shift for row in rows], found, name, colour, False)
        for found, name, colour, shift in ((clean, "clean", CLEAN, 0.14), (attacked, "attacked", ATTACKED, -0.14))
        if len(found)
    ]
    return _rows(traces, plain(names), rows, legend=True)


def tenths(clean: Mapping[int, Estimate], attacked: Mapping[int, Estimate]) -> go.Figure:
    """From the easiest tenth of the images to the hardest."""
    traces = [
        _dots([k + shift for k in found], list(found.values()), name, colour, True)
        for found, name, colour, shift in ((clean, "clean", CLEAN, -0.1), (attacked, "attacked", ATTACKED, 0.1))
        if found
    ]
    return figure(
        340,
        traces,
        {"title": "tenth of the images, easiest to hardest", "dtick": 1, "range": [0.5, 10.5]},
        {"title": "accuracy, %", "range": [-2, 102]},
        hovermode="closest",
    )


def against_eps(
    clean: Estimate | None,
    measured: Mapping[str, Sequence[tuple[float, Estimate]]],
    radii: Mapping[str, Curve],
    own: float,
) -> go.Figure:
    """What was measured at each eps, by attack; curves from radii as steps; the eps that is looked at dotted."""
    traces = [_dots([0], [clean], "clean", CLEAN, True)] if clean else []
    lines = {name: points for name, points in measured.items() if len(points) > 1}
    for place, (name, points) in enumerate(lines.items()):
        dash = DASHES[place % len(DASHES)]
        found = _dots([radius for radius, _ in points], [e for _, e in points], plain([name])[0], ATTACKED, True)
        traces.append(found | {"mode": "lines+markers", "line": {"color": ATTACKED, "dash": dash, "width": 1.5}})
    if single := {name: points[0] for name, points in measured.items() if name not in lines}:
        found = _dots([radius for radius, _ in single.values()], [e for _, e in single.values()], "", ATTACKED, True)
        name = "attacks at one eps" if len(single) > 1 else plain(list(single))[0]
        hover = {"text": plain(list(single)), "hovertemplate": f"%{{text}}: {HOVER}<extra></extra>"}
        traces.append(found | hover | {"name": name, "marker": {"color": ATTACKED, "size": 8, "symbol": "circle-open"}})
    for name, (eps, share) in radii.items():
        line = {"type": "scatter", "x": eps, "y": 100 * share, "name": plain([name])[0], "mode": "lines"}
        traces.append(line | {"line": {"color": SMOOTHED, "width": 1.5}, "hovertemplate": "%{y:.1f}"})
    known = sorted({0.0, own, *(radius for points in measured.values() for radius, _ in points)})
    ticks = {"tickvals": known, "ticktext": [show_fraction(eps) for eps in known]} if len(known) <= MOST_TICKS else {}
    mark = {"type": "line", "yref": "paper", "x0": own, "x1": own, "y0": 0, "y1": 1, "layer": "below"}
    return figure(
        340,
        traces,
        {"title": "eps, the largest change of a pixel", "rangemode": "tozero", **ticks},
        {"title": "accuracy, %", "range": [-2, 102]},
        hovermode="closest",
        shapes=[mark | {"line": {"color": GREY, "dash": "dot"}}],
    )
