"""Scores computed elsewhere, as pages read them: by name, for the images of a run; used like a measure."""

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dpls.runs import scores
from dpls.runs.directory import Run
from dpls.runs.files import runs_root
from dpls.runs.scores.training import has_own, own


def imported(run: Run) -> list[str]:
    """Names of the scores there are for the images of this run, and of those it is trained by, whatever became of their
    file."""
    mine = {run.recipe().difficulty.scores_name} if has_own(run) else set()
    return sorted({*scores.names(runs_root(), run.config()["fingerprint"]), *mine})


def own_measure(run: Run) -> str:
    """By what a run itself counts difficulty: a measure, or scores computed elsewhere where these are at hand."""
    difficulty = run.recipe().difficulty
    at_hand = difficulty.scores and difficulty.scores_name in imported(run)
    return difficulty.scores_name if at_hand else difficulty.measure


def values(run: Run, name: str) -> NDArray[np.floating]:
    """(N,), by id, higher = harder, NaN where there is none; those a run is trained by are its own, not the file's."""
    file, is_own = _file(run, name)
    return _values(file, file.stat().st_mtime_ns if file.exists() else 0, is_own)


def mark(run: Run) -> tuple[str, ...]:
    """Changes with the scores there are for the images of a run, and with their content."""
    files = [_file(run, name)[0] for name in imported(run)]
    return tuple(f"{file} {file.stat().st_mtime_ns}" for file in files if file.exists())


def _file(run: Run, name: str) -> tuple[Path, bool]:
    """Where these scores are, and whether that is in the run."""
    if has_own(run) and name == run.recipe().difficulty.scores_name:
        return run.path / "scores.parquet", True
    return scores.file_of(runs_root(), run.config()["fingerprint"], name), False


@st.cache_resource(max_entries=20, show_spinner=False)
def _values(file: Path, changed: int, is_own: bool) -> NDArray[np.floating]:  # noqa: ARG001
    found = own(Run(file.parent)) if is_own else scores.load(file)
    found.flags.writeable = False
    return found
