"""From a configuration to a run directory that waits for its worker; what is wrong is found here, before the start."""

import json
from pathlib import Path

from dpls.checkpoints import stored_epochs
from dpls.config import RunConfig
from dpls.data import TRAIN, Dataset
from dpls.device import resolve_device, resolve_precision
from dpls.errors import UserError
from dpls.examples import scores_of
from dpls.runs import Run, create_run, data_root, list_runs


def submit(config: RunConfig, runs: Path, label: str = "") -> Run:
    """A queued run. Its data is cached, its settings checked, and the stored state it may start from is looked up."""
    device = resolve_device(config.device)
    dataset, fingerprint = config.data(data_root(runs))
    _check(config, runs, dataset, fingerprint)
    precision = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    content = {
        "recipe_hash": config.hash_at(config.epochs, fingerprint),
        "fingerprint": fingerprint,
        "states": {str(epoch): config.hash_at(epoch, fingerprint) for epoch in config.borders},
        "parent": find_parent(config, runs, fingerprint, precision),
        "config": config.model_dump(mode="json"),
    }
    return create_run(runs, content, config.epochs, label)


def _check(config: RunConfig, runs: Path, dataset: Dataset, fingerprint: str) -> None:
    """What can be wrong only for these images and these runs."""
    ids = dataset.ids(TRAIN)
    for phase in config.phases:
        phase.factors.check(len(dataset.classes))
        if phase.subset is None:
            continue
        left = len(ids) - round(phase.subset.share * len(ids))
        if left < 2:
            raise UserError(
                f"subset.share = {phase.subset.share:g} leaves {left} of {len(ids)} training images; 2 are needed"
            )
        if phase.subset.scores != "self":
            scores_of(runs, phase.subset, ids)
            if Run(runs / phase.subset.scores).config()["fingerprint"] != fingerprint:
                raise UserError(f"subset.scores: run {phase.subset.scores} saw other images than this run will")


def find_parent(config: RunConfig, runs: Path, fingerprint: str, precision: str) -> dict[str, str | int] | None:
    """The stored state this run would reach anyway, as late as possible before its last phase; the newest of them.

    So phase 1 is paid once: runs that differ only from some border on share what lies before it. The last phase is
    always trained.
    """
    found: tuple[int, Run, str] | None = None
    for run in reversed(list_runs(runs)):
        for epoch, known in _states(run, precision).items():
            earlier = epoch <= config.last_phase_start and (found is None or epoch > found[0])
            if earlier and known == config.hash_at(epoch, fingerprint):
                found = (epoch, run, known)
    return {"run": found[1].id, "epoch": found[0], "hash": found[2]} if found else None


def _states(run: Run, precision: str) -> dict[int, str]:
    """Hash by epoch of the states a run has stored and committed; none if it is damaged or was trained otherwise."""
    try:
        hashes = run.config()["states"]
        if json.loads(run.manifest_file.read_text())["precision"] != precision:
            return {}
        committed = len(run.metrics())
    except (UserError, OSError, ValueError, KeyError):
        return {}
    return {epoch: hashes[str(epoch)] for epoch in stored_epochs(run) if str(epoch) in hashes and epoch <= committed}
