"""The forms that start an evaluation, or several at a grid of eps. Torch is loaded for what one will cost."""

from pathlib import Path
from typing import Any

import streamlit as st

from dpls.component import parse_fraction, show_exactly, show_fraction
from dpls.data import PARTS
from dpls.errors import UserError
from dpls.evaluations.base import evaluation_name
from dpls.jobs.estimate import evaluation_seconds, in_words
from dpls.jobs.launchers import ask_for
from dpls.jobs.wanted import Wanted, asked, attack_of
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.ui import manage, store
from dpls.ui.frame import escape, loading_torch, read_only
from dpls.ui.judged import View

ATTACKS = {
    "pgd20": "PGD-20: the article's, quick, can be fooled",
    "pma": "PMA: 100 steps along the margin of probabilities",
    "margins": "Margins: what judges here",
    "a3": "A3: as strong as AutoAttack, a fraction of its passes",
    "autoattack-light": "AutoAttack light: a short ladder for CPUs",
    "autoattack": "AutoAttack standard: what papers report, slow",
    "rays": "RayS: sees labels alone, and how far errors are",
    "checks": "Checks: do the gradients tell, for the trust card",
    "apgd-ce": "APGD-CE alone",
    "apgd-dlr": "APGD-DLR alone",
    "apgd-t": "APGD-T alone",
    "fab": "FAB alone",
    "fab-t": "FAB-T alone",
    "square": "Square alone: queries, no gradients",
}
"""By short name, from what one starts with to what few need."""
GRID_ATTACKS = {"pma20": "PMA, 20 steps", "margins": "Margins"}
GRID = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Of the run's eps."""
SAMPLES = (100, 200, 500, 1000, 2000, 5000)
FORM, GRID_FORM = "evaluate", "grid of eps"


def refusal(run: Run) -> str:
    """Why nothing can be evaluated here, and what to do; nothing where it can."""
    if run.is_recorded:
        return (
            "This run came with the app, without its checkpoints, so no other attack can look at it; train its preset"
            " on the page Train, then evaluate that run."
        )
    if read_only():
        return "This app only shows runs (DPLS_READONLY is set); start one without it to evaluate."
    if (state := run.state()) != "done":
        return f"This run is {store.STATES[state]}; it can be evaluated once it is done."
    if not any(run.checkpoints.glob("*.safetensors")):
        return "The checkpoints of this run are gone, so it cannot be evaluated; train it again from its settings."
    return ""


def offer(view: View) -> None:
    """The form behind a click; it closes once an evaluation has been asked for."""
    if reason := refusal(view.run):
        st.caption(escape(reason))
        return
    if st.session_state.pop("close evaluate", False):
        st.session_state[FORM] = False
    with st.expander("Start an evaluation", key=FORM, icon=":material/play_arrow:", on_change="rerun") as form:
        if form.open:
            _form(view)
    manage.show_refusal()


def _form(view: View) -> None:
    left, middle, right = st.columns([3, 1, 1], vertical_alignment="bottom")
    attack = left.selectbox("Attack", list(ATTACKS), 2, format_func=ATTACKS.__getitem__, key="new attack")
    with middle:
        count = _ask_images(view, "new images")
    own = show_exactly(view.run.recipe().eps)
    eps = right.text_input("eps", own, key=f"new eps {view.run.id}", help="8/255 may be written.").strip()
    _start(view, [(attack, eps or own)], count, f"for the {view.checkpoint} checkpoint")


def _ask_images(view: View, key: str) -> int | None:
    """How many; None: all."""
    total = _total(view)
    chosen = st.selectbox(
        view.images.capitalize(),
        [0, *(count for count in SAMPLES if count < total)],
        format_func=lambda count: f"a sample of {count:,}" if count else f"all {total:,}",
        key=key,
        help="A sample is drawn by chance, always the same, classes in proportion. A smaller one is part of a larger.",
    )
    return chosen or None


