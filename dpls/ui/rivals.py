"""A run beside others on the same images, attack by attack, and beside what the article says of its own."""

from functools import lru_cache
from pathlib import Path

import pandas as pd
import streamlit as st

from dpls.errors import UserError
from dpls.evaluations import compared
from dpls.evaluations.compared import Judged
from dpls.experiments.kinds.methods import ARTICLE
from dpls.intervals import Difference
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.ui import address, store
from dpls.ui.frame import escape
from dpls.ui.judged import View, every

SHOWN_FIRST = 3


def show(view: View) -> None:
    """The same attacks on other runs, paired by image."""
    st.subheader("Beside other runs")
    mine = fingerprint_of(view.run)
    others = {
        run.id: run
        for run in store.all_runs()
        if run.id != view.run.id and store.readable(run) and fingerprint_of(run) == mine
    }
    halves = st.grid(2, min_column_width=480, gap="large")
    with halves.cell():
        if others:
            _beside(view, others)
        else:
            st.caption("No other run has the same images; only such runs can be compared image by image.")
    with halves.cell(), st.expander("What the article reports of its own runs", key="article"):
        two_digits = dict.fromkeys(("clean", "PGD-20", "A3"), st.column_config.NumberColumn(format="%.2f"))
        st.dataframe(
            ARTICLE,
            hide_index=True,
            height="content",
            column_config=two_digits,
            alt="The article's accuracies, percent",
        )
        st.caption(
            "Percent, as it reports them, of its own networks and images; not measured here. The gain of DPLS differs"
            " between PGD-20 and A3: compare by the strongest attack."
        )


@lru_cache(maxsize=20_000)  # it never changes
def _fingerprint(path: Path) -> str | None:
    try:
        return str(Run(path).config()["fingerprint"])
    except UserError:
        return None


def fingerprint_of(run: Run) -> str | None:
    """Of its images; None where its configuration cannot be read."""
    return _fingerprint(run.path)


def _beside(view: View, others: dict[str, Run]) -> None:
    first = list(others)[:SHOWN_FIRST]
    address.bind("with", first, lambda ids: set(ids) <= others.keys(), "runs on the same images, by id")
    chosen = st.multiselect(
        "Runs on the same images",
        list(others),
        format_func=lambda ident: store.name_of(others[ident]),
        key="with",
        persist_state="session",
        placeholder="none",
    )
    runs = [others[ident] for ident in chosen]
    if not view.here or not runs:
        st.caption("Choose runs to compare with." if view.here else "This run has no evaluation to compare by.")
        return
    rows = [line for one in view.here for line in _lines(view, one, runs)]
    if rows:
        table = pd.DataFrame(rows)
        st.dataframe(table, hide_index=True, height="content", alt="Accuracy of each run under each attack")
        st.caption(
            "Paired by image: what is seen is of these runs; other seeds may differ by more. Not distinguishable: the"
            " 95 % interval of the difference spans zero."
        )
    titles, known = compared.names(view.here), {line["attack"] for line in rows}
    if alone := [titles[one.attack] for one in view.here if titles[one.attack] not in known]:
        st.caption(escape(f"Not made of these runs, on as many images: {', '.join(alone)}."))


def _lines(view: View, one: Judged, runs: list[Run]) -> list[dict[str, str]]:
    """The chosen run's accuracy, then those of the others that have it; nothing where none has."""
    theirs = {run: other.accuracy for run in runs for other in every(run)[0] if other.name == one.name}
    found = [(run, a, in_words(report.difference(view.run, run, one.name))) for run, a in theirs.items()]
    title, against = compared.names(view.here)[one.attack], f"against {store.name_of(view.run)}"
    lines = [(view.run, one.accuracy, ""), *found] if found else []
    return [{"attack": title, "run": store.name_of(run), "accuracy": str(a), against: d} for run, a, d in lines]


def in_words(found: Difference | None) -> str:
    """A paired difference: one only where its interval does not span zero."""
    if found is None:
        return "another attack's settings"
    if found.n and not found.is_seen:
        return f"not distinguishable ({100 * found.value:+.1f} ± {100 * found.half:.1f} points)"
    return found.short
