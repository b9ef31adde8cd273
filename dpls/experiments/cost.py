"""What an experiment will cost, before it starts: which of its runs are there already, how long and how large the rest.

The speed is measured, not looked up: a few steps of the run itself, in this process, just now.
"""

import math
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from dpls.data import TRAIN, VALIDATION, Dataset
from dpls.difficulty.record import Epoch
from dpls.disk import size_in_words
from dpls.errors import UserError
from dpls.evaluations.judge import correct
from dpls.experiments.base import ByDifficulty, Experiment, Planned
from dpls.experiments.compare import ties
from dpls.experiments.conduct import check_plan, settled
from dpls.experiments.stored import Stored, identify
from dpls.jobs.estimate import epoch_passes, forward_operations, in_words, outline_of, total_passes, training_passes
from dpls.jobs.room import bytes_of_run, check_room
from dpls.recipe import Phase, RunConfig, same_run
from dpls.runs.files import data_root
from dpls.training.loop import Parts, build, sweep, train_epoch

TRIAL = 2.0  # seconds of measuring
MOST_OPERATIONS = 4e11
"""Of one trial: of a large net only a small batch is tried."""
PER_RUN, PER_EPOCH = 0.25, 0.03
"""Seconds for what is not arithmetic (tables and checkpoints; record, state and row): seen 0.4 s in a run of 6 epochs,
1.3 s in one of 36."""


class Rate(NamedTuple):
    """Operations a second, by the count of ``estimate``: of the clock, and of the processor, all its cores together."""

    clock: float
    processor: float

    @property
    def undisturbed(self) -> float:
        """Of the clock, on a machine with nothing else to do: waiting for others costs time, but no processor time."""
        return max(self.clock, self.processor)


class Spent(NamedTuple):
    """Seconds of an epoch: of the clock, and of the processor, all its cores together."""

    clock: float
    processor: float

    def least(self, other: "Spent") -> "Spent":
        return Spent(min(self.clock, other.clock), min(self.processor, other.processor))


class Cost(NamedTuple):
    """Runs in all and those yet to be trained, seconds of the clock and of the processor, bytes on disk."""

    runs: int
    new: int
    seconds: float
    processor_seconds: float
    size: float

    @property
    def in_words(self) -> str:
        if not self.new:
            return f"All {self.runs} runs are there already; nothing needs to be trained."
        old = self.runs - self.new
        there = f"; {old} {'is' if old == 1 else 'are'} there already" if old else ""
        new = f"{self.new} run{'s' * (self.new > 1)} to train{there}"
        return f"{new}: about {in_words(self.seconds)} of this machine, {size_in_words(self.size)} of its disk."


def cost(experiment: Experiment, runs: Path, rates: dict[str, Rate] | None = None) -> Cost:
    """What starting it would add. ``rates``: by kind of objective, where they have been measured before.

    Reads the images, and measures for seconds where anything is to be trained.
    """
    experiment = settled(experiment, runs)
    plan = experiment.plan()
    new = _missing(experiment, plan, runs)
    if not new:
        return Cost(len(plan), 0, 0.0, 0.0, 0.0)
    check_plan(experiment, plan, runs)
    dataset, _ = experiment.base.data(data_root(runs))
    sizes, rates = outline_of(dataset), dict(rates or {})
    seconds = processor = size = 0.0
    for planned in new:
        config = planned.config
        kind = config.objective.kind
        if kind not in rates:
            rates[kind] = measure(config, dataset)
        done = config.last_phase_start if planned.after else 0
        passes = total_passes(config, sizes.counts, sizes.pseudo)
        passes -= training_passes(config, sizes.counts, done, sizes.pseudo)
        operations = passes * forward_operations(config.net, sizes)
        other = PER_RUN + PER_EPOCH * (config.epochs - done)
        seconds += operations / rates[kind].undisturbed + other
        processor += operations / rates[kind].processor + other
        size += bytes_of_run(config, sizes)
    return Cost(len(plan), len(new), seconds, processor, size)


