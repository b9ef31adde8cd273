"""What an experiment will cost, before it starts: which of its runs are there already, how long and how large the rest.

The speed is measured, not looked up: a few steps of the run itself, in this process, just now.
"""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dpls.config import Phase, RunConfig
from dpls.data import TRAIN, VALIDATION, Dataset
from dpls.data.split import Split
from dpls.dynamics import RECORDED, Epoch
from dpls.estimate import Sizes, epoch_passes, forward_operations, in_words, total_passes
from dpls.evaluation import correct
from dpls.experiments.plans import Experiment, Planned
from dpls.experiments.stored import Stored, by_config, identify, key_of
from dpls.runs import data_root
from dpls.training import Parts, build, sweep, train_epoch

TRIAL = 1.5  # seconds of measuring
MOST_OPERATIONS = 4e11
"""Of one trial: of a large net only a small batch is tried."""
PER_RUN = 1.0  # seconds of a run for what is not arithmetic: opening, tables, checkpoints
PER_EPOCH = 0.03  # seconds of an epoch for what is not arithmetic: writing the record, the state, the row


class Cost(NamedTuple):
    """Runs in all and those yet to be trained, process seconds, bytes on disk."""

    runs: int
    new: int
    seconds: float
    size: float

    @property
    def in_words(self) -> str:
        if not self.new:
            return f"All {self.runs} runs are there already; nothing needs to be trained."
        there = f"; {self.runs - self.new} are there already" if self.new < self.runs else ""
        size = f"{self.size / 1e6:,.0f} MB" if self.size < 1e9 else f"{self.size / 1e9:,.1f} GB"
        return f"{self.new} runs to train{there}: about {in_words(self.seconds)} of this machine, {size} of its disk."


def cost(experiment: Experiment, runs: Path) -> Cost:
    """What ``submit_all`` would add. Reads the images, and measures for seconds where anything is to be trained."""
    plan = experiment.plan()
    new = _missing(experiment, plan, runs)
    if not new:
        return Cost(len(plan), 0, 0.0, 0.0)
    dataset, _ = experiment.base.data(data_root(runs))
    sizes, rates = Sizes.of(dataset), {}
    seconds = size = 0.0
    for planned in new:
        config = planned.config
        kind = config.objective.kind
        if kind not in rates:
            rates[kind] = measure(config, dataset)
        done = config.last_phase_start if planned.after else 0
        passes = total_passes(config, sizes.counts)
        passes -= done * epoch_passes(config, config.phases[0], sizes.counts)
        seconds += passes * forward_operations(config.net, sizes) / rates[kind]
        seconds += PER_RUN + PER_EPOCH * (config.epochs - done)
        size += _bytes(config, sizes)
    return Cost(len(plan), len(new), seconds, size)


def _missing(experiment: Experiment, plan: list[Planned], runs: Path) -> list[Planned]:
    stored = Stored(runs / "experiments" / identify(experiment.model_dump(mode="json")))
    ids = {role: run.id for role, run in stored.runs().items()} if (stored.path / "experiment.json").exists() else {}
    finished = {role for role, run in stored.runs().items() if run.status()["state"] == "done"} if ids else set()
    known = by_config(runs)
    new = []
    for planned in plan:
        if planned.role not in ids and all(role in ids for role in planned.scores):
            found = known.get(key_of(planned.resolved(ids).model_dump(mode="json")))
            if found:
                ids[planned.role] = found.id
                if found.status()["state"] == "done":
                    finished.add(planned.role)
        if planned.role not in finished:
            new.append(planned)
    return new


def measure(config: RunConfig, dataset: Dataset) -> float:
    """Operations a second of this run's own epochs, by the count of ``estimate``: process time of a few real steps."""
    sizes = Sizes.of(dataset)
    operations = forward_operations(config.net, sizes)
    parts = build(config.resolved(), dataset)
    phase = parts.config.phases[0].model_copy(update={"subset": None})
    affordable = int(MOST_OPERATIONS / (operations * epoch_passes(config, phase, (1, 0, 0))))
    count = min(sizes.counts[0], max(2, affordable))
    rows = torch.from_numpy(np.linspace(0, sizes.counts[0] - 1, count).astype(np.int64))
    validated = parts.splits[VALIDATION].take(torch.arange(min(count, sizes.counts[1])))
    done, passes = 0, 0.0
    began = time.perf_counter()
    while not done or time.perf_counter() - began < TRIAL:
        if done == 1:  # the first round warms up
            began, passes = time.perf_counter(), 0.0
        _epoch(parts, phase, rows, validated)
        passes += epoch_passes(config, phase, (count, 0, 0)) + sum(sizes.counts) - count
        passes += epoch_passes(config, phase, (0, len(validated), 0)) * config.selection.every - len(validated)
        done += 1
        if done == 1 and time.perf_counter() - began > 3 * TRIAL:
            break
    return passes * operations / (time.perf_counter() - began)


def _epoch(parts: Parts, phase: Phase, rows: torch.Tensor, validated: Split) -> None:
    """What an epoch does, on these rows: training, the sweep, the attack on validation images."""
    factors = torch.ones(len(parts.splits[TRAIN]), device=parts.device)
    record = Epoch(int(max(split.ids.max() for split in parts.splits)) + 1, parts.device)
    train_epoch(parts, 1, phase, factors, rows, record, _Silent())
    sweep(parts, record)
    correct(parts.net, validated, parts.config.selection.attack, dtype=parts.dtype)


class _Silent:
    """Nobody watches a trial."""

    def images(self, count: int) -> None: ...

    def epoch(self, row: dict[str, object]) -> None: ...


def _bytes(config: RunConfig, sizes: Sizes) -> float:
    """Record, and states at the borders and the end: weights and momentum, the best weights."""
    with torch.device("meta"):
        net = torch.nn.Sequential(*config.net.layers(sizes.channels, sizes.classes))
    weights = 4 * sum(p.numel() for p in net.parameters())
    signals = sum(dtype.itemsize for dtype in RECORDED.values())
    return config.epochs * sum(sizes.counts) * signals + weights * (2 * (len(config.borders) + 1) + 1)
