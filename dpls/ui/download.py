"""Files that are made when somebody asks for them, and handed over whatever is redrawn meanwhile.

Buttons, not Streamlit's download buttons: those ask for a file by a name that every redraw replaces, so a click just
before the page has learnt the new name brings nothing.
"""

import time
from collections.abc import Callable, Mapping
from typing import TypeAlias
from uuid import uuid4

import streamlit as st

from dpls.errors import UserError

File: TypeAlias = tuple[Callable[[], str], str]
"""What makes its text, and its name."""
MADE = "made file"
HANDED_OVER = 20.0  # seconds after which the page has the file, or the browser has lost the app

# Redraws hand the file over again for a while, for one that is broken off may not reach the page; it takes it once.
_hand_over = st.components.v2.component(
    "dpls_hand_over",
    js="""
export default function ({ data }) {
  const taken = (window.dplsTaken ??= new Set())
  if (!data || taken.has(data.number)) return
  taken.add(data.number)
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([data.text]))
  link.download = data.file
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60000)
}
""",
)


def offer(files: Mapping[str, File]) -> None:
    """A button a file, by its label; where making one is refused, the reason is left for the page to say."""
    for label, asked in files.items():
        st.button(label, key=f"download {label}", on_click=_make, args=asked, icon=":material/download:")
    made = st.session_state.get(MADE)
    if made and time.monotonic() - made["made"] > HANDED_OVER:
        made = st.session_state.pop(MADE) and None
    _hand_over(key="hand over", data=made)


def _make(text: Callable[[], str], name: str) -> None:
    try:
        st.session_state[MADE] = {"text": text(), "file": name, "number": uuid4().hex, "made": time.monotonic()}
    except UserError as error:
        st.session_state["refusal"] = str(error)
