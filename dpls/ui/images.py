"""Galleries of a selection's examples: captions, marks, and what to say where pictures or order are missing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dpls.data import TRAIN
from dpls.errors import UserError
from dpls.ui import store
from dpls.ui.frame import escape, read_only
from dpls.ui.gallery import Tile, gallery
from dpls.ui.selection import Selection

MOST_WHOLE = 20
"""Rows of a table that is shown whole; a longer one is scrolled."""


def pick(example: int | None) -> None:
    """For callbacks: the image that is inspected."""
    st.session_state["id"] = example


def ask_for_missing(s: Selection) -> None:
    """Where the images themselves are not at hand: says so, and offers to bring them back."""
    if s.facts.images is not None:
        return
    if not s.facts.missing:
        names = " and file names" if s.facts.files[:1].any() else ""
        st.caption(f"No pictures were handed over: numbers{names} are shown.")
        return
    st.warning(escape(s.facts.missing) + ". Numbers are shown without pictures.", icon=":material/hide_image:")
    if not read_only() and st.button("Bring the images back", icon=":material/refresh:"):
        with st.spinner("Reading the images …"):
            store.bring_back_images(s.run)
        st.rerun()


def tiles(
    s: Selection, ids: NDArray[np.int64], by_class: bool = False, notes: Mapping[int, str] | None = None
) -> list[Tile]:
    """A tile an example, in the order of ids. notes: by id, in place of what the network says where that is wrong."""
    facts, said = s.facts, s.run.probabilities()
    found = []
    for example in ids.tolist():
        label, note = facts.label_of(example), ""
        difficulty = "unseen" if np.isnan(s.difficulty[example]) else f"{s.difficulty[example]:.2f}"
        title = f"image {example}, labelled {label}, difficulty {difficulty}"
        if said is not None:
            answer = facts.classes[int(said[example].argmax())]
            title += f", the network says {answer}"
            note = "" if answer == label else f"→ {answer}"
        if notes is not None:
            note = notes.get(example, "")
            title += f", {note}" if note else ""
        if facts.cause[example]:
            title += f", {facts.cause_in_words(example)}"
        if facts.files[example]:
            title += f", {facts.files[example]}"
        group = label if by_class else ""
        tag = s.tags[example].in_words if example in s.tags else ""
        title += f", tagged {tag}" if tag else ""
        mark = " · ".join(filter(None, (facts.cause_of(example), tag)))
        found.append(Tile(example, f"{difficulty} {label}", note, title, mark, group))
    return found


def show(
    s: Selection,
    ids: NDArray[np.int64],
    key: str,
    *,
    by_class: bool = False,
    one_row: bool = False,
    tile: int = 88,
    then: str | None = None,
    notes: Mapping[int, str] | None = None,
    several: str = "",
) -> None:
    """A gallery of these examples; a click inspects one, on the page ``then`` where it is another than this.

    ``several``: the session's name for the ids that are picked together, where they can be.
    """

    def picked(example: int) -> None:
        pick(example)
        if then:
            st.switch_page(then, query_params={"run": s.run.id, "id": str(example)})

    if s.facts.images is None:
        _as_table(s, ids, key, picked)
        return
    pixels = s.facts.images[ids]
    gallery(
        pixels,
        tiles(s, ids, by_class, notes),
        key,
        picked,
        tile=tile,
        picked=st.session_state.get("id"),
        one_row=one_row or by_class,
        fixed=one_row,
        several=several,
    )


def _as_table(s: Selection, ids: NDArray[np.int64], key: str, on_pick: Callable[[int], None]) -> None:
    """In place of a gallery; a tick inspects an image."""
    columns: dict[str, Any] = {
        "id": ids,
        "class": [s.facts.label_of(example) for example in ids.tolist()],
        "difficulty": s.difficulty[ids],
        "cause": [s.facts.cause_of(example) for example in ids.tolist()],
        "file": s.facts.files[ids],
    }
    key = f"table {key} {hash(ids.tobytes())}"  # a tick is a row's number: it must not outlive the list
    known = {name: column for name, column in columns.items() if name not in ("cause", "file") or any(column)}

    def ticked() -> None:
        if rows := st.session_state[key]["selection"]["rows"]:
            on_pick(int(ids[rows[0]]))

    st.dataframe(
        known,
        key=key,
        hide_index=True,
        width="content",
        height="content" if len(ids) <= MOST_WHOLE else "auto",
        on_select=ticked,
        selection_mode="single-row",
        column_config={"difficulty": st.column_config.NumberColumn(format="%.3f")},
        alt="The images in order, without pictures",
    )


def explain_ties(s: Selection) -> None:
    """How many of the shown images share the extremes, and what orders them then."""
    ids = s.order[~np.isnan(s.difficulty[s.order])]
    if s.measure not in ("zero_one", "forgetting") or not len(ids):
        return
    values = s.values[ids]
    most, least = int((values == values.max()).sum()), int((values == values.min()).sum())
    if s.measure == "zero_one":
        top, bottom = _share(values.max(), s.counted), _share(values.min(), s.counted)
        text = f"{most:,} of these were wrong {top}, {least:,} {bottom}."
    else:
        text = f"{most:,} of these share the highest count, {least:,} the lowest."
    st.caption(f"{text} Equal ones are ordered by their mean loss.")


def _share(rate: float, counted: int) -> str:
    return f"in all {counted} epochs" if rate == 1 else "never" if rate == 0 else f"in {rate:.0%} of the epochs"


def legend(s: Selection) -> str:
    """How a gallery of this run, or the table in its place, is to be read."""
    if s.facts.images is None:
        return "Tick a row to see all about it."
    said = "" if s.run.probabilities() is None else "; → is what the trained network says where it is not the label"
    return f"The number is the difficulty{said}."


def extremes(s: Selection, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ids of training examples: the hardest, the hardest without a planted cause, the easiest of each class."""
    known = s.order[~np.isnan(s.difficulty[s.order])]
    if s.part != TRAIN or not len(known):
        raise UserError("no training image fits these filters; widen or clear them")
    natural = known[s.facts.cause[known] == 0]
    easiest = known[::-1]
    _, first = np.unique(s.facts.labels[easiest], return_index=True)
    return known[:count], natural[:count], easiest[np.sort(first)][:count]
