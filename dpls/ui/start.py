"""The form that starts a run: settings, cost, the button. Torch is loaded for the cost, below the form."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dpls.data import Data
from dpls.data.found import Found
from dpls.disk import size_in_words
from dpls.errors import UserError
from dpls.jobs.estimate import Duration, estimate, in_words
from dpls.jobs.launchers import launcher
from dpls.recipe import (
    SIZED,
    RunConfig,
    assignments,
    fitting,
    make_config,
    preset_names,
    preset_title,
    read_settings,
    sized,
)
from dpls.runs.files import data_root, runs_root
from dpls.ui import address, background, bring_model, described, manage, store
from dpls.ui.form import Form
from dpls.ui.frame import escape, loading_torch

TABS = {
    "Data": ("data", "augmentation"),
    "Network": ("net",),
    "Training": ("eps", "seed", "attack_warmup", "objective", "optimiser", "schedule", "keep_every"),
    "Phases and smoothing": ("phases", "difficulty", "observing"),
    "Evaluation": ("selection", "evaluations", "evaluate_also"),
    "Machine": ("precision", "device"),
}
"""Every setting of a run, once."""
IMAGES = "images of the form"
"""In the session: how many images the form is cut to."""
STARTED = "run started last"
FORM = "form of a run"
"""In the session: the base of the form at hand, the assignments it began with, those in the address, and how many forms
the address has asked for."""


def base_settings(base: str, lambda_min: float | None, images: int = 0) -> RunConfig:
    """The settings a form starts from: a preset's or an earlier run's, the last phase smoothed as asked.

    ``images``: how many a person's own source holds, where the preset goes by it.
    """
    if base in preset_names():
        settings = read_settings(base)
        config = make_config(sized(settings, images) if images else settings)
    else:
        run = next((run for run in store.trained_here() if run.id == base), None)
        if run is None:
            raise UserError(f"there is no run {base[:40]!r} here to start from; choose a preset or another run")
        config = run.recipe()
        if config.loaded and config.elsewhere:
            config = continued(config)
    if lambda_min is None:
        return config
    settings = config.model_dump(mode="json")
    phases = settings["phases"]
    if len(phases) == 1:  # DPLS needs a phase to count in
        phases.insert(0, phases[0] | {"until": max(1, round(0.8 * phases[0]["until"]))})
    phases[-1]["factors"] = {"kind": "dpls", "lambda_min": lambda_min}
    return make_config(settings)


def continued(config: RunConfig) -> RunConfig:
    """The settings of a run of loaded weights, with a phase behind them in which it is trained on."""
    more = max(5, config.epochs)
    phases = [*config.model_dump(mode="json")["phases"], {"until": config.epochs + more}]
    return make_config(config.model_dump(mode="json", exclude={"objective"}) | {"phases": phases})


def form() -> None:
    """What a run starts from, its settings, its cost and the button. The address keeps all of it."""
    if started := st.session_state.pop("started", None):
        st.session_state["watched"] = st.session_state[STARTED] = started
        st.session_state["label"] = ""
    base, label = _ask_base()
    action = st.container(key="start")  # above the settings, so that it stays in sight when they are opened
    config = _ask_settings(base, action)
    with action:
        offer(config, label)
    bring_model.offer(config, label)


def _ask_base() -> tuple[str, str]:
    """A preset or an earlier run, and the label of the new one."""
    runs = {run.id: run for run in store.trained_here()}
    names = sorted(preset_names(), key=lambda name: (not name.startswith("demo"), not name.startswith("your")))
    presets = f"presets are {', '.join(names)}"
    address.bind("from", names[0], lambda name: name in names or name in runs, presets)
    address.bind("lambda", None, lambda value: value is None or 0 < value <= 1, "above 0, up to 1")
    address.bind("label", "", lambda _: True)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    base = left.selectbox(
        "Start from",
        [*names, *runs],
        format_func=lambda name: f"settings of {store.name_of(runs[name])}" if name in runs else f"preset {name}",
        key="from",
        persist_state="session",
        on_change=address.forget,
        args=address.OF_A_FORM,
        help="A preset, or an earlier run's settings. What two runs have in common at the start is trained once.",
    )
    label = right.text_input(
        "Label", key="label", persist_state="session", placeholder="a name of your own", max_chars=80
    )
    if base in names:
        st.caption(escape(preset_title(base)))
    return base, label


def _ask_settings(base: str, action: DeltaGenerator) -> RunConfig | None:
    """All settings; checked, or None where something is wrong, which is then said beside the button."""
    lambda_min = st.session_state["lambda"]
    images = st.session_state.get(IMAGES, 0) if base in SIZED else 0
    values = base_settings(base, lambda_min, images).model_dump(mode="json")
    if lambda_min is not None:
        st.caption(f"The last phase smooths by DPLS with lambda\\_min = {lambda_min:g}.")
    drawn, begun = _form(f"{base}/{lambda_min}/{f'{images}/' if images else ''}", values)
    settings: dict[str, Any] = {}
    own_images = "path" in begun["data"]["source"]  # which has to be typed, and is wanted in sight
    last = st.session_state.get(STARTED)  # after a start they close, so that what runs is seen
    with st.expander("All settings", key=f"settings {own_images} {last}", expanded=own_images and not last):
        for tab, group in zip(st.tabs(list(TABS)), TABS.values(), strict=True):
            with tab:
                settings |= drawn.fields(RunConfig, group, begun)
    _keep(assignments(values, settings), action)
    try:
        config = make_config(settings)
    except UserError as error:
        action.error(escape(str(error)) + ".", icon=":material/error:")
        return None
    if base in SIZED:
        _cut_to(config, images)
    return config


def _cut_to(config: RunConfig, images: int) -> None:
    """Draws the form again where the images are not as many as it was cut to."""
    try:
        found = found_in(config.data.model_dump_json()) if getattr(config.data.source, "path", "") else None
    except UserError:
        return  # said beside the button
    count = found.training if found else 0
    if count != images:
        st.session_state[IMAGES] = count
        st.rerun()


def _form(prefix: str, values: dict[str, Any]) -> tuple[Form, dict[str, Any]]:
    """The form at hand and what it begins with; another one where the address says other settings than it did last."""
    address.bind("set", [], lambda _: True)
    base, begun, said, number = st.session_state.get(FORM, (prefix, [], [], 0))
    asked = st.session_state["set"]
    if prefix != base:
        begun = asked
    found, refused = fitting(values, asked if asked != said else begun)
    if asked != said:
        begun, number = asked, number + 1
        for sentence in refused:
            address.remark(f"The link asks for a setting that is left out: {sentence.removeprefix('--set ')}")
    st.session_state[FORM] = prefix, begun, asked, number
    return Form(f"{prefix}{number}/" if number else prefix), found


def _keep(said: list[str], action: DeltaGenerator) -> None:
    """What differs from the base goes into the address, the same words as in a terminal."""
    if sum(map(len, said)) > address.MOST_LETTERS:
        action.caption("These settings are too long for the address of the page; a reload would lose them.")
        said = []
    st.session_state["set"] = said
    base, begun, _, number = st.session_state[FORM]
    st.session_state[FORM] = base, begun, said, number


def start(config: RunConfig, label: str) -> None:
    """A new run that is worked on; what is refused is said, and the form stays as it is."""

    def action() -> dict[str, str]:
        from dpls.jobs.submission import submit

        run = submit(config, runs_root(), label)
        launcher().submit(run)
        return {"started": run.id}

    background.start(action, "run", config)


@st.cache_data(ttl=30, max_entries=50, show_spinner=False)
def look(settings: str, known: tuple[int, ...]) -> Duration | None:  # noqa: ARG001
    """The estimate for a configuration as JSON. known: changes with what an estimate is made from."""
    return estimate(RunConfig.model_validate_json(settings), store.all_runs(), data_root(runs_root()))


@st.cache_data(ttl=30, max_entries=50, show_spinner=False)
def found_in(data: str) -> Found | None:
    """What lies where the source of data settings, as JSON, looks; it may mean looking through many files."""
    return Data.model_validate_json(data).source.found()


def _known() -> tuple[int, ...]:
    """Changes with the images that have been read and with the runs whose speed is known."""
    manifests = [run.manifest_file for run in store.all_runs()]
    return tuple(store.changed(file) for file in (data_root(runs_root()), *manifests))


def offer(config: RunConfig | None, label: str) -> None:
    """What it will cost, and the button; a source that is not there is said before anybody presses it."""
    cost, found, hint = None, None, ""
    if config and getattr(config.data.source, "path", None) == "":
        config, hint = None, "First type the path of your images below, under Data."
    if config:
        try:
            with loading_torch():
                found = found_in(config.data.model_dump_json())
                cost = look(config.model_dump_json(), _known())
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
        if hint:
            st.markdown(f":material/folder_open: {hint}")
        elif cost:
            st.caption(
                f"About {in_words(cost.seconds)}, {escape(cost.basis)}. It needs {size_in_words(cost.size)} of disk."
            )
        elif config:
            st.caption("How long it takes is known once it runs: its images have not been read yet.")
    capacity = launcher().capacity()
    if set(capacity.slots) <= set(capacity.busy):
        st.caption("Another run is at work on this machine; a new one waits its turn.")
    manage.show_refusal()
