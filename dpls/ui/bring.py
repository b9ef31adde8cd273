"""Bringing scores along that were computed elsewhere, and sending them away again."""

import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from dpls.runs import scores
from dpls.runs.files import runs_root
from dpls.runs.tables import ENDINGS
from dpls.ui import manage, store
from dpls.ui.frame import escape
from dpls.ui.selection import Selection

DIRECTIONS = HIGHER, LOWER = "higher", "lower"


def offer(s: Selection) -> None:
    """A form for a file of scores; what was brought so far."""
    with st.expander(
        "Scores computed elsewhere", key="bring", icon=":material/upload_file:", on_change="rerun"
    ) as form:
        if not form.open:
            return
        st.caption(
            "A table with a row for each image: a column score, and path (of the image's file), hash or id, as"
            " `python -m dpls export` writes them. With none of these, the rows are in the order of the images. The"
            " scores become a measure of all runs on these images."
        )
        file = st.file_uploader("File", type=list(ENDINGS), key="scores file")
        if file:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                st.text_input(
                    "Name", value=Path(file.name).stem[:40], key=f"name of {file.file_id}", max_chars=40, width=220
                )
                st.segmented_control(
                    "Harder is", [HIGHER, LOWER], default=HIGHER, required=True, key="scores direction"
                )
                st.button("Bring", on_click=manage.do, args=(lambda run: _keep(run, file), s.run), type="primary")
        if said := st.session_state.pop("scores said", None):
            st.success(escape(said), icon=":material/check:")
        manage.show_refusal()
        for name in scores.names(runs_root(), s.run.config()["fingerprint"]):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(escape(name), width=220)
                st.button("Delete", key=f"delete scores {name}", on_click=_delete, args=(s, name))


def _keep(run: Any, file: Any) -> None:
    """For a callback: reads the file and shows its scores."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file.name).name
        path.write_bytes(file.getvalue())
        lower = st.session_state["scores direction"] == LOWER
        brought = scores.read_scores(path, store.examples(run), lower_is_harder=lower)
    name = st.session_state[f"name of {file.file_id}"].strip()
    scores.keep(runs_root(), run.config()["fingerprint"], name, brought.values)
    st.session_state["measure"] = name
    st.session_state["scores said"] = f"{name}: {brought.said}."


def _delete(s: Selection, name: str) -> None:
    scores.file_of(runs_root(), s.run.config()["fingerprint"], name).unlink(missing_ok=True)
    if st.session_state.get("measure") == name:
        st.session_state.pop("measure")
