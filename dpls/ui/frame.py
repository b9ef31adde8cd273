"""What every page is drawn in: the menu, errors as one sentence, the timer."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from dpls.errors import UserError
from dpls.jobs import Local, take_up
from dpls.runs import runs_root

log = logging.getLogger("dpls.app")
FRAMED = "framed"
WARM_UP = 4.0  # seconds: the first page is drawn before torch takes the processor
ICON = str(Path(__file__).with_name("icon.png"))
SECONDS = "script_seconds"
"""Key of the session state under which a page leaves how long its script took."""


def read_only() -> bool:
    """DPLS_READONLY: look at runs, start and change nothing; torch is never loaded."""
    return os.environ.get("DPLS_READONLY", "") not in ("", "0")


def navigate(pages: list[Page]) -> Page:
    """The frame around all pages; the chosen page, to be run."""
    st.set_page_config(page_title="DPLS Lab", page_icon=ICON, layout="wide")
    st.session_state[FRAMED] = True
    if not read_only():
        _begin(str(runs_root().resolve()))
    return st.navigation(pages, position="top")


@st.cache_resource(show_spinner=False)
def _begin(runs: str) -> None:  # noqa: ARG001  # the folder is the key of the cache: once an app and folder
    """Takes up the runs an earlier app left waiting, and loads torch while people look at the first page."""
    take_up(Local(), runs_root())
    warm_up = threading.Timer(WARM_UP, import_module, args=("dpls.config",))
    warm_up.daemon = True
    warm_up.start()


@contextmanager
def page(title: str, explanation: str) -> Iterator[None]:
    """Draws a page's head, turns errors into sentences, and times the script."""
    if FRAMED not in st.session_state:
        # A fresh server runs a deep link's page file alone, because its folder is called pages. Declaring the pages
        # once tells it better, for good.
        st.navigation(import_module("app").pages(), position="top")
        st.rerun()
    began = time.perf_counter()
    st.title(title)
    st.caption(explanation)
    try:
        yield
    except UserError as error:
        show_error(error)
    except OSError as error:
        show_error(f"cannot read or write {error.filename or 'a file'} ({error.strerror or error})")
    except Exception as error:
        log.exception("page %s", title)
        show_error(f"this page met {type(error).__name__}: {error}; the terminal of the app has the details")
    finally:
        st.session_state[SECONDS] = time.perf_counter() - began


def show_error(error: UserError | str) -> None:
    """One sentence, and a way on."""
    text = str(error)
    st.error(escape(text[:1].upper() + text[1:]), icon=":material/error:")
    st.page_link("pages/overview.py", label="All runs", icon=":material/home:")


def escape(text: str) -> str:
    """Text from outside (class names, labels, paths, errors) as Streamlit's Markdown shows it literally."""
    for character in "\\`*_{}[]()<>#+-.!|$~:^=":
        text = text.replace(character, f"\\{character}")
    return text
