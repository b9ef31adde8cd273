"""Below the cockpit: runs that test lambda_min, and the value they suggest. Loads torch only to start some."""

import streamlit as st

from dpls.experiments.kinds.smoothing import Smoothing
from dpls.runs.directory import Run
from dpls.ui import experiment_view
from dpls.ui.frame import read_only


def show(run: Run, lambda_min: float, lowest: float) -> None:
    """Offers to test this value and others from one state, and shows what tests have seen."""
    st.subheader("Tested")
    st.markdown(Smoothing.question)
    if not read_only():
        values = sorted({round(lowest + 0.2, 2), 0.5, round(lambda_min, 3), 0.9})
        wished = {"lambda_mins": values, "control": round(lambda_min, 3)}
        experiment_view.offer(Smoothing, "Test these", run, wished)
    chosen = experiment_view.choose(Smoothing)
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
