"""The form that starts an experiment: a base, settings, cost. Torch is loaded for the cost, below the form."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from dpls.errors import UserError
from dpls.experiments import conduct
from dpls.experiments.base import Experiment
from dpls.experiments.kinds import PRESETS, make_experiment
from dpls.jobs.launchers import launcher
from dpls.recipe import RunConfig, preset_names, preset_title, read_settings
from dpls.runs.directory import Run
from dpls.runs.files import data_root, runs_root
from dpls.ui import background, manage, store
from dpls.ui.form import Form
from dpls.ui.frame import escape, loading_torch, shielded

if TYPE_CHECKING:
    from dpls.experiments.cost import Rate


@st.fragment
def offer(kind: type[Experiment], run: Run | None = None, wished: dict[str, Any] | None = None) -> None:
    """Asks for an experiment of a kind, says what it costs, starts it. Of its own, so that results stay meanwhile.

    ``run``: whose settings are proposed as the base, before any preset; ``wished``: values to begin with.
    """
    with shielded():
        _offer(kind, run, wished or {})


def _offer(kind: type[Experiment], run: Run | None, wished: dict[str, Any]) -> None:
    own = [r for r in store.trained_here() if not r.is_recorded]
    runs = {r.id: r for r in ([run] if run else []) + own}
    base = _base(kind, run, runs)
    values = _defaults(kind) | kind.presets.get(base, {}) | wished
    try:
        settings = {
            "kind": kind.name(),
            "base": runs[base].config()["config"] if base in runs else read_settings(PRESETS.get(base, base)),
            **_settings(kind, f"{kind.name()}/{base}/{wished}/", values),
        }
        experiment = make_experiment(settings)
    except UserError as error:
        st.error(escape(str(error)) + ".", icon=":material/error:")
        return
    _cost_and_start(experiment)


def _base(kind: type[Experiment], run: Run | None, runs: dict[str, Run]) -> str:
    """What its runs train: the name of a preset, or the id of a run; the first of all is the proposed run."""
    known = {*PRESETS, *PRESETS.values()}
    presets = [*PRESETS, *(name for name in preset_names() if name not in known)]
    bases = [*([run.id] if run else []), *presets, *(ident for ident in runs if run is None or ident != run.id)]
    key = f"base {kind.name()}" + (f" {run.id}" if run else "")
    if st.session_state.get(key) not in bases:
        st.session_state[key] = bases[0]
    base = st.selectbox(
        "Preset",
        bases,
        format_func=lambda name: f"settings of {store.name_of(runs[name])}" if name in runs else name,
        key=key,
        help="What its runs train: data, network, objective, epochs. A preset, or a run's settings.",
    )
    if base not in runs:
        st.caption(escape(preset_title(PRESETS.get(base, base))))
    return base


def _settings(kind: type[Experiment], prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the form says beside the base; what is not asked first stands behind a click."""
    form = Form(prefix)
    settings = form.fields(kind, kind.asked_first, values)
    rest = [name for name in kind.model_fields if name not in (*kind.asked_first, "kind", "base")]
    if rest:
        with st.expander("More settings", key="more"):
            settings |= form.fields(kind, rest, values)
    return settings


def _defaults(kind: type[Experiment]) -> dict[str, Any]:
    fields = {name: field.get_default() for name, field in kind.model_fields.items() if not field.is_required()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def _cost_and_start(experiment: Experiment) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Start", type="primary", icon=":material/play_arrow:", key="start experiment")
        words = st.empty()
    manage.show_refusal()
    if pressed:
        start(experiment)
        st.rerun()
    with words:
        st.caption(escape(_cost(experiment)))


def _cost(experiment: Experiment) -> str:
    if experiment.base.data.known(data_root(runs_root())) is None and not experiment.base.data.source.is_embedded:
        return f"{len(experiment.plan())} runs. How long they take is known once the images have been read."
    with loading_torch():
        from dpls.experiments.cost import cost, said_of_ties
    with st.spinner("Timing a few steps …"):
        rates: dict[str, Rate] = {
            config.objective.kind: _measure(config.model_dump_json())
            for config in {run.config.objective.kind: run.config for run in experiment.plan()}.values()
        }
    return " ".join([cost(experiment, runs_root(), rates).in_words, *said_of_ties(experiment, runs_root())])


@st.cache_data(ttl=600, max_entries=20, show_spinner=False)
def _measure(settings: str) -> "Rate":
    from dpls.experiments.cost import measure

    config = RunConfig.model_validate_json(settings)
    return measure(config, config.data(data_root(runs_root()))[0])


def start(experiment: Experiment) -> None:
    """Lays out its runs and starts them; the form closes, so that what runs is seen."""

    def action() -> dict[str, str]:
        from dpls.experiments.cost import check_room_for

        check_room_for(experiment, runs_root())
        started = conduct.start(experiment, runs_root(), launcher())
        return {"started experiment": started.id, "close": f"start {started.kind}"}

    background.start(action, "experiment", experiment.base)
