"""From a configuration to a run directory that waits for its worker; what is wrong is found here, before the start."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dpls.data import TRAIN, Dataset
from dpls.device import resolve_device, resolve_precision
from dpls.errors import UserError
from dpls.jobs.estimate import sizes_of
from dpls.jobs.room import bytes_of_images, bytes_of_run, check_room
from dpls.methods import Elsewhere
from dpls.recipe import ENGINE, RunConfig, hash_at
from dpls.runs.choice import check_scores, scores_of
from dpls.runs.directory import Run
from dpls.runs.files import data_root
from dpls.runs.folder import create_run, list_runs
from dpls.runs.scores.training import files_for, pinned
from dpls.training.checkpoints import stored_epochs


def submit(
    config: RunConfig,
    runs: Path,
    label: str = "",
    after: Run | None = None,
    experiment: str | None = None,
    loaded: Mapping[str, Callable[[], bytes]] | None = None,
) -> Run:
    """A queued run. Its data is cached, its settings checked, and the stored state it may start from is looked up.

    ``after``: a run, finished or not, whose state at the start of the last phase this one starts from; it waits for it,
    as it waits for the runs whose scores choose its examples. ``experiment``: the one it was made for.
    ``loaded``: the weights of a run whose epochs were trained elsewhere, files by name.
    """
    device = resolve_device(config.device)
    for attack in config.evaluations:
        attack.check_installed()
    _check_room(config, runs)
    dataset, fingerprint = config.data(data_root(runs))
    _check_room(config, runs)  # its images are known now, and in the cache
    config = pinned(config, runs, fingerprint)
    _check(config, runs, dataset, fingerprint)
    kept = files_for(config, runs, fingerprint, dataset.ids(TRAIN))
    precision = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    parent = find_parent(config, runs, fingerprint, precision) if after is None else _branch(config, after, fingerprint)
    if not loaded:
        _check_trains_here(config, parent)
    scores = {name for phase in config.phases if phase.subset for name in phase.subset.scores}
    content = {
        "engine": ENGINE,
        "recipe_hash": hash_at(config, config.epochs, fingerprint),
        "fingerprint": fingerprint,
        "states": {str(epoch): hash_at(config, epoch, fingerprint) for epoch in config.borders},
        "parent": parent,
        "needs": sorted(scores),
        "experiment": experiment,
        "config": config.model_dump(mode="json"),
    }
    return create_run(runs, content, config.epochs, label, {**kept, **(loaded or {})})


def _check_room(config: RunConfig, runs: Path) -> None:
    sizes, cached = sizes_of(config, data_root(runs)), config.data.known(data_root(runs)) is not None
    if sizes is not None:
        check_room(runs, bytes_of_run(config, sizes), 0 if cached else bytes_of_images(config, sizes))


def _branch(config: RunConfig, after: Run, fingerprint: str) -> dict[str, str | int]:
    """The start of the last phase, in a run that comes to the very same state there."""
    epoch = config.last_phase_start
    expected = hash_at(config, epoch, fingerprint)
    if after.config()["states"].get(str(epoch)) != expected:
        raise UserError(f"run {after.id} does not pass through the state in which the last phase starts")
    return {"run": after.id, "epoch": epoch, "hash": expected}


def _check_trains_here(config: RunConfig, parent: dict[str, str | int] | None) -> None:
    """Epochs that were trained elsewhere can be taken over from a stored state only."""
    for start, phase in config.phases_after(int(parent["epoch"]) if parent else 0):
        objective = phase.objective or config.objective
        if isinstance(objective, Elsewhere):
            raise UserError(
                f"epochs {start + 1} to {phase.until} were {objective.title}, and no run here has the state after them;"
                " choose another objective, or load the weights first: python -m dpls load"
            )


def _check(config: RunConfig, runs: Path, dataset: Dataset, fingerprint: str) -> None:
    """What can be wrong only for these images and these runs."""
    check_images(config, dataset)
    for name in (name for phase in config.phases if phase.subset for name in phase.subset.scores):
        _check_scores(Run(runs / name), fingerprint, dataset.ids(TRAIN))


def check_images(config: RunConfig, dataset: Dataset) -> None:
    """What can be wrong only for these images: too many classes for a factor, too few left to train on."""
    count = len(dataset.ids(TRAIN))
    for number, phase in enumerate(config.phases):
        phase.factors.check(len(dataset.classes))
        left = count if phase.subset is None else round(phase.subset.left * count)
        if left < 2:
            raise UserError(f"phases.{number}.subset leaves {left} of {count} training images; 2 are needed")


def _check_scores(run: Run, fingerprint: str, train_ids: np.ndarray) -> None:
    if run.id not in [other.id for other in list_runs(run.path.parent)]:
        raise UserError(f"subset.scores: {run.id!r} is not the id of a run in {str(run.path.parent)!r}")
    if run.config()["fingerprint"] != fingerprint:
        raise UserError(f"subset.scores: run {run.id} saw other images than this run will")
    if run.state() == "done":
        check_scores(scores_of(run.path.parent, [run.id]), [run.id], train_ids)


def find_parent(config: RunConfig, runs: Path, fingerprint: str, precision: str) -> dict[str, str | int] | None:
    """The stored state this run would reach anyway, as late as possible before its last phase; the newest of them.

    So phase 1 is paid once: runs that differ only from some border on share what lies before it. The last phase is
    always trained.
    """
    found: tuple[int, Run, str] | None = None
    for run in reversed(list_runs(runs)):
        for epoch, known in _states(run, precision).items():
            earlier = epoch <= config.last_phase_start and (found is None or epoch > found[0])
            if earlier and known == hash_at(config, epoch, fingerprint):
                found = (epoch, run, known)
    return {"run": found[1].id, "epoch": found[0], "hash": found[2]} if found else None


def _states(run: Run, precision: str) -> dict[int, str]:
    """Hash by epoch of the states a run has stored and committed; none if it is damaged or was trained otherwise."""
    try:
        hashes = run.config()["states"]
        if run.manifest()["precision"] != precision:
            return {}
        committed = len(run.metrics())
    except (UserError, OSError):
        return {}
    return {epoch: hashes[str(epoch)] for epoch in stored_epochs(run) if str(epoch) in hashes and epoch <= committed}
