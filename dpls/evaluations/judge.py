"""Which examples of a split a net gets right, clean or attacked.

Fail-closed: an example counts as correct only if float32 says so on the clean image and on the one the attack returned.
An attack that asks its goal at each step (``Goal.broken``) returns the first image that float32 agrees is broken.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dpls.attacks import Attack
from dpls.attacks.goals import Misclassification
from dpls.data.split import Batch, Split
from dpls.nets.frozen import frozen_eval, is_right
from dpls.randomness import Noise, mix

if TYPE_CHECKING:
    from dpls.evaluations.evaluation import Evaluation


class Outcome(NamedTuple):
    """right: bool (b,). steps: int64 (b,), the gradient steps after which an example was found broken; 0 where it was
    wrong before the first, -1 where the attack never asked. It says nothing of examples that are right."""

    right: Tensor
    steps: Tensor


def correct(
    net: nn.Module,
    split: Split,
    attack: Attack | None = None,
    *,
    seed: int = 0,
    batch_size: int = 500,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """bool (N,): which examples float32 gets right, on the clean image and, with an attack, on the attacked one.

    ``dtype`` is the precision in which the attack proposes. The net is left exactly as found.
    """
    judge, proposer = frozen_eval(net), frozen_eval(net, dtype)
    outcome = torch.zeros(len(split), dtype=torch.bool, device=split.device)
    for batch in split.batches(batch_size):
        ids = split.ids.to(split.device)[batch.rows]
        outcome[batch.rows] = judged(judge, proposer, batch, ids, attack, seed).right
    return outcome


def judged(
    judge: nn.Module, proposer: nn.Module, batch: Batch, ids: Tensor, attack: Attack | None, seed: int
) -> Outcome:
    """One batch, whose examples are ``ids`` (b,): what the proposer's attack finds counts once the judge agrees."""
    with torch.no_grad():
        right = is_right(judge(batch.x), batch.y)
    steps = torch.zeros_like(batch.y)
    if attack is not None and right.any():
        rows = right.nonzero().squeeze(1)
        x, goal = batch.x[rows], Misclassification(batch.y[rows], judge)
        x_adv = attack(proposer, x, goal, Noise(mix(seed, attack.name), ids[rows]))
        with torch.no_grad():
            right[rows] = is_right(judge(x_adv), goal.y)
        steps[rows] = goal.steps if goal.asked else -1
    return Outcome(right, steps)


def judge_chunks(evaluation: "Evaluation", attack: Attack | None) -> None:
    """Judges every chunk that is left, clean or under an attack, and appends it; with an attack ``steps``, too."""
    split = evaluation.split
    for rows in evaluation.left():
        batch = split.batch(rows)
        ids = split.ids.to(split.device)[batch.rows]
        right, steps = judged(evaluation.judge, evaluation.proposer, batch, ids, attack, evaluation.seed)
        columns = {} if attack is None else {"steps": _where_wrong(steps, right)}
        evaluation.append(ids, right, **columns)


def _where_wrong(steps: Tensor, right: Tensor) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.IntegerArray(steps.cpu().numpy(), (right | (steps < 0)).cpu().numpy())


@torch.no_grad()
def probabilities(net: nn.Module, splits: Sequence[Split], batch_size: int = 500) -> np.ndarray:
    """float32 (N, K), by id: the softmax of every clean image, un-augmented, in eval mode and float32.

    splits: all parts of a data set of N examples.
    """
    frozen = frozen_eval(net)
    ids = torch.cat([split.ids.cpu() for split in splits])
    said = [frozen(batch.x).softmax(1).cpu() for split in splits for batch in split.batches(batch_size)]
    found = torch.cat(said)
    return found[ids.argsort()].numpy()
