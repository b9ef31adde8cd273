"""Tables to plotly figures: counted bars, lines and heat maps, never a point per example. No streamlit, no torch.

Colours mean the same everywhere: blue clean, vermilion attacked, green what DPLS does, grey the rest. They are of Okabe
and Ito's palette, told apart by people who see colours differently.
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


def figure(height: int, x: str, y: str, **layout: Any) -> go.Figure:
    """An empty figure in the house's style."""
    found = go.Figure()
    found.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis_title=x,
        yaxis_title=y,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="x unified",
        **layout,
    )
    found.update_xaxes(automargin=True)
    found.update_yaxes(automargin=True)
    return found


def plain(names: Sequence[str]) -> list[str]:
    """Names from outside, shown as they are: plotly would read tags in them."""
    return [html.escape(name, quote=False) for name in names]


def bins_of(values: NDArray[np.floating], steps: int | None, most: int = 40) -> NDArray[np.float64]:
    """Edges over [0, 1]: a bin for every value where values lie on ``steps`` + 1 even levels, else ``most`` bins."""
    if steps is not None and steps <= most:
        return (np.arange(steps + 2) - 0.5) / steps
    return np.linspace(0, 1, min(most, max(1, len(values))) + 1)


def histogram(
    groups: Mapping[str, NDArray[np.floating]], edges: NDArray[np.floating], low: float, high: float, x: str
) -> go.Figure:
    """Stacked counts of difficulty by group; what lies outside [low, high] is pale. Drag across it to select."""
    found = figure(320, x, "images", barmode="stack", bargap=0.04, dragmode="select", selectdirection="h")
    centres = (edges[:-1] + edges[1:]) / 2
    inside = (centres >= low - 1e-9) & (centres <= high + 1e-9)
    for number, (name, values) in enumerate(groups.items()):
        counts = np.histogram(values[~np.isnan(values)], edges)[0]
        colour = CLEAN if number == 0 else CAUSE_COLOURS[(number - 1) % len(CAUSE_COLOURS)]
        found.add_bar(
            x=centres,
            y=counts,
            name=name,
            marker={"color": colour, "opacity": np.where(inside, 1.0, 0.25)},
            hovertemplate="%{y:,}",
        )
    found.update_xaxes(range=[edges[0] - 0.01, edges[-1] + 0.01], tickformat=".1f", hoverformat=".3f")
    found.update_layout(showlegend=len(groups) > 1)
    return found


def by_class(
    classes: Sequence[str], labels: NDArray[np.int64], difficulty: NDArray[np.floating], edges: NDArray[np.floating]
) -> go.Figure:
    """Where each class's examples lie: share of the class by bin, the mean as a dot. Hardest class on top."""
    bins = len(edges) - 1
    known = ~np.isnan(difficulty)
    place = np.clip(np.searchsorted(edges, difficulty[known], "right") - 1, 0, bins - 1)
    counts = np.bincount(labels[known] * bins + place, minlength=len(classes) * bins).reshape(len(classes), bins)
    sizes = np.bincount(labels[known], minlength=len(classes))
    sums = np.bincount(labels[known], weights=difficulty[known], minlength=len(classes))
    means = np.divide(sums, sizes, out=np.full(len(classes), np.nan), where=sizes > 0)
    order = [int(k) for k in np.argsort(np.nan_to_num(means, nan=-1), kind="stable") if sizes[k]]
    names = plain([classes[k] for k in order])
    share = counts[order] / np.maximum(sizes[order], 1)[:, None]
    found = figure(90 + 26 * len(order), "difficulty", "", showlegend=False)
    found.update_layout(hovermode="closest")
    found.add_heatmap(
        x=(edges[:-1] + edges[1:]) / 2,
        y=names,
        z=np.sqrt(share),  # so that the few hard ones of a class can be seen beside the many easy ones
        customdata=np.stack([share, counts[order]], -1),
        hovertemplate="%{y}: %{customdata[0]:.1%} (%{customdata[1]:,}) at %{x:.2f}<extra></extra>",
        showscale=False,
        ygap=2,
    )
    found.add_scatter(
        x=means[order],
        y=names,
        mode="markers",
        marker={"color": ATTACKED, "size": 9, "line": {"color": "white", "width": 1.5}},
        hovertemplate="%{y}: mean %{x:.3f}<extra></extra>",
    )
    found.update_xaxes(range=[edges[0], edges[-1]], tickformat=".1f")
    found.update_yaxes(type="category")
    return found


def trail(
    clean: NDArray[np.floating], attacked: NDArray[np.floating] | None, border: int | None, counted: int
) -> go.Figure:
    """Probability of an image's label, epoch by epoch; T shaded, the border to the last phase dotted."""
    found = figure(250, "epoch", "probability of the label")
    epochs = np.arange(1, len(clean) + 1)
    found.add_scatter(x=epochs, y=clean, name="clean", line={"color": CLEAN}, hovertemplate="%{y:.0%}")
    if attacked is not None and not np.isnan(attacked).all():
        found.add_scatter(
            x=epochs, y=attacked, name="attacked", line={"color": ATTACKED, "dash": "dot"}, hovertemplate="%{y:.0%}"
        )
    _mark_border(found, border)
    found.add_vrect(x0=0.5, x1=counted + 0.5, fillcolor=GREY, opacity=0.1, line_width=0)
    found.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    return found


