"""The menu: every page of the app, in its order; the first is the start page."""

import streamlit as st
from streamlit.navigation.page import Page


def pages() -> list[Page]:
    """To be declared in every run of a script."""
    return [
        st.Page("pages/overview.py", title="Overview", icon=":material/home:"),
        st.Page("pages/train.py", title="Train", icon=":material/play_arrow:"),
        st.Page("pages/difficulty.py", title="Difficulty", icon=":material/bar_chart:"),
        st.Page("pages/images.py", title="Images", icon=":material/grid_view:"),
        st.Page("pages/experiments.py", title="Experiments", icon=":material/science:"),
        st.Page("pages/smoothing.py", title="Smoothing", icon=":material/tune:"),
        st.Page("pages/robustness.py", title="Robustness", icon=":material/shield:"),
    ]
