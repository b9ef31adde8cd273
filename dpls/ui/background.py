"""What must become whole even if the page is left meanwhile."""

from collections.abc import Callable, Mapping
from threading import Thread

import streamlit as st

from dpls.errors import UserError
from dpls.recipe import RunConfig


def start(action: Callable[[], Mapping[str, str]], what: str, config: RunConfig) -> None:
    """Runs it in a thread of its own; what it returns goes into the session, or the reason why not as ``refusal``.

    config: of the run, or the base of the experiment: where its images are downloaded, the page shows how far that is.
    """
    outcome: dict[str, str] = {}

    def prepare() -> None:
        try:
            outcome.update(action())
        except UserError as error:
            outcome["refusal"] = str(error)
        except Exception as error:  # nobody else would ever see what ends a thread
            outcome["refusal"] = f"the {what} was not started ({type(error).__name__}: {error})"

    thread = Thread(target=prepare)
    thread.start()
    thread.join(0.5)
    source = config.data.source
    bar = st.progress(0.0, "Reading the images …") if thread.is_alive() else None
    while bar and thread.is_alive():
        done = source.downloaded()
        bar.progress(done, f"Downloading, {done:.0%} …" if done else "Reading the images …")
        thread.join(0.3)
    for name, value in outcome.items():
        st.session_state[name] = value
