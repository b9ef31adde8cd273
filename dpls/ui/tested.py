"""Below the cockpit: runs that test lambda_min, and the value they suggest. Loads torch only to start some."""

import streamlit as st

from dpls.experiments.kinds.smoothing import Smoothing
from dpls.experiments.stored import Stored
from dpls.runs.directory import Run
from dpls.runs.report import data_of
from dpls.ui import address, experiment_view
from dpls.ui.frame import escape, read_only

IMAGES = "images tested on"


def show(run: Run, lambda_min: float, lowest: float) -> None:
    """Offers to test this value and others from one state, and shows what tests have seen."""
    st.subheader("Tested")
    st.markdown(Smoothing.question)
    if not read_only() and run.recipe().net.is_known:
        values = sorted({round(lowest + 0.2, 2), 0.5, round(lambda_min, 3), 0.9})
        wished = {"lambda_mins": values, "control": round(lambda_min, 3)}
        experiment_view.offer(Smoothing, "Test these", run, wished)
    images = run.config()["fingerprint"]
    if st.session_state.get(IMAGES, images) != images and not address.is_linked("experiment"):
        address.forget("experiment")  # those on the images that are looked at now come first
    st.session_state[IMAGES] = images
    chosen = experiment_view.choose(Smoothing, images)
    if not chosen:
        return
    if chosen.content["fingerprint"] in (None, images):
        _show(chosen, "Take", lowest)
        return
    with st.container(border=True, key="other images"):
        theirs, own = data_of(chosen.experiment.base), data_of(run.recipe())
        st.markdown(
            f":orange-badge[:material/warning: other images] **Tested on {escape(theirs)}**, other images than those of"
            f" the run above ({escape(own)}). What is best there need not be best here."
        )
        _show(chosen, "Take, though of other images,", lowest)


def _show(chosen: Stored, take: str, lowest: float) -> None:
    result = experiment_view.watch(chosen)
    if result and result.suggested:
        st.button(
            f"{take} lambda_min = {result.suggested:g}",
            on_click=_take,
            args=(max(result.suggested, lowest),),
            icon=":material/north:",
        )


def _take(value: float) -> None:
    st.session_state["lambda_min"] = value
