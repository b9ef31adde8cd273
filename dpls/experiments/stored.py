"""An experiment's folder, ``<runs>/experiments/<kind>-<hash>/``: settings, which run plays which role, outcomes.

An experiment is no process: all its runs are submitted at once and wait for each other. Its name is a hash of its
settings, and a run that is there already plays its role, so starting it again trains nothing twice. Read here, without
torch; ``conduct`` starts and stops.
"""

import io
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from dpls.component import ENGINE, canonical, digest, validated
from dpls.errors import UserError
from dpls.experiments.base import Experiment
from dpls.experiments.believed import believed
from dpls.experiments.kinds import checked
from dpls.experiments.outcomes import Outcomes, gather
from dpls.experiments.result import Result
from dpls.recipe import anywhere, same_run
from dpls.runs import scores as kept_scores
from dpls.runs.checked import Test, damaged, is_count, is_list, is_table, is_text, or_none
from dpls.runs.checked import table as checked_table
from dpls.runs.contents import is_fingerprint, is_id
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED, data_root, read_json, write_whole
from dpls.runs.folder import list_runs

Reading: TypeAlias = tuple[str, dict[str, Any]]
"""A run's state and its status."""


class Progress(NamedTuple):
    """Runs done and in all, share of all epochs done, seconds that are left (None where nothing tells yet)."""

    done: int
    runs: int
    share: float
    seconds_left: float | None


NAME = re.compile(r"[a-z]+-[0-9a-f]{10}")
ENTRIES: dict[str, Test] = {
    "created": is_text,
    "fingerprint": or_none(is_fingerprint),
    "settings": is_table(),
    "arms": is_table(lambda arm: isinstance(arm, list) and len(arm) == 2 and is_text(arm[0]) and is_count(arm[1])),
    "judges": is_table(is_list(is_text)),
    "runs": is_table(is_id),
}
COLUMNS = {"seed": "iu", "id": "iu", "split": "O"}
"""Of outcomes and of scores, with their kinds."""


