"""What is said on a page of a data set, before it is read or trained on, and of a run that was not trained here."""

import streamlit as st

from dpls.data.cache import said
from dpls.data.found import Found
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.ui.frame import escape


def show_found(found: Found | None) -> None:
    """What a source will take and leave out, and what should be mended first."""
    if found is None:
        return
    st.caption(escape(" ".join(found.sentences())))
    if left_out := found.left_out():
        st.info("  \n".join(map(escape, left_out)), icon=":material/folder_off:")
    for warning in found.warnings:
        st.warning(escape(warning), icon=":material/warning:")


def show_said(run: Run) -> None:
    """What was noticed when the images of a run were read."""
    for sentence in said(data_root(run.path.parent), run.config()["fingerprint"]):
        st.info(escape(sentence), icon=":material/photo_library:")


def show_origin(run: Run) -> None:
    """Of a run that was not trained here: where it comes from, in its owner's words."""
    if origin := run.recipe().elsewhere:
        title, _, rest = origin.title.partition(": ")
        st.caption(f":material/input: **{title[:1].upper()}{title[1:]}**{f': {escape(rest)}' if rest else ''}")
