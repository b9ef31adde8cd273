"""Whether what a run has written still agrees with itself, before anything is derived from it. No torch."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dpls.component import ENGINE, digest
from dpls.data import TRAIN, VALIDATION, Dataset, cache
from dpls.errors import UserError
from dpls.recipe import hash_at
from dpls.runs.checked import damaged
from dpls.runs.directory import CLOCK_COLUMNS, Run
from dpls.runs.files import data_root, read_json, write_json

SEAL = "seal.json"
TRAINED = (
    "config.json",
    "scores.parquet",
    "metrics.jsonl",
    "dynamics/*.npy",
    "factors/*.npz",
    "checkpoints/*.safetensors",
)
DERIVED = ("probabilities.npy", "evaluations/*.json", "evaluations/*.parquet")
AGAIN = "restore it, or delete metrics.jsonl and the folders checkpoints and factors and train again with {}"
SHARES = ((TRAIN, "train_clean"), (VALIDATION, "validation_clean"))


def images_of(run: Run) -> Dataset:
    """The data set a run was made for: from the cache, or built again from the source if that has not changed."""
    root, expected = data_root(run.path.parent), run.config()["fingerprint"]
    cache.sweep(root)
    if not cache.folder_of(root, expected).exists():
        _, found = run.recipe().data(root)
        if found != expected:
            raise UserError(
                f"the images are no longer those the run was made for (fingerprint {found}, expected {expected});"
                " bring them back, or train a new run"
            )
    return cache.open_dataset(root, expected)


def check_record(run: Run, dataset: Dataset) -> None:
    """Settings, epochs and record of one and the same training, on these images; a UserError naming the file that is
    not."""
    stored, config, rows = run.config(), run.recipe(), run.metrics()
    same_engine = stored.get("engine") == ENGINE
    if same_engine and stored.get("recipe_hash") != hash_at(config, config.epochs, stored["fingerprint"]):
        raise damaged(run.config_file, "its settings are not those the run was made with")
    if len(rows) < (reached := run.status()["epoch"]):
        raise damaged(run.path / "metrics.jsonl", f"it has {len(rows)} of the {reached} epochs of status.json")
    if len(run.ids()) != len(dataset.labels):
        reason = f"{len(run.ids()):,} examples, and the data set has {len(dataset.labels):,}"
        raise damaged(run.path / "dynamics" / "ids.npy", reason)
    correct = run.dynamics()["correct"]
    for part, column in SHARES:
        ids = dataset.ids(part)
        for row, outcome in zip(rows, correct, strict=True):
            said, found = row[column], _share(outcome[ids])
            if (said is None) != (found is None) or abs((said or 0) - (found or 0)) > 1e-6:
                reason = f"{column} of epoch {row['epoch']} is {said} in metrics.jsonl and {found} here"
                raise damaged(run.path / "dynamics" / "correct.npy", reason)


def seal(run: Run) -> None:
    """Writes down what its files hold, once they are as they shall stay."""
    write_json(run.path / SEAL, {name: _digest(run, name) for name in _files(run, (*TRAINED, *DERIVED))})


def is_sealed(run: Run) -> bool:
    return (run.path / SEAL).exists()


def unseal(run: Run, evaluation: str = "") -> None:
    """For what is going to be made anew: all of it, or the files of one evaluation."""
    file = run.path / SEAL
    if not evaluation:
        file.unlink(missing_ok=True)
    elif is_sealed(run):
        mine = f"evaluations/{evaluation}."
        write_json(file, {name: value for name, value in _sealed(run).items() if not name.startswith(mine)})


def check_seal(run: Run, derived: bool = True) -> None:
    """Refuses files that are others than those it was finished with; a checkpoint may be gone.

    derived: what is made from the trained run, too, and not only what training has left.
    """
    work = f"`python -m dpls work {run.path}`"
    names = _sealed(run) if is_sealed(run) else {}
    for name, expected in names.items():
        file, is_derived = run.path / name, name.startswith(("evaluations/", "probabilities"))
        if is_derived and not derived:
            continue
        remedy = f"delete it and make it again with {work}" if is_derived else AGAIN.format(work)
        if not file.exists() and not name.startswith("checkpoints/"):
            raise damaged(file, "it is missing", remedy)
        if file.exists() and _digest(run, name) != expected:
            raise damaged(file, "it is not the file this run was finished with", remedy)


def _sealed(run: Run) -> dict[str, Any]:
    return read_json(run.path / SEAL, run.path, "a finished run")


def _files(run: Run, patterns: Sequence[str]) -> list[str]:
    found = [file for pattern in patterns for file in sorted(run.path.glob(pattern)) if not file.name.startswith(".")]
    return [file.relative_to(run.path).as_posix() for file in found]


def _digest(run: Run, name: str) -> str:
    """20 hex digits; of the metrics without what measures time, as two equal runs have them."""
    if name == "metrics.jsonl":
        return digest(*({k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in run.metrics()))
    with (run.path / name).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:20]


def _share(outcome: np.ndarray) -> float | None:
    seen = outcome != 255
    return float((outcome == 1).sum() / seen.sum()) if seen.any() else None
