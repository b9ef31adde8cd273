"""Starting, stopping and resuming an experiment: what is done to its runs. Each does nothing twice."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from dpls.data import TRAIN
from dpls.errors import UserError
from dpls.experiments.base import Experiment, Planned
from dpls.experiments.stored import Stored, identify, state_of
from dpls.jobs.launchers import Launcher, take_up
from dpls.jobs.queue import WAITING, hindrance
from dpls.recipe import same_run
from dpls.runs.directory import SCHEMA, Run
from dpls.runs.files import create_folder, data_root, now, tidy, write_json
from dpls.runs.scores.training import pinned, with_scores


def start(experiment: Experiment, runs: Path, launcher: Launcher) -> Stored:
    """Submits what is missing, sets going what was stopped, and starts workers."""
    stored = submit_all(experiment, runs)
    take_up(launcher, runs)
    return stored


def submit_all(experiment: Experiment, runs: Path) -> Stored:
    """Its folder, with a run for every role: one that is there already, or a new one; what is not finished waits."""
    from dpls.jobs.submission import submit

    experiment = settled(experiment, runs)
    settings = experiment.model_dump(mode="json")
    plan = experiment.plan()
    path = runs / "experiments" / identify(experiment)
    stored = Stored(path)
    if stored.is_complete and stored.sees(experiment):
        return stored  # whether its runs are still there or not
    check_plan(experiment, plan, runs)
    create_folder(path)
    with _lock(stored):
        tidy(path)
        stored = _begun(path, settings, experiment, plan)
        content, known = dict(stored.content), None
        ids: dict[str, str] = {role: run.id for role, run in stored.players().items()}
        for planned in plan:
            if planned.role in ids:
                continue
            known = stored.known(experiment) if known is None else known  # where all is there, images are not needed
            config = planned.resolved(ids)
            key = same_run(config)
            if key not in known:
                after = Run(runs / ids[planned.after]) if planned.after else None
                known[key] = submit(config, runs, planned.role, after, path.name)
            found = known[key]
            ids[planned.role] = found.id
            content |= {"runs": ids, "fingerprint": found.config()["fingerprint"]}
            for file in stored.tables:
                file.unlink(missing_ok=True)  # of other runs
            write_json(path / "experiment.json", content)
        stored = Stored(path)
        requeue(stored)
    return stored


def settled(experiment: Experiment, runs: Path) -> Experiment:
    """The same, with the content of the scores that its runs are trained by; itself where there are none."""

    def pin(scores: str) -> str:
        _, fingerprint = experiment.base.data(data_root(runs))
        return pinned(with_scores(experiment.base, scores), runs, fingerprint).difficulty.scores

    return experiment.settled(pin)


def conclude(run: Run) -> None:
    """For whoever has finished a run: where it was the last of an experiment that makes a measure, the measure is
    written. Of other experiments, nothing."""
    name = run.config().get("experiment")
    stored = Stored(run.path.parent / "experiments" / str(name))
    with suppress(UserError):
        waits = name and stored.experiment.makes_measures and not stored.is_complete
        if waits and stored.states()["done"] == len(stored.content["arms"]):
            stored.outcomes()


def _lock(stored: Stored) -> FileLock:
    """Held while runs are laid out, and while they are stopped: what was stopped must not be set going after it."""
    return FileLock(stored.path / "start.lock")


def _begun(path: Path, settings: dict[str, Any], experiment: Experiment, plan: list[Planned]) -> Stored:
    if not (path / "experiment.json").exists():
        seeds = sorted({p.seed for p in plan if p.arm != "scores"})
        content = {
            "schema": SCHEMA,
            "created": now(),
            "fingerprint": None,
            "settings": settings,
            "arms": {p.role: [p.arm, p.seed] for p in plan},
            "judges": {str(seed): list(experiment.judges_of(seed)) for seed in seeds},
            "runs": {},
        }
        write_json(path / "experiment.json", content)
    return Stored(path)


def check_plan(experiment: Experiment, plan: Sequence[Planned], runs: Path) -> None:
    """What can be wrong only for these images, of all runs before the first is made."""
    from dpls.jobs.submission import check_images

    dataset, _ = experiment.base.data(data_root(runs))
    for planned in plan:
        check_images(planned.config, dataset)
    experiment.check(len(dataset.ids(TRAIN)))


def resume(stored: Stored, launcher: Launcher) -> None:
    """Whatever of it is not finished waits again for a worker."""
    requeue(stored)
    take_up(launcher, stored.runs_folder)


def requeue(stored: Stored) -> None:
    """What was stopped, failed or lost its worker waits again."""
    for run in stored.runs().values():
        if state_of(run) in ("cancelled", "failed", "interrupted", "blocked"):
            with suppress(UserError), run.lock():
                run.stop_file.unlink(missing_ok=True)
                run.write_status(state="queued", stage=None, finished=None, error=None)


def cancel(stored: Stored, launcher: Launcher) -> None:
    """Stops its runs, those at work last: their worker would go on with the next."""
    with _lock(stored):
        for run in sorted(Stored(stored.path).runs().values(), key=lambda run: run.is_locked()):
            if state_of(run) in (*WAITING, "running", "interrupted"):
                with suppress(UserError):
                    launcher.cancel(run)


def next_of(stored: Stored, besides: set[str]) -> Run | None:
    """The first of its runs, in the order of its plan, that can start now."""
    for run in stored.runs().values():
        if run.id not in besides and state_of(run) in WAITING and not run.is_locked() and hindrance(run) is None:
            return run
    return None
