"""The address bar: values of widgets that a link carries, that a reload keeps and that go along from page to page.

Streamlit can bind a widget to a query parameter, but writes the words people read in place of the value, and forgets
them in the address when the page changes. So it is done here, in two steps around every page: ``adopt`` takes what the
address says, where that is news; ``publish`` writes what the page's widgets say, where that is not their default.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dpls.component import parse_fraction

OF_A_RUN = (
    *("T", "class", "cause", "file", "several", "range", "id", "page", "lambda_min"),
    *("eps", "attack", "a", "b", "with"),
)
"""Values that mean something for one run only."""
OF_A_FORM = ("lambda", "set")
"""What differs from the settings a form starts from."""
MOST_LETTERS = 4000
"""Of all settings in an address together; browsers and servers take twice as many."""
ON_THE_WAY = 5.0
"""Seconds within which an address that was written can come back as if a person had asked for it."""
SHOWN_LETTERS = 60
"""Of a value in a sentence about it."""

_BOUND, _KEPT, _PAGE, _WRITTEN = "address bound", "address kept", "address page", "address written"
_LATELY = "address written lately"
_SAID, _ASKED, _REMARKS, _USED = "address said", "address asked", "address remarks", "address used"


def _number(values: list[str]) -> float:
    return float(parse_fraction(values[0]))


def _yes(value: str) -> bool:
    if value not in ("True", "False"):
        raise ValueError("True or False")
    return value == "True"


def _settings(values: list[str]) -> list[str]:
    if sum(map(len, values)) > MOST_LETTERS:
        raise ValueError(f"longer than {MOST_LETTERS:,} letters")
    return list(values)


PARSERS: dict[str, Callable[[list[str]], Any]] = {
    **dict.fromkeys(
        ("run", "measure", "scale", "seen", "images", "first", "rows", "from", "watched", "kind", "experiment"),
        lambda v: v[0],
    ),
    **dict.fromkeys(("checkpoint", "part", "eps", "attack", "a", "b"), lambda v: v[0]),
    **dict.fromkeys(("T", "id", "page"), lambda v: int(v[0])),
    **dict.fromkeys(("class", "cause", "tag", "with"), list),
    **dict.fromkeys(("lambda_min", "lambda"), _number),
    "range": lambda v: (float(v[0]), float(v[1])),
    "label": lambda v: v[0][:80],
    "file": lambda v: v[0][:200],
    "disputed": lambda v: _yes(v[0]),
    "set": _settings,
}

# Streamlit makes an entry of the browser's history of every change of the address: two where a page changes, one where
# a page fills in what was not asked for. Here what follows no press of a key or button changes the entry there is.
_history = st.components.v2.component(
    "dpls_history",
    js="""
