"""Start a run from a preset, an earlier run or a form, and watch it."""

import streamlit as st

from dpls.errors import UserError
from dpls.runs.directory import Run
from dpls.runs.files import runs_root
from dpls.runs.folder import list_runs
from dpls.ui import address, live, start, store
from dpls.ui.frame import page, read_only


def choose() -> Run | None:
    """The run that is watched: the one just started, or any other of one's own."""
    asked = st.session_state.get("watched")
    mine = (run for run in list_runs(runs_root())[::-1] if run.id == asked or not store.experiment_of(run))
    own = {run.id: run for run in mine if store.readable(run)}
    if not own:
        return None
    address.bind("watched", next(iter(own)), lambda ident: ident in own, "the runs of this folder, by id")
    chosen = st.selectbox(
        "Watch",
        list(own),
        format_func=lambda ident: store.name_of(own[ident]),  # no state: a list is not drawn again when that changes
        **address.chosen_in("watched", st.session_state.get(start.STARTED)),
    )
    return own[chosen]


with page("Train", "Start a run and watch it. It goes on when you close the page or the app."):
    if read_only():
        raise UserError("this app only shows runs (DPLS_READONLY is set); start one without it to train")
    start.form()
    if watched := choose():
        live.watch(watched)
