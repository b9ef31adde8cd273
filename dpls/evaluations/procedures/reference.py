"""AutoAttack's attacks in turn, each on the examples that those before it left, by the authors' implementation.

Nothing but its attacks is used: what counts as broken, who is left and what is kept is decided here. It is optional, so
this file is imported only where it is there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import pandas as pd
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from dpls.attacks import Attack
from dpls.data.split import Batch
from dpls.errors import UserError
from dpls.evaluations.evaluation import Evaluation
from dpls.evaluations.procedures.stages import CLASSES_NEEDED, Ladder, Stage, called
from dpls.nets.frozen import is_right
from dpls.randomness import mix

RANDOM = "the net answers the same images in different ways, which only AutoAttack rand is made for"
SHARES = "the net seems to answer in probabilities, and attacks that need logits may fail"
NO_GRADIENT = "some images had no gradient where an attack began, and attacks by gradients may fail on them"

Perturb: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From images (b, C, H, W) and labels (b,) to images that were changed where that breaks them."""


def climb(evaluation: Evaluation, attack: Attack, ladder: Ladder) -> None:
    """Judges every chunk that is left, and appends it with the column ``broken_by``.

    Raises UserError where no attack of the ladder works with so few classes.
    """
    for rows in evaluation.left():
        batch = evaluation.split.batch(rows)
        right, broken_by = _chunk(evaluation, attack, ladder, batch)
        ids = evaluation.split.ids.to(evaluation.split.device)[batch.rows]
        evaluation.append(ids, right, broken_by=pd.array(broken_by, dtype="string"))


@torch.no_grad()
def _chunk(evaluation: Evaluation, attack: Attack, ladder: Ladder, batch: Batch) -> tuple[Tensor, list[str | None]]:
    """bool (b,): which are right; and what broke the others."""
    judge, x, y = evaluation.judge, batch.x.contiguous(), batch.y  # the reference takes views, as of channels first
    logits = judge(x)
    right = is_right(logits, y)
    broken_by = [None if held else "clean" for held in right.tolist()]
    fitting = _fitting(ladder, logits.shape[1], evaluation)
    for sentence in _suspicions(judge, x, logits):
        evaluation.warn(sentence)
    for stage in fitting.stages if attack.radius else ():
        rows = right.nonzero().squeeze(1)
        if not len(rows):
            break
        evaluation.say(f"{stage} on {len(rows)} images")
        seed = mix(evaluation.seed, "autoattack", stage, int(batch.rows[0]))
        perturb = _perturb(stage, evaluation, attack.radius, fitting, seed)
        with _own_randomness():
            x_adv = perturb(x[rows], y[rows])
        held = is_right(judge(attack.project(x_adv, x[rows])), y[rows])
        right[rows] = held
        for row in rows[~held].tolist():
            broken_by[row] = stage
    return right, broken_by


def _fitting(ladder: Ladder, classes: int, evaluation: Evaluation) -> Ladder:
    """The ladder for so many classes; warns of what is left out."""
    fitting = ladder.for_classes(classes)
    left_out = [stage for stage in ladder.stages if stage not in fitting.stages]
    why = [f"{called(s)} needs {CLASSES_NEEDED[s]} classes or more, and there are {classes}" for s in left_out]
    if not fitting.stages:
        raise UserError(f"{why[0]}; apgd-ce, fab, fab-t and square do not")
    for sentence in why:
        evaluation.warn(f"left out: {sentence}")
    return fitting


def _perturb(stage: Stage, evaluation: Evaluation, eps: float, ladder: Ladder, seed: int) -> Perturb:
    """The reference's attack of that name, set as its AutoAttack sets it."""
    net, device = evaluation.judge, evaluation.split.device
    found: Perturb
    if stage == "square":
        found = SquareAttack(
            net, eps=eps, n_queries=ladder.queries, seed=seed, device=device, resc_schedule=False
        ).perturb
    elif stage in ("fab", "fab-t"):
        found = FABAttack_PT(
            net,
            eps=eps,
            n_iter=ladder.steps,
            n_restarts=1 if stage == "fab-t" else ladder.restarts,
            targeted=stage == "fab-t",
            n_target_classes=ladder.targets,
            seed=seed,
            device=device,
        ).perturb
    else:
        own = {"eps": eps, "n_iter": ladder.steps, "eot_iter": ladder.averaged, "seed": seed, "device": device}
        own["logger"] = _Listener(evaluation)
        if stage == "apgd-t":
            found = APGDAttack_targeted(net, **own, n_target_classes=ladder.targets).perturb
        else:
            found = APGDAttack(net, **own, n_restarts=ladder.restarts, loss=stage.removeprefix("apgd-")).perturb
    return found


class _Listener:
    """Stands where APGD has a logger; its one warning is of gradients that are zero."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def warning(self, message: str) -> None:  # noqa: ARG002
        self._evaluation.warn(NO_GRADIENT)


def _suspicions(judge: nn.Module, x: Tensor, logits: Tensor) -> Iterator[str]:
    """What the reference looks at before it begins, by its thresholds."""
    scale = logits.norm(dim=1, keepdim=True) + 1e-10
    if any(((judge(x) - logits) / scale).norm(dim=1).max() > 1e-4 for _ in range(4)):
        yield RANDOM
    if logits.min() > -1e-5 and logits.max() < 1 + 1e-5 and ((logits.sum(1) - 1).abs() < 1e-5).all():
        yield SHARES


@contextmanager
def _own_randomness() -> Iterator[None]:
    """The reference seeds torch's global generators, of every device that is in use: they are left as they were."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices):
        yield
