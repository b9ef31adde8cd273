"""An experiment under way or finished: how far it is, what has been seen so far, the images concerned. No torch."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dpls.data import PARTS
from dpls.errors import UserError
from dpls.experiments import conduct, figures
from dpls.experiments.base import Experiment
from dpls.experiments.outcomes import ALL, role_of
from dpls.experiments.result import ByImage, Claim, Images, Result
from dpls.experiments.stored import Stored, list_experiments
from dpls.jobs.launchers import launcher
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED, runs_root
from dpls.ui import address, manage, store
from dpls.ui.frame import escape, read_only, shielded
from dpls.ui.gallery import Tile, gallery

MOST_TILES = 24
MARKS = {
    "agrees": " :green-badge[agrees]",
    "disagrees": " :red-badge[disagrees]",
    "cannot tell": " :gray-badge[cannot tell]",
    "": "",
}
BARE = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def offer(kind: type[Experiment], words: str, run: Run | None = None, wished: dict[str, Any] | None = None) -> None:
    """The form behind a click; it closes once an experiment of this kind has been started."""
    key = f"start {kind.name()}"
    if st.session_state.pop("close", None) == key:
        st.session_state[key] = False
    with st.expander(words, key=key, icon=":material/play_arrow:", on_change="rerun") as form:
        if form.open:
            with st.spinner("Loading PyTorch, once …"):
                from dpls.ui import experiment_form
            experiment_form.offer(kind, run, wished)


def choose(kind: type[Experiment]) -> Stored | None:
    """One of the experiments of a kind: one's own, newest first, then the recorded ones."""
    found = list_experiments(runs_root()) + list_experiments(RECORDED)[::-1]
    known = {e.id: e for e in found if isinstance(e.experiment, kind)}
    if started := st.session_state.pop("started experiment", None):
        st.session_state["experiment"] = started
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
        format_func=lambda name: name_of(known[name]),
        key="experiment",
        persist_state="session",
    )
    return known[chosen]


def name_of(e: Stored) -> str:
    """e.g. ``digits, 8% planted, PGD-AT 0.1, 20%, 5 seeds · 6b1f``."""
    which = "recorded" if e.is_recorded else e.id[-4:]  # a list is not drawn again as its states change
    return f"{e.experiment.in_words} · {which}"


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
        _export(e, result)
    return result


def _panel(e: Stored, drawn: Counter[str]) -> None:
    states = e.states()
    if states != drawn:
        st.rerun()  # buttons and results change with it
    progress = e.progress()
    words = f"{progress.done} of {progress.runs} runs"
    if progress.seconds_left and states["running"]:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        words += f" · {minutes}:{seconds:02d} left"
    elif states["cancelled"] and not states["queued"]:
        words += " · stopped"
    working = [run for run in e.runs().values() if run.is_locked()]
    for run in working[:3]:
        status = run.status()
        words += f" · {escape(run.label())}, epoch {status['epoch']} of {status['epochs']}"
    st.progress(min(1.0, progress.share), words)
    for run in e.runs().values():
        status = run.status()
        if status["state"] in ("failed", "blocked") and status["error"]:
            st.warning(escape(f"{run.label()}: {status['error']}."), icon=":material/error:")
            break
    with st.expander("Its runs", key="runs of it"):
        st.dataframe(_matrix(e), alt="State of each run: a row an arm, a column a seed")


def _matrix(e: Stored) -> pd.DataFrame:
    runs = e.runs()
    rows: dict[str, dict[str, str]] = {}
    for role, (name, seed) in e.content["arms"].items():
        state = "missing"
        if role in runs:
            status = runs[role].status()
            state = manage.STATES[runs[role].state()]
            if state == "running":
                state = f"{status['epoch']}/{status['epochs']}"
        rows.setdefault(name, {})[f"seed {seed}"] = state
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def _buttons(e: Stored, states: Counter[str]) -> None:
    with st.container(horizontal=True, key="line-buttons"):
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


def show(e: Stored, result: Result) -> None:
    """Agreement, charts, images, numbers, and what stands beside them."""
    for claim in result.claims:
        _show_claim(claim)
    if e.experiment.tells_best_from_last:
        st.caption("Best: the checkpoint chosen on validation images. Last: after the last epoch.")
    _show_charts(result)
    for title, table in result.tables.items():
        st.markdown(f"**{escape(title)}**")
        st.dataframe(table, hide_index=True, alt=title)
    if result.by_image:
        _show_by_image(result.by_image)
    _show_images(e, result.images)
    with st.expander("All numbers", key="numbers"):
        st.dataframe(result.table(), hide_index=True, alt="All numbers of this experiment")
    for note in result.notes:
        st.caption(escape(note))


def _show_claim(claim: Claim) -> None:
    with st.container(border=True):
        said, was = st.columns([2, 3])
        said.caption("The article")
        said.markdown(escape(claim.article))
        was.caption(f"Here{MARKS[claim.badge]}")
        was.markdown(escape(claim.seen))
        if claim.numbers:
            was.caption("\n".join(f"- {escape(line)}" for line in claim.numbers))


