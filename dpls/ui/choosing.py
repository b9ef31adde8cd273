"""The row of choices on every result page: run, measure, T, filters. They are kept in the address.

So any view can be sent as a link, and goes along from page to page.
"""

from collections.abc import Sequence

import streamlit as st

from dpls.data import PARTS, TRAIN
from dpls.difficulty.measures import titles
from dpls.difficulty.scale import NormaliserName
from dpls.errors import UserError
from dpls.recipe import RunConfig
from dpls.runs.directory import Run
from dpls.runs.tags.kept import TAGS
from dpls.ui import address, decided, described, elsewhere, store
from dpls.ui.facts import Facts
from dpls.ui.frame import escape, row
from dpls.ui.selection import (
    ATTACKED,
    CLEAN,
    EVERYTHING,
    SCALE_NAMES,
    UNPLANTED,
    UNTAGGED,
    Filters,
    Selection,
    name_of,
    selection_of,
)

FILTERS = ("class", "cause", "tag", "disputed", "file", "range")


def choose_run() -> Run:
    """The run picker. A link to a run that is gone shows another one, and says so."""
    asked = st.session_state.get("run")
    everyone = store.all_runs(experiments=True)  # a run made for an experiment is listed while it is shown
    runs = {r.id: r for r in everyone if (r.id == asked or not store.experiment_of(r)) and store.readable(r)}
    if asked is not None and asked not in runs:
        st.warning(
            f"There is no run {escape(str(asked)[:40])} here (any more), or it cannot be read; another is shown.",
            icon=":material/search_off:",
        )
    rows = ((ident, store.row(run)) for ident, run in runs.items())
    finished = [ident for ident, row in rows if row["state"] == "done" and row["epoch"]]
    address.bind("run", None, lambda ident: ident in runs)  # no default: a link always says which run it means
    if st.session_state["run"] is None:
        st.session_state["run"] = (finished or list(runs))[0]
    chosen = st.selectbox(
        "Run",
        list(runs),
        format_func=lambda ident: store.name_of(runs[ident]),
        key="run",
        persist_state="session",
        width=220,
        on_change=address.forget,
        args=address.OF_A_RUN,
    )
    return runs[chosen]


def select() -> Selection:
    """Draws the choices in a row; raises UserError with the next step where the run has nothing to show yet."""
    with row("selection"):
        run = choose_run()
        config = run.recipe()
        epochs = store.committed(run)
        if not epochs:
            raise UserError(
                f"run {store.name_of(run)} has not finished an epoch yet (it is {store.state_of(run)}); watch it on the"
                " page Train, or choose another run"
            )
        facts = store.facts(run)
        measure, adversarial = _measure(run, config, epochs)
        normaliser = _normaliser(config)
        counted = None if store.is_imported(measure) else _counted(config, epochs)
        below = st.container(width="content")
        below.space("small")  # as high as the labels beside it
        buttons = below.container(horizontal=True, width="content")
        with buttons.popover("Filter", icon=":material/filter_alt:"):
            part = TRAIN if adversarial else _part()  # only training images are attacked while training goes on
            filters = _filters(run, facts, part)
            low, high = _range()
        if filters != Filters(part) or (low, high) != EVERYTHING:
            buttons.button("Clear filters", on_click=address.forget, args=FILTERS, icon=":material/filter_alt_off:")
    described.show_origin(run)
    return selection_of(run, measure, adversarial, counted, normaliser, filters=filters, low=low, high=high)


def _measure(run: Run, config: RunConfig, epochs: int) -> tuple[str, bool]:
    own, mine = config.difficulty, elsewhere.own_measure(run)
    names = titles(epochs)
    measures = [*names, *elsewhere.imported(run)]
    asked = st.session_state.get("measure")
    if asked is not None and asked not in measures:
        st.warning(
            f"There are no scores {escape(str(asked)[:40])} for these images (any more); another measure is shown."
        )
    address.bind("measure", mine if mine in measures else measures[0], lambda name: name in measures)
    measure: str = st.selectbox(
        "Measure",
        measures,
        format_func=lambda name: names.get(name) or name_of(name),
        key="measure",
        persist_state="session",
        width=180,
        help="How difficulty is counted. The article's is 0-1: how often an image was wrong in the first T epochs.",
    )
    if not config.counts_attacked or store.is_imported(measure):
        return measure, False
    address.bind(
        "seen", ATTACKED if own.adversarial else CLEAN, lambda signal: signal in (CLEAN, ATTACKED), "clean or attacked"
    )
    signal = st.segmented_control(
        "Seen on",
        [CLEAN, ATTACKED],
        required=True,
        key="seen",
        persist_state="session",
        width=140,
        help="Clean images after each epoch, or the attacked ones of training (training images only).",
    )
    return measure, signal == ATTACKED


