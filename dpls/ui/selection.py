"""Which run, which measure, which T and which examples: one selection for all result pages, kept in the URL.

Every widget here is bound to a query parameter of its own name, so any view can be sent as a link and survives a
change of page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dpls.data import PARTS, TRAIN
from dpls.difficulty import MEASURES, MeasureName, NormaliserName
from dpls.errors import UserError
from dpls.runs import Run
from dpls.ui import store
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
UNPLANTED = "none planted"
OF_A_RUN = ("T", "class", "cause", "range", "id", "page", "lambda_min")
"""Query parameters that mean something only for one run."""


@dataclass(frozen=True, eq=False)
class Selection:
    """What the sidebar says. Arrays are (N,) by id."""

    run: Run
    config: dict[str, Any]
    facts: store.Facts
    epochs: int
    counted: int
    measure: MeasureName
    adversarial: bool
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
        return MEASURE_NAMES[self.measure] + (", attacked" if self.adversarial else "")

    def rank(self, example: int) -> tuple[int, int]:
        """Its place from the hardest among its part, counted from 1, and how many there are."""
        ids = self.facts.ids(self.part if self.facts.part[example] == self.part else int(self.facts.part[example]))
        scores = self.difficulty[ids]
        return int((scores > self.difficulty[example]).sum()) + 1, int((~np.isnan(scores)).sum())


def choose_run() -> Run:
    """The run picker of the sidebar. A link to a run that is gone shows another one, and says so."""
    runs = {run.id: run for run in store.all_runs() if store.readable(run)}
    asked = st.session_state.get("run") or st.query_params.get("run")
    if asked not in runs:
        if asked is not None:
            st.warning(
                f"There is no run {escape(str(asked)[:40])} here (any more), or it cannot be read; another is shown.",
                icon=":material/search_off:",
            )
        finished = [ident for ident, run in runs.items() if run.status()["state"] == "done" and store.committed(run)]
        asked = (finished or list(runs))[0]
    # Set rather than left to the widget's default: a default is dropped from the address, and a link must say which
    # run it means.
    st.session_state["run"] = asked
    with st.sidebar:
        chosen = st.selectbox(
            "Run",
            list(runs),
            index=None,
            format_func=lambda ident: store.name_of(runs[ident]) if ident in runs else str(ident),
            key="run",
            bind="query-params",
            on_change=_forget_the_old_run,
        )
    return runs[chosen or asked]


def _forget_the_old_run() -> None:
    for name in OF_A_RUN:
        st.session_state.pop(name, None)


def select() -> Selection:
    """Draws the sidebar; raises UserError with the next step where the run has nothing to show yet."""
    run = choose_run()
    config = run.config()["config"]
    epochs = store.committed(run)
    if not epochs:
        raise UserError(
            f"run {store.name_of(run)} has not finished an epoch yet (it is {run.state()}); watch it on the page Train,"
            " or choose another run"
        )
    facts = store.facts(run)
    with st.sidebar:
        measure, adversarial = _measure(config)
        counted = _counted(config, epochs)
        part = _part()
        classes, causes = _filters(facts, part)
        low, high = _range()
    return selection_of(
        run, measure, adversarial, counted, part=part, classes=classes, causes=causes, low=low, high=high
    )


def selection_of(
    run: Run,
    measure: MeasureName = "zero_one",
    adversarial: bool = False,
    counted: int | None = None,
    *,
    part: int = TRAIN,
    classes: Sequence[str] = (),
    causes: Sequence[str] = (),
    low: float = 0.0,
    high: float = 1.0,
) -> Selection:
    """The selection these choices give; without any, all training images by the run's own T."""
    config, epochs, facts = run.config()["config"], store.committed(run), store.facts(run)
    counted = min(counted_by(config), epochs) if counted is None else counted
    values = store.scores(run, counted, measure, adversarial)
    normaliser: NormaliserName = config.get("difficulty", {}).get("normaliser", "min_max")
    difficulty = store.difficulty(values, measure, normaliser, facts.ids(TRAIN))
    filtered = _filtered(facts, part, classes, causes)
    chosen = filtered
    if (low, high) != (0.0, 1.0):
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
        values=values,
        difficulty=difficulty,
        filtered=filtered,
        order=chosen[np.lexsort((chosen, -tie_break, -difficulty[chosen]))],
        part=part,
        low=low,
        high=high,
    )


def _measure(config: dict[str, Any]) -> tuple[MeasureName, bool]:
    measure: MeasureName = st.selectbox(
        "Measure",
        list(MEASURES),
        format_func=lambda name: MEASURE_NAMES[name],
        key="measure",
        bind="query-params",
        help="How difficulty is counted. The article's is 0-1: how often an image was wrong in the first T epochs.",
    )
    attacks = config["phases"][0]["objective"] or config["objective"]
    if attacks["kind"] == "standard":
        return measure, False
    signal = st.segmented_control(
        "Seen on",
        [CLEAN, ATTACKED],
        default=CLEAN,
        required=True,
        key="seen",
        bind="query-params",
        help="Clean images after each epoch, or the attacked ones of training (training images only).",
    )
    return measure, signal == ATTACKED


def counted_by(config: dict[str, Any]) -> int:
    """T of the run: epochs before its last phase, or all of a single phase."""
    ends = [int(phase["until"]) for phase in config["phases"]]
    return ends[-2] if len(ends) > 1 else ends[-1]


def _counted(config: dict[str, Any], epochs: int) -> int:
    default = min(counted_by(config), epochs)
    if epochs == 1:
        return 1
    return int(
        st.slider(
            "T, epochs counted",
            1,
            epochs,
            default,
            key="T",
            bind="query-params",
            help=f"Difficulty is counted over the first T epochs. This run itself uses T = {counted_by(config)}.",
        )
    )


def _part() -> int:
    name = st.segmented_control("Images", PARTS, default=PARTS[TRAIN], required=True, key="images", bind="query-params")
    return PARTS.index(name or PARTS[TRAIN])


def _filters(facts: store.Facts, part: int) -> tuple[list[str], list[str]]:
    classes = st.multiselect("Class", facts.classes, key="class", bind="query-params", placeholder="all")
    causes: list[str] = []
    planted = facts.causes[1:]
    if planted and part == TRAIN:
        causes = st.multiselect(
            "Planted cause",
            [*planted, UNPLANTED],
            key="cause",
            bind="query-params",
            placeholder="all",
            help="Some training images were made hard on purpose, so that one can check what difficulty finds.",
        )
    return classes, causes


def _range() -> tuple[float, float]:
    low, high = st.slider(
        "Difficulty from, to",
        0.0,
        1.0,
        (0.0, 1.0),
        0.01,
        key="range",
        bind="query-params",
        help="0 is the easiest training image, 1 the hardest. Drag across the histogram to set it.",
    )
    if (low, high) != (0.0, 1.0):
        st.button("All difficulties", on_click=set_range, args=(0.0, 1.0), icon=":material/filter_alt_off:")
    return low, high


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
