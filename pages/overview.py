"""What there is: hard images to look at, all runs, and what can be done with them."""

import numpy as np
import streamlit as st

from dpls.runs.directory import Run
from dpls.ui import described, images, manage, store
from dpls.ui.believed import warn_of_doubts
from dpls.ui.choosing import choose_run
from dpls.ui.frame import page, read_only, row, shielded
from dpls.ui.selection import selection_of


def show_extremes(run: Run) -> None:
    """The hardest and the easiest images of a run, and one sentence about each."""
    s = selection_of(run)
    images.ask_for_missing(s)
    warn_of_doubts(s)
    hardest, natural, easiest = images.extremes(s, 14)
    planted = int((s.facts.cause[hardest] > 0).sum())
    which = "All of these" if planted == len(hardest) else f"{planted} of the {len(hardest)} hardest"
    why = f" {which} were made hard on purpose: the mark says how." if planted else ""
    by = "wrong most often" if s.measure == "zero_one" else f"by {s.measure_name}"
    known = s.difficulty[s.order]
    alike = int((known == np.nanmax(known)).sum())
    ties = f" {alike:,} are alike; shown are those with the highest loss." if alike > len(hardest) else ""
    st.markdown(f"**Hardest**: {by} {s.span}.{ties}{why}")
    images.show(s, hardest, "hardest", one_row=True, then="pages/images.py")
    if planted and len(natural):
        st.markdown("**Hardest by nature**: nobody touched these.")
        images.show(s, natural, "natural", one_row=True, then="pages/images.py")
    st.markdown("**Easiest** of each class.")
    images.show(s, easiest, "easiest", one_row=True, then="pages/images.py")
    st.caption(images.legend(s))


EXPLANATION = (
    "Trained on attacked images, a network memorizes the hardest instead of learning them. See which these are, and"
    " why; DPLS smooths the label of each in proportion."
)

with page("DPLS Lab", EXPLANATION):
    with row("runs"):
        run = choose_run()
    described.show_origin(run)
    if store.committed(run):
        with shielded():  # what is wrong with one run must not hide the list of all
            show_extremes(run)
    else:
        st.info(f"This run is {store.state_of(run)} and has no finished epoch yet.", icon=":material/hourglass_empty:")
    with st.container(horizontal=True):
        st.page_link(
            "pages/images.py", label="All its images", icon=":material/grid_view:", query_params={"run": run.id}
        )
        st.page_link(
            "pages/difficulty.py", label="How hard they are", icon=":material/bar_chart:", query_params={"run": run.id}
        )
        st.page_link(
            "pages/smoothing.py", label="How they are smoothed", icon=":material/tune:", query_params={"run": run.id}
        )
        st.page_link(
            "pages/robustness.py", label="How robust it is", icon=":material/shield:", query_params={"run": run.id}
        )
        st.page_link("pages/experiments.py", label="Are they memorized?", icon=":material/science:")
        if not read_only():
            st.page_link("pages/train.py", label="Run it yourself", icon=":material/play_arrow:")

    st.subheader("Runs")
    everyone, listed = store.all_runs(experiments=True), store.all_runs()
    if len(everyone) > len(listed):
        more = len(everyone) - len(listed)
        if st.toggle(f"Those of experiments, too ({more:,})", key="of experiments"):
            listed = everyone
    chosen = manage.table(listed)
    if len(chosen) == 1:
        manage.actions(chosen[0])
    elif len(chosen) == 2:
        manage.compare(*chosen)
    else:
        st.caption("Tick one run for its report, or to label, stop, resume or delete it; tick two to compare them.")
