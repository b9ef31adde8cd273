"""The list of runs, what can be done with one, and two side by side."""

import shutil
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dpls.difficulty.verdict import spearman
from dpls.errors import UserError
from dpls.jobs.launchers import launcher
from dpls.recipe.differing import settings_that_differ
from dpls.reports import document
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.runs.files import data_root, runs_root
from dpls.ui import described, download, store, trust
from dpls.ui.frame import escape, read_only, shielded


def age(seconds: float | None) -> str:
    """e.g. ``3 h``."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"


def families(rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Places in rows of those that share their first epochs, family by family; what is equal keeps its order.

    Whose epochs they were first is chance, and does not matter to anybody: nobody is the parent of another.
    """
    parents = {row["id"]: row["parent"]["run"] for row in rows if row["parent"]}
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        first, seen = row["id"], set()
        while first in parents and first not in seen:  # a damaged file may make a circle
            seen.add(first)
            first = parents[first]  # which may be gone
        found.setdefault(first, []).append(place)
    return list(found.values())


def shared_epochs(rows: Sequence[dict[str, Any]]) -> list[int]:
    """How many of its first epochs each of these rows has in common with another of them; 0: none."""
    shared = {row["id"]: 0 for row in rows}
    for first in {row["parent"]["run"] for row in rows if row["parent"]}:
        taken = [(r["id"], r["parent"]["epoch"]) for r in rows if r["parent"] and r["parent"]["run"] == first]
        if first in shared:
            taken.append((first, max(epochs for _, epochs in taken)))
        for ident, epochs in taken:
            others = [e for other, e in taken if other != ident]
            shared[ident] = max(shared[ident], min(epochs, max(others, default=0)))
    return [shared[row["id"]] for row in rows]


