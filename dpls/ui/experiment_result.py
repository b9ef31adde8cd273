"""What an experiment has shown so far: claims, charts, the images concerned, all numbers, downloads. No torch."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dpls.data import PARTS
from dpls.errors import UserError
from dpls.experiments import figures
from dpls.experiments.outcomes import ALL, role_of
from dpls.experiments.result import ByImage, Claim, Images, Result
from dpls.experiments.stored import Stored
from dpls.ui import download, store
from dpls.ui.facts import Facts
from dpls.ui.frame import escape
from dpls.ui.gallery import Tile, gallery
from dpls.ui.trust import show_trust

MOST_TILES = 24
MARKS = {
    "agrees": " :green-badge[agrees]",
    "disagrees": " :red-badge[disagrees]",
    "cannot tell": " :gray-badge[cannot tell]",
    "": "",
}
BARE = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def name_of(e: Stored) -> str:
    """e.g. ``digits, 8% planted, PGD-AT 0.1, 20%, 5 seeds · 6b1f``."""
    which = "recorded" if e.is_recorded else e.id[-4:]  # a list is not drawn again as its states change
    return f"{e.experiment.in_words} · {which}"


def show(e: Stored, result: Result) -> None:
    """Agreement, charts, images, numbers, and what stands beside them."""
    for claim in result.claims:
        _show_claim(claim)
    if e.experiment.tells_best_from_last:
        st.caption("Best: the checkpoint chosen on validation images. Last: after the last epoch.")
    _show_charts(result)
    for title, table in result.tables.items():
        st.markdown(f"**{escape(title)}**")
        st.dataframe(table, hide_index=True, height="content", alt=title)
    if result.by_image:
        _show_by_image(result.by_image)
    _show_images(e, result.images)
    with st.expander("All numbers", key="numbers"):
        st.dataframe(result.table(), hide_index=True, alt="All numbers of this experiment")
    show_trust(result.trust)
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
        facts = store.facts_of(e.content["fingerprint"], e.experiment.base.data)
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


def _tile(facts: Facts, difficulty: NDArray[np.float64], example: int) -> Tile:
    label, cause = facts.classes[facts.labels[example]], facts.cause_of(example)
    known = difficulty[example] if example < len(difficulty) else np.nan
    number = "" if np.isnan(known) else f"{known:.2f} "
    title = f"image {example}, labelled {label}" + (f", planted: {cause}" if cause else "")
    return Tile(example, f"{number}{label}", "", title, cause)


@st.cache_resource(max_entries=16, show_spinner=False)
def _difficulty(path: str, done: int) -> NDArray[np.float64]:  # noqa: ARG001
    """(N,): of the examples of all parts, mean over the seeds; NaN where none has one."""
    return Stored(Path(path)).outcomes().mean_difficulty(PARTS)


def export(e: Stored, result: Result) -> None:
    """Report, numbers, and what every example did."""

    def report() -> str:
        settings = json.dumps(e.settings, indent=1)
        begun = e.content["created"]
        return f"# {name_of(e)}\n\nBegun {begun}.\n{result.text()}\n\n## Settings\n\n```json\n{settings}\n```\n"

    files: dict[str, download.File] = {
        "Report": (report, f"{e.id}.md"),
        "Numbers": (lambda: result.numbers().to_csv(index=False), f"{e.id}.csv"),
        "Every example's outcome": (lambda: e.outcomes().outcomes.to_csv(index=False), f"{e.id}-outcomes.csv"),
        "Every example's difficulty": (lambda: e.outcomes().scores.to_csv(index=False), f"{e.id}-scores.csv"),
    }
    download.offer(files)
