"""Evaluations that are asked for and not made yet: how far they are, stop, go on, drop. No torch.

All of it is read from the run's directory, so a reload or another app sees the same.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import streamlit as st

from dpls.errors import UserError
from dpls.jobs.launchers import launcher
from dpls.jobs.wanted import QUEUED, Wanted, again, attack_of, drop, wanted
from dpls.runs.directory import Run
from dpls.ui import manage
from dpls.ui.frame import escape, read_only, row, shielded

UNNOTICED = 10.0  # seconds after which what waits has no worker that comes by itself


class Standing(NamedTuple):
    """What is asked for, and the names of what is finished."""

    asked: list[Wanted]
    finished: list[str]

    @property
    def waiting(self) -> list[Wanted]:
        return [one for one in self.asked if one.state == QUEUED]


def _standing(run: Run) -> Standing:
    return Standing(wanted(run), run.evaluation_names(others=True))


def watch(run: Run) -> None:
    """What is asked for and not made yet; drawn again every second while something waits or is at work."""
    drawn = _standing(run)
    if not drawn.asked:
        return

    @st.fragment(run_every=1.0 if drawn.waiting else None)
    def panel() -> None:
        with shielded():
            now = _standing(run)
            if now.finished != drawn.finished or not now.asked or bool(now.waiting) != bool(drawn.waiting):
                st.rerun()  # the page around it changes with it
            _panel(run, now)

    panel()


def _panel(run: Run, standing: Standing) -> None:
    with st.container(border=True, key="evaluations at work"):
        if standing.waiting:
            _at_work(run, standing.waiting)
        for one in standing.asked:
            if one.state != QUEUED:
                _held_up(run, one)


def _at_work(run: Run, waiting: list[Wanted]) -> None:
    locked, status = run.is_locked(), run.status()
    share, words = _progress(status) if locked and status.get("stage") else (0.0, "")
    if not words:
        words = "Its worker loads, or waits for its turn on this machine …" if locked else "Waiting for a worker …"
    st.progress(share, escape(words))
    if more := waiting[1:]:
        st.caption(escape(f"Then: {', '.join(_called(run, one) for one in more)}."))
    if read_only():
        return
    with row("evaluation buttons", "medium"):
        st.button(
            "Stop", key="stop evaluation", on_click=manage.do, args=(launcher().cancel, run), icon=":material/stop:"
        )
        if not locked and _age(waiting[0]) > UNNOTICED:  # whoever asked was ended before a worker was there
            st.button("Go on", key="go on waiting", on_click=_go_on, args=(run, waiting[0]), icon=":material/resume:")


def _progress(status: dict[str, Any]) -> tuple[float, str]:
    done, total = int(status.get("images") or 0), max(1, int(status.get("images_total") or 1))
    words = f"{status['stage'][:1].upper()}{status['stage'][1:]}: {done:,} of {total:,} images"
    if rate := status.get("images_per_second"):
        left = round((total - done) / rate)
        words += f" · {left // 60}:{left % 60:02d} left"
    return min(1.0, done / total), words


def _held_up(run: Run, one: Wanted) -> None:
    reason = f"failed: {one.error}" if one.error else "was stopped"
    with st.container(horizontal=True, vertical_alignment="center"):
        said = escape(f"{_called(run, one)} {reason.rstrip('.')}. What is done of it stays.")
        st.markdown(f":orange[:material/stop_circle:] {said}", width="stretch")
        if not read_only():
            st.button("Go on", key=f"go on {one.name}", on_click=_go_on, args=(run, one), icon=":material/resume:")
            st.button("Drop", key=f"drop {one.name}", on_click=drop, args=(run, one.name), icon=":material/delete:")


def _called(run: Run, one: Wanted) -> str:
    images = f"{one.images:,}" if one.images else "all"
    try:
        attack = attack_of(run, one.settings).title
    except UserError:  # settings of another version
        attack = one.name
    return f"{attack} ({one.checkpoint} checkpoint, {images} {one.part} images)"


def _age(one: Wanted) -> float:
    """Seconds since somebody asked."""
    return (datetime.now(UTC) - datetime.fromisoformat(one.asked)).total_seconds()


def _go_on(run: Run, one: Wanted) -> None:
    """For a callback: asks again, and has a worker made where there is none."""

    def go_on(run: Run) -> None:
        again(run, one)
        if not run.is_locked():
            launcher().submit(run, if_queued=True)

    manage.do(go_on, run)
