"""The address bar: values of widgets that a link carries, that a reload keeps and that go along from page to page.

Streamlit can bind a widget to a query parameter, but writes the words people read in place of the value, and forgets
them in the address when the page changes. So it is done here, in two steps around every page: ``adopt`` takes what the
address says, where that is news; ``publish`` writes what the page's widgets say, where that is not their default.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dpls.component import parse_fraction

OF_A_RUN = ("T", "class", "cause", "range", "id", "lambda_min")
"""Values that mean something for one run only."""

_BOUND, _KEPT, _PAGE, _WRITTEN = "address bound", "address kept", "address page", "address written"
_SAID = "address said"


def _number(values: list[str]) -> float:
    return float(parse_fraction(values[0]))


PARSERS: dict[str, Callable[[list[str]], Any]] = {
    **dict.fromkeys(
        ("run", "measure", "scale", "seen", "images", "first", "rows", "from", "watched", "kind", "experiment"),
        lambda v: v[0],
    ),
    **dict.fromkeys(("T", "id"), lambda v: int(v[0])),
    **dict.fromkeys(("class", "cause"), list),
    **dict.fromkeys(("lambda_min", "lambda"), _number),
    "range": lambda v: (float(v[0]), float(v[1])),
}


def adopt(page: str) -> None:
    """What the address says goes into the session if it is not what was written last: a link, a reload, a way back.

    On a change of page the session is told again what it said before, for its widgets are other ones there.
    """
    st.session_state[_BOUND] = {}
    changed = st.session_state.get(_PAGE) != page
    if changed:
        st.session_state[_PAGE] = page
        for name, value in st.session_state.get(_KEPT, {}).items():
            st.session_state[name] = value
        st.session_state.pop(_SAID, None)
    said = {name: st.query_params.get_all(name) for name in st.query_params}
    written = st.session_state.get(_WRITTEN, {})
    # A click made before the browser has learnt what was written last says what the one before it said: no news, but
    # where somebody went back.
    context = get_script_run_ctx()
    went_back = bool(context and context.is_history_navigation)
    behind = said == st.session_state.get(_SAID) and not went_back
    st.session_state[_SAID] = said
    if not said or said == written or behind:
        return
    if went_back or not changed:  # a link from page to page says what is new; the rest goes along
        forget(*(name for name in written if name not in said))
    if "run" in said and said["run"] != [st.session_state.get(_KEPT, {}).get("run")]:
        forget(*OF_A_RUN)
    for name, values in said.items():
        if name in PARSERS:
            try:
                st.session_state[name] = PARSERS[name](values)
            except (ValueError, TypeError, IndexError):
                continue  # an address typed by hand; the widget takes its default


def bind(name: str, default: Any, allowed: Callable[[Any], bool]) -> None:
    """To be called before the widget with this key is made, which is then made without a value of its own."""
    kept = st.session_state.setdefault(_KEPT, {})
    if name not in st.session_state and name in kept:
        st.session_state[name] = kept[name]
    if name not in st.session_state or not allowed(st.session_state[name]):
        st.session_state[name] = default
    st.session_state.setdefault(_BOUND, {})[name] = default


def publish() -> None:
    """The address names what was bound on this page and is not at its default."""
    bound = st.session_state[_BOUND]
    values = {name: st.session_state[name] for name in bound if name in st.session_state}
    st.session_state.setdefault(_KEPT, {}).update(values)
    written = {name: _texts(value) for name, value in values.items() if value is not None and value != bound[name]}
    shown = {name: st.query_params.get_all(name) for name in st.query_params}
    # What is shown may be older than what was written last, which is still on its way there.
    if not written == shown == st.session_state.get(_WRITTEN):
        st.query_params.from_dict(written)
    st.session_state[_WRITTEN] = written


def forget(*names: str) -> None:
    """These take their defaults again; for callbacks, and before the widgets are made."""
    for name in names:
        st.session_state.pop(name, None)
        st.session_state.get(_KEPT, {}).pop(name, None)


def _texts(value: Any) -> list[str]:
    return [
        f"{v:g}" if isinstance(v, float) else str(v) for v in (value if isinstance(value, list | tuple) else [value])
    ]
