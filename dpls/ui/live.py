"""A run at work: how far it is, its curves, what to be wary of. Drawn again every second while it works."""

from contextlib import suppress
from typing import Any

import streamlit as st

from dpls import charts
from dpls.errors import UserError
from dpls.jobs.launchers import launcher
from dpls.runs.directory import Run
from dpls.runs.report import accuracies, best_of, concerns, with_interval
from dpls.ui import described, manage, store, trust
from dpls.ui.frame import escape, shielded

WORKING = ("queued", "running")


def watch(run: Run) -> None:
    """The panel of one run; it follows the run as long as it works and nobody pauses it.

    What it says of the run comes from one reading, and where that differs from what the buttons were drawn by, all is
    drawn again: so nothing on the page contradicts it.
    """
    drawn, _ = run.reading()
    with st.container(horizontal=True, vertical_alignment="center"):
        _buttons(run, drawn)
        paused = drawn in WORKING and st.toggle("Pause", key="paused", help="A zoomed curve stays as it is.")

    @st.fragment(run_every=1.0 if drawn in WORKING and not paused else None)
    def panel() -> None:
        with shielded():
            _panel(run, drawn)

    panel()


def _panel(run: Run, drawn: str) -> None:
    (state, status), config = run.reading(), run.recipe()
    if state != drawn:
        st.rerun()  # the buttons around the panel change with it
    described.show_origin(run)
    if config.net.is_known:
        _head(run, state, status)
    else:
        _head_of_recorded(run, state, status)
    described.show_said(run)
    rows = run.metrics()
    with suppress(UserError):  # its images are gone and there is no table yet: nothing to judge its rows by
        for sentence in concerns(rows, config, *store.chance(run)):
            st.warning(sentence, icon=":material/warning:")
    if rows:
        border, decays, last = config.last_phase_start or None, config.schedule.decays, config.epochs
        halves = st.grid(2, min_column_width=420, gap="large")
        with halves.cell():
            st.plotly_chart(
                charts.accuracies(rows, border, decays, last), key="accuracies", alt="Accuracy by epoch", config=_BARE
            )
        with halves.cell():
            if any(row["loss"] is not None for row in rows):
                st.plotly_chart(
                    charts.losses(rows, border, decays, last), key="losses", alt="Loss by epoch", config=_BARE
                )
    if config.net.is_known:
        with st.expander("Log", key="log"):
            st.code(launcher().tail(run, 40) or "nothing yet", language=None)


_BARE = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def _head(run: Run, state: str, status: dict[str, Any]) -> None:
    if state == "running":
        st.progress(min(1.0, _share(status)), _progress(status))
    elif state == "queued":
        reached = f" It goes on after epoch {status['epoch']} of {status['epochs']}." if status["epoch"] else ""
        waits = "Waiting for its turn: another run uses this machine." if run.is_locked() else "Starting …"
        st.progress(status["epoch"] / max(1, status["epochs"]), waits + reached)
    elif state == "done":
        _accuracies(run)
    else:
        words = {"failed": "It failed", "cancelled": "It was stopped", "interrupted": "Its worker was killed"}
        reason = f": {status['error']}" if status["error"] else ""
        text = f"{words.get(state, state)} after epoch {status['epoch']} of {status['epochs']}{reason}."
        st.warning(
            escape(text) + " Resume it: the result will be that of an undisturbed run.", icon=":material/stop_circle:"
        )


def _head_of_recorded(run: Run, state: str, status: dict[str, Any]) -> None:
    """Of a run that somebody's own loop trains: how long it will be, nobody here knows."""
    if state == "running":
        st.markdown(f"Its loop is at work: {status['epoch']} epochs so far.")
    elif state != "done":
        st.warning(
            escape(f"Its loop ended after epoch {status['epoch']} without closing the recorder.")
            + f" `dpls.Recorder({str(run.path)!r})` goes on with it; `python -m dpls work {run.path}` completes it as"
            " it is.",
            icon=":material/stop_circle:",
        )


def _accuracies(run: Run) -> None:
    """Of the best checkpoint: clean, and the lowest under attack with its trust card."""
    made, trusted = accuracies(run), trust.cards(run)
    named = [said | {"name": name} for name, said in made.items()]
    for e in filter(None, best_of(named, run.recipe().eps)):
        st.markdown(
            f"Test accuracy, {e['attack']}: **{with_interval(e)}**, n = {e['n']:,};"
            f" checkpoint chosen by {e['chosen_by']}"
        )
        if e["name"] in trusted:
            trust.show_card(trusted[e["name"]])


def _share(status: dict[str, Any]) -> float:
    return float(status.get("images", 0)) / max(1, status.get("images_total") or 1)


def _progress(status: dict[str, Any]) -> str:
    stage = status.get("stage") or "starting"
    if stage != "training":
        return f"{stage[:1].upper()}{stage[1:]} …"
    words = f"Epoch {min(status['epoch'] + 1, status['epochs'])} of {status['epochs']}"
    rate = status.get("images_per_second")
    if rate:
        left = round((status["images_total"] - status["images"]) / rate)
        words += f" · {rate:,.0f} images/s · {left // 60}:{left % 60:02d} left, then the evaluations"
    return words


def _buttons(run: Run, state: str) -> None:
    """Stop or resume, and where to look."""
    work, trains_here = launcher(), run.recipe().net.is_known
    if state in WORKING and trains_here:
        st.button(
            "Stop training", key="stop", on_click=manage.do, args=(launcher().cancel, run), icon=":material/stop:"
        )
    elif state not in (*WORKING, "done") and trains_here:
        st.button("Resume", key="resume", on_click=manage.do, args=(work.submit, run), icon=":material/resume:")
    if state == "done" and trains_here:
        st.page_link(
            "pages/robustness.py", label="Its robustness", icon=":material/shield:", query_params={"run": run.id}
        )
    if run.metrics():
        st.page_link(
            "pages/images.py", label="Its hardest images", icon=":material/grid_view:", query_params={"run": run.id}
        )
        st.page_link(
            "pages/difficulty.py", label="Its difficulty", icon=":material/bar_chart:", query_params={"run": run.id}
        )
