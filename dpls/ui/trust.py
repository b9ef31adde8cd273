"""The trust card of a robust accuracy, drawn; without torch."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from dpls.errors import UserError
from dpls.evaluations.trust.card import COLOURS as COLOURS_IN_ORDER
from dpls.evaluations.trust.card import Card, Colour, Line
from dpls.evaluations.trust.judged import is_defended
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.ui import store
from dpls.ui.frame import escape

COLOURS: dict[Colour, str] = {"green": "green", "amber": "orange", "red": "red"}
ICONS: dict[Colour, str] = {
    "green": ":material/check_circle:",
    "amber": ":material/error:",
    "red": ":material/cancel:",
}


def cards(run: Run) -> dict[str, Card]:
    """Those of a run's robust accuracies, by name of the evaluation; read again only where one has changed."""
    return _cards(run.path, store.changed(run.evaluations))


@lru_cache(maxsize=1_000)
def _cards(path: Path, changed: int) -> dict[str, Card]:  # noqa: ARG001
    return report.cards(Run(path))


def colour_of(run: Run, name: str | None) -> str:
    """For a list: the colour of one of them in a word; nothing where it has no card, or its files are damaged."""
    try:
        card = cards(run).get(name or "")
    except UserError:
        return ""
    return card.colour if card else ""


def show_card(card: Card) -> None:
    """Its colour and the sentence that decides it; all lines inside."""
    with st.expander(_coloured(card.colour, card.colour, card.reason)):
        st.markdown(f"**{escape(card.sentence)}** {escape(card.advice)}")
        _show_lines(card.lines)


def show_trust(lines: Sequence[Line]) -> None:
    """Of an experiment: its worst colour and the first line that has it; all lines inside."""
    if lines:
        worst = max(lines, key=lambda line: COLOURS_IN_ORDER.index(line.colour))
        with st.expander(_coloured(worst.colour, worst.colour, f"Robust accuracies. {worst.sentence}")):
            _show_lines(lines)


def _show_lines(lines: Sequence[Line]) -> None:
    for line in lines:
        st.markdown(_coloured(line.colour, line.title, line.sentence))


def show_doubts(evaluation: Mapping[str, Any]) -> None:
    """With what in mind an accuracy behind a defence is to be read, which has no card."""
    if is_defended(evaluation):
        st.caption(escape(". ".join(f"{said[:1].upper()}{said[1:]}" for said in evaluation["warnings"]) + "."))


def _coloured(colour: Colour, title: str, sentence: str) -> str:
    parts = sentence.split("`")  # a command stands between two of these
    said = "".join(f"`{part}`" if place % 2 else escape(part) for place, part in enumerate(parts))
    return f":{COLOURS[colour]}-badge[{ICONS[colour]} {escape(title)}] {said}"
