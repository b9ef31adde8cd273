"""What the files of a run hold: the entries and columns their readers rely on. No torch."""

import re
from datetime import datetime
from typing import Any

import numpy as np

from dpls.data.cache import FINGERPRINT
from dpls.difficulty.signals import SIGNALS
from dpls.runs.checked import Test, is_count, is_list, is_number, is_share, is_table, is_text, or_none

STATES = ("queued", "blocked", "running", "done", "failed", "cancelled")
ID = re.compile(r"\d{4}-\d{2}-\d{2}_\d{6}_[0-9a-f]{4}")


def is_id(value: Any) -> bool:
    return is_text(value) and bool(ID.fullmatch(value))


def is_fingerprint(value: Any) -> bool:
    """Of a data set; it becomes part of paths."""
    return is_text(value) and bool(FINGERPRINT.fullmatch(value))


def is_time(value: Any) -> bool:
    """ISO 8601, with its zone."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_parent(value: Any) -> bool:
    return isinstance(value, dict) and is_id(value.get("run")) and is_count(value.get("epoch"))


CONFIG: dict[str, Test] = {
    "fingerprint": is_fingerprint,
    "config": is_table(),
    "parent": or_none(_is_parent),
    "states": is_table(is_text),
}
STATUS: dict[str, Test] = {
    "state": lambda value: is_text(value) and value in STATES,
    "epoch": is_count,
    "epochs": is_count,
    "created": is_time,
    "error": or_none(is_text),
}
MANIFEST: dict[str, Test] = {"precision": is_text, "device": is_text}
ROW: dict[str, Test] = {
    "epoch": is_count,
    **dict.fromkeys(("lr", "loss"), or_none(is_number)),
    **dict.fromkeys(("train_clean", "train_robust", "validation_clean", "validation_robust"), or_none(is_share)),
    "seconds": is_number,
    "images_per_second": is_number,
}
EVALUATION: dict[str, Test] = {
    "attack": is_text,
    "settings": is_table(),
    "n": is_count,
    **dict.fromkeys(("accuracy", "low", "high"), is_share),
    "checkpoint": is_text,
    "epoch": is_count,
    "chosen_by": is_text,
    "warnings": is_list(is_text),
}
EXAMPLES = {
    "id": "iu",
    "hash": "O",
    "split": "O",
    "label": "iu",
    "class": "O",
    "cause": "O",
    "path": "O",
    "zero_one": "f",
    "cross_entropy": "f",
    "difficulty": "f",
    "factor": "f",
}
KINDS: dict[str, tuple[type[np.generic], ...]] = {
    name: (dtype.type, np.float16) if dtype.kind == "f" else (dtype.type,) for name, dtype in SIGNALS.items()
}
"""Of each signal; recorded runs keep half precision."""
