"""What a lambda_min does to all labels."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dpls.charts.figure import GREY, SMOOTHED, figure, line

MOST_POINTS = 500
"""Points a curve is thinned to."""


def factor_curve(factors: NDArray[np.floating], lambda_min: float, mean: float) -> go.Figure:
    """Factors from the easiest to the hardest example, with the uniform twin of the same mean."""
    ordered = np.sort(factors)[::-1]
    place = np.unique(np.linspace(0, len(ordered) - 1, min(MOST_POINTS, len(ordered))).round().astype(int))
    dpls = line(ordered[place], "DPLS", SMOOTHED, "solid", "%{y:.3f}", place / max(1, len(ordered) - 1))
    twin = line([mean, mean], "uniform twin, same mean", GREY, "dash", "%{y:.3f}", [0, 1])
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
