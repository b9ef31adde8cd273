"""Images sorted by difficulty, and everything about one of them."""

import numpy as np
import streamlit as st

from dpls.data import TRAIN
from dpls.errors import UserError
from dpls.ui import images
from dpls.ui.frame import page
from dpls.ui.inspector import inspect
from dpls.ui.selection import select

PER_PAGE = 60

with page("Images", "Sorted by difficulty. Click an image to see why it is hard."):
    s = select()
    images.ask_for_missing(s)

    # What is shown
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = st.segmented_control(
            "First", ["hardest", "easiest"], default="hardest", required=True, key="first", bind="query-params"
        )
        rows = st.segmented_control(
            "Rows",
            ["all together", "by class"],
            default="all together",
            required=True,
            key="rows",
            bind="query-params",
        )
        example = st.number_input(
            "Image",
            min_value=0,
            max_value=len(s.facts.labels) - 1,
            value=None,
            key="id",
            bind="query-params",
            placeholder="id",
            width=130,
            help="The id of an image, to inspect it.",
        )
    order = s.order if first == "hardest" else s.order[::-1]
    order = np.concatenate([order[~np.isnan(s.difficulty[order])], order[np.isnan(s.difficulty[order])]])

    if example is not None:
        inspect(s, order)

    # Many images
    if not len(order):
        raise UserError("no image fits these filters; widen them in the sidebar")
    images.explain_ties(s)
    if rows == "by class":
        per_class = 14
        groups = [order[s.facts.labels[order] == k][:per_class] for k in range(len(s.facts.classes))]
        images.show(s, np.concatenate(groups), "gallery", by_class=True)
        st.caption(f"Up to {per_class} of each class. {images.LEGEND}")
    else:
        pages = -(-len(order) // PER_PAGE)
        number = min(st.session_state.get("page") or 1, pages)
        shown = order[(number - 1) * PER_PAGE : number * PER_PAGE]
        images.show(s, shown, "gallery")
        with st.container(horizontal=True, vertical_alignment="center"):
            if pages > 1:
                st.pagination(pages, key="page", bind="query-params")
            st.caption(f"{len(order):,} images, {first} first. {images.LEGEND}")
    if s.part != TRAIN:
        st.caption("These images were not trained on; their difficulty is placed on the scale of the training images.")
