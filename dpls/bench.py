"""How fast the engine is, as a ratio to a plain float32 textbook loop in the same process, interleaved with it.

The textbook loop is what one would write from the article: contiguous float32, ``autograd.grad`` on the input with the
parameters frozen while attacking, eval mode while crafting, every example attacked to the last step.
"""

import copy
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.attacks import PGD
from dpls.attacks.goals import CrossEntropyAscent
from dpls.component import Component
from dpls.data import TEST, TRAIN, Data, Dataset
from dpls.data.photos import Photos
from dpls.data.split import Split
from dpls.device import DeviceName, Precision
from dpls.difficulty.record import Epoch
from dpls.errors import UserError
from dpls.evaluations.judge import correct
from dpls.machine import hardware, versions
from dpls.methods.objectives import PGDAT
from dpls.nets.frozen import frozen_eval
from dpls.nets.networks import Net, WideResNet
from dpls.randomness import Noise
from dpls.recipe import Optimiser, Phase, RunConfig, override
from dpls.recipe.sentences import sentence
from dpls.runs.files import data_root
from dpls.training.loop import Parts, Unwatched, build, sweep, train_epoch

Pairs = list[tuple[Tensor, Tensor]]
JUDGED = 1_000
"""Test images on which outcomes, not times, are compared."""


class Bench(Component):
    """What is measured."""

    net: Net = WideResNet(depth=10, width=2)
    batch_size: int = Field(128, ge=2)
    steps: int | None = Field(None, ge=1, description="of PGD; none: 10 for train, 20 for attack")
    images: int | None = Field(None, ge=20, description="a repeat; none: one batch for train, two for attack")
    repeats: int = Field(7, ge=1, description="the median counts")
    warm_epochs: int = Field(6, ge=0, description="PGD-3 training on 2,000 photo patches before the attack is measured")
    eps: float = Field(8 / 255, gt=0, le=1)
    precision: Precision = "auto"
    device: DeviceName = "auto"


def bench(what: Literal["train", "attack"], assignments: list[str], as_json: bool, runs: Path) -> None:
    """Measures and prints."""
    try:
        settings = Bench.model_validate(override({}, assignments, Bench))
    except ValidationError as error:
        raise UserError(sentence(error, Bench)) from None
    result = (_bench_train if what == "train" else _bench_attack)(settings, runs)
    result |= {"settings": settings.model_dump(mode="json"), "hardware": hardware(), "versions": versions()}
    print(json.dumps(result, indent=1) if as_json else _in_words(what, result))


