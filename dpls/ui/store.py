"""Cached readers of run directories and images. Keys are run directory and committed epochs, never arrays.

Big arrays stay memory maps or read-only arrays in ``cache_resource``: nothing is copied from one rerun to the next.
"""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dpls.data import SPLITS, TRAIN, VALIDATION, Data
from dpls.data.cache import folder_of, open_dataset
from dpls.difficulty.measures import MEASURES
from dpls.difficulty.scale import NormaliserName, normalise
from dpls.difficulty.signals import signals_of
from dpls.difficulty.verdict import Verdict, chance_of
from dpls.difficulty.verdict import verdict as verdict_of
from dpls.errors import UserError
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED, data_root, runs_root
from dpls.runs.folder import list_runs
from dpls.ui import elsewhere
from dpls.ui.facts import Facts

STATES = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "stopped",
    "interrupted": "interrupted",
    "blocked": "blocked",
    "damaged": "damaged",
}
"""What people call the state of a run."""


def all_runs(experiments: bool = False) -> list[Run]:
    """One's own runs, newest first, then the recorded ones; those made for an experiment only where asked for."""
    own = [run for run in list_runs(runs_root())[::-1] if experiments or not experiment_of(run)]
    return own + list_runs(RECORDED)


def experiment_of(run: Run) -> str | None:
    """The experiment a run was made for; what config.json says never changes."""
    return _experiment_of(run.path)


@lru_cache(maxsize=20_000)  # streamlit's own cache takes longer to ask than the file to read
def _experiment_of(path: Path) -> str | None:
    try:
        return Run(path).config().get("experiment")
    except UserError:
        return None


def row(run: Run) -> dict[str, Any]:
    """What a list shows of a run; read again only where one of its files has changed."""
    files = (run.config_file, run.path / "status.json", run.path / "metrics.jsonl", run.path / "notes.json")
    marks = tuple(changed(f) for f in (*files, run.evaluations))
    found = dict(_row(run.path, marks))
    if found["state"] in ("running", "interrupted") and run.state() != found["state"]:  # the lock says which of them
        found = report.row(run)
    if found["created"]:
        found["age"] = (datetime.now(UTC) - datetime.fromisoformat(found["created"])).total_seconds()
    return found


def changed(file: Path) -> int:
    """When, in nanoseconds; 0 where it is not there."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=5_000)
def _row(path: Path, marks: tuple[int, ...]) -> dict[str, Any]:  # noqa: ARG001
    return report.row(Run(path))


def state_of(run: Run) -> str:
    """Its state as people call it."""
    return STATES[row(run)["state"]]


def readable(run: Run) -> bool:
    """Whether its configuration, status and rows can be read."""
    return bool(row(run)["state"] != "damaged")


def trained_here() -> list[Run]:
    """All runs that can be read, but those of networks that nothing here can build: none can start from these."""
    return [run for run in all_runs() if readable(run) and run.recipe().net.is_known]


def name_of(run: Run) -> str:
    """What people call it: its label, or its id."""
    return f"{run.label()} · {run.id[-4:]}" if run.label() else run.id


def facts(run: Run) -> Facts:
    """From the cached images where they are, else from the per-example table."""
    stored = run.config()
    try:
        return facts_of(stored["fingerprint"], run.recipe().data)
    except UserError as error:
        return _facts_without_images(run.path, str(error))


def facts_of(fingerprint: str, data: Data) -> Facts:
    """Of a data set by its fingerprint; a UserError where its images are not at hand."""
    root = data_root(runs_root())
    _ensure(root, fingerprint, data)
    return _facts(str(root), fingerprint)


def bring_back_images(run: Run) -> None:
    """Decodes the run's images again from where they came; refused where they have changed since."""
    stored = run.config()
    _, found = run.recipe().data(data_root(runs_root()))
    if found != stored["fingerprint"]:
        raise UserError(
            f"the images of this run have changed (fingerprint {found}, expected {stored['fingerprint']}); they are"
            " not shown, because they might be shown with the wrong numbers"
        )
    _facts.clear()


def _ensure(root: Path, fingerprint: str, data: Data) -> None:
    """Makes the images again where they are not cached and come with installed packages."""
    if not folder_of(root, fingerprint).is_dir() and data.source.is_embedded:
        with st.spinner("Cutting the embedded images, once …"):
            data(root)


@st.cache_resource(max_entries=8, show_spinner=False)
def _facts(root: str, fingerprint: str) -> Facts:
    d = open_dataset(Path(root), fingerprint)
    images = d.images if d.has_images else None
    return Facts(d.classes, d.labels, d.part, *_coded(d.cause), d.true_labels, d.files, images, "")


