"""An experiment's folder, ``<runs>/experiments/<kind>-<hash>/``: settings, which run plays which role, outcomes.

An experiment is no process: all its runs are submitted at once and wait for each other. Its name is a hash of its
settings, and a run that is there already plays its role, so starting it again trains nothing twice. No torch, but where
something is started.
"""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from dpls.errors import UserError
from dpls.experiments.outcomes import Outcomes, gather
from dpls.jobs import WAITING, Launcher, hindrance, take_up
from dpls.runs import (
    RECORDED,
    SCHEMA,
    Run,
    create_folder,
    data_root,
    list_runs,
    now,
    read_json,
    write_json,
    write_whole,
)

if TYPE_CHECKING:
    from dpls.experiments.plan import Experiment, Planned


class Progress(NamedTuple):
    """Runs done and in all, share of all epochs done, seconds that are left (None where nothing tells yet)."""

    done: int
    runs: int
    share: float
    seconds_left: float | None


NAME = re.compile(r"[a-z]+-[0-9a-f]{10}")


@dataclass(frozen=True)
class Stored:
    """An experiment's folder."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def runs_folder(self) -> Path:
        return self.path.parent.parent

    @property
    def is_recorded(self) -> bool:
        """Whether it came with the package: its outcomes are there, its runs are not."""
        return self.runs_folder == RECORDED

    @cached_property
    def content(self) -> dict[str, Any]:
        """What experiment.json holds: schema, created, fingerprint, settings, arms {role: [arm, seed]}, judges {seed:
        roles}, runs {role: id}."""
        return read_json(self.path / "experiment.json", self.path, "an experiment")

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.content["settings"]
        return settings

    @property
    def kind(self) -> str:
        return str(self.settings["kind"])

    def runs(self) -> dict[str, Run]:
        """{role: run}, those that are still there."""
        found = {role: Run(self.runs_folder / name) for role, name in self.content["runs"].items()}
        return {role: run for role, run in found.items() if run.config_file.exists()}

    def players(self) -> dict[str, Run]:
        """{role: run}, those that have finished or still can; none where it has not begun."""
        if not (self.path / "experiment.json").exists():
            return {}
        return {role: run for role, run in self.runs().items() if not _is_lost(run)}

    def known(self, experiment: "Experiment") -> dict[str, Run]:
        """Runs of its folder that may play a role, by configuration: those that see the images it has begun with."""
        _, fingerprint = experiment.base.data(data_root(self.runs_folder))
        if self.players() and self.content["fingerprint"] not in (None, fingerprint):
            raise UserError(
                f"the images are no longer those of {self.id}; bring them back, or delete the folder {str(self.path)!r}"
                " and start anew"
            )
        return by_config(self.runs_folder, fingerprint)

    @property
    def tables(self) -> tuple[Path, Path]:
        """Outcomes and scores; there once all its runs are done."""
        return self.path / "outcomes.parquet", self.path / "scores.parquet"

    @property
    def is_complete(self) -> bool:
        """Whether its outcomes are there; its runs need not be any more."""
        return all(file.exists() for file in self.tables)

    def sees(self, experiment: "Experiment") -> bool:
        """Whether its outcomes are of the images the experiment would see now, or of images that are gone."""
        try:
            return bool(self.content["fingerprint"] == experiment.base.data(data_root(self.runs_folder))[1])
        except UserError:
            return True

    def states(self) -> Counter[str]:
        """How many of its runs are in which state; 'missing' are those not submitted yet, or deleted since."""
        if self.is_complete:
            return Counter(done=len(self.content["arms"]))
        found = self.runs()
        states = Counter(_state(run) for run in found.values())
        states["missing"] = len(self.content["arms"]) - len(found)
        return states

    def progress(self) -> Progress:
        """By epochs; the time left from how long its finished runs took for each of theirs."""
        planned, roles = len(self.content["arms"]), self.runs()
        done, epochs, reached, times = 0, 0, 0, []
        for run in roles.values():
            with suppress(UserError, KeyError, TypeError, ValueError):
                status, parent = run.status(), run.config()["parent"]
                shared = parent["epoch"] if parent else 0
                epochs += status["epochs"] - shared
                reached += max(0, status["epoch"] - shared)
                done += status["state"] == "done"
                if status["state"] == "done" and status["epochs"] > shared:
                    began, ended = (datetime.fromisoformat(status[name]) for name in ("started", "finished"))
                    times.append((ended - began).total_seconds() / (status["epochs"] - shared))
        left = float(np.median(times)) * (epochs - reached) if times else None
        return Progress(done, planned, reached / max(1, epochs), left)

    def is_worked_on(self) -> bool:
        """Whether a worker has one of its runs."""
        return any(run.is_locked() for run in self.runs().values())

    def outcomes(self) -> Outcomes:
        """Of the runs that have finished; read from the folder where all had when it was last asked."""
        if self.is_complete:
            try:
                return Outcomes(*(pd.read_parquet(file) for file in self.tables))
            except (OSError, ValueError) as error:
                if self.is_recorded or len(self.runs()) < len(self.content["arms"]):
                    raise UserError(f"the outcomes of {self.id} are damaged ({error}); delete its folder") from None
        roles, content = self.runs(), self.content
        arms = {role: (str(name), int(seed)) for role, (name, seed) in content["arms"].items()}
        judges = {
            int(seed): [roles[role].id for role in names]
            for seed, names in content["judges"].items()
            if all(role in roles and _state(roles[role]) == "done" for role in names)
        }
        there = {role: run for role, run in roles.items() if arms[role][1] in judges}
        found = gather(self.runs_folder, there, arms, judges)
        if len(roles) == len(arms) and all(_state(run) == "done" for run in roles.values()):
            with suppress(OSError):  # who may only look makes them anew each time
                for file, table in zip(self.tables, (found.outcomes, found.scores), strict=True):
                    buffer = io.BytesIO()
                    table.to_parquet(buffer, index=False, compression="zstd")
                    write_whole(file, buffer.getvalue())
        return found


def _state(run: Run) -> str:
    try:
        return run.state()
    except UserError:
        return "damaged"


def _is_lost(run: Run) -> bool:
    """Whether it can never finish: it is damaged, or waits for the scores of a run that is gone."""
    try:
        needed = [Run(run.path.parent / name) for name in run.config().get("needs", ())]
        return run.state() != "done" and not all(other.config_file.exists() for other in needed)
    except UserError:
        return True


def list_experiments(runs: Path) -> list[Stored]:
    """All experiments of a folder of runs, the newest first."""
    found = [Stored(p) for p in (runs / "experiments").glob("*") if NAME.fullmatch(p.name)]
    dated = []
    for stored in found:
        with suppress(UserError, KeyError, TypeError, IndexError):
            content, base = stored.content, stored.settings["base"]
            # What a list shows of it is there.
            _ = (base["eps"], base["objective"]["kind"], base["data"]["source"]["kind"], base["data"]["probes"])
            _ = (stored.settings["seeds"], base["phases"][-1]["until"], base["schedule"]["decays"])
            if {"arms", "judges", "runs", "fingerprint"} <= content.keys() and stored.kind in stored.id:
                dated.append((str(content["created"]), stored))
    return [stored for _, stored in sorted(dated, key=lambda entry: entry[0], reverse=True)]


def identify(settings: Mapping[str, Any]) -> str:
    """The name of the experiment with these settings; where it computes does not matter."""
    plain = {**settings, "base": {k: v for k, v in settings["base"].items() if k != "device"}}
    return f"{settings['kind']}-{hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:10]}"


def submit_all(experiment: "Experiment", runs: Path) -> Stored:
    """Its folder, with a run for every role: one that is there already, or a new one that waits."""
    from dpls.submission import submit

    settings = experiment.model_dump(mode="json")
    plan = experiment.plan()
    path = runs / "experiments" / identify(settings)
    stored = Stored(path)
    if stored.is_complete and stored.sees(experiment):
        return stored  # whether its runs are still there or not
    check_plan(experiment, plan, runs)
    create_folder(path)
    with FileLock(path / "start.lock"):
        stored = _begun(path, settings, experiment, plan)
        content, known = dict(stored.content), None
        ids: dict[str, str] = {role: run.id for role, run in stored.players().items()}
        for planned in plan:
            if planned.role in ids:
                continue
            known = stored.known(experiment) if known is None else known  # where all is there, images are not needed
            config = planned.resolved(ids)
            key = key_of(config.model_dump(mode="json"))
            if key not in known:
                after = Run(runs / ids[planned.after]) if planned.after else None
                known[key] = submit(config, runs, planned.role, after, path.name)
            found = known[key]
            ids[planned.role] = found.id
            content |= {"runs": ids, "fingerprint": found.config()["fingerprint"]}
            for file in stored.tables:
                file.unlink(missing_ok=True)  # of other runs
            write_json(path / "experiment.json", content)
    return Stored(path)


def check_plan(experiment: "Experiment", plan: "Sequence[Planned]", runs: Path) -> None:
    """What can be wrong only for these images, of all runs before the first is made."""
    from dpls.data import TRAIN
    from dpls.submission import check_images

    dataset, _ = experiment.base.data(data_root(runs))
    for planned in plan:
        check_images(planned.config, dataset)
    share, count = getattr(experiment, "share", 1), len(dataset.ids(TRAIN))
    if round(share * count) == 0:
        raise UserError(f"share = {share:g} chooses none of the {count} training images; raise it")


def _begun(path: Path, settings: dict[str, Any], experiment: "Experiment", plan: "list[Planned]") -> Stored:
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


def by_config(runs: Path, fingerprint: str) -> dict[str, Run]:
    """{key of a configuration: the run with it on these images}, a finished one before others, none that is lost."""
    found: dict[str, Run] = {}
    ranked = sorted(list_runs(runs), key=lambda run: (_state(run) == "done", run.id))
    for run in ranked:
        with suppress(UserError, KeyError):
            if not _is_lost(run) and run.config()["fingerprint"] == fingerprint:
                found[key_of(run.config()["config"])] = run
    return found


def key_of(config: Mapping[str, Any]) -> str:
    """Equal where two runs would do the same; where they compute does not matter."""
    return json.dumps({k: v for k, v in config.items() if k != "device"}, sort_keys=True)


def start(experiment: "Experiment", runs: Path, launcher: Launcher) -> Stored:
    """Submits what is missing, sets going what was stopped, and starts workers."""
    stored = submit_all(experiment, runs)
    resume(stored, launcher)
    return stored


def resume(stored: Stored, launcher: Launcher) -> None:
    """Whatever of it is not finished waits again for a worker."""
    requeue(stored)
    take_up(launcher, stored.runs_folder)


def requeue(stored: Stored) -> None:
    """What was stopped, failed or lost its worker waits again."""
    for run in stored.runs().values():
        if _state(run) in ("cancelled", "failed", "interrupted", "blocked"):
            with suppress(UserError), run.lock():
                run.stop_file.unlink(missing_ok=True)
                run.write_status(state="queued", stage=None, finished=None, error=None)


def cancel(stored: Stored, launcher: Launcher) -> None:
    """Stops its runs, those at work last: their worker would go on with the next."""
    for run in sorted(stored.runs().values(), key=lambda run: run.is_locked()):
        if _state(run) in (*WAITING, "running", "interrupted"):
            with suppress(UserError):
                launcher.cancel(run)


def next_of(stored: Stored, besides: set[str]) -> Run | None:
    """The first of its runs, in the order of its plan, that can start now."""
    for run in stored.runs().values():
        if run.id not in besides and _state(run) in WAITING and not run.is_locked() and hindrance(run) is None:
            return run
    return None
