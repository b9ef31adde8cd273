"""``python -m dpls.recorded RUN-OR-EXPERIMENT...``: makes what has finished the recorded ones, fit for a repository.

What is named replaces what was recorded of its kind. Of an experiment its settings and outcomes stay.

Checkpoints, log and lock stay behind; the record is rounded to float16, signals that hold nothing are left out; the
per-example table is computed again from the rounded record, so that a recorded run agrees with itself.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

from dpls.data.cache import open_dataset, open_hashes
from dpls.experiments.stored import Stored, list_experiments
from dpls.runs.directory import Run
from dpls.runs.examples import write_examples
from dpls.runs.files import RECORDED, data_root, runs_root, write_json
from dpls.runs.folder import find_run, list_runs
from dpls.runs.scores.training import FILE, has_own

KEPT = ("config.json", "status.json", "manifest.json", "metrics.jsonl", "notes.json", "probabilities.npy")


def record(run: Run) -> Run:
    """Copies a finished run among the recorded ones."""
    assert run.state() == "done", f"run {run.id} is {run.state()}"
    target = Run(RECORDED / run.id)
    (target.path / "dynamics").mkdir(parents=True)
    for name in (*KEPT, *((FILE,) if has_own(run) else ())):
        shutil.copyfile(run.path / name, target.path / name)
    shutil.copytree(run.evaluations, target.evaluations)
    write_json(target.config_file, run.config() | {"parent": None})
    np.save(target.path / "dynamics" / "ids.npy", run.ids())
    for name, values in run.dynamics().items():
        seen = (values != 255) if values.dtype == np.uint8 else ~np.isnan(values)
        if seen.any():
            rounded = values if values.dtype == np.uint8 else values.astype(np.float16)
            np.save(target.path / "dynamics" / f"{name}.npy", rounded)
    stored = target.config()
    root = data_root(runs_root())
    dataset, hashes = open_dataset(root, stored["fingerprint"]), open_hashes(root, stored["fingerprint"])
    write_examples(target.recipe().resolved(), target, dataset, hashes)
    return target


def record_experiment(stored: Stored) -> Stored:
    """Its settings and outcomes, without its runs."""
    stored.outcomes()
    target = Stored(RECORDED / "experiments" / stored.id)
    target.path.mkdir(parents=True)
    for name in ("outcomes.parquet", "scores.parquet"):
        shutil.copyfile(stored.path / name, target.path / name)
    write_json(target.path / "experiment.json", stored.content | {"runs": {}})
    return target


def main(names: list[str]) -> None:
    known = {stored.id: stored for stored in list_experiments(runs_root())}
    experiments = [known[name] for name in names if name in known]
    if experiments:
        shutil.rmtree(RECORDED / "experiments", ignore_errors=True)
    for stored in experiments:
        size = sum(f.stat().st_size for f in record_experiment(stored).path.iterdir())
        print(f"{stored.id}  {size / 1e6:.2f} MB")
    runs = [find_run(runs_root(), name) for name in names if name not in known]
    for old in list_runs(RECORDED) if runs else ():
        shutil.rmtree(old.path)
    for run in runs:
        made = record(run)
        size = sum(f.stat().st_size for f in Path(made.path).rglob("*") if f.is_file())
        print(f"{made.id}  {made.label()}  {size / 1e6:.2f} MB")


main(sys.argv[1:])
