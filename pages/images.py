"""Images sorted by difficulty, and everything about one of them."""

import numpy as np
import streamlit as st

from dpls.data import TRAIN
from dpls.errors import UserError
from dpls.ui import address, decided, deciding, images
from dpls.ui.believed import warn_of_doubts
from dpls.ui.choosing import select
from dpls.ui.frame import page, row
from dpls.ui.inspector import inspect

PER_PAGE = 60
PER_CLASS, MOST_TILES = 16, 400
CONTRADICTED = "contradicted"
ORDERS = ("hardest", "easiest", CONTRADICTED)
ROWS = ("all together", "by class")

with page("Images", "Sorted by difficulty. Click an image to see why it is hard."):
    s = select()
    warn_of_doubts(s)
    images.ask_for_missing(s)

    # What is shown
    doubt = decided.doubt(s.run)
    orders = ORDERS if doubt is not None else ORDERS[:2]
    address.bind("first", "hardest", lambda name: name in orders, ", ".join(orders))
    address.bind("rows", "all together", lambda name: name in ROWS, ", ".join(ROWS))
    last = len(s.facts.labels) - 1
    address.bind("id", None, lambda example: example is None or 0 <= example <= last, f"ids run from 0 to {last:,}")
    with row("order"):
        first = st.segmented_control(
            "First",
            orders,
            required=True,
            key="first",
            persist_state="session",
            help="Contradicted: those whose label the network holds for the least likely beside another.",
        )
        rows = st.segmented_control("Rows", ROWS, required=True, key="rows", persist_state="session")
        example = st.number_input(
            "Image",
            min_value=0,
            max_value=last,
            key="id",
            persist_state="session",
            placeholder="id",
            width=130,
            help="The id of an image, to inspect it.",
        )
    order = s.order if first == "hardest" else s.order[::-1]
    order = np.concatenate([order[~np.isnan(s.difficulty[order])], order[np.isnan(s.difficulty[order])]])
    if first == CONTRADICTED and doubt is not None:
        order = s.order[np.argsort(-doubt[s.order], kind="stable")]

    if example is not None:
        inspect(s, order)

    # Many images
    if not len(order):
        raise UserError("no image fits these filters; widen or clear them")
    images.explain_ties(s)
    if s.part != TRAIN:
        st.caption("These images were not trained on; their difficulty is placed on the scale of the training images.")
    deciding.show_for_many(s)
    if rows == "by class":
        per_class = max(1, min(PER_CLASS, MOST_TILES // len(s.facts.classes)))
        groups = [order[s.facts.labels[order] == k][:per_class] for k in range(len(s.facts.classes))]
        st.caption(f"The {first} of each class. {images.legend(s)}")
        images.show(s, np.concatenate(groups), "gallery", by_class=True, several=deciding.SEVERAL)
    else:
        pages = -(-len(order) // PER_PAGE)
        address.bind("page", 1, lambda number: 1 <= number <= pages, f"1 to {pages}")
        number = st.session_state["page"]
        if pages > 1:
            with row("pages", "medium"):
                st.pagination(pages, key="page", persist_state="session")
        st.caption(f"{len(order):,} images, {first} first. {images.legend(s)}")
        images.show(s, order[(number - 1) * PER_PAGE : number * PER_PAGE], "gallery", several=deciding.SEVERAL)
