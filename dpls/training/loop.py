"""The main path: ``train`` is Algorithm 1 of DPLS (Lee, Lee, Bae and Yoon, JMLR 26, 2025), read it first.

Everything goes in through the configuration and the data set, everything comes out through the run directory.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dpls.data import TEST, TRAIN, VALIDATION, Dataset
from dpls.data.split import Batch, Split
from dpls.data.unlabelled import has_own_label, images_an_epoch
from dpls.device import resolve_device, resolve_precision
from dpls.difficulty.record import Epoch, observe
from dpls.errors import UserError
from dpls.evaluations.judge import correct
from dpls.methods import Elsewhere
from dpls.methods.labels import soft_labels
from dpls.nets.frozen import frozen_eval
from dpls.randomness import Noise, generator, mix
from dpls.recipe import Phase, RunConfig
from dpls.runs.choice import choice_at
from dpls.runs.directory import Run
from dpls.training.checkpoints import (
    forget_states,
    kept_weights,
    load_weights_of_elsewhere,
    resume,
    save_state,
    save_weights,
)
from dpls.training.learner import Learner


@dataclass(frozen=True, eq=False)
class Parts:
    """What a training run is made of, built from its configuration."""

    config: RunConfig
    splits: tuple[Split, Split, Split]
    own: Tensor
    """bool (n,), by row of the training split: whose label is no pseudo-label."""
    classes: int
    learner: Learner
    device: torch.device
    dtype: torch.dtype

    @property
    def net(self) -> nn.Module:
        return self.learner.net


class Watcher(Protocol):
    """Who is told how far a run is."""

    def images(self, count: int) -> None:
        """So many training images more are done."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch has been committed."""


class Unwatched:
    """Nobody is told: for trials and measurements."""

    def images(self, count: int) -> None: ...

    def epoch(self, row: dict[str, Any]) -> None: ...


def train(config: RunConfig, run: Run, dataset: Dataset, watcher: Watcher) -> None:
    """Trains until the last epoch, from wherever the run stands."""
    parts = build(config, dataset)
    done, best = resume(config, run, len(dataset.labels), parts.learner)
    shown = images_an_epoch(dataset, config.data.pseudo)
    watcher.images(done * shown)
    for start, phase in config.phases_after(done):
        # What others trained is looked at as they would: in full precision.
        now = replace(parts, dtype=torch.float32) if isinstance(phase.objective, Elsewhere) else parts
        learn = learning(now, run, start, phase)
        for epoch in range(max(done, start) + 1, phase.until + 1):
            if why := config.objective_in(phase, epoch).stopped_by(run.metrics()):
                raise UserError(why)
            began = time.perf_counter()
            record = Epoch(len(dataset.labels), parts.device)
            learnt = learn(epoch, record, watcher)
            if phase.average:
                parts.learner.take_into_average()
            sweep(now, record)
            row = {"epoch": epoch, **learnt, **summary(now, record, epoch)}
            seconds = time.perf_counter() - began
            row |= {"seconds": round(seconds, 3), "images_per_second": round(shown / seconds, 1)}

            run.write_dynamics(epoch, record.numpy())
            score = row[config.selection.column]
            if epoch > config.last_phase_start and score is not None and score > best:
                best = score
                save_weights(parts.net, run.checkpoints / "best.safetensors", epoch)
            if epoch == config.epochs and parts.learner.average is not None:
                save_average(parts, run, start, phase)
            if config.keep_every and epoch % config.keep_every == 0:
                save_weights(parts.net, kept_weights(run, epoch), epoch)
            save_state(run, epoch, parts.learner)
            run.commit(row)
            run.write_status(epoch=epoch)
            watcher.epoch(row)
            forget_states(run, {epoch, *config.borders})


def learning(parts: Parts, run: Run, start: int, phase: Phase) -> Callable[[int, Epoch, Watcher], dict[str, Any]]:
    """How an epoch of this phase is come by: trained, or taken in from weights of elsewhere. Called with its number,
    its record and whoever watches, it returns the columns lr and loss."""
    if isinstance(phase.objective, Elsewhere):
        return partial(take_in, parts, run, phase.objective)
    factors, rows = factors_and_rows(parts, run, start)

    def train_one(epoch: int, record: Epoch, watcher: Watcher) -> dict[str, Any]:
        loss = train_epoch(parts, epoch, phase, factors, rows, record, watcher)
        return {"lr": learning_rate(parts.config, epoch - 1), "loss": loss}

    return train_one


