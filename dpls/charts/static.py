"""Figures as SVG, for files that are read without plotly's script.

Draws what the house's figures hold: bars, lines, dots with intervals, heat maps, and the lines and words over them.
Colours of text and grid are those around the picture, so that it can stand on white and on black.
"""

import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from dpls.charts.figure import CLEAN, GREY
from dpls.text import display

CHARACTER = 6.2  # pixels that a character of a label takes, on average
DASHES = {"dot": "2 4", "dash": "7 5", "dashdot": "7 4 2 4"}
MOST_TICKS = 6
LONGEST = 34  # characters of a name
LINE = 18  # pixels of a line of text


class _Axis(NamedTuple):
    """From values, or names, to pixels."""

    low: float
    high: float
    start: float
    end: float
    names: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]

    def __call__(self, value: Any) -> float:
        number = self.names.index(str(value)) if self.names else float(value)
        return self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start)


def svg(figure: go.Figure, alt: str, width: int = 640) -> str:
    """An ``<svg>`` element as wide as given, as high as the figure says; ``alt`` is what it shows, in words."""
    layout, height = figure.layout, int(figure.layout.height)
    legend, lines = _legend(figure, width)
    top = lines * LINE + 10
    y_values, x_values = ([v for t in figure.data for v in _values(t, way)] for way in "yx")
    x_shape, y_shape = _scale(x_values, layout.xaxis), _scale([*y_values, *_stacked(figure)], layout.yaxis)
    left = 12 + CHARACTER * max((len(_cut(text)) for _, text in y_shape.ticks), default=0) + _room(layout.yaxis)
    bottom = height - LINE - 4 - _room(layout.xaxis)
    x, y = x_shape._replace(start=left, end=width - 20.0), y_shape._replace(start=bottom, end=float(top))
    parts = [*_grid(x, y, layout), *legend]
    base = np.zeros(0)
    for trace in figure.data:
        if trace.type == "bar":
            base = np.zeros(len(trace.x)) if not len(base) else base
            parts += _bars(trace, x, y, base, layout.bargap or 0.1)
            base = base + np.asarray(trace.y, dtype=float)
        else:
            parts += _cells(trace, x, y) if trace.type == "heatmap" else _points(trace, x, y)
    parts += _over(layout, x, y)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg {size} role="img" aria-label="{html.escape(alt)}">{"".join(parts)}</svg>'


def _plain(text: Any) -> str:
    """As it was before plotly's tags were escaped in it (``figure.plain``), on one line."""
    return display(html.unescape(str(text)))


def _text(text: Any) -> str:
    """A name, cut to the room there is."""
    return html.escape(_cut(text))


def _cut(text: Any) -> str:
    whole = _plain(text)
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"


def _room(axis: Any) -> int:
    return LINE if axis.title.text else 0


def _values(trace: Any, way: str) -> list[Any]:
    """Of a trace along x or y, the ends of intervals among them."""
    found = list(trace[way]) if trace[way] is not None else []
    ends = trace[f"error_{way}"] if trace.type == "scatter" else None
    if ends is not None and ends.array is not None:
        found += [v + e for v, e in zip(found, ends.array, strict=True)]
        found += [v - e for v, e in zip(trace[way], ends.arrayminus, strict=True)]
    return found


def _stacked(figure: go.Figure) -> list[float]:
    """Where bars begin and end."""
    bars = [np.asarray(trace.y, dtype=float) for trace in figure.data if trace.type == "bar"]
    return [0.0, *np.sum(bars, axis=0).tolist()] if bars else []


