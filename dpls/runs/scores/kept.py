"""Scores from elsewhere in the folder of runs: a file a name, for all runs on the same images."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls.data.cache import folder_of
from dpls.difficulty.measures import MEASURES
from dpls.errors import UserError
from dpls.runs.checked import table
from dpls.runs.files import tidy, write_whole

Array = NDArray[np.float64]
NAME = re.compile(r"[\w.() +-]{1,40}")


def _folder(runs: Path, fingerprint: str) -> Path:
    return folder_of(runs / "scores", fingerprint)


def names(runs: Path, fingerprint: str) -> list[str]:
    """Of all scores kept for these images."""
    return sorted(path.stem for path in _folder(runs, fingerprint).glob("*.parquet"))


def file_of(runs: Path, fingerprint: str, name: str) -> Path:
    return _folder(runs, fingerprint) / f"{name}.parquet"


def keep(runs: Path, fingerprint: str, name: str, scores: Array) -> None:
    """For all runs on these images; scores of the same name are replaced."""
    if not NAME.fullmatch(name) or name.startswith(".") or not name.strip():
        raise UserError(f"scores cannot be called {name!r}; use up to 40 letters, digits, spaces and .()+-")
    if name in MEASURES:
        raise UserError(f"{name!r} is the name of a measure; choose another")
    file = file_of(runs, fingerprint, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    tidy(file.parent)
    write_whole(file, as_bytes(scores))


def as_bytes(scores: Array) -> bytes:
    """What a file of scores (N,) by id holds."""
    buffer = io.BytesIO()
    pd.DataFrame({"id": np.arange(len(scores)), "score": scores}).to_parquet(buffer, index=False)
    return buffer.getvalue()


def load(file: Path) -> Array:
    """(N,), by id, higher = harder; NaN where there is none."""
    return table(file, {"id": "iu", "score": "f"}, None, "import these scores again")["score"].to_numpy(dtype=float)
