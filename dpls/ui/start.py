"""The form that starts a run: settings, cost, the button. Torch is loaded for the cost, below the form."""

from typing import Any

import streamlit as st

from dpls.data.found import Found
from dpls.errors import UserError
from dpls.jobs.estimate import Duration, estimate, in_words
from dpls.jobs.launchers import launcher
from dpls.recipe import RunConfig, make_config, preset_names, preset_title, read_settings
from dpls.runs.files import data_root, runs_root
from dpls.ui import address, background, described, manage, store
from dpls.ui.form import Form
from dpls.ui.frame import escape, loading_torch

TABS = {
    "Data": ("data", "augmentation"),
    "Network": ("net",),
    "Training": ("eps", "seed", "objective", "optimiser", "schedule"),
    "Phases and smoothing": ("phases", "difficulty", "observing"),
    "Evaluation": ("selection", "evaluations", "evaluate_also"),
    "Machine": ("precision", "device"),
}
"""Every setting of a run, once."""


def base_settings(base: str, lambda_min: float | None) -> RunConfig:
    """The settings a form starts from: a preset's or an earlier run's, the last phase smoothed as asked."""
    if base in preset_names():
        config = make_config(read_settings(base))
    else:
        run = next((run for run in store.all_runs() if run.id == base), None)
        if run is None:
            raise UserError(f"there is no run {base[:40]!r} here to start from; choose a preset or another run")
        config = run.recipe()
    if lambda_min is None:
        return config
    settings = config.model_dump(mode="json")
    phases = settings["phases"]
    if len(phases) == 1:  # DPLS needs a phase to count in
        phases.insert(0, phases[0] | {"until": max(1, round(0.8 * phases[0]["until"]))})
    phases[-1]["factors"] = {"kind": "dpls", "lambda_min": lambda_min}
    return make_config(settings)


def ask() -> tuple[RunConfig | None, str]:
    """The form; the checked configuration, or None where something is wrong, which is then said; and the label."""
    if started := st.session_state.pop("started", None):  # what was just started stays in form and address
        st.session_state["from"] = st.session_state["watched"] = started
        address.forget("lambda")
    runs = {run.id: run for run in store.all_runs() if store.readable(run)}
    names = sorted(preset_names(), key=lambda name: (not name.startswith("demo"), not name.startswith("your")))
    address.bind("from", names[0], lambda name: name in names or name in runs)
    address.bind("lambda", None, lambda value: value is None or 0 < value <= 1)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    base = left.selectbox(
        "Start from",
        [*names, *runs],
        format_func=lambda name: f"settings of {store.name_of(runs[name])}" if name in runs else f"preset {name}",
        key="from",
        persist_state="session",
        on_change=address.forget,
        args=("lambda",),
        help="A preset, or an earlier run's settings. What two runs have in common at the start is trained once.",
    )
    if base in names:
        st.caption(escape(preset_title(base)))
    lambda_min = st.session_state["lambda"]
    label = right.text_input("Label", key="label", placeholder="a name of your own", max_chars=80)
    values = base_settings(base, lambda_min).model_dump(mode="json")
    if lambda_min is not None:
        st.caption(f"The last phase smooths by DPLS with lambda\\_min = {lambda_min:g}.")
    form = Form(f"{base}/{lambda_min}/")
    settings: dict[str, Any] = {}
    waits = values["data"]["source"].get("path") == ""  # nothing goes on before somebody has typed it
    with st.expander("All settings", key=f"settings {waits}", expanded=waits):
        for tab, group in zip(st.tabs(list(TABS)), TABS.values(), strict=True):
            with tab:
                settings |= form.fields(RunConfig, group, values)
    try:
        return make_config(settings), label
    except UserError as error:
        st.error(escape(str(error)) + ".", icon=":material/error:")
        return None, label


def start(config: RunConfig, label: str) -> None:
    """A new run that is worked on; what is refused is said, and the form stays as it is."""

    def action() -> dict[str, str]:
        from dpls.jobs.submission import submit

        run = submit(config, runs_root(), label)
        launcher().submit(run)
        return {"started": run.id}

    background.start(action, "run", config)


@st.cache_data(ttl=30, max_entries=50, show_spinner=False)
def look(settings: str) -> tuple[Duration | None, Found | None]:
    """The estimate for a configuration as JSON, and what its folder holds; both may mean looking through many files."""
    config = RunConfig.model_validate_json(settings)
    found = config.data.source.found()
    return estimate(config, store.all_runs(), data_root(runs_root())), found


def offer(config: RunConfig | None, label: str) -> None:
    """What it will cost, and the button; a source that is not there is said before anybody presses it."""
    cost, found = None, None
    if config:
        try:
            with loading_torch():
                cost, found = look(config.model_dump_json())
        except UserError as error:
            st.error(escape(str(error)) + ".", icon=":material/error:")
            config = None
    described.show_found(found)
    if config and config.data.probes and not config.data.source.is_embedded:
        share = sum(probe.share for probe in config.data.probes)
        st.warning(
            f"{len(config.data.probes)} causes of difficulty will be planted in {share:.0%} of the training images,"
            " wrong labels among them. To leave the images as they are, set how many probes to 0.",
            icon=":material/warning:",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=config is None) and config:
            start(config, label)
            st.rerun()
        if cost:
            st.caption(f"About {in_words(cost.seconds)}, {escape(cost.basis)}.")
        elif config:
            st.caption("How long it takes is known once it runs: its images have not been read yet.")
    capacity = launcher().capacity()
    if set(capacity.slots) <= set(capacity.busy):
        st.caption("Another run is at work on this machine; a new one waits its turn.")
    manage.show_refusal()
