"""The app: the list of its pages. ``make app`` serves it."""

import streamlit as st
from streamlit.navigation.page import Page

from dpls.ui.frame import navigate


def pages() -> list[Page]:
    """In the order of the menu; the first is the start page."""
    return [
        st.Page("pages/overview.py", title="Overview", icon=":material/home:"),
        st.Page("pages/train.py", title="Train", icon=":material/play_arrow:"),
        st.Page("pages/difficulty.py", title="Difficulty", icon=":material/bar_chart:"),
        st.Page("pages/images.py", title="Images", icon=":material/grid_view:"),
        st.Page("pages/experiments.py", title="Experiments", icon=":material/science:"),
        st.Page("pages/smoothing.py", title="Smoothing", icon=":material/tune:"),
    ]


if __name__ == "__main__":
    navigate(pages()).run()
