"""What a report is made of: text from outside is escaped here, and nowhere else is HTML put together from it."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from dpls import charts
from dpls.text import display

STYLE = Path(__file__).with_name("style.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for it: pictures and a style that stand in the file, and nothing else, no script either."""


def escape(text: object) -> str:
    """Text from outside (class names, labels, paths) as HTML shows it literally, in attributes, too."""
    return html.escape(display(str(text)))


def page(title: str, sections: Iterable[str]) -> str:
    """The whole file."""
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{chr(10).join(sections)}\n</body></html>\n'


def section(title: str, *content: str) -> str:
    """Nothing where there is no content."""
    found = "\n".join(part for part in content if part)
    return f"<h2>{escape(title)}</h2>\n{found}" if found else ""


def paragraph(text: str, kind: str = "") -> str:
    """``kind``: soft or note."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def badge(level: str, word: str) -> str:
    """``level``: good, doubtful or bad."""
    return f'<span class="badge {level}">{escape(word)}</span>'


def listed(items: Iterable[tuple[str, str, str]]) -> str:
    """A line each of (level, word, sentence)."""
    lines = "".join(f"<li>{badge(level, f'{word}:')} {sentence_of(sentence)}</li>" for level, word, sentence in items)
    return f"<ul>{lines}</ul>" if lines else ""


def sentence_of(text: str) -> str:
    """A sentence in which a command may stand between two backticks."""
    parts = enumerate(text.split("`"))
    return "".join(f"<code>{escape(part)}</code>" if place % 2 else escape(part) for place, part in parts)


def folded(summary: str, content: str) -> str:
    """``summary`` is HTML already."""
    return f"<details><summary>{summary}</summary>{content}</details>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """``rows`` are HTML already; columns in ``numbers`` are ranged right."""
    kinds = [' class="number"' if column in numbers else "" for column in columns]
    head = "".join(f"<th{kind}>{escape(column)}</th>" for column, kind in zip(columns, kinds, strict=True))
    lines = ("".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs(content: Mapping[str, object]) -> str:
    """Names and values."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in content.items())
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def drawn(*figures: tuple[go.Figure, str]) -> str:
    """Figures side by side, each with what it shows in words."""
    found = (
        f"<figure>{charts.svg(figure, words)}<figcaption>{escape(words)}</figcaption></figure>"
        for figure, words in figures
    )
    return f'<div class="charts">{"".join(found)}</div>'


def picture(pixels: NDArray[np.uint8], alt: str) -> str:
    """An image (C, H, W) inside the file, without loss."""
    shown = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(shown)).convert("RGB").save(buffer, "WEBP", lossless=True)
    held = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{held}" alt="{escape(alt)}">'
