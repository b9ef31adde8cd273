"""How difficulty is distributed, where each class lies, and whether the numbers can be believed."""

import streamlit as st

from dpls import charts
from dpls.data import TRAIN
from dpls.ui import agreement, bring, images, store
from dpls.ui.believed import show_planted, show_verdict
from dpls.ui.choosing import select, set_range
from dpls.ui.frame import escape, page, read_only


def brushed() -> None:
    """Dragging across the histogram sets the range of difficulty for all pages."""
    boxes = st.session_state["histogram"]["selection"]["box"]
    if boxes:
        set_range(*sorted(boxes[0]["x"]))


with page("Difficulty", "How hard the images of a run are. Drag across the histogram to keep a part of them."):
    s = select()

    # Believe it?
    show_verdict(s)

    # All of them
    everything = s.facts.ids(s.part)
    edges = charts.bins_of(s.difficulty[s.facts.ids(TRAIN)])
    chosen = s.filtered
    cause = s.facts.cause[chosen]
    groups = {name or "not planted": s.difficulty[chosen[cause == k]] for k, name in enumerate(s.facts.causes)}
    st.subheader("Distribution")
    st.plotly_chart(
        charts.histogram(groups, edges, s.low, s.high, f"difficulty by {s.measure_name}"),
        key="histogram",
        on_select=brushed,
        selection_mode=("box",),
        config={"displayModeBar": False},
        alt="Histogram of difficulty; drag across it to filter",
    )
    direction = "higher" if store.higher_is_harder(s.measure) else "lower"
    scaled = {"rank": "ranked from", "quantile_clip": "scaled between the 1st and 99th percentile to"}
    st.caption(
        f"{escape(s.measure_name)}: {direction} is harder; {scaled.get(s.normaliser, 'scaled to')} 0 to 1 on the"
        f" training images. "
        f"{len(s.order):,} images selected."
    )

    # Those selected
    if len(s.order):
        st.subheader(f"Hardest of the {len(s.order):,} selected")
        images.show(s, s.order[:14], "strip", one_row=True, then="pages/images.py")
    else:
        st.info("No image fits these filters; widen or clear them.", icon=":material/filter_alt:")

    halves = st.grid(2, min_column_width=420, gap="large")
    with halves.cell():
        st.subheader("By class")
        st.plotly_chart(
            charts.by_class(s.facts.classes, s.facts.labels[everything], s.difficulty[everything], edges),
            key="by_class",
            config={"displayModeBar": False},
            alt="Where the images of each class lie between easy and hard",
        )
        st.caption("Each row is a class, its colour stronger where more of its images lie; the dot is its mean.")
    with halves.cell():
        show_planted(s)
    agreement.show(s)
    if not read_only():
        bring.offer(s)
