"""Whether what a run has written still agrees with itself, before anything is derived from it. No torch."""

import numpy as np

from dpls.component import ENGINE
from dpls.data import TRAIN, VALIDATION, Dataset
from dpls.recipe import RunConfig, hash_at
from dpls.runs.checked import damaged
from dpls.runs.directory import Run

SHARES = ((TRAIN, "train_clean"), (VALIDATION, "validation_clean"))


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


def best_epoch(config: RunConfig, run: Run) -> int | None:
    """The epoch whose checkpoint is the best by ``metrics.jsonl``; None where there is none yet."""
    scores = [(row[config.selection.column], -row["epoch"]) for row in run.metrics()[config.last_phase_start :]]
    known = [entry for entry in scores if entry[0] is not None]
    return -max(known)[1] if known else None


def check_checkpoint(run: Run, config: RunConfig, checkpoint: str, epoch: int, weights: str) -> None:
    """That 'best' and 'last' are those that the run has chosen and judged.

    weights: a hash of them, as an evaluation keeps it.
    """
    file, remedy = run.checkpoints / f"{checkpoint}.safetensors", "restore it, or resume the run"
    if checkpoint == "best" and epoch != (wanted := best_epoch(config, run)):
        raise damaged(file, f"it is of epoch {epoch}, and by metrics.jsonl the best is {wanted}", remedy)
    judged = f"clean_{checkpoint}"
    if judged in run.evaluation_names():
        said = run.evaluation(judged)
        if said["epoch"] == epoch and said.get("weights", weights) != weights:
            raise damaged(file, f"these are not the weights that {judged}.json judged", remedy)


def _share(outcome: np.ndarray) -> float | None:
    seen = outcome != 255
    return float((outcome == 1).sum() / seen.sum()) if seen.any() else None