@dataclass(frozen=True)
class Stored:
    """An experiment's folder."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def short_id(self) -> str:
        """e.g. ``cscore-6b1f``."""
        return f"{self.kind}-{self.id[-4:]}"

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
        return read_json(self.path / "experiment.json", self.path, "an experiment", ENTRIES)

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.content["settings"]
        return settings

    @cached_property
    def experiment(self) -> Experiment:
        """Its settings, checked; a UserError in one sentence where they are damaged."""
        try:
            return checked(self.settings)
        except (UserError, KeyError, TypeError, AttributeError) as error:
            reason = error if isinstance(error, UserError) else "it holds no settings of an experiment"
            file = self.path / "experiment.json"
            raise UserError(f"{file} is damaged ({reason}); restore it or delete {self.id}") from None

    @property
    def kind(self) -> str:
        return self.experiment.name()

    def runs(self) -> dict[str, Run]:
        """{role: run}, those that are still there."""
        found = {role: Run(self.runs_folder / name) for role, name in self.content["runs"].items()}
        return {role: run for role, run in found.items() if run.config_file.exists()}

    def players(self) -> dict[str, Run]:
        """{role: run}, those that have finished or still can; none where it has not begun."""
        if not (self.path / "experiment.json").exists():
            return {}
        return {role: run for role, run in self.runs().items() if not _is_lost(run)}

    def known(self, experiment: Experiment) -> dict[str, Run]:
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

    def sees(self, experiment: Experiment) -> bool:
        """Whether its outcomes are of the images the experiment would see now, or of images that are gone."""
        try:
            return bool(self.content["fingerprint"] == experiment.base.data(data_root(self.runs_folder))[1])
        except UserError:
            return True

    def readings(self) -> dict[str, Reading]:
        """{role: state and status of one moment}, for the runs that are there; 'damaged' and nothing where so."""
        return {role: reading_of(run) for role, run in self.runs().items()}

    def states(self, readings: Mapping[str, Reading] | None = None) -> Counter[str]:
        """How many of its runs are in which state; 'missing' are those not submitted yet, or deleted since."""
        if self.is_complete:
            return Counter(done=len(self.content["arms"]))
        found = self.readings() if readings is None else readings
        states = Counter(state for state, _ in found.values())
        states["missing"] = len(self.content["arms"]) - len(found)
        return states

    def progress(self, readings: Mapping[str, Reading] | None = None) -> Progress:
        """By epochs; the time left from how long its finished runs took for each of theirs."""
        planned, roles = len(self.content["arms"]), self.runs()
        done, epochs, reached, times = 0, 0, 0, []
        for role, (_, status) in (self.readings() if readings is None else readings).items():
            with suppress(UserError, KeyError, TypeError, ValueError):
                parent = roles[role].config()["parent"]
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
                return self._stored_outcomes()
            except UserError:
                if self.is_recorded or len(self.runs()) < len(self.content["arms"]):
                    raise
        roles, content = self.runs(), self.content
        arms = {role: (str(name), int(seed)) for role, (name, seed) in content["arms"].items()}
        judges = {
            int(seed): [roles[role].id for role in names]
            for seed, names in content["judges"].items()
            if all(role in roles and state_of(roles[role]) == "done" for role in names)
        }
        there = {role: run for role, run in roles.items() if arms[role][1] in judges}
        found = gather(self.runs_folder, there, arms, judges, measures=self.experiment.makes_measures)
        if len(roles) == len(arms) and all(state_of(run) == "done" for run in roles.values()):
            with suppress(OSError):  # who may only look makes them anew each time
                for name, values in self.experiment.new_measures(found).items():
                    kept_scores.keep(self.runs_folder, content["fingerprint"], f"{self.short_id}{name}", values)
                for file, table in zip(self.tables, (found.outcomes, found.scores), strict=True):
                    buffer = io.BytesIO()
                    table.to_parquet(buffer, index=False, compression="zstd")
                    write_whole(file, buffer.getvalue())
        return found

    def _stored_outcomes(self) -> Outcomes:
        remedy = f"delete the folder of {self.id}"
        outcomes, scores = (checked_table(file, COLUMNS, None, remedy) for file in self.tables)
        for file, table in zip(self.tables, (outcomes, scores), strict=True):
            if not len(table) or not 0 <= table["id"].min() <= table["id"].max() < len(scores):
                raise damaged(file, "its ids are not those of the scores", remedy)
        return Outcomes(outcomes, scores)

    def result(self) -> Result:
        """What the runs that have finished say."""
        outcomes = self.outcomes()
        try:
            result = self.experiment.summarise(outcomes)
            return replace(result, trust=believed(self.experiment, outcomes))
        except UserError:
            raise
        except Exception as error:  # whatever tables that are damaged make of it
            raise damaged(
                self.path, error, f"delete outcomes.parquet and scores.parquet, or the folder {self.id}"
            ) from error


def state_of(run: Run) -> str:
    """Its state, or 'damaged'."""
    return reading_of(run)[0]


def reading_of(run: Run) -> Reading:
    """State and status of one moment, or 'damaged' and nothing."""
    try:
        return run.reading()
    except UserError:
        return "damaged", {}


def _is_lost(run: Run) -> bool:
    """Whether it can never finish: it is damaged, or waits for the scores of a run that is gone."""
    try:
        needed = [Run(run.path.parent / name) for name in run.config().get("needs", ())]
        return run.state() != "done" and not all(other.config_file.exists() for other in needed)
    except UserError:
        return True


def list_experiments(runs: Path, kind: str = "") -> list[Stored]:
    """All experiments of a folder of runs, or those of a kind, the newest first; none that is damaged."""
    found = [Stored(p) for p in (runs / "experiments").glob(f"{kind}-*" if kind else "*") if NAME.fullmatch(p.name)]
    whole = [stored for stored in found if _is_whole(stored)]
    return sorted(whole, key=lambda stored: str(stored.content["created"]), reverse=True)


def _is_whole(stored: Stored) -> bool:
    """Whether its file holds what there must be, of the kind that its name says."""
    try:
        return stored.id.startswith(f"{stored.kind}-")
    except (UserError, OSError):
        return False


def identify(experiment: Experiment) -> str:
    """The name of the experiment with these settings; where it computes does not matter."""
    anyhow = validated(experiment.model_copy(update={"base": anywhere(experiment.base)}))
    return f"{experiment.name()}-{digest(ENGINE, canonical(anyhow))[:10]}"


def by_config(runs: Path, fingerprint: str) -> dict[str, Run]:
    """{``same_run`` of a configuration: the run with it on these images}, a finished one before others, none that is
    lost."""
    found: dict[str, Run] = {}
    ranked = sorted(list_runs(runs), key=lambda run: (state_of(run) == "done", run.id))
    for run in ranked:
        with suppress(UserError, KeyError):
            stored = run.config()
            if not _is_lost(run) and (stored["fingerprint"], stored.get("engine")) == (fingerprint, ENGINE):
                found[same_run(run.recipe())] = run
    return found