def _coded(cause: NDArray[np.str_]) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Names and codes, nothing first: texts of all examples are slow to compare in every rerun."""
    names = ("", *sorted(set(cause.tolist()) - {""}))
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[name] for name in cause.tolist()], dtype=np.uint8)


@st.cache_resource(max_entries=8, show_spinner=False)
def _facts_without_images(path: Path, missing: str) -> Facts:
    table = Run(path).examples()
    labels = table["label"].to_numpy()
    names = dict(zip(labels.tolist(), table["class"], strict=True))
    return Facts(
        tuple(str(names.get(label, "")) for label in range(int(labels.max()) + 1)),
        labels,
        table["split"].map({name: index for index, name in enumerate(SPLITS)}).to_numpy().astype(np.uint8),
        *_coded(table["cause"].to_numpy(str)),
        labels,
        table["path"].to_numpy(str),
        None,
        missing,
    )


def committed(run: Run) -> int:
    """Epochs whose numbers exist."""
    return len(run.metrics())


def examples(run: Run) -> pd.DataFrame:
    """The per-example table; shared, so never change it."""
    return _examples(run.path, run.examples_file.stat().st_mtime_ns if run.examples_file.exists() else 0)


@st.cache_resource(max_entries=8, show_spinner=False)
def _examples(path: Path, changed: int) -> pd.DataFrame:  # noqa: ARG001 - streamlit leaves out of the key what begins with _
    return Run(path).examples()


@st.cache_resource(max_entries=16, show_spinner=False)
def _signals(path: Path, counted: int, adversarial: bool) -> dict[str, np.ndarray]:
    """Memory maps of the first epochs."""
    return dict(signals_of(Run(path).dynamics(counted), adversarial))


def signals(run: Run, counted: int, adversarial: bool) -> dict[str, np.ndarray]:
    """{signal: (T, N)}: the first ``counted`` epochs of the record, clean or attacked."""
    found = _signals(run.path, counted, adversarial)
    if not found:
        raise UserError(f"run {run.id} has no record of attacked images; choose the clean signals")
    return found


def is_imported(measure: str) -> bool:
    return measure not in MEASURES


def scores(run: Run, counted: int, measure: str, adversarial: bool) -> NDArray[np.floating]:
    """(N,): a measure over the first ``counted`` epochs, natural values; NaN where an example was never seen.

    Imported scores do not depend on epochs.
    """
    if is_imported(measure):
        return elsewhere.values(run, measure)
    return _scores(run.path, counted, measure, adversarial, signals(run, counted, adversarial))


@st.cache_resource(max_entries=200, show_spinner=False)
def _scores(
    path: Path,  # noqa: ARG001
    counted: int,  # noqa: ARG001
    measure: str,
    adversarial: bool,  # noqa: ARG001
    _signals: dict[str, np.ndarray],
) -> NDArray[np.floating]:
    values = MEASURES[measure].compute(_signals)
    values.flags.writeable = False
    return values


def higher_is_harder(measure: str) -> bool:
    return is_imported(measure) or MEASURES[measure].higher_is_harder


def harder(values: NDArray[np.floating], measure: str) -> NDArray[np.floating]:
    """The same, turned so that higher is harder."""
    return values if higher_is_harder(measure) else -values


def difficulty(
    values: NDArray[np.floating], measure: str, normaliser: NormaliserName, reference: NDArray[np.int64]
) -> NDArray[np.floating]:
    """(N,), in [0, 1], higher = harder; the reference ids, the training examples, set the scale."""
    turned = harder(values, measure)
    return normalise(turned, normaliser, turned[reference])


@st.cache_data(max_entries=64, show_spinner=False)
def verdict(path: Path, counted: int, measure: str, adversarial: bool) -> Verdict:
    """May this difficulty be believed? Checked on the training examples."""
    run = Run(path)
    known = facts(run)
    ids = known.scored()
    columns = slice(len(ids)) if ids[-1] == len(ids) - 1 else ids  # a view where training images come first
    chosen = {name: rows[:, columns] for name, rows in signals(run, counted, adversarial).items()}
    return verdict_of(chosen, measure, scores(run, counted, measure, adversarial)[ids], known.labels[ids])


def chance(run: Run) -> tuple[float, int]:
    """Accuracy on the training images of whoever always says the commonest class; how many validation images."""
    known = facts(run)
    return chance_of(known.labels[known.ids(TRAIN)]), len(known.ids(VALIDATION))
