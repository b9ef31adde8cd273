"""Results as plotly figures: dots with intervals, and lines against a share. No streamlit, no torch."""

import plotly.graph_objects as go

from dpls.charts import ATTACKED, CLEAN, GREY, SMOOTHED, Part, figure
from dpls.experiments.result import Chart, Dots
from dpls.intervals import Estimate

STYLES: dict[str, tuple[str, str]] = {
    "attacked, best": (ATTACKED, "circle"),
    "attacked, last": (ATTACKED, "circle-open"),
    "clean, best": (CLEAN, "circle"),
    "clean, last": (CLEAN, "circle-open"),
    "included": (SMOOTHED, "circle"),
    "excluded": (GREY, "circle"),
}
"""Colour and mark by what is counted: colours as everywhere, open marks at the last epoch."""


def _bars(estimates: list[Estimate], scale: float = 100) -> Part:
    """Interval ends as error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale * (e.high - e.value) for e in estimates],
        "arrayminus": [scale * (e.value - e.low) for e in estimates],
        "thickness": 1.5,
        "width": 3,
    }


def dots(chart: Dots) -> go.Figure:
    """A row a label, a dot and its interval a series. Percent, or points around 0."""
    labels = list(dict.fromkeys(dot.label for dot in chart.dots))
    names = list(dict.fromkeys(dot.series for dot in chart.dots))
    traces = []
    for place, name in enumerate(names):
        own = [dot for dot in chart.dots if dot.series == name]
        colour, mark = STYLES.get(name, (GREY, "circle"))
        shift = 0.12 * (place - (len(names) - 1) / 2)
        traces.append(
            {
                "type": "scatter",
                "x": [100 * dot.estimate.value for dot in own],
                "y": [len(labels) - 1 - labels.index(dot.label) - shift for dot in own],
                "error_x": _bars([dot.estimate for dot in own]) | {"color": colour},
                "name": name,
                "mode": "markers",
                "marker": {"color": colour, "symbol": mark, "size": 9},
                "customdata": [[dot.label, f"{dot.estimate}"] for dot in own],
                "hovertemplate": f"%{{customdata[0]}}, {name}: %{{customdata[1]}}<extra></extra>",
            }
        )
    line = {"type": "line", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
    return figure(
        110 + 44 * len(labels),
        traces,
        {"title": chart.x + (", points" if chart.differences else ", %"), "zeroline": False}
        | ({} if chart.differences else {"range": [-3, 103]}),
        {
            "tickvals": list(range(len(labels))),
            "ticktext": labels[::-1],
            "range": [-0.6, len(labels) - 0.4],
            "showgrid": False,
        },
        hovermode="closest",
        shapes=[line | {"line": {"color": GREY, "dash": "dash"}}] if chart.differences else [],
    )


LINES = ((ATTACKED, "solid"), (ATTACKED, "dot"), (GREY, "solid"), (GREY, "dot"))


def lines(chart: Chart) -> go.Figure:
    """A line with error bars a series, against a share."""
    differences, shares = "difference" in chart.y, chart.x.startswith("share")
    scale = 100 if shares else 1
    traces = []
    for place, series in enumerate(chart.series):
        colour, dash = LINES[place % len(LINES)]
        if series.name.startswith("clean"):
            colour, dash = CLEAN, "solid" if series.name.endswith("best") else "dot"
        elif series.name.startswith("attacked"):
            colour, dash = ATTACKED, "solid" if series.name.endswith("best") else "dot"
        nudge = 0.12 * (place - (len(chart.series) - 1) / 2)
        traces.append(
            {
                "type": "scatter",
                "x": [scale * x + nudge * scale / 100 for x in series.x],
                "y": [100 * e.value for e in series.y],
                "error_y": _bars(list(series.y)) | {"color": colour},
                "name": series.name,
                "mode": "lines+markers",
                "line": {"color": colour, "dash": dash},
                "customdata": [str(e) for e in series.y],
                "hovertemplate": f"{series.name}, {chart.x} %{{x:.3g}}: %{{customdata}}<extra></extra>",
            }
        )
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0}
    return figure(
        340,
        traces,
        {"title": chart.x + (", %" if shares else "")},
        {"title": f"{chart.y}, {'points' if differences else '%'}", "zeroline": False},
        hovermode="closest",
        shapes=[line | {"line": {"color": GREY, "dash": "dash"}}] if differences else [],
    )