def _interleave(
    variants: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each variant, ``repeats`` times in turn, after one unmeasured round."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, run in variants.items():
            _wait(device)
            began = time.perf_counter()
            run()
            _wait(device)
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _summary(seconds: Mapping[str, list[float]], images: int, first: str, last: str) -> dict[str, Any]:
    """Median rates, their spread, and the median of the ratios of rounds."""
    ratios = [a / b for a, b in zip(seconds[first], seconds[last], strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "textbook": images / statistics.median(seconds[first]),
        "ours": images / statistics.median(seconds[last]),
        "ladder": {name: images / statistics.median(times) for name, times in seconds.items()},
    }


def _parts(settings: Bench, runs: Path, images: int) -> tuple[Parts, Dataset]:
    source = Photos(train=max(images, 2_000), validation=20, test=1_000)
    dataset, _ = Data(source=source)(data_root(runs))
    config = RunConfig(
        net=settings.net,
        eps=settings.eps,
        optimiser=Optimiser(batch_size=settings.batch_size, lr=0.05),
        objective=PGDAT(attack=PGD(steps=settings.steps or 10)),
        phases=(Phase(until=100),),
        precision=settings.precision,
        device=settings.device,
    ).resolved()
    return build(config, dataset), dataset


def _textbook_attack(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, autocast: bool) -> Tensor:
    """(B, C, H, W): PGD as in the article, step eps / 4."""
    x_adv = (x + (torch.rand_like(x) * 2 - 1) * eps).clamp(0, 1)
    for _ in range(steps):
        x_adv = x_adv.detach().requires_grad_()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(net(x_adv).float(), y)
        (gradient,) = torch.autograd.grad(loss, x_adv)
        x_adv = x_adv.detach() + eps / 4 * gradient.sign()
        x_adv = torch.min(torch.max(x_adv, x - eps), x + eps).clamp(0, 1)
    return x_adv.detach()


def _textbook_epoch(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Pairs,
    eps: float,
    steps: int,
    autocast: bool,
) -> None:
    for x, y in batches:
        net.eval().requires_grad_(False)
        x_adv = _textbook_attack(net, x, y, eps, steps, autocast)
        net.train().requires_grad_(True)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(net(x_adv).float(), y)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()


def _bench_train(settings: Bench, runs: Path) -> dict[str, Any]:
    """Training steps: the ladder from the textbook loop to ours, and what recording and smoothing cost on top."""
    images, steps = settings.images or settings.batch_size, settings.steps or 10
    parts, dataset = _parts(settings, runs, images)
    everything = torch.arange(images)
    train, *others = parts.splits
    few = (train.take(everything), others[0].take(everything[:0]), others[1].take(everything[:0]))
    ours = replace(parts, splits=few)
    smooth = torch.linspace(0.5, 1, images, device=parts.device)
    plain = [(b.x.contiguous(), b.y) for b in few[TRAIN].batches(settings.batch_size)]
    last = [(b.x, b.y) for b in few[TRAIN].batches(settings.batch_size)]

    def textbook(batches: Pairs, memory_format: torch.memory_format, autocast: bool) -> Callable[[], None]:
        other = build(parts.config, dataset)
        net = other.net.to(memory_format=memory_format)
        return lambda: _textbook_epoch(net, other.learner.optimiser, batches, settings.eps, steps, autocast)

    def full() -> None:
        record = Epoch(len(dataset.labels), parts.device)
        train_epoch(ours, 1, parts.config.phases[0], smooth, everything, record, Unwatched())
        sweep(ours, record)

    contiguous, channels_last = torch.contiguous_format, torch.channels_last
    ladder = {"textbook": textbook(plain, contiguous, False), "channels last": textbook(last, channels_last, False)}
    if parts.dtype == torch.bfloat16:
        ladder["bfloat16"] = textbook(last, channels_last, True)
    ladder |= {"frozen and folded": lambda: _bare(ours, settings.batch_size), "with record and smoothing": full}
    seconds = _interleave(ladder, settings.repeats, parts.device)
    extra = [b / a - 1 for a, b in zip(seconds["frozen and folded"], seconds["with record and smoothing"], strict=True)]
    return _summary(seconds, images, "textbook", "with record and smoothing") | {
        "precision": str(parts.dtype).removeprefix("torch."),
        "record_and_smoothing_cost": statistics.median(extra),
    }


def _bare(parts: Parts, batch_size: int) -> None:
    """The engine's steps without what DPLS adds: hard one-hot labels, nothing recorded."""
    objective, learner = parts.config.objective, parts.learner
    learner.net.train()
    for batch in parts.splits[TRAIN].batches(batch_size):
        hard = F.one_hot(batch.y, parts.classes).float()
        with torch.autocast(parts.device.type, torch.bfloat16, enabled=parts.dtype == torch.bfloat16):
            x_adv = objective.craft(learner.net, batch, Noise(0, batch.rows), parts.dtype)
            loss = objective.loss(learner.forward, batch, x_adv, hard).values.mean()
        learner.step(loss)


def _bench_attack(settings: Bench, runs: Path) -> dict[str, Any]:
    """PGD evaluation of a half-robust net: the ladder, and what low precision and dropping do to the outcome."""
    images, steps = settings.images or 2 * settings.batch_size, settings.steps or 20
    parts, _ = _parts(settings, runs, images)
    _warm(parts, settings)
    test, attack = parts.splits[TEST], PGD(eps=settings.eps, steps=steps)
    timed, judged = test.take(torch.arange(images)), test.take(torch.arange(JUDGED))
    nets = {
        form: copy.deepcopy(parts.net).to(memory_format=form) for form in (torch.contiguous_format, torch.channels_last)
    }

    def textbook(split: Split, form: torch.memory_format, autocast: bool) -> Tensor:
        net = nets[form].eval().requires_grad_(False)
        found = []
        for batch in split.batches(settings.batch_size):
            x_adv = _textbook_attack(
                net, batch.x.contiguous(memory_format=form), batch.y, settings.eps, steps, autocast
            )
            with torch.no_grad():
                found.append(net(x_adv).argmax(1) == batch.y)
        return torch.cat(found)

    def undropped() -> None:
        frozen = frozen_eval(parts.net, parts.dtype)
        for batch in timed.batches(settings.batch_size):
            attack(frozen, batch.x, CrossEntropyAscent(batch.y), Noise(0, batch.rows))

    def ours(split: Split, dtype: torch.dtype) -> Tensor:
        return correct(parts.net, split, attack, dtype=dtype, batch_size=settings.batch_size)

    contiguous, channels_last = torch.contiguous_format, torch.channels_last
    ladder: dict[str, Callable[[], Any]] = {
        "textbook": lambda: textbook(timed, contiguous, False),
        "channels last": lambda: textbook(timed, channels_last, False),
    }
    if parts.dtype == torch.bfloat16:
        ladder["bfloat16"] = lambda: textbook(timed, channels_last, True)
    ladder |= {"frozen and folded": undropped, "dropping the broken": lambda: ours(timed, parts.dtype)}
    seconds = _interleave(ladder, settings.repeats, parts.device)
    proposed, exact, plain = ours(judged, parts.dtype), ours(judged, torch.float32), textbook(judged, contiguous, False)
    return _summary(seconds, images, "textbook", "dropping the broken") | {
        "precision": str(parts.dtype).removeprefix("torch."),
        "clean_accuracy": float(correct(parts.net, judged).float().mean()),
        "robust_accuracy": float(proposed.float().mean()),
        "robust_accuracy_float32": float(exact.float().mean()),
        "robust_accuracy_textbook": float(plain.float().mean()),
        "disagreements_with_float32": int((proposed != exact).sum()),
        "judged_images": len(judged),
    }


def _warm(parts: Parts, settings: Bench) -> None:
    """A few epochs of PGD-3 training, so that about half of the test images are robust."""
    everything = torch.arange(len(parts.splits[TRAIN]))
    phase = Phase(until=100, objective=PGDAT(attack=PGD(steps=3, eps=settings.eps)))
    for epoch in range(1, settings.warm_epochs + 1):
        record = Epoch(sum(len(split) for split in parts.splits), parts.device)
        train_epoch(
            parts, epoch, phase, torch.ones(len(everything), device=parts.device), everything, record, Unwatched()
        )


def _in_words(what: str, result: dict[str, Any]) -> str:
    lines = [f"{what}: {result['ratio']:.2f} times the textbook loop, median of rounds ({result['ratio_low']:.2f} to"
             f" {result['ratio_high']:.2f}); proposing in {result['precision']}", "", "images a second:"]  # fmt: skip
    before = None
    for name, rate in result["ladder"].items():
        lines.append(f"  {name:<26} {rate:8.1f}" + (f"  x {rate / before:.2f}" if before else ""))
        before = rate
    if what == "train":
        lines += ["", f"recording and smoothing cost {result['record_and_smoothing_cost']:.1%} of wall time"]
    else:
        lines += ["", f"on {result['judged_images']:,} images: clean {result['clean_accuracy']:.1%},"
                  f" robust {result['robust_accuracy']:.1%}, all in float32 {result['robust_accuracy_float32']:.1%}"
                  f" ({result['disagreements_with_float32']} disagreements),"
                  f" textbook {result['robust_accuracy_textbook']:.1%}"]  # fmt: skip
    return "\n".join([*lines, "", f"on {result['hardware']['cpu']}, {result['hardware']['threads']} threads"])