def _scale(values: Sequence[Any], settings: Any) -> _Axis:
    """An axis without its place."""
    if settings.type == "category":
        names = tuple(dict.fromkeys(map(str, values)))
        return _Axis(-0.5, len(names) - 0.5, 0, 1, names, tuple(enumerate(names)))
    known = [float(value) for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = settings.range if settings.range is not None else _padded(min(known), max(known))
    if settings.tickvals is not None:
        ticks = zip(settings.tickvals, settings.ticktext, strict=True)
        return _Axis(low, high, 0, 1, (), tuple((float(at), str(text)) for at, text in ticks))
    step = settings.dtick or _step(high - low)
    first = math.ceil(low / step - 1e-9)
    places = [n * step for n in range(first, first + 1000) if n * step <= high + 1e-9 * step]
    return _Axis(low, high, 0, 1, (), tuple((at, _number(at, settings.tickformat)) for at in places))


def _padded(low: float, high: float) -> tuple[float, float]:
    """A little beyond the values, but not below a zero that is the lowest."""
    room = 0.04 * (high - low) or 0.5
    return (low if low == 0 else low - room), high + room


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that few of them make the span."""
    power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    return next(power * n for n in (1, 2, 5, 10) if span / (power * n) <= MOST_TICKS)


def _number(value: float, form: str | None) -> str:
    value = round(value, 10) + 0.0  # never -0
    return format(value, form) if form else f"{value:,g}" if abs(value) < 1e6 else f"{value:.1e}"


def _grid(x: _Axis, y: _Axis, layout: Any) -> list[str]:
    """Lines at the ticks, their numbers or names, and what the axes are called."""
    found = []
    for at, text in y.ticks:
        if layout.yaxis.showgrid is not False and not y.names:
            found.append(_line(x.start, y(at), x.end, y(at), 'class="grid"'))
        place = y(y.names[int(at)]) if y.names else y(at)
        found.append(f'<text x="{x.start - 6:.1f}" y="{place + 4:.1f}" text-anchor="end">{_text(text)}</text>')
    for at, text in x.ticks:
        found.append(_line(x(at), y.start, x(at), y.start + 4, 'class="grid"'))
        found.append(f'<text x="{x(at):.1f}" y="{y.start + LINE - 2:.1f}" text-anchor="middle">{_text(text)}</text>')
    found.append(_line(x.start, y.start, x.end, y.start, 'class="axis"'))
    if layout.xaxis.title.text:
        middle, below = (x.start + x.end) / 2, y.start + 2 * LINE
        found.append(
            f'<text x="{middle:.1f}" y="{below:.1f}" text-anchor="middle">{html.escape(layout.xaxis.title.text)}</text>'
        )
    if layout.yaxis.title.text:
        turn = f'transform="translate(11 {(y.start + y.end) / 2:.1f}) rotate(-90)"'
        found.append(f'<text {turn} text-anchor="middle">{html.escape(layout.yaxis.title.text)}</text>')
    return found


def _line(x1: float, y1: float, x2: float, y2: float, how: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {how}/>'


def _stroke(line: Any, colour: str | None = None) -> str:
    dash = DASHES.get(line.dash or "", "")
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{colour or line.color}" stroke-width="{line.width or 2}"{dashes}'


def _bars(trace: Any, x: _Axis, y: _Axis, base: np.ndarray, gap: float) -> list[str]:
    places, heights = np.asarray(trace.x, dtype=float), np.asarray(trace.y, dtype=float)
    step = float(np.diff(places).min()) if len(places) > 1 else 1.0
    wide = (x(step) - x(0.0)) * (1 - gap)
    found = []
    for at, under, high in zip(places, base, heights, strict=True):
        if high > 0:
            above, below = y(under + high), y(under)
            box = f'x="{x(at) - wide / 2:.1f}" y="{above:.1f}" width="{wide:.1f}" height="{below - above:.1f}"'
            found.append(f'<rect {box} fill="{trace.marker.color}"><title>{high:,.4g}</title></rect>')
    for at, under, text in zip(places, base + heights, trace.text if trace.text is not None else (), strict=False):
        found.append(f'<text x="{x(at):.1f}" y="{y(under) - 5:.1f}" text-anchor="middle">{_text(text)}</text>')
    return found


def _cells(trace: Any, x: _Axis, y: _Axis) -> list[str]:
    """The stronger the colour, the more there is; of evenly spaced columns."""
    values, places = np.asarray(trace.z, dtype=float), np.asarray(trace.x, dtype=float)
    most = float(np.nanmax(values)) or 1.0
    wide = x(places[1]) - x(places[0]) if len(places) > 1 else x.end - x.start
    high = abs(y.end - y.start) / max(1, len(y.names)) - 2
    found = []
    for name, row in zip(trace.y, values, strict=True):
        for at, value in zip(places, row, strict=True):
            if value > 0:
                box = f'x="{x(at) - wide / 2:.1f}" y="{y(name) - high / 2:.1f}" width="{wide:.1f}" height="{high:.1f}"'
                found.append(f'<rect {box} fill="{CLEAN}" fill-opacity="{value / most:.2f}"/>')
    return found


def _points(trace: Any, x: _Axis, y: _Axis) -> list[str]:
    """Lines, dots and intervals, as the trace's mode says."""
    places = [(x(a), y(b)) for a, b in zip(trace.x, trace.y, strict=True) if _is_there(a) and _is_there(b)]
    found = []
    if "lines" in trace.mode and places:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        found.append(f'<polyline points="{path}" fill="none" {_stroke(trace.line)}/>')
    if trace.error_x.array is not None:
        for value, more, less, (_, at) in zip(
            trace.x, trace.error_x.array, trace.error_x.arrayminus, places, strict=True
        ):
            found.append(
                _line(x(value - less), at, x(value + more), at, f'stroke="{trace.error_x.color}" stroke-width="1.5"')
            )
    if "markers" in trace.mode:
        colour = trace.marker.color or trace.line.color
        found += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4.5" fill="{colour}" class="dot"/>' for a, b in places]
    return found


def _is_there(value: Any) -> bool:
    return isinstance(value, str) or (value is not None and math.isfinite(value))


def _over(layout: Any, x: _Axis, y: _Axis) -> list[str]:
    """Lines and words on top. Whose place is a share of the picture counts from its left and its bottom."""

    def across(value: float, relative: str | None) -> float:
        return x.start + value * (x.end - x.start) if relative == "paper" else x(value)

    def up(value: float, relative: str | None) -> float:
        return y.start + value * (y.end - y.start) if relative == "paper" else y(value)

    found = []
    for shape in (shape for shape in layout.shapes or () if shape.type == "line"):
        ends = (
            across(shape.x0, shape.xref),
            up(shape.y0, shape.yref),
            across(shape.x1, shape.xref),
            up(shape.y1, shape.yref),
        )
        found.append(_line(*ends, _stroke(shape.line)))
    for note in layout.annotations or ():
        place = f'x="{across(note.x, note.xref) + 4:.1f}" y="{up(note.y, note.yref):.1f}"'
        found.append(f'<text {place} style="fill:{note.font.color}">{_text(note.text)}</text>')
    return found


def _legend(figure: go.Figure, width: int) -> tuple[list[str], int]:
    """What each trace is called, beside its colour; and how many lines that takes."""
    named = [trace for trace in figure.data if trace.name]
    if figure.layout.showlegend is False or len(named) < 2:
        return [], 0
    found, across, lines = [], 8.0, 1
    for trace in named:
        room = 34 + CHARACTER * len(_cut(trace.name))
        if across + room > width and across > 8:
            across, lines = 8.0, lines + 1
        middle = (lines - 0.5) * LINE
        look = _stroke(trace.line) if trace.type == "scatter" and trace.line.color else _block(trace.marker.color)
        found.append(_line(across, middle, across + 18, middle, look))
        found.append(f'<text x="{across + 23:.1f}" y="{middle + 4:.1f}">{_text(trace.name)}</text>')
        across += room
    return found, lines


def _block(colour: str | None) -> str:
    return f'stroke="{colour or GREY}" stroke-width="9"'
