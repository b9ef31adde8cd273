"""Which run, which measure, which T and which examples: one selection for all result pages, kept in the address.

So any view can be sent as a link, and goes along from page to page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dpls.data import PARTS, TRAIN
from dpls.difficulty.measures import MEASURES, MeasureName, NormaliserName
from dpls.errors import UserError
from dpls.runs.directory import Run
from dpls.ui import address, store
from dpls.ui.frame import escape

MEASURE_NAMES: dict[MeasureName, str] = {
    "zero_one": "0-1 (times wrong)",
    "cross_entropy": "Cross-entropy",
    "el2n": "EL2N",
    "forgetting": "Forgetting",
    "aum": "AUM (margin)",
    "confidence": "Confidence",
    "variability": "Variability",
}
CLEAN, ATTACKED = "clean", "attacked"
SCALE_NAMES: dict[NormaliserName, str] = {"min_max": "min-max", "rank": "rank"}
UNPLANTED = "none planted"
EVERYTHING = (0.0, 1.0)
FILTERS = ("class", "cause", "range")


@dataclass(frozen=True, eq=False)
class Selection:
    """What is chosen. Arrays are (N,) by id."""

    run: Run
    config: dict[str, Any]
    facts: store.Facts
    epochs: int
    counted: int
    measure: str
    """A name in MEASURES, or of imported scores."""
    adversarial: bool
    normaliser: NormaliserName
    values: NDArray[np.floating]
    difficulty: NDArray[np.floating]
    filtered: NDArray[np.int64]
    """Ids that pass the filters of part, class and cause, whatever their difficulty."""
    order: NDArray[np.int64]
    """Ids that pass all filters, hardest first; ties by mean cross-entropy, then by id; unseen ones last."""
    part: int
    low: float
    high: float

    @property
    def measure_name(self) -> str:
        return name_of(self.measure) + (", attacked" if self.adversarial else "")

    @property
    def is_imported(self) -> bool:
        return store.is_imported(self.measure)

    @property
    def is_own(self) -> bool:
        """Whether difficulty is counted as the run itself counts it."""
        own = (*own_difficulty(self.config), own_normaliser(self.config), min(counted_by(self.config), self.epochs))
        return (self.measure, self.adversarial, self.normaliser, self.counted) == own

    @property
    def own_name(self) -> str:
        measure, adversarial = own_difficulty(self.config)
        signal = ATTACKED if adversarial else CLEAN
        scale = SCALE_NAMES[own_normaliser(self.config)]
        return f"{MEASURE_NAMES[measure]}, {signal}, {scale}, T = {counted_by(self.config)}"

    def rank(self, example: int) -> tuple[int, int]:
        """Its place from the hardest among its part, counted from 1, and how many there are."""
        turned = store.harder(self.values, self.measure)  # not difficulty, which clips what was not trained on
        scores = turned[self.facts.ids(int(self.facts.part[example]))]
        return int((scores > turned[example]).sum()) + 1, int((~np.isnan(scores)).sum())


def name_of(measure: str) -> str:
    """What people call a measure, or scores that were imported."""
    return f"{measure} (imported)" if store.is_imported(measure) else MEASURE_NAMES[cast(MeasureName, measure)]


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
        width=250,
        on_change=address.forget,
        args=address.OF_A_RUN,
    )
    return runs[chosen]


def select() -> Selection:
    """Draws the choices in a row; raises UserError with the next step where the run has nothing to show yet."""
    with st.container(horizontal=True, key="row-selection"):
        run = choose_run()
        config = run.config()["config"]
        epochs = store.committed(run)
        if not epochs:
            raise UserError(
                f"run {store.name_of(run)} has not finished an epoch yet (it is {run.state()}); watch it on the page"
                " Train, or choose another run"
            )
        facts = store.facts(run)
        measure, adversarial = _measure(run, config)
        normaliser = _normaliser(config)
        counted = None if store.is_imported(measure) else _counted(config, epochs)
        below = st.container(width="content")
        below.space("small")  # as high as the labels beside it
        buttons = below.container(horizontal=True, width="content")
        with buttons.popover("Filter", icon=":material/filter_alt:"):
            part = TRAIN if adversarial else _part()  # only training images are attacked while training goes on
            classes, causes = _filters(facts, part)
            low, high = _range()
        if classes or causes or (low, high) != EVERYTHING:
            buttons.button("Clear filters", on_click=address.forget, args=FILTERS, icon=":material/filter_alt_off:")
    return selection_of(
        run, measure, adversarial, counted, normaliser, part=part, classes=classes, causes=causes, low=low, high=high
    )


def selection_of(
    run: Run,
    measure: str | None = None,
    adversarial: bool = False,
    counted: int | None = None,
    normaliser: NormaliserName | None = None,
    *,
    part: int = TRAIN,
    classes: Sequence[str] = (),
    causes: Sequence[str] = (),
    low: float = 0.0,
    high: float = 1.0,
) -> Selection:
    """The selection these choices give; without any, all training images by the run's own measure, T and scale."""
    config, epochs, facts = run.config()["config"], store.committed(run), store.facts(run)
    if measure is None:
        measure, adversarial = own_difficulty(config)
    counted = min(counted_by(config), epochs) if counted is None else counted
    values = store.scores(run, counted, measure, adversarial)
    normaliser = normaliser or own_normaliser(config)
    difficulty = store.difficulty(values, measure, normaliser, facts.ids(TRAIN))
    filtered = _filtered(facts, part, classes, causes)
    chosen = filtered
    if (low, high) != EVERYTHING:
        chosen = filtered[(difficulty[filtered] >= low - 1e-9) & (difficulty[filtered] <= high + 1e-9)]
    tie_break = store.scores(run, counted, "cross_entropy", adversarial)[chosen]
    return Selection(
        run=run,
        config=config,
        facts=facts,
        epochs=epochs,
        counted=counted,
        measure=measure,
        adversarial=adversarial,
        normaliser=normaliser,
        values=values,
        difficulty=difficulty,
        filtered=filtered,
        order=chosen[np.lexsort((chosen, -tie_break, -difficulty[chosen]))],
        part=part,
        low=low,
        high=high,
    )