def take_in(
    parts: Parts, run: Run, objective: Elsewhere, epoch: int, record: Epoch, watcher: Watcher
) -> dict[str, Any]:
    """An epoch that was trained elsewhere: its weights, and the record of attacked images if it was asked for."""
    load_weights_of_elsewhere(parts.net, run, epoch)
    split = parts.splits[TRAIN]
    for batch in split.batches(500):
        if objective.attack:
            ids = split.ids.to(parts.device)[batch.rows]
            x_adv = objective.craft(parts.net, batch, Noise(mix(parts.config.seed, epoch, "attack"), ids), parts.dtype)
            with torch.no_grad():
                record.put(ids, frozen_eval(parts.net)(x_adv), batch.y, "_adv")
        watcher.images(len(batch.y))
    return {"lr": None, "loss": None}


def save_average(parts: Parts, run: Run, start: int, phase: Phase) -> None:
    """The mean of the weights, batch norm estimated anew over what the last epoch showed."""
    _, rows = factors_and_rows(parts, run, start)
    showings = (batch.x for batch, _, _ in batches(parts, phase, rows, phase.until))
    save_weights(parts.learner.averaged(showings), run.checkpoints / "average.safetensors", phase.until)


def factors_and_rows(parts: Parts, run: Run, start: int) -> tuple[Tensor, Tensor]:
    """Factors (n,) in (0, 1] of all training examples, and the rows that take part: of the phase that starts here.

    They are kept with the run: what a phase has begun with, it goes on with.
    """
    train = parts.splits[TRAIN]
    ids, labels, own = (column.cpu().numpy() for column in (train.ids, train.labels, parts.own))
    chosen = choice_at(parts.config, run, start, ids, labels, parts.classes, own)
    run.write_factors(start, chosen)
    return torch.from_numpy(chosen.factors).float().to(parts.device), torch.from_numpy(np.flatnonzero(chosen.kept))


def train_epoch(
    parts: Parts, epoch: int, phase: Phase, factors: Tensor, keep: Tensor, record: Epoch, watcher: Watcher
) -> float:
    """One pass over the rows kept, in equal batches; returns the mean loss. Records what training sees anyway."""
    config, learner = parts.config, parts.learner
    objective = config.objective_in(phase, epoch)
    total, count = torch.zeros((), device=parts.device), 0
    learner.net.train()
    for batch, visit, done in batches(parts, phase, keep, epoch):
        learner.set_learning_rate(learning_rate(config, epoch - 1 + done))
        ids = parts.splits[TRAIN].ids.to(parts.device)[batch.rows]
        if config.observing == "presentation":
            with torch.no_grad():
                record.put(ids, frozen_eval(learner.net, parts.dtype)(batch.x), batch.y)

        labels = soft_labels(batch.y, factors[batch.rows], parts.classes)
        noise = Noise(mix(config.seed, epoch, "attack"), visit.to(parts.device))
        with torch.autocast(parts.device.type, torch.bfloat16, enabled=parts.dtype == torch.bfloat16):
            x_adv = objective.craft(learner.net, batch, noise, parts.dtype)
            loss = objective.loss(learner.forward, batch, x_adv, labels)
        learner.step(loss.values.mean())

        if loss.logits_adv is not None:
            record.put(ids, loss.logits_adv, batch.y, "_adv")
        total += loss.values.detach().sum()
        count += len(batch.y)
        watcher.images(len(batch.y))
    mean = float(total) / count
    if not math.isfinite(mean):
        raise UserError(
            f"the loss became {mean} in epoch {epoch}; lower optimiser.lr (now {config.optimiser.lr:g})"
            " or set precision=float32"
        )
    return mean


def batches(parts: Parts, phase: Phase, keep: Tensor, epoch: int) -> Iterator[tuple[Batch, Tensor, float]]:
    """An epoch in equal batches, augmented: each with the numbers (B,) of its showings and the share done before."""
    config, split = parts.config, parts.splits[TRAIN]
    rows, visits = presentations(parts, phase, keep, epoch)
    shifts = config.augmentation.draw(Noise(mix(config.seed, epoch, "augmentation"), visits))
    steps = math.ceil(len(rows) / config.optimiser.batch_size)
    cut = zip(rows.tensor_split(steps), visits.tensor_split(steps), shifts.tensor_split(steps), strict=True)
    for step, (some, visit, shift) in enumerate(cut):
        batch = split.batch(some)
        yield batch._replace(x=config.augmentation(batch.x, shift)), visit, step / steps


