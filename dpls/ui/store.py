"""Cached readers of run directories and images. Keys are run directory and committed epochs, never arrays.

Big arrays stay memory maps or read-only arrays in ``cache_resource``: nothing is copied from one rerun to the next.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dpls.data import PARTS, TRAIN, Data, Dataset
from dpls.data.cache import open_dataset
from dpls.difficulty import MEASURES, MeasureName, NormaliserName, normalise, signals_of
from dpls.errors import UserError
from dpls.runs import RECORDED, Run, data_root, list_runs, runs_root
from dpls.verdict import Check, checks

EMBEDDED = ("photos", "digits")
"""Sources that come with installed packages: their images can be made again without asking anybody."""


def all_runs() -> list[Run]:
    """One's own runs, newest first, then the recorded ones."""
    return list_runs(runs_root())[::-1] + list_runs(RECORDED)


def readable(run: Run) -> bool:
    """Whether its configuration and status can be read."""
    try:
        run.config(), run.status()
    except UserError:
        return False
    return True


def name_of(run: Run) -> str:
    """What people call it: its label, or its id."""
    return f"{run.label()} · {run.id[-4:]}" if run.label() else run.id


@dataclass(frozen=True, eq=False)
class Facts:
    """Who the examples of a run are: arrays (N,) by id. ``images`` is None where the cache has lost them."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    part: NDArray[np.uint8]
    cause: NDArray[np.str_]
    true_labels: NDArray[np.int64]
    files: NDArray[np.str_]
    images: NDArray[np.uint8] | None
    missing: str

    def ids(self, part: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.part == part)


def facts(run: Run) -> Facts:
    """From the cached images where they are, else from the per-example table."""
    stored = run.config()
    root = data_root(runs_root())
    try:
        return _facts_of(_dataset(root, stored["fingerprint"], stored["config"]["data"]))
    except UserError as error:
        return _facts_without_images(run.path, str(error))


def bring_back_images(run: Run) -> None:
    """Decodes the run's images again from where they came; refused where they have changed since."""
    stored = run.config()
    _, found = Data.model_validate(stored["config"]["data"])(data_root(runs_root()))
    if found != stored["fingerprint"]:
        raise UserError(
            f"the images of this run have changed (fingerprint {found}, expected {stored['fingerprint']}); they are"
            " not shown, because they might be shown with the wrong numbers"
        )
    _open.clear()


def _dataset(root: Path, fingerprint: str, data: dict[str, Any]) -> Dataset:
    if not (root / fingerprint).is_dir() and data["source"]["kind"] in EMBEDDED:
        with st.spinner("Cutting the embedded images, once …"):
            Data.model_validate(data)(root)
    return _open(str(root), fingerprint)


@st.cache_resource(max_entries=8, show_spinner=False)
def _open(root: str, fingerprint: str) -> Dataset:
    return open_dataset(Path(root), fingerprint)


def _facts_of(d: Dataset) -> Facts:
    return Facts(d.classes, d.labels, d.part, d.cause, d.true_labels, d.files, d.images, "")


@st.cache_resource(max_entries=8, show_spinner=False)
def _facts_without_images(path: Path, missing: str) -> Facts:
    table = Run(path).examples()
    labels = table["label"].to_numpy()
    pairs = table[["label", "class"]].drop_duplicates().sort_values("label")
    return Facts(
        tuple(pairs["class"]),
        labels,
        table["split"].map({name: index for index, name in enumerate(PARTS)}).to_numpy().astype(np.uint8),
        table["cause"].to_numpy(str),
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
def _examples(path: Path, _changed: int) -> pd.DataFrame:
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


def scores(run: Run, counted: int, measure: MeasureName, adversarial: bool) -> NDArray[np.floating]:
    """(N,): a measure over the first ``counted`` epochs, natural values; NaN where an example was never seen."""
    return _scores(run.path, counted, measure, adversarial, signals(run, counted, adversarial))


@st.cache_resource(max_entries=200, show_spinner=False)
def _scores(
    path: Path,  # noqa: ARG001
    counted: int,  # noqa: ARG001
    measure: MeasureName,
    adversarial: bool,  # noqa: ARG001
    _signals: dict[str, np.ndarray],
) -> NDArray[np.floating]:
    values = MEASURES[measure].compute(_signals)
    values.flags.writeable = False
    return values


def harder(values: NDArray[np.floating], measure: MeasureName) -> NDArray[np.floating]:
    """The same, turned so that higher is harder."""
    return values if MEASURES[measure].higher_is_harder else -values


def difficulty(
    values: NDArray[np.floating], measure: MeasureName, normaliser: NormaliserName, reference: NDArray[np.int64]
) -> NDArray[np.floating]:
    """(N,), in [0, 1], higher = harder; the reference ids, the training examples, set the scale."""
    turned = harder(values, measure)
    return normalise(turned, normaliser, turned[reference])


@st.cache_data(max_entries=64, show_spinner=False)
def verdict(path: Path, counted: int, measure: MeasureName, adversarial: bool) -> list[Check]:
    """Checks on the training examples."""
    run = Run(path)
    known = facts(run)
    ids = known.ids(TRAIN)
    chosen = {name: rows[:, ids] for name, rows in signals(run, counted, adversarial).items()}
    return checks(chosen, measure, scores(run, counted, measure, adversarial)[ids], len(known.classes))