def _measure(run: Run, config: dict[str, Any]) -> tuple[str, bool]:
    own_measure, own_adversarial = own_difficulty(config)
    measures = [*MEASURES, *store.imported(run)]
    asked = st.session_state.get("measure")
    if asked is not None and asked not in measures:
        st.warning(
            f"There are no scores {escape(str(asked)[:40])} for these images (any more); another measure is shown."
        )
    address.bind("measure", own_measure, lambda name: name in measures)
    measure: str = st.selectbox(
        "Measure",
        measures,
        format_func=name_of,
        key="measure",
        persist_state="session",
        width=180,
        help="How difficulty is counted. The article's is 0-1: how often an image was wrong in the first T epochs.",
    )
    attacks = config["phases"][0]["objective"] or config["objective"]
    if attacks["kind"] == "standard" or store.is_imported(measure):
        return measure, False
    address.bind("seen", ATTACKED if own_adversarial else CLEAN, lambda signal: signal in (CLEAN, ATTACKED))
    signal = st.segmented_control(
        "Seen on",
        [CLEAN, ATTACKED],
        required=True,
        key="seen",
        persist_state="session",
        help="Clean images after each epoch, or the attacked ones of training (training images only).",
    )
    return measure, signal == ATTACKED


def own_difficulty(config: dict[str, Any]) -> tuple[MeasureName, bool]:
    """The measure a run smooths by, and whether it is counted on attacked images."""
    own = config.get("difficulty", {})
    return own.get("measure", "zero_one"), bool(own.get("adversarial", False))


def own_normaliser(config: dict[str, Any]) -> NormaliserName:
    """How a run scales its measure to difficulty."""
    own: NormaliserName = config.get("difficulty", {}).get("normaliser", "min_max")
    return own


def _normaliser(config: dict[str, Any]) -> NormaliserName:
    address.bind("scale", own_normaliser(config), lambda name: name in SCALE_NAMES)
    chosen: NormaliserName | None = st.segmented_control(
        "Scale",
        list(SCALE_NAMES),
        format_func=lambda name: SCALE_NAMES[name],
        required=True,
        key="scale",
        persist_state="session",
        help="min-max, as in the article, keeps the measure's shape; rank spreads difficulty evenly, its mean is 1/2.",
    )
    return chosen or own_normaliser(config)


def counted_by(config: dict[str, Any]) -> int:
    """T of the run: epochs before its last phase, or all of a single phase."""
    ends = [int(phase["until"]) for phase in config["phases"]]
    return ends[-2] if len(ends) > 1 else ends[-1]


def _counted(config: dict[str, Any], epochs: int) -> int:
    if epochs == 1:
        return 1
    address.bind("T", min(counted_by(config), epochs), lambda counted: 1 <= counted <= epochs)
    counted = st.slider(
        "T, epochs counted",
        1,
        epochs,
        key="T",
        persist_state="session",
        width=210,
        help=f"Difficulty is counted over the first T epochs. This run itself uses T = {counted_by(config)}.",
    )
    return int(counted)


def _part() -> int:
    address.bind("images", PARTS[TRAIN], lambda name: name in PARTS)
    return PARTS.index(
        st.segmented_control("Images", PARTS, required=True, key="images", persist_state="session") or PARTS[TRAIN]
    )


def _filters(facts: store.Facts, part: int) -> tuple[list[str], list[str]]:
    address.bind("class", [], lambda names: set(names) <= set(facts.classes))
    classes = st.multiselect("Class", facts.classes, key="class", persist_state="session", placeholder="all")
    causes: list[str] = []
    planted = [*facts.causes[1:], UNPLANTED]
    if len(planted) > 1 and part == TRAIN:
        address.bind("cause", [], lambda names: set(names) <= set(planted))
        causes = st.multiselect(
            "Planted cause",
            planted,
            key="cause",
            persist_state="session",
            placeholder="all",
            help="Some training images were made hard on purpose, so that one can check what difficulty finds.",
        )
    return classes, causes


def _range() -> tuple[float, float]:
    address.bind("range", EVERYTHING, lambda r: 0 <= r[0] <= r[1] <= 1)
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


def _filtered(facts: store.Facts, part: int, classes: Sequence[str], causes: Sequence[str]) -> NDArray[np.int64]:
    mask = facts.part == part
    if classes:
        mask &= np.isin(facts.labels, [facts.classes.index(name) for name in classes])
    if causes:
        mask &= np.isin(facts.cause, [facts.causes.index("" if name == UNPLANTED else name) for name in causes])
    return np.flatnonzero(mask)
