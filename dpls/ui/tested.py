"""Below the cockpit: runs that test lambda_min, and the value they suggest. Loads torch only to start some."""

import streamlit as st

from dpls.runs.directory import Run
from dpls.ui import experiment_view
from dpls.ui.frame import read_only


def show(run: Run, lambda_min: float, lowest: float) -> None:
    """Offers to test this value and others from one state, and shows what tests have seen."""
    st.subheader("Tested")
    st.markdown(
        "From one state at the start of the last phase: hard labels, DPLS at several lambda\\_min, and as much"
        " smoothing given to others (to all alike, at random, to the easiest, to the hardest alone)."
    )
    if not read_only():
        if st.session_state.pop("close", None) == "start smoothing":
            st.session_state["start smoothing"] = False
        with st.expander("Test these", key="start smoothing", icon=":material/play_arrow:", on_change="rerun") as form:
            if form.open:
                with st.spinner("Loading PyTorch, once …"):
                    from dpls.ui import experiment_form
                values = sorted({round(lowest + 0.2, 2), 0.5, round(lambda_min, 3), 0.9})
                experiment_form.offer("smoothing", run, {"lambda_mins": values, "control": round(lambda_min, 3)})
    chosen = experiment_view.choose("smoothing")
    result = experiment_view.watch(chosen) if chosen else None
    if result and result.suggested:
        st.button(
            f"Take lambda_min = {result.suggested:g}",
            on_click=_take,
            args=(max(result.suggested, lowest),),
            icon=":material/north:",
        )


def _take(value: float) -> None:
    st.session_state["lambda_min"] = value
