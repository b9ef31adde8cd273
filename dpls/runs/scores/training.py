"""Scores from elsewhere that a run is trained by: found by name, held to their content, kept with the run.

The configuration says ``name@digest`` from the submission on, so that runs by other scores are other runs; the run
keeps a copy, so that it goes on whatever becomes of the file.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpls.errors import UserError
from dpls.recipe import RunConfig
from dpls.runs.checked import damaged
from dpls.runs.directory import Run
from dpls.runs.scores.kept import as_bytes, file_of, load, names

Array = NDArray[np.float64]
FILE = "scores.parquet"
"""In the directory of a run that is trained by scores from elsewhere."""


def digest_of(values: Array) -> str:
    """20 hex digits of scores (N,) by id."""
    plain = np.where(np.isnan(values), np.nan, values).astype("<f8")  # one kind of NaN
    return hashlib.sha256(plain.tobytes()).hexdigest()[:20]


def pinned(config: RunConfig, runs: Path, fingerprint: str) -> RunConfig:
    """The same run, its scores named with their digest; itself where it asks for none.

    A UserError where there are no such scores for these images, or they are no longer those that the digest means.
    """
    name, digest = config.difficulty.scores_name, config.difficulty.scores_digest
    if not name:
        return config
    known = names(runs, fingerprint)
    if name not in known:
        there = f"choose from {', '.join(known)}" if known else "there are none yet"
        raise UserError(
            f"difficulty.scores: there are no scores {name!r} for these images; {there}, or take some in with `python"
            " -m dpls scores RUN FILE`"
        )
    found = digest_of(load(file_of(runs, fingerprint, name)))
    if digest and digest != found:
        raise UserError(
            f"difficulty.scores: {name!r} has changed since these settings were made ({digest}, now {found}); write"
            f" difficulty.scores={name} to train by the scores there are now"
        )
    return with_scores(config, f"{name}@{found}")


def with_scores(config: RunConfig, scores: str) -> RunConfig:
    return config.model_copy(update={"difficulty": config.difficulty.model_copy(update={"scores": scores})})


def files_for(config: RunConfig, runs: Path, fingerprint: str, train_ids: NDArray[np.int64]) -> dict[str, bytes]:
    """What a run with a pinned configuration keeps of its scores: {name of the file: content}.

    A UserError where they order no training images.
    """
    if not config.difficulty.scores:
        return {}
    values = load(file_of(runs, fingerprint, config.difficulty.scores_name))
    config.difficulty.scaled(values, train_ids)
    return {FILE: as_bytes(values)}


def has_own(run: Run) -> bool:
    """Whether it keeps scores that it is trained by."""
    return (run.path / FILE).exists()


def own(run: Run) -> Array:
    """(N,), by id, higher = harder, NaN where there is none: the scores a run is trained by."""
    file, difficulty = run.path / FILE, run.recipe().difficulty
    values = load(file)
    if digest_of(values) != difficulty.scores_digest:
        raise damaged(file, f"it does not hold the scores {difficulty.scores!r}")
    return values