def grid(view: View) -> None:
    """Offers a cheap attack at several eps, for a curve."""
    if refusal(view.run):
        return
    if st.session_state.pop(f"close {GRID_FORM}", False):
        st.session_state[GRID_FORM] = False
    with st.expander(
        "Evaluate at a grid of eps", key=GRID_FORM, icon=":material/show_chart:", on_change="rerun"
    ) as form:
        if form.open:
            left, right = st.columns(2, vertical_alignment="bottom")
            names = list(GRID_ATTACKS)
            attack = left.selectbox("Attack", names, format_func=GRID_ATTACKS.__getitem__, key="grid attack")
            with right:
                count = _ask_images(view, "grid images")
            own = view.run.recipe().eps
            radii = [show_exactly(own) if k == 1 else show_fraction(min(1.0, k * own)) for k in GRID]
            st.caption(f"At eps {', '.join(radii)}: {', '.join(f'{k:g}' for k in GRID)} times the run's.")
            _start(view, [(attack, eps) for eps in dict.fromkeys(radii)], count, "for all of them", GRID_FORM)


def _total(view: View) -> int:
    """How many images the part has."""
    return len(store.facts(view.run).ids(PARTS.index(view.part)))


def _start(view: View, attacks: list[tuple[str, str]], count: int | None, what: str, form: str = FORM) -> None:
    """What it will cost, and the button."""
    meant: list[Wanted] = []
    try:
        meant = [_meant(view, attack, eps, count) for attack, eps in attacks]
        with loading_torch():
            seconds = [_seconds(view.run, one, count or _total(view)) for one in meant]
    except UserError as error:
        choices = ". PGD, PMA, margins, A3 and RayS need no other package" if "package" in str(error) else ""
        st.error(escape(f"{str(error)[:1].upper()}{str(error)[1:]}{choices}."), icon=":material/error:")
        meant, seconds = [], []
    left = [one for one in meant if _name(view, one) not in view.made]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Start",
            type="primary",
            key=f"start {form}",
            icon=":material/play_arrow:",
            disabled=not left,
            on_click=_ask,
            args=(view.run, left, form),
        )
        if meant and not left:
            st.caption("This has been made already; the ladder below shows it.")
        elif known := [s for one, s in zip(meant, seconds, strict=True) if s is not None and one in left]:
            st.caption(f"About {in_words(sum(known))} {what}, by the speed this run was trained at.")
        elif meant:
            st.caption("How long it takes is known once it runs: nothing says how fast this run was trained.")


def _meant(view: View, attack: str, eps: str, count: int | None) -> Wanted:
    if not isinstance(parse_fraction(eps), float):
        raise UserError(f"eps: {eps[:40]!r} is not a number; write 8/255 or 0.03")
    return asked(view.run, attack, [f"eps={eps}"], view.checkpoint, view.part, count)


def _name(view: View, one: Wanted) -> str:
    """What it is called once made: a sample of all is no sample."""
    attack, part = attack_of(view.run, one.settings), PARTS.index(one.part)
    sampled = one.images is not None and one.images < _total(view)
    return evaluation_name(attack, one.checkpoint, part, one.images if sampled else None)


def _seconds(run: Run, one: Wanted, images: int) -> float | None:
    attack = attack_of(run, one.settings)
    return _estimate(run.path, attack.model_dump_json(), images, store.changed(run.manifest_file), attack)


@st.cache_data(max_entries=200, show_spinner=False)
def _estimate(path: Path, settings: str, images: int, changed: int, _attack: Any) -> float | None:  # noqa: ARG001
    run = Run(path)
    return evaluation_seconds(run, _attack, images, data_root(path.parent))


def _ask(run: Run, meant: list[Wanted], form: str) -> None:
    """For a callback."""
    st.session_state[f"close {form}"] = True

    def ask(run: Run) -> None:
        for one in meant:
            ask_for(run, one)

    manage.do(ask, run)