def _in_families(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Places in rows as they are listed; says in each row how it belongs to those around it."""
    for family in families(rows):
        marks = ["┌ ", *["│ "] * (len(family) - 2), "└ "] if len(family) > 1 else [""]
        for place, mark, epochs in zip(family, marks, shared_epochs([rows[p] for p in family]), strict=True):
            rows[place] |= {"bracket": mark, "shared": (f"1-{epochs}" if epochs > 1 else "1") if epochs else ""}
    return [place for family in families(rows) for place in family]


def table(runs: Sequence[Run]) -> list[Run]:
    """Draws all runs, those that share their first epochs in a bracket; returns those ticked."""
    rows = [store.row(run) for run in runs]
    order = _in_families(rows)
    runs, rows = [runs[place] for place in order], [rows[place] for place in order]
    event = st.dataframe(
        pd.DataFrame([_shown(run, row) for run, row in zip(runs, rows, strict=True)]),
        key=" ".join(["runs", *(run.id for run in runs)]),  # a tick is a row's number: it must not outlive the list
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "done": st.column_config.ProgressColumn(
                "epochs", format="percent", min_value=0, max_value=1, width="small"
            ),
            "shared": st.column_config.TextColumn(
                "shared epochs",
                help="The first epochs of the runs in a bracket are the same; they were trained once for all of them.",
            ),
            "clean": st.column_config.TextColumn("clean", help="Test accuracy, best checkpoint, 95 % Wilson interval."),
            "attacked": st.column_config.TextColumn(
                "attacked",
                help="The lowest test accuracy under attack at the run's eps, best checkpoint, 95 % Wilson interval.",
            ),
            "trust": st.column_config.TextColumn(
                "trust",
                width="small",
                help="Its trust card: green, amber or red. Tick a run for the reasons.",
            ),
        },
        alt="All runs",
    )
    found = [runs[i] for i in event["selection"]["rows"] if i < len(runs)]
    if damaged := [row["error"] for row in rows if row["state"] == "damaged"]:
        text = "\n".join(f"- {escape(reason[:1].upper() + reason[1:])}." for reason in damaged)
        st.warning(f"What is damaged:\n{text}" if len(damaged) > 1 else text[2:], icon=":material/broken_image:")
    return found


def _shown(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    damaged = row["state"] == "damaged"
    clean, attacked = report.best_of(row["evaluations"], row["eps"])
    attack = f", {attacked['attack'].split(',')[0]}" if attacked else ""
    return {
        "run": row["bracket"] + (run.id if damaged else (row["label"] or run.id)),
        "state": "recorded" if run.is_recorded else store.STATES[row["state"]],
        "data": row["data"],
        "method": row["method"],
        "shared": row["shared"],
        "clean": report.with_interval(clean),
        "attacked": report.with_interval(attacked) + attack,
        "trust": trust.colour_of(run, attacked["name"] if attacked else None),
        "done": row["done"],
        "age": age(row["age"]),
        "id": run.id[-4:],
    }


def actions(run: Run) -> None:
    """Label, stop, resume, delete, take along: for one run."""
    with st.container(border=True):
        _actions(run, report.row(run))
    show_refusal()


def _actions(run: Run, row: dict[str, Any]) -> None:
    damaged = row["state"] == "damaged"
    st.markdown(f"**{escape((not damaged and row['label']) or run.id)}** · {run.id}")
    if not damaged:
        described.show_origin(run)
    if row["error"]:
        st.markdown(f":red[{escape(row['error'])}]")
    trusted = trust.cards(run) if row["evaluations"] else {}
    for evaluation in row["evaluations"]:
        st.markdown(
            f"- {evaluation['checkpoint']} checkpoint (epoch {evaluation['epoch']}, chosen by"
            f" {evaluation['chosen_by']}), {evaluation['attack']}: **{report.with_interval(evaluation)}**,"
            f" n = {evaluation['n']:,}"
        )
        if evaluation["name"] in trusted:
            trust.show_card(trusted[evaluation["name"]])
        trust.show_doubts(evaluation)
    if not damaged:
        download.offer({"Report (one file of HTML)": (lambda: document(run, data_root(runs_root())), f"{run.id}.html")})
    if run.is_recorded:
        st.caption("Recorded: it came with the app, so it cannot be changed. Train its preset to have one of your own.")
        return
    if read_only():
        return
    if not damaged:
        label = st.text_input("Label", value=row["label"], key=f"label {run.id}", max_chars=80)
        if label != row["label"]:
            run.write_label(label)
            st.rerun()
    with st.container(horizontal=True):
        state, is_ours = row["state"], damaged or run.recipe().net.is_known
        if is_ours and state in ("queued", "running"):
            st.button("Stop training", on_click=do, args=(launcher().cancel, run), icon=":material/stop:")
        if is_ours and state in ("failed", "cancelled", "interrupted"):
            st.button("Resume", on_click=do, args=(launcher().submit, run), icon=":material/resume:")
        if st.button("Delete", key=f"delete {run.id}", icon=":material/delete:", disabled=run.is_locked()):
            _confirm_deletion(run)


def do(action: Any, run: Run) -> None:
    """For callbacks: what is refused is said on the page."""
    try:
        action(run)
    except UserError as error:
        st.session_state["refusal"] = str(error)


def show_refusal() -> None:
    """What the last action of a person was refused for; once."""
    if refusal := st.session_state.pop("refusal", None):
        st.error(escape(refusal[:1].upper() + refusal[1:]) + ".", icon=":material/error:")


@st.dialog("Delete this run?")
def _confirm_deletion(run: Run) -> None:
    size = sum(f.stat().st_size for f in run.path.rglob("*") if f.is_file())
    st.markdown(
        f"**{escape(store.name_of(run))}**, {size / 1e6:,.0f} MB, with its record and checkpoints. This cannot be"
        " undone; runs that share its first epochs stay whole, and so do its images."
    )
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="really"):
            with shielded():
                with run.lock():
                    shutil.rmtree(run.path)
                st.rerun()
        if st.button("Keep"):
            st.rerun()


def compare(first: Run, second: Run) -> None:
    """What differs between two runs, in settings and in results."""
    runs = (first, second)
    if not all(store.readable(run) for run in runs):
        raise UserError("one of these runs is damaged; choose another to compare")
    names = [store.name_of(run) for run in runs]
    st.markdown(f"#### {escape(names[0])} against {escape(names[1])}")
    halves = st.grid(2, min_column_width=420, gap="large")
    with halves.cell():
        st.markdown("**Results**, the second against the first")
        made, others = report.accuracies(first), report.accuracies(second)
        shared = [name for name in made if name in others]
        for name in shared:
            a, b = made[name], others[name]
            change = report.difference(first, second, name)
            words = f": {change}" if change else " (not the same test images or attack, so not comparable one by one)"
            st.markdown(
                f"- {a['attack']}, {a['checkpoint']}: {report.with_interval(a)} and {report.with_interval(b)}{words}"
            )
        if not shared:
            st.caption("No evaluation was made of both.")
        agreement = _agreement(first, second)
        if agreement is not None:
            st.markdown(f"- 0-1 difficulty of the training images: rank correlation {agreement:.2f}")
        st.caption("Intervals are of the test images of these two runs; other seeds may differ by more.")
    with halves.cell():
        st.markdown("**Settings that differ**")
        different = settings_that_differ(first.recipe(), second.recipe())
        if different:
            st.dataframe(
                pd.DataFrame(different, columns=["setting", "first", "second"]),
                hide_index=True,
                alt="Settings that differ",
            )
        else:
            st.caption("None.")


def _agreement(first: Run, second: Run) -> float | None:
    """Spearman's correlation of 0-1 scores over the epochs both have; None where the images differ."""
    epochs = min(store.committed(first), store.committed(second))
    if first.config()["fingerprint"] != second.config()["fingerprint"] or not epochs:
        return None
    ids = store.facts(first).ids(0)
    return spearman(*(store.scores(run, epochs, "zero_one", False)[ids] for run in (first, second)))
