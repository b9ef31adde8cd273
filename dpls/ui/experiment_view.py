"""An experiment under way or finished: which one, how far it is, how to stop and resume it. No torch."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dpls.errors import UserError
from dpls.experiments import conduct
from dpls.experiments.base import Experiment
from dpls.experiments.result import Result
from dpls.experiments.stored import Reading, Stored, list_experiments
from dpls.jobs.launchers import launcher
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED, runs_root
from dpls.ui import address, experiment_form, manage, store
from dpls.ui.experiment_result import export, name_of, show
from dpls.ui.frame import escape, read_only, row, shielded

STARTED = "experiment started last"


def offer(kind: type[Experiment], words: str, run: Run | None = None, wished: dict[str, Any] | None = None) -> None:
    """The form behind a click; it closes once an experiment of this kind has been started."""
    key = f"start {kind.name()}"
    if st.session_state.pop("close", None) == key:
        st.session_state[key] = False
    with st.expander(words, key=key, icon=":material/play_arrow:", on_change="rerun") as form:
        if form.open:
            experiment_form.offer(kind, run, wished)


def choose(kind: type[Experiment], fingerprint: str | None = None) -> Stored | None:
    """One of the experiments of a kind: one's own, newest first, then the recorded ones; of these first where causes
    were planted, for there is something to see.

    fingerprint: of the images that matter; what was done on these comes first, and of the others it is said.
    """
    recorded = list_experiments(RECORDED, kind.name())
    mine = list_experiments(runs_root(), kind.name())
    mine += sorted(recorded, key=lambda e: not e.experiment.base.data.probes)
    others = {e.id for e in mine if fingerprint and e.content["fingerprint"] not in (None, fingerprint)}
    known = {e.id: e for e in sorted(mine, key=lambda e: e.id in others)}
    if started := st.session_state.pop("started experiment", None):
        st.session_state["experiment"] = st.session_state[STARTED] = started
    asked = st.session_state.get("experiment")
    if asked is not None and not str(asked).startswith(kind.name()):
        address.forget("experiment")
    elif asked is not None and asked not in known:
        st.warning(f"There is no experiment {escape(str(asked)[:40])} here (any more); another is shown.")
    if not known:
        return None
    address.bind("experiment", None, lambda name: name in known)
    if st.session_state["experiment"] is None:
        st.session_state["experiment"] = next(iter(known))
    chosen = st.selectbox(
        "Experiment",
        list(known),
        format_func=lambda name: name_of(known[name]) + (", other images" if name in others else ""),
        **address.chosen_in("experiment", st.session_state.get(STARTED)),
    )
    return known[chosen]


def watch(e: Stored) -> Result | None:
    """How far it is, its buttons, what has been seen; drawn again while it works. The result, where there is one."""
    drawn = e.states()
    left = drawn.total() - drawn["done"]
    # These keep their places when it has finished: what stands below would otherwise be taken away and made anew, and
    # a click on it would be lost.
    work, seen, files = st.container(), st.container(), st.container(horizontal=True, key="downloads")
    with work:
        if left and not read_only():
            _buttons(e, drawn)
        manage.show_refusal()
        if left:

            @st.fragment(run_every=2.0 if drawn["running"] or drawn["queued"] else None)
            def panel() -> None:
                with shielded():
                    _panel(e, drawn)

            panel()
        try:
            result = _result(str(e.path), drawn["done"])
        except UserError as error:
            st.info(escape(str(error)[:1].upper() + str(error)[1:]) + ".", icon=":material/hourglass_empty:")
            return None
        if left:
            st.caption("What follows is from the runs that have finished; it changes as others do.")
    with seen:
        show(e, result)
    with files:
        export(e, result)
    return result


def _panel(e: Stored, drawn: Counter[str]) -> None:
    runs, readings = e.runs(), e.readings()
    states = e.states(readings)
    if states != drawn:
        st.rerun()  # buttons and results change with it
    progress = e.progress(readings)
    words = f"{progress.done} of {progress.runs} runs"
    if progress.seconds_left and states["running"]:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        words += f" · {minutes}:{seconds:02d} left"
    elif states["cancelled"] and not (states["queued"] or states["running"]):
        words += " · stopped"
    working = [(role, status) for role, (state, status) in readings.items() if state == "running"]
    for role, status in working[:3]:
        words += f" · {escape(runs[role].label())}, epoch {status['epoch']} of {status['epochs']}"
    st.progress(min(1.0, progress.share), words)
    for role, (state, status) in readings.items():
        if state in ("failed", "blocked") and status["error"]:
            st.warning(escape(f"{runs[role].label()}: {status['error']}."), icon=":material/error:")
            break
    with st.expander("Its runs", key="runs of it"):
        st.dataframe(_matrix(e, readings), alt="State of each run: a row an arm, a column a seed")


def _matrix(e: Stored, readings: Mapping[str, Reading]) -> pd.DataFrame:
    rows: dict[str, dict[str, str]] = {}
    for role, (name, seed) in e.content["arms"].items():
        state, status = readings.get(role, ("missing", {}))
        running = state == "running"
        shown = f"{status['epoch']}/{status['epochs']}" if running else store.STATES.get(state, state)
        rows.setdefault(name, {})[f"seed {seed}"] = shown
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def _buttons(e: Stored, states: Counter[str]) -> None:
    with row("buttons", "medium"):
        if states["running"] or states["queued"] or states["blocked"]:
            st.button("Stop training", key="stop experiment", on_click=_do, args=("cancel", e), icon=":material/stop:")
        if states["cancelled"] or states["failed"] or states["interrupted"] or states["blocked"]:
            st.button("Resume", key="resume experiment", on_click=_do, args=("resume", e), icon=":material/resume:")
        if states["missing"]:
            st.caption(f"{states['missing']} of its runs are not there; start it again with the same settings.")


def _do(action: str, e: Stored) -> None:
    try:
        {"cancel": conduct.cancel, "resume": conduct.resume}[action](e, launcher())
    except UserError as error:
        st.session_state["refusal"] = str(error)


@st.cache_resource(max_entries=16, show_spinner="Counting …")
def _result(path: str, done: int) -> Result:  # noqa: ARG001  # another result once another run is done
    return Stored(Path(path)).result()
