"""What was decided about a run's images, and what speaks for deciding: where its network contradicts their labels."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dpls.runs.directory import Run
from dpls.runs.files import runs_root
from dpls.runs.tags import kept
from dpls.runs.tags.kept import Tag
from dpls.ui import store


def _file(run: Run) -> Path:
    return kept.file_of(runs_root(), run.config()["fingerprint"])


def tags(run: Run) -> Mapping[int, Tag]:
    """By id; the same for all runs on these images."""
    file = _file(run)
    return _tags(file, store.changed(file))


@st.cache_resource(max_entries=32, show_spinner=False)
def _tags(file: Path, changed: int) -> Mapping[int, Tag]:  # noqa: ARG001 - streamlit leaves out of the key what begins with _
    return kept.tags_in(file)


def decide(run: Run, ids: Iterable[int], tag: Tag | None) -> None:
    kept.decide(_file(run), ids, tag)


def undo(run: Run) -> tuple[int, ...]:
    """Takes back the last decision; the ids it was about."""
    return kept.undo(_file(run))


def may_undo(run: Run) -> bool:
    file = _file(run)
    return _may_undo(file, store.changed(file))


@st.cache_data(max_entries=32, show_spinner=False)
def _may_undo(file: Path, changed: int) -> bool:  # noqa: ARG001
    return bool(kept.standing(file))


def doubt(run: Run) -> NDArray[np.float32] | None:
    """(N,), in [0, 1]: by how much the best checkpoint holds another class for likelier than the label; 0 where it
    does not, or there is no label. None where the run has not got that far."""
    file = run.path / "probabilities.npy"
    return _doubt(run.path, store.changed(file)) if file.exists() else None


@st.cache_resource(max_entries=8, show_spinner=False)
def _doubt(path: Path, changed: int) -> NDArray[np.float32] | None:  # noqa: ARG001
    run = Run(path)
    labels, said = store.facts(run).labels, run.probabilities()
    if said is None:
        return None
    own = said[np.arange(len(labels)), labels].astype(np.float32)
    found = np.where(labels >= 0, said.max(1).astype(np.float32) - own, 0)
    found.flags.writeable = False
    return found