def shares(names: Sequence[str], values: NDArray[np.floating], label: str, colour: str, most: int = 6) -> go.Figure:
    """The largest shares of a distribution over classes as bars, largest on top; the label's own is always there."""
    order = np.argsort(-values, kind="stable")[:most].tolist()
    if names.index(label) not in order:
        order[-1] = names.index(label)
    order = order[::-1]
    found = figure(60 + 26 * len(order), "", "", showlegend=False)
    found.update_layout(hovermode=False, margin={"l": 8, "r": 44, "t": 4, "b": 4})
    found.add_bar(
        x=values[order],
        y=plain([names[k] for k in order]),
        orientation="h",
        marker_color=[colour if names[k] == label else GREY for k in order],
        text=[f"{values[k]:.1%}" for k in order],
        textposition="outside",
        cliponaxis=False,
    )
    found.update_xaxes(range=[0, 1], showticklabels=False, showgrid=False, zeroline=False)
    found.update_yaxes(type="category")
    return found


def accuracies(rows: Sequence[Mapping[str, Any]], border: int | None, decays: Sequence[int], last: int) -> go.Figure:
    """Train and validation accuracy, clean and robust, by epoch."""
    found = figure(330, "epoch", "accuracy")
    for name, title, colour, dash in (
        ("train_clean", "train, clean", CLEAN, "dot"),
        ("validation_clean", "validation, clean", CLEAN, "solid"),
        ("train_robust", "train, attacked", ATTACKED, "dot"),
        ("validation_robust", "validation, attacked", ATTACKED, "solid"),
    ):
        known = [(row["epoch"], row[name]) for row in rows if row[name] is not None]
        if known:
            x, y = zip(*known, strict=True)
            found.add_scatter(
                x=x,
                y=y,
                name=title,
                mode="lines+markers" if len(known) < 3 else "lines",
                line={"color": colour, "dash": dash},
                hovertemplate="%{y:.1%}",
            )
    _mark_epochs(found, border, decays, last)
    found.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return found


def losses(rows: Sequence[Mapping[str, Any]], border: int | None, decays: Sequence[int], last: int) -> go.Figure:
    """Training loss by epoch."""
    found = figure(330, "epoch", "training loss", showlegend=False)
    found.add_scatter(
        x=[row["epoch"] for row in rows],
        y=[row["loss"] for row in rows],
        mode="lines+markers" if len(rows) < 3 else "lines",
        line={"color": GREY},
        hovertemplate="%{y:.3f}",
    )
    _mark_epochs(found, border, decays, last)
    return found


def _mark_epochs(found: go.Figure, border: int | None, decays: Sequence[int], last: int) -> None:
    _mark_border(found, border)
    for epoch in decays:
        found.add_vline(x=epoch + 0.5, line={"color": GREY, "dash": "dash", "width": 1})
        found.add_annotation(x=epoch + 0.5, y=0.02, yref="paper", text="lr ↓", showarrow=False, xanchor="left")
    found.update_xaxes(range=[0.5, max(2, last) + 0.5])


def _mark_border(found: go.Figure, border: int | None) -> None:
    if border:
        found.add_vline(x=border + 0.5, line={"color": SMOOTHED, "dash": "dot", "width": 2})
        found.add_annotation(
            x=border + 0.5,
            y=0.12,
            yref="paper",
            text="last phase",
            showarrow=False,
            xanchor="left",
            font={"color": SMOOTHED},
        )


def factor_curve(factors: NDArray[np.floating], lambda_min: float, mean: float) -> go.Figure:
    """Factors from the easiest to the hardest example, with the uniform twin of the same mean."""
    found = figure(300, "training images, easiest to hardest", "factor (mass on the label)")
    ordered = np.sort(factors)[::-1]
    place = np.unique(np.linspace(0, len(ordered) - 1, min(MOST_POINTS, len(ordered))).round().astype(int))
    x = place / max(1, len(ordered) - 1)
    found.add_scatter(
        x=x,
        y=ordered[place],
        name="DPLS",
        line={"color": SMOOTHED, "width": 3},
        hovertemplate="%{y:.3f}",
    )
    found.add_scatter(
        x=[0, 1],
        y=[mean, mean],
        name="uniform twin, same mean",
        line={"color": GREY, "dash": "dash"},
        hovertemplate="%{y:.3f}",
    )
    found.update_xaxes(tickformat=".0%", range=[0, 1])
    found.update_yaxes(range=[min(0.45, lambda_min - 0.05), 1.02])
    return found


def factor_histogram(factors: NDArray[np.floating]) -> go.Figure:
    """How many examples have which factor."""
    found = figure(300, "factor", "images", showlegend=False, bargap=0.04)
    low = float(factors.min())
    edges = np.linspace(min(low, 0.99), 1, 41)
    counts = np.histogram(factors, edges)[0]
    found.add_bar(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, marker_color=SMOOTHED, hovertemplate="%{y:,} images at %{x:.3f}"
    )
    found.update_layout(hovermode="closest")
    return found


def budget(share: NDArray[np.floating]) -> go.Figure:
    """Share of all smoothing that each fifth of the examples takes, easiest to hardest; uniformly it were 20 %."""
    found = figure(260, "fifth of the images, easiest to hardest", "share of all smoothing", showlegend=False)
    names = ["easiest", "2nd", "3rd", "4th", "hardest"]
    found.add_bar(
        x=names,
        y=share,
        marker_color=SMOOTHED,
        text=[f"{s:.0%}" for s in share],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    found.add_hline(y=0.2, line={"color": GREY, "dash": "dash"})
    found.update_xaxes(type="category")
    found.update_yaxes(tickformat=".0%", range=[0, max(0.3, 1.15 * float(share.max()))])
    return found