def _normaliser(config: RunConfig) -> NormaliserName:
    address.bind("scale", config.difficulty.normaliser, lambda name: name in SCALE_NAMES, ", ".join(SCALE_NAMES))
    chosen: NormaliserName | None = st.segmented_control(
        "Scale",
        list(SCALE_NAMES),
        format_func=lambda name: SCALE_NAMES[name],
        required=True,
        key="scale",
        persist_state="session",
        width=225,
        help="min-max, as in the article, keeps the measure's shape; rank spreads difficulty evenly, its mean is 1/2;"
        " 1-99 % is min-max between these percentiles, so that single outliers do not set the scale.",
    )
    return chosen or config.difficulty.normaliser


def _counted(config: RunConfig, epochs: int) -> int:
    if epochs == 1:
        return 1
    address.bind("T", min(config.counted_epochs, epochs), lambda counted: 1 <= counted <= epochs, f"1 to {epochs}")
    counted = st.slider(
        "T, epochs counted",
        1,
        epochs,
        key="T",
        persist_state="session",
        width=180,
        help=f"Difficulty is counted over the first T epochs. This run itself uses T = {config.counted_epochs}.",
    )
    return int(counted)


def _part() -> int:
    address.bind("images", PARTS[TRAIN], lambda name: name in PARTS, ", ".join(PARTS))
    return PARTS.index(
        st.segmented_control("Images", PARTS, required=True, key="images", persist_state="session") or PARTS[TRAIN]
    )


def _filters(run: Run, facts: Facts, part: int) -> Filters:
    address.bind("class", [], lambda names: set(names) <= set(facts.classes), _some(facts.classes))
    classes = st.multiselect("Class", facts.classes, key="class", persist_state="session", placeholder="all")
    causes: list[str] = []
    planted = [*facts.causes[1:], UNPLANTED]
    if len(planted) > 1 and part == TRAIN:
        address.bind("cause", [], lambda names: set(names) <= set(planted), _some(planted))
        causes = st.multiselect(
            "Planted cause",
            planted,
            key="cause",
            persist_state="session",
            placeholder="all",
            help="Some training images were made hard on purpose, so that one can check what difficulty finds.",
        )
    address.bind("tag", [], lambda names: set(names) <= {*TAGS, UNTAGGED}, ", ".join((*TAGS, UNTAGGED)))
    tags = st.multiselect(
        "Tag",
        [*TAGS, UNTAGGED],
        key="tag",
        persist_state="session",
        placeholder="all",
        help="What has been decided about an image, on the page Images.",
    )
    return Filters(part, tuple(classes), tuple(causes), tuple(tags), _disputed(run), _file(facts))


def _disputed(run: Run) -> bool:
    if decided.doubt(run) is None:
        return False
    address.bind("disputed", False, lambda asked: isinstance(asked, bool))
    return st.toggle(
        "The network contradicts the label",
        key="disputed",
        persist_state="session",
        help="Its best checkpoint, on the clean image. It has trained on the labels of training images, and contradicts"
        " few of these once it has learnt them by heart.",
    )


def _file(facts: Facts) -> str:
    if not facts.has_files:
        return ""
    address.bind("file", "", lambda name: isinstance(name, str))
    return st.text_input("Part of the file's path", key="file", persist_state="session").strip()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def _range() -> tuple[float, float]:
    address.bind("range", EVERYTHING, lambda r: 0 <= r[0] <= r[1] <= 1, "two numbers that rise, from 0 to 1")
    chosen: tuple[float, float] = st.slider(  # type: ignore[assignment]  # a pair, since the session holds one
        "Difficulty from, to",
        0.0,
        1.0,
        step=0.01,
        key="range",
        persist_state="session",
        help="0 is the easiest training image, 1 the hardest. Drag across the histogram to set it.",
    )
    return chosen


def set_range(low: float, high: float) -> None:
    """For callbacks: the range of difficulty that is shown."""
    st.session_state["range"] = (round(max(0.0, low), 2), round(min(1.0, high), 2))
