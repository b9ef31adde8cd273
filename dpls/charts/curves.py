"""Lines over epochs: of one image, of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dpls.charts.figure import ATTACKED, CLEAN, GREY, borders, figure, line


def trail(
    clean: NDArray[np.floating], attacked: NDArray[np.floating] | None, border: int | None, counted: int
) -> go.Figure:
    """Probability of an image's label, epoch by epoch; T shaded, the border to the last phase dotted."""
    traces = [line(clean, "clean", CLEAN, "solid", "%{y:.0%}")]
    if attacked is not None and not np.isnan(attacked).all():
        traces.append(line(attacked, "attacked", ATTACKED, "dot", "%{y:.0%}"))
    shapes, notes = borders(border, ())
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
            traces.append(line(y, title, colour, dash, "%{y:.1%}", x))
    shapes, notes = borders(border, decays)
    return figure(
        330,
        traces,
        {"title": "epoch", "range": [0.5, max(2, last) + 0.5]},
        {"title": "accuracy", "range": [0, 1.02], "tickformat": ".0%"},
        showlegend=True,  # of one line, too
        shapes=shapes,
        annotations=notes,
    )


def losses(rows: Sequence[Mapping[str, Any]], border: int | None, decays: Sequence[int], last: int) -> go.Figure:
    """Training loss by epoch."""
    known = [row for row in rows if row["loss"] is not None]
    loss = line([row["loss"] for row in known], "loss", GREY, "solid", "%{y:.3f}", [row["epoch"] for row in known])
    shapes, notes = borders(border, decays)
    return figure(
        330,
        [loss],
        {"title": "epoch", "range": [0.5, max(2, last) + 0.5]},
        {"title": "training loss"},
        showlegend=False,
        shapes=shapes,
        annotations=notes,
    )