def presentations(parts: Parts, phase: Phase, keep: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    """Rows (B,) in the order an epoch shows them, and a number (B,) for the noise of each showing: its id at first.

    With ``refill`` as many as there are training examples: what is kept comes again, in another order each time. Those
    with pseudo-labels are drawn beside the others, as many as their share asks for, and mixed among them.
    """
    config, own = parts.config, parts.own[keep]
    count = int(parts.own.sum()) if phase.subset and phase.subset.refill else int(own.sum())
    rows, visits = turns(parts, keep[own], epoch, count)
    if config.data.pseudo and not own.all():
        more = turns(parts, keep[~own], epoch, config.data.pseudo.shown(count))
        rows, visits = torch.cat([rows, more[0]]), torch.cat([visits, more[1]])
        order = Noise(mix(config.seed, epoch, "mixture"), visits).order()
        rows, visits = rows[order], visits[order]
    return rows, visits


def turns(parts: Parts, some: Tensor, epoch: int, count: int) -> tuple[Tensor, Tensor]:
    """Rows (count,) and their numbers: some rows in the order of an epoch, again in another where there are too few."""
    split, ids = parts.splits[TRAIN], parts.splits[TRAIN].ids.cpu()[some]
    numbers = [ids + turn * (int(split.ids.max()) + 1) for turn in range(math.ceil(count / len(some)))]
    orders = [Noise(mix(parts.config.seed, epoch, "order"), number).order() for number in numbers]
    rows = torch.cat([some[order] for order in orders])
    visits = torch.cat([number[order] for number, order in zip(numbers, orders, strict=True)])
    return rows[:count], visits[:count]


def sweep(parts: Parts, record: Epoch) -> None:
    """Clean signals of every example that training has not observed in this epoch; sees un-augmented images."""
    for part, split in enumerate(parts.splits):
        if part == TRAIN and parts.config.observing == "presentation":
            missing = (record.rows["correct"][split.ids.to(parts.device)] == 255).nonzero().squeeze(1)
            split = split.take(missing)
        if len(split):
            for name, values in observe(
                parts.net, split, dtype=parts.dtype if part == TRAIN else torch.float32
            ).items():
                record.rows[name][split.ids.to(parts.device)] = values


def summary(parts: Parts, record: Epoch, epoch: int) -> dict[str, float | None]:
    """Accuracies of an epoch, fractions. Test examples are recorded, but nothing here looks at them."""
    config, validation = parts.config, parts.splits[VALIDATION]

    def share(signal: str, part: int) -> float | None:
        outcome = record.rows[signal][parts.splits[part].ids.to(parts.device)]
        seen = outcome != 255
        return float((outcome == 1).sum() / seen.sum()) if seen.any() else None

    robust = None
    if epoch % config.selection.every == 0 or epoch in {phase.until for phase in config.phases}:
        right = correct(parts.net, validation, config.selection.attack, seed=config.seed, dtype=parts.dtype)
        robust = float(right.float().mean())
    return {
        "train_clean": share("correct", TRAIN),
        "train_robust": share("correct_adv", TRAIN),
        "validation_clean": share("correct", VALIDATION),
        "validation_robust": robust,
    }


def build(config: RunConfig, dataset: Dataset) -> Parts:
    """Data on the device, and a learner with its seed's weights."""
    device = resolve_device(config.device)
    splits = (Split.of(dataset, TRAIN, device), Split.of(dataset, VALIDATION, device), Split.of(dataset, TEST, device))
    channels, classes = dataset.images.shape[1], len(dataset.classes)
    net = config.net(channels, classes, generator(config.seed, "initialisation"), splits[TRAIN].pixel_statistics())
    net = net.to(device).to(memory_format=torch.channels_last)
    dtype = resolve_precision(config.precision, device)
    own = torch.from_numpy(has_own_label(dataset))
    return Parts(config, splits, own, classes, Learner.of(net, config), device, dtype)


def learning_rate(config: RunConfig, epoch: float) -> float:
    """After ``epoch`` epochs, fractional within one."""
    return config.optimiser.lr * config.schedule.scale(epoch, config.epochs)
