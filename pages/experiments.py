"""The memorization experiments: start one, watch it, see what it shows."""

import streamlit as st

from dpls.experiments.kinds import KINDS
from dpls.ui import address, experiment_view
from dpls.ui.frame import page, read_only, row

SHOWN = {name: kind for name, kind in KINDS.items() if not kind.on_own_page}
FIRST = next(iter(SHOWN))
COUNTS = {1: "One way", 2: "Two ways", 3: "Three ways", 4: "Four ways", 5: "Five ways"}
WAYS = COUNTS.get(len(SHOWN), "Some ways")

with page("Experiments", f"Are hard images memorized instead of learned, and what helps? {WAYS} to find out."):
    address.bind("kind", FIRST, lambda name: name in SHOWN, ", ".join(SHOWN))
    with row("kinds", "medium"):
        name: str = (
            st.segmented_control(
                "Kind",
                list(SHOWN),
                format_func=lambda name: SHOWN[name].title or name.capitalize(),
                required=True,
                key="kind",
                persist_state="session",
                label_visibility="collapsed",
            )
            or FIRST
        )
    kind = SHOWN[name]
    st.markdown(kind.question)
    if not read_only():
        experiment_view.offer(kind, "Start one")
    if chosen := experiment_view.choose(kind):
        experiment_view.watch(chosen)
    else:
        st.info("No experiment of this kind yet: start one above.", icon=":material/science:")
