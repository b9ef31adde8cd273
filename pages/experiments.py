"""The three memorization experiments: start one, watch it, see what it shows."""

import streamlit as st

from dpls.ui import address, experiment_view
from dpls.ui.frame import page, read_only

KINDS = {
    "pruning": "When the learning rate falls, drop the hardest images, the easiest, or as many at random, and train on."
    " Does the network withstand attacks better without the hardest?",
    "subsets": "Train from scratch on the hardest images alone, the easiest, or as many at random. What can be learnt"
    " from each?",
    "membership": "Train with some images and without them, then test on exactly these. What a network gets right only"
    " when it saw it, it has memorized.",
}

with page(
    "Experiments", "Are hard images memorized instead of learned? Three ways to find out, each with its control."
):
    address.bind("kind", "pruning", lambda kind: kind in KINDS)
    with st.container(key="line-kind"):
        kind: str = (
            st.segmented_control(
                "Kind",
                list(KINDS),
                format_func=str.capitalize,
                required=True,
                key="kind",
                persist_state="session",
                label_visibility="collapsed",
            )
            or "pruning"
        )
    st.markdown(KINDS[kind])
    if not read_only():
        if st.session_state.pop("close", None) == f"start {kind}":
            st.session_state[f"start {kind}"] = False
        with st.expander("Start one", key=f"start {kind}", icon=":material/play_arrow:", on_change="rerun") as form:
            if form.open:
                with st.spinner("Loading PyTorch, once …"):
                    from dpls.ui import experiment_form
                experiment_form.offer(kind)
    if chosen := experiment_view.choose(kind):
        experiment_view.watch(chosen)
    else:
        st.info("No experiment of this kind yet: start one above.", icon=":material/science:")