def _show_charts(result: Result) -> None:
    grid = st.grid(2, min_column_width=420, gap=("small", "large"))
    drawn = [(f"dots {n}", dots.title, figures.dots(dots)) for n, dots in enumerate(result.dots)]
    drawn += [(f"lines {n}", chart.title, figures.lines(chart)) for n, chart in enumerate(result.charts)]
    for key, title, figure in drawn:
        with grid.cell():
            st.markdown(f"**{escape(title)}**")
            st.plotly_chart(figure, key=key, config=BARE, alt=title)


def _show_by_image(by_image: ByImage) -> None:
    st.markdown(f"**{escape(by_image.title)}**")
    text = st.text_input(
        "Which images",
        key="which images",
        placeholder="the hardest; or ids, e.g. 31, 44",
        help="Ids of training images, as galleries and tables show them.",
    )
    st.dataframe(_chosen_images(by_image, text or ""), hide_index=True, alt=by_image.title)


def _chosen_images(by_image: ByImage, text: str) -> pd.DataFrame:
    """Of the ids somebody asks for; of the hardest where nobody does."""
    try:
        ids = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        st.warning(f"{escape(repr(text[:40]))} is no list of ids; write numbers such as 31, 44.")
        return by_image.table
    known = [i for i in ids if 0 <= i < by_image.ids_below]
    if unknown := [i for i in ids if i not in known]:
        st.warning(f"There is no image {unknown[0]}; ids run from 0 to {by_image.ids_below - 1:,}.")
    found = by_image.of(known) if known else by_image.table
    if not len(found):
        st.warning("None of these is a training image.")
    return found


def _show_images(e: Stored, lists: Sequence[Images]) -> None:
    shown = [some for some in lists if len(some.ids)]
    if not shown:
        return
    try:
        facts = store.facts_of(e.content["fingerprint"], e.settings["base"]["data"])
    except UserError as error:
        st.warning(escape(str(error)) + ". Numbers are shown without pictures.", icon=":material/hide_image:")
        return
    run = e.runs().get(role_of(ALL, e.experiment.base.seed))

    def picked(example: int) -> None:
        if run:
            st.session_state["id"] = example
            st.switch_page("pages/images.py", query_params={"run": run.id, "id": str(example)})
        else:
            st.toast("A recorded experiment keeps no runs, so there is no more to show of this image.")

    difficulty = _difficulty(str(e.path), e.states()["done"])
    for some in shown:
        st.markdown(f"**{escape(some.title)}** ({len(some.ids):,}): {escape(some.explanation)}")
        ids = some.ids[:MOST_TILES]
        assert facts.images is not None
        tiles = [_tile(facts, difficulty, example) for example in ids.tolist()]
        gallery(facts.images[ids], tiles, f"gallery {some.title}", picked, tile=64, one_row=True, fixed=True)
    st.caption(
        "The number is the difficulty by the runs that chose, mean over the seeds; then the label. The mark says what"
        " was planted. A click opens an image in the run on all images, which counts its own difficulty."
    )


def _tile(facts: store.Facts, difficulty: NDArray[np.float64], example: int) -> Tile:
    label, cause = facts.classes[facts.labels[example]], facts.cause_of(example)
    known = difficulty[example] if example < len(difficulty) else np.nan
    number = "" if np.isnan(known) else f"{known:.2f} "
    title = f"image {example}, labelled {label}" + (f", planted: {cause}" if cause else "")
    return Tile(example, f"{number}{label}", "", title, cause)


@st.cache_resource(max_entries=16, show_spinner=False)
def _difficulty(path: str, done: int) -> NDArray[np.float64]:  # noqa: ARG001
    """(N,): of the examples of all parts, mean over the seeds; NaN where none has one."""
    return Stored(Path(path)).outcomes().mean_difficulty(PARTS)


def _export(e: Stored, result: Result) -> None:
    """Downloads, made when asked for.

    Buttons, not download buttons: those ask for a file by a name that every redraw replaces, so a click just before
    the page has learnt the new name brings nothing.
    """

    def report() -> str:
        settings = json.dumps(e.settings, indent=1)
        begun = e.content["created"]
        return f"# {name_of(e)}\n\nBegun {begun}.\n{result.text()}\n\n## Settings\n\n```json\n{settings}\n```\n"

    files: dict[str, tuple[Callable[[], str], str]] = {
        "Report": (report, f"{e.id}.md"),
        "Numbers": (lambda: result.numbers().to_csv(index=False), f"{e.id}.csv"),
        "Every example's outcome": (lambda: e.outcomes().outcomes.to_csv(index=False), f"{e.id}-outcomes.csv"),
        "Every example's difficulty": (lambda: e.outcomes().scores.to_csv(index=False), f"{e.id}-scores.csv"),
    }
    for name, asked in files.items():
        st.button(name, key=f"download {name}", on_click=_make, args=asked, icon=":material/download:")
    _hand_over(key="hand over", data=st.session_state.get(MADE))


def _make(data: Callable[[], str], file: str) -> None:
    try:
        st.session_state[MADE] = {"text": data(), "file": file, "number": uuid4().hex}
    except UserError as error:
        st.session_state["refusal"] = str(error)


MADE = "made file"
# Every redraw hands the file over again, for one that is broken off may not reach the page; the page takes it once.
_hand_over = st.components.v2.component(
    "dpls_hand_over",
    js="""
export default function ({ data }) {
  const taken = (window.dplsTaken ??= new Set())
  if (!data || taken.has(data.number)) return
  taken.add(data.number)
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([data.text]))
  link.download = data.file
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60000)
}
""",
)
