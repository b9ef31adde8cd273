"""The house's style: colours, a figure, a line, borders between phases.

Colours mean the same everywhere: blue clean, vermilion attacked, green what DPLS does, grey the rest. They are of Okabe
and Ito's palette, told apart by people who see colours differently.

Figures are written as plain traces and layouts and handed to plotly once: building them by its update methods takes
fifteen times as long, more than all the rest of a page.
"""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

CLEAN, ATTACKED, SMOOTHED, GREY = "#0072b2", "#d55e00", "#009e73", "#8a939c"

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


def line(y: Any, name: str, colour: str, dash: str, hover: str, x: Any = None) -> Part:
    return {
        "type": "scatter",
        "x": np.arange(1, len(y) + 1) if x is None else x,
        "y": y,
        "name": name,
        "mode": "lines+markers" if len(y) < 3 else "lines",
        "line": {"color": colour, "dash": dash},
        "hovertemplate": hover,
    }


def borders(border: int | None, decays: Sequence[int]) -> tuple[list[Part], list[Part]]:
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
