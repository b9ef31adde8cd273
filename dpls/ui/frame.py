"""What every page is drawn in: the menu, errors as one sentence, the timer."""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Literal

import streamlit as st
import streamlit.config
from streamlit.navigation.page import Page

from dpls.errors import UserError
from dpls.jobs.launchers import launcher, take_up
from dpls.runs.files import runs_root
from dpls.text import display
from dpls.ui import address, menu

log = logging.getLogger("dpls.app")
FRAMED = "framed"
SETTLING = 0.4  # seconds: the empty page takes its full width before anything stands on it that would jump
WARM_UP = 4.0  # seconds: the first page is drawn before torch takes the processor
ICON = str(Path(__file__).with_name("icon.png"))
SECONDS = "script_seconds"
"""Key of the session state under which a page leaves how long its script took."""


def read_only() -> bool:
    """DPLS_READONLY: look at runs, start and change nothing; torch is never loaded."""
    return os.environ.get("DPLS_READONLY", "") not in ("", "0")


def navigate() -> Page:
    """The frame around all pages; the chosen page, to be run."""
    found = _declare()
    if FRAMED not in st.session_state:
        st.session_state[FRAMED] = True
        time.sleep(SETTLING)
    if read_only():
        streamlit.config.set_option("server.maxUploadSize", 0)  # else the server takes and keeps what nobody asked for
    else:
        _begin(str(runs_root().resolve()))
    return found


def _declare() -> Page:
    st.set_page_config(page_title="DPLS Lab", page_icon=ICON, layout="wide")
    return st.navigation(menu.pages(), position="top")


@st.cache_resource(show_spinner=False)
def _begin(runs: str) -> None:  # noqa: ARG001  # the folder is the key of the cache: once an app and folder
    """Takes up the runs an earlier app left waiting, and loads torch while people look at the first page.

    Threads that wait shall sleep here, too, as in ``cli``: what this process times would disturb workers, and they it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    take_up(launcher(), runs_root())
    warm_up = threading.Timer(WARM_UP, import_module, args=("dpls.jobs.submission",))
    warm_up.daemon = True
    warm_up.start()


@contextmanager
def page(title: str, explanation: str) -> Iterator[None]:
    """Draws a page's head, turns errors into sentences, and times the script."""
    if FRAMED not in st.session_state:
        # A fresh server runs a deep link's page file alone, because its folder is called pages. Declaring the pages
        # once tells it better, for good.
        _declare()
        st.rerun()
    began = time.perf_counter()
    address.adopt(title)
    st.title(title)
    st.caption(explanation)
    head = st.container()
    try:
        with shielded():
            yield
    finally:
        for sentence in address.remarks():
            head.warning(escape(sentence) + ".", icon=":material/link_off:")
        address.publish()
        st.session_state[SECONDS] = time.perf_counter() - began


@contextmanager
def row(key: str, height: Literal["medium", "large"] = "large") -> Iterator[None]:
    """A row as high from the start as its widgets are once they have loaded, so that nothing below jumps.

    height: large for widgets with a label, medium for those without.
    """
    with st.container(horizontal=True, gap=None, key=key):
        inside = st.container(horizontal=True)
        st.container(width=1).space(height)  # a style of our own would come as late as the widgets
    with inside:
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Turns errors inside into one sentence and a way on. Around a page, and around what runs without its page."""
    try:
        yield
    except UserError as error:
        show_error(error)
    except OSError as error:
        show_error(f"cannot read or write {error.filename or 'a file'} ({error.strerror or error})")
    except Exception as error:
        log.exception("a page failed")
        reason = str(error).split("\n")[0][:200]
        show_error(f"this page met {type(error).__name__}: {reason}; the terminal of the app has the details")


@contextmanager
def loading_torch() -> Iterator[None]:
    """Says what takes seconds, where it still does."""
    if "torch" in sys.modules:
        yield
    else:
        with st.spinner("Loading PyTorch, once …"):
            yield


def show_error(error: UserError | str) -> None:
    """One sentence, and a way on."""
    text = str(error)
    st.error(escape(text[:1].upper() + text[1:]), icon=":material/error:")
    st.page_link("pages/overview.py", label="All runs", icon=":material/home:")


def escape(text: str) -> str:
    """Text from outside (class names, labels, paths, errors) as Streamlit's Markdown shows it literally."""
    text = display(text)
    for character in "\\`*_{}[]()<>#+-.!|$~:^=":
        text = text.replace(character, f"\\{character}")
    return text