def check_room_for(experiment: Experiment, runs: Path) -> None:
    """Whether all its runs that are not there yet have room on the disk; that of each is looked at when it is made."""
    experiment = settled(experiment, runs)
    new = _missing(experiment, experiment.plan(), runs)
    if new and (dataset := experiment.base.data.known(data_root(runs))):
        check_room(runs, sum(bytes_of_run(planned.config, outline_of(dataset)) for planned in new))


def said_of_ties(experiment: Experiment, runs: Path) -> list[str]:
    """Before it starts: by how much chance its cuts are, in numbers as far as its runs have scored the images."""
    if not isinstance(experiment, ByDifficulty):
        return []
    stored = Stored(runs / "experiments" / identify(settled(experiment, runs)))
    if stored.players() or stored.is_complete:
        with suppress(UserError):  # nothing has finished yet
            return ties(experiment, stored.outcomes())
    return ["Among images tied with the last one of a cut the seed draws; how many these are is known with the scores."]


def _missing(experiment: Experiment, plan: list[Planned], runs: Path) -> list[Planned]:
    stored = Stored(runs / "experiments" / identify(experiment))
    if stored.is_complete and stored.sees(experiment):
        return []
    players = stored.players()
    ids = {role: run.id for role, run in players.items()}
    finished = {role for role, run in players.items() if run.status()["state"] == "done"}
    known = None
    new = []
    for planned in plan:
        if planned.role not in ids and all(role in ids for role in planned.scores):
            known = stored.known(experiment) if known is None else known
            found = known.get(same_run(planned.resolved(ids)))
            if found:
                ids[planned.role] = found.id
                if found.status()["state"] == "done":
                    finished.add(planned.role)
        if planned.role not in finished:
            new.append(planned)
    return new


def measure(config: RunConfig, dataset: Dataset) -> Rate:
    """How fast this run's own epochs are: real ones in this process, on fewer images where the net is large.

    The fastest counts: what slows an epoch, warming up or another program, is not the run's own cost.
    """
    sizes = outline_of(dataset)
    operations = forward_operations(config.net, sizes)
    config = config.model_copy(update={"attack_warmup": 0})  # an epoch of the usual kind
    parts = build(config.resolved(), dataset)
    phase = parts.config.phases[0].model_copy(update={"subset": None})
    count = int(MOST_OPERATIONS / (operations * epoch_passes(config, phase, (1, 0, 0), 1)))
    counts = [max(2, min(count, n)) for n in sizes.counts]
    some = tuple(split.take(torch.arange(n)) for split, n in zip(parts.splits, counts, strict=True))
    parts = replace(parts, splits=(some[0], some[1], some[2]))
    validated = epoch_passes(config, phase, (0, counts[1], 0), 1) - counts[1]
    passes = epoch_passes(config, phase, (counts[0], counts[1], counts[2]), 1)
    passes += validated * (config.selection.every - 1)
    best, began = Spent(math.inf, math.inf), time.perf_counter()
    while time.perf_counter() - began < TRIAL:
        best = best.least(_epoch(parts, phase))
    done = passes * operations
    return Rate(done / best.clock, done / (best.processor if parts.device.type == "cpu" else best.clock))


def _epoch(parts: Parts, phase: Phase) -> Spent:
    """What an epoch does: training, the sweep, the attack on validation images."""
    clock, processor = time.perf_counter(), time.process_time()
    training = parts.splits[TRAIN]
    record = Epoch(int(max(split.ids.max() for split in parts.splits)) + 1, parts.device)
    factors = torch.ones(len(training), device=parts.device)
    train_epoch(parts, 1, phase, factors, torch.arange(len(training)), record, _Silent())
    sweep(parts, record)
    correct(parts.net, parts.splits[VALIDATION], parts.config.selection.attack, dtype=parts.dtype)
    return Spent(time.perf_counter() - clock, time.process_time() - processor)


class _Silent:
    """Nobody watches a trial."""

    def images(self, count: int) -> None: ...

    def epoch(self, row: dict[str, object]) -> None: ...