export default function ({ data }) {
  if (!window.dplsHistory) {
    window.dplsHistory = { acted: false }
    const push = history.pushState.bind(history)
    for (const type of ["pointerdown", "keydown"])
      window.addEventListener(type, () => { window.dplsHistory.acted = true }, true)
    window.addEventListener("popstate", () => { window.dplsHistory.acted = false }, true)
    history.pushState = (...entry) => {
      window.dplsHistory.acted ? push(...entry) : history.replaceState(...entry)
      window.dplsHistory.acted = false
    }
  }
  if (data && !window.dplsHistory.acted && location.search !== data.query)
    history.replaceState({}, "", location.pathname + data.query)
}
""",
)


def adopt(page: str) -> None:
    """What the address says goes into the session if it is not what was written last: a link, a reload, a way back.

    On a change of page the session is told again what it said before, for its widgets are other ones there.
    """
    st.session_state[_BOUND], st.session_state[_ASKED], st.session_state[_REMARKS] = {}, {}, []
    changed = st.session_state.get(_PAGE) != page
    if changed:
        st.session_state[_PAGE] = page
        for name, value in st.session_state.get(_KEPT, {}).items():
            st.session_state[name] = value
        st.session_state.pop(_SAID, None)
    said = {name: st.query_params.get_all(name) for name in st.query_params}
    written = st.session_state.get(_WRITTEN, {})
    # What is done before the browser has learnt what was written last comes with an address of a moment ago, of this
    # page or the one before it: no news, but where somebody went back.
    context = get_script_run_ctx()
    went_back = bool(context and context.is_history_navigation)
    late = not changed and said in [address for _, address in _written_lately()]
    behind = (late or said == st.session_state.get(_SAID)) and not went_back
    st.session_state[_SAID] = said
    if said == written or behind or not (said or went_back):
        return
    if went_back:  # to where this page was: what is not in its address was at its default
        forget(*(name for name in st.session_state.get(_USED, {}).get(page, written) if name not in said))
    elif not changed:  # a link from page to page says what is new; the rest goes along
        forget(*(name for name in written if name not in said))
    elif "from" in said:
        forget(*OF_A_FORM)
    if "run" in said and said["run"] != [st.session_state.get(_KEPT, {}).get("run")]:
        forget(*OF_A_RUN)
    _take(said)


def _written_lately() -> list[tuple[float, dict[str, list[str]]]]:
    """Addresses that may be on their way to the browser still, each with when it was written."""
    return [entry for entry in st.session_state.get(_LATELY, []) if time.monotonic() - entry[0] < ON_THE_WAY]


def _take(said: dict[str, list[str]]) -> None:
    for name, values in said.items():
        if name not in PARSERS:
            remark(f"{_asks(name, values)}, but there is no such name; there are {', '.join(sorted(PARSERS))}")
            continue
        try:
            st.session_state[name] = PARSERS[name](values)
            st.session_state[_ASKED][name] = values
        except (ValueError, TypeError, IndexError) as error:
            reason = f" ({error})" if name == "set" else ""
            remark(f"{_asks(name, values)}, which cannot be read{reason}; it is left out")


def bind(name: str, default: Any, allowed: Callable[[Any], bool], choices: str | None = None) -> None:
    """To be called before the widget with this key is made, which is then made without a value of its own.

    choices: in words, for a link that asks for something else; None where the page itself says what is wrong then.
    """
    kept = st.session_state.setdefault(_KEPT, {})
    if name not in st.session_state and name in kept:
        st.session_state[name] = kept[name]
    if name not in st.session_state or not allowed(st.session_state[name]):
        asked = st.session_state.get(_ASKED, {}).get(name)
        if asked and choices is not None:
            remark(f"{_asks(name, asked)}, which is not there ({choices}); it is left out")
        st.session_state[name] = default
    st.session_state.setdefault(_BOUND, {})[name] = default


def chosen_in(name: str, since: str | None) -> dict[str, Any]:
    """For a widget of a value, already bound, that the app sets, too: another widget ``since`` then.

    A browser that has not been told yet says what its widget held before, and that would count. Of a widget that is
    gone it counts for nothing.
    """
    key = f"{name} since {since}"
    st.session_state[f"{name} chosen in"] = key
    if st.session_state.get(key) != st.session_state[name]:
        st.session_state[key] = st.session_state[name]

    def take() -> None:
        if st.session_state[f"{name} chosen in"] == key:  # not of one that is gone, which Streamlit takes for a new one
            st.session_state[name] = st.session_state[key]

    return {"key": key, "on_change": take, "persist_state": "session"}


def is_linked(name: str) -> bool:
    """Whether the link that led here says it."""
    return name in st.session_state.get(_ASKED, {})


def remark(sentence: str) -> None:
    """To be said at the head of the page, once: what is wrong with the link that led here."""
    st.session_state[_REMARKS].append(sentence)


def remarks() -> list[str]:
    """What has been remarked of this page's link."""
    return list(st.session_state.get(_REMARKS, []))


def _asks(name: str, values: list[str]) -> str:
    text = ", ".join(values)
    shown = text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]} …"
    return f"The link asks for {name[:SHOWN_LETTERS]} = {shown or 'nothing'}"


def publish() -> None:
    """The address names what was bound on this page and is not at its default."""
    st.session_state.setdefault(_USED, {})[st.session_state[_PAGE]] = list(st.session_state[_BOUND])
    first, written = _write()
    query = urlencode(written, doseq=True)
    _history(key="history", data={"query": f"?{query}" if query else ""} if first else None)


def follow() -> None:
    """``publish`` for a part of a page that is drawn again alone."""
    _write()


def _write() -> tuple[bool, dict[str, list[str]]]:
    """Whether it is the session's first time, and what the address says from now on."""
    bound = st.session_state[_BOUND]
    values = {name: st.session_state[name] for name in bound if name in st.session_state}
    st.session_state.setdefault(_KEPT, {}).update(values)
    written = {name: _texts(value) for name, value in values.items() if value is not None and value != bound[name]}
    shown = {name: st.query_params.get_all(name) for name in st.query_params}
    first = _WRITTEN not in st.session_state
    # What is shown may be older than what was written last, which is still on its way there. A first page is the entry
    # of the history that it fills in, before anybody has done anything.
    if not first and not written == shown == st.session_state[_WRITTEN]:
        st.query_params.from_dict(written)
    st.session_state[_LATELY] = [*_written_lately(), (time.monotonic(), written)]
    st.session_state[_WRITTEN] = written
    return first, written


def forget(*names: str) -> None:
    """These take their defaults again; for callbacks, and before the widgets are made."""
    for name in names:
        st.session_state.pop(name, None)
        st.session_state.get(_KEPT, {}).pop(name, None)


def _texts(value: Any) -> list[str]:
    return [
        f"{v:g}" if isinstance(v, float) else str(v) for v in (value if isinstance(value, list | tuple) else [value])
    ]
