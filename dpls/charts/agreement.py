"""Whether measures, and lengths of T, call the same images hard."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dpls.charts.figure import CLEAN, GREY, SMOOTHED, figure, line, plain

PALE = [[0, "#f2b68f"], [0.5, "#f7f7f7"], [1, "#8cc1e6"]]
"""From vermilion through white to blue, so pale that numbers can be read on it."""


def agreement(names: Sequence[str], spearman: NDArray[np.floating], overlap: NDArray[np.floating]) -> go.Figure:
    """Rank correlation of every two of m measures, (m, m), as a heat map; the overlap of their hardest tenths where one
    points at it."""
    shown = plain(names)
    text = [["" if np.isnan(rho) else f"{rho:.2f}" for rho in row] for row in spearman[::-1]]
    cells = {
        "type": "heatmap",
        "x": shown,
        "y": shown[::-1],
        "z": spearman[::-1],
        "zmin": -1,
        "zmax": 1,
        "colorscale": PALE,
        "text": text,
        "texttemplate": "%{text}",
        "textfont": {"color": "#31333f"},
        "customdata": overlap[::-1],
        "hovertemplate": "%{y} and %{x}: Spearman %{z:.3f}, hardest tenth %{customdata:.0%} the same<extra></extra>",
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    return figure(
        150 + 26 * len(names),
        [cells],
        {"type": "category", "tickangle": -40},
        {"type": "category"},
        hovermode="closest",
    )


def stability(
    epochs: NDArray[np.int64],
    spearman: NDArray[np.floating],
    overlap: NDArray[np.floating],
    enough: float,
    suggested: int | None,
) -> go.Figure:
    """Difficulty over t epochs against that over all T: rank correlation, and overlap of the hardest tenth."""
    traces = [
        line(spearman, "Spearman", GREY, "dot", "%{y:.3f}", epochs),
        line(overlap, "hardest tenth the same", CLEAN, "solid", "%{y:.0%}", epochs),
    ]
    level = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": enough, "y1": enough}
    shapes, notes = [level | {"line": {"color": GREY, "dash": "dash", "width": 1}}], []
    if suggested is not None:
        mark = {"type": "line", "yref": "paper", "x0": suggested, "x1": suggested, "y0": 0, "y1": 1}
        shapes.append(mark | {"line": {"color": SMOOTHED, "dash": "dot", "width": 2}})
        note = {"x": suggested, "y": 0.04, "yref": "paper", "text": f"T = {suggested}", "showarrow": False}
        notes.append(note | {"xanchor": "left", "font": {"color": SMOOTHED}})
    return figure(
        280,
        traces,
        {"title": "t, epochs counted"},
        {"title": "agreement with T", "range": [min(-0.03, float(np.nanmin([0, *spearman])) - 0.03), 1.03]},
        shapes=shapes,
        annotations=notes,
    )
