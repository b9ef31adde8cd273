"""Deciding about images: of one, a key each; of many at once; and what was decided, as files that go along."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dpls.runs.directory import Run
from dpls.runs.tags.kept import DROP, KEEP, RELABEL, SMOOTH, Tag
from dpls.runs.tags.lists import cleaned, table_of
from dpls.ui import decided, download, store
from dpls.ui.frame import escape, read_only
from dpls.ui.selection import Selection

NAMES = {KEEP: ("Keep", "K"), DROP: ("Drop", "D"), SMOOTH: ("Smooth more", "S")}
"""What people call a tag without a label, and its key."""
HELP = "Keep: it is right as it is. Relabel: its label is wrong. Drop: it is no use. Smooth more: right, but hard."
SEVERAL = "several"
"""The session's name for the ids that are picked together."""


def show_for_one(s: Selection, order: NDArray[np.int64], example: int) -> None:
    """What was decided about an image, and the keys that decide; then comes the next one of ``order``."""
    tag = decided.tags(s.run).get(example)
    if read_only():
        if tag:
            st.caption(f"Tagged {escape(tag.in_words)}.")
        return

    def decide(chosen: Tag) -> None:
        decided.decide(s.run, [example], chosen)
        after = np.flatnonzero(order == example) + 1
        if len(after) and after[0] < len(order):
            st.session_state["id"] = int(order[after[0]])

    def undo() -> None:
        if ids := decided.undo(s.run):
            st.session_state["id"] = ids[0]

    with st.container(horizontal=True, vertical_alignment="center"):
        for name, (title, shortcut) in NAMES.items():
            st.button(title, key=title, on_click=decide, args=(Tag(name),), type=_kind(tag, name), shortcut=shortcut)
        others = [name for k, name in enumerate(s.facts.classes) if k != s.facts.labels[example]]
        label = st.selectbox(
            "Class it should have",
            others,
            index=_likeliest(s, example, others),
            key=f"relabel {example}",
            label_visibility="collapsed",
            width=150,
        )
        relabel = (Tag(RELABEL, label or ""),)
        st.button("Relabel", key="Relabel", on_click=decide, args=relabel, type=_kind(tag, RELABEL), shortcut="L")
        st.button("Undo", key="Undo", on_click=undo, disabled=not decided.may_undo(s.run), shortcut="U", help=HELP)
    st.caption(f"Tagged **{escape(tag.in_words)}**." if tag else "Not tagged.")


def _kind(tag: Tag | None, name: str) -> Literal["primary", "secondary"]:
    return "primary" if tag and tag.tag == name else "secondary"


def _likeliest(s: Selection, example: int, classes: Sequence[str]) -> int:
    """The place among these classes of the one that the network holds for likeliest."""
    said = s.run.probabilities()
    if said is None:
        return 0
    return int(np.argmax([said[example][s.facts.classes.index(name)] for name in classes]))


def show_for_many(s: Selection) -> None:
    """Tagging those picked together, or all selected; and the files to take along."""
    several = [example for example in st.session_state.get(SEVERAL, []) if example < len(s.facts.labels)]
    ids = np.array(several, dtype=np.int64) if several else s.order
    what = f"{len(ids):,} {'picked' if several else 'selected'}"
    with st.container(horizontal=True, vertical_alignment="center"):
        if not read_only():
            with st.popover(f"Tag {what}", icon=":material/sell:", key="tag many", on_change="rerun") as tagging:
                if tagging.open:
                    _tag_many(s, ids)
        if several:
            st.button("Clear picks", on_click=st.session_state.pop, args=(SEVERAL,), icon=":material/deselect:")
        with st.popover("Take along", icon=":material/download:", key="take along", on_change="rerun") as taking:
            if taking.open:
                _take_along(s, ids, what)
        st.caption("Ctrl or Shift and a click picks several.")


def _tag_many(s: Selection, ids: NDArray[np.int64]) -> None:
    st.caption(HELP)
    with st.container(horizontal=True):
        for name, (title, _) in NAMES.items():
            st.button(title, key=f"{title} many", on_click=decided.decide, args=(s.run, ids, Tag(name)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox("Class they should have", s.facts.classes, width=160)
        relabel = (s.run, ids, Tag(RELABEL, label or ""))
        st.button("Relabel", key="relabel many", on_click=decided.decide, args=relabel)
    with st.container(horizontal=True):
        st.button("Take tags away", on_click=decided.decide, args=(s.run, ids, None))
        st.button("Undo", key="undo many", on_click=_undo, args=(s.run,), disabled=not decided.may_undo(s.run))


def _undo(run: Run) -> None:
    decided.undo(run)


def _take_along(s: Selection, ids: NDArray[np.int64], what: str) -> None:
    name = s.run.id

    def examples() -> pd.DataFrame:
        return store.examples(s.run)

    tags = dict(s.tags)
    files: dict[str, download.File] = {
        f"The {what}, csv": (lambda: _selected(s, ids).to_csv(index=False), f"{name}_selected.csv")
    }
    if tags:
        files[f"The {len(tags):,} tagged, csv"] = (
            lambda: table_of(examples(), tags).to_csv(index=False),
            f"{name}_tagged.csv",
        )
        files["The cleaned list, csv"] = (lambda: cleaned(examples(), tags).to_csv(index=False), f"{name}_cleaned.csv")
    download.offer(files)
    if tags:
        st.caption("The cleaned list has every image that is not dropped, with the class it should have.")
    if refusal := st.session_state.pop("refusal", None):
        st.error(escape(refusal))


def _selected(s: Selection, ids: NDArray[np.int64]) -> pd.DataFrame:
    """In the order given: id, hash, path, split, class, what the network says instead, difficulty, tag, relabel."""
    found = store.examples(s.run).set_index("id").loc[ids]
    said = s.run.probabilities()
    says = [s.facts.classes[k] for k in said[ids].argmax(1)] if said is not None else [""] * len(ids)
    tags = [s.tags.get(int(example), Tag("")) for example in ids]
    return pd.DataFrame(
        {
            "id": ids,
            **{column: found[column].to_numpy() for column in ("hash", "path", "split", "class")},
            "network": says,
            "difficulty": s.difficulty[ids],
            "tag": [tag.tag for tag in tags],
            "relabel": [tag.label for tag in tags],
        }
    )
