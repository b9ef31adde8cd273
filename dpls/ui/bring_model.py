"""Loading weights that another program trained, as a run; torch is loaded when it begins."""

from pathlib import Path

import streamlit as st

from dpls.data.source import path_of
from dpls.errors import UserError
from dpls.jobs.launchers import launcher
from dpls.recipe import RunConfig
from dpls.runs.files import runs_root
from dpls.ui import background
from dpls.ui.frame import escape

SAID = "said of loaded weights"
"""In the session: what was found in the files that were loaded last."""


def offer(config: RunConfig | None, label: str) -> None:
    """A small form: which files. The images, eps, attacks and evaluations are those of the form of a run."""
    with st.expander("Load a model", key="load", icon=":material/upload:", on_change="rerun") as opened:
        if not opened.open:
            return
        st.caption(
            "Weights that another program trained: safetensors, or a state dict that torch.save wrote. Several files,"
            " one a line, or a folder of them, are its epochs, in order. Images, eps, attacks and evaluations are those"
            " of *All settings*; the network is read off the file. One that is not known here is loaded in a terminal,"
            " by `python -m dpls load --net`."
        )
        paths = st.text_area("Path of the file, or of several", key="paths of weights", height=70)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            attacked = st.toggle(
                "Attacked images, too", key="load attacked", help="By the attack of the objective above."
            )
            entry = st.text_input(
                "Entry",
                key="entry of weights",
                width=160,
                placeholder="the first",
                help="Of files that hold several, as ema.",
            )
            changes = st.text_input(
                "Of the network",
                key="settings of weights",
                width=300,
                placeholder="read off the file",
                help="What no file shows, as in a terminal: `net.normalise=true net.shortcut=raw`",
            )
            if st.button("Load", type="primary", disabled=config is None or not paths.strip()) and config:
                _start(config, label, paths, changes.split(), entry.strip(), attacked)
                st.rerun()
        for sentence in st.session_state.get(SAID, "").splitlines():
            st.markdown(f":material/info: {escape(sentence)}.")


def _start(config: RunConfig, label: str, paths: str, changes: list[str], entry: str, attacked: bool) -> None:
    st.session_state.pop(SAID, None)

    def action() -> dict[str, str]:
        from dpls.elsewhere.loading import files_of, load
        from dpls.jobs.submission import submit

        files = files_of(path_of(line.strip()) for line in paths.splitlines() if line.strip())
        _check_there(files)
        base = config.model_dump(mode="json")
        loaded = load(files, base, runs_root(), changes, entry=entry, attacked=attacked)
        run = submit(loaded.config, runs_root(), label or files[-1].stem, loaded=loaded.files)
        launcher().submit(run)
        return {"started": run.id, SAID: "\n".join(loaded.said)}

    background.start(action, "run", config)


def _check_there(files: list[Path]) -> None:
    if gone := next((file for file in files if not file.exists()), None):
        raise UserError(f"there is no file {str(gone)!r} on the machine where this app runs; write its whole path")
