"""Accuracy, per example first: which examples of a split a net gets right, clean or attacked, and with what interval.

Fail-closed: an example counts as correct only if float32 says so on the clean image, and on every image of the attack's
path that looked broken, and on the image the attack returned.
"""

import math
import time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dpls.attacks import AnyAttack
from dpls.attacks.goals import Misclassification
from dpls.component import show_fraction
from dpls.data import PARTS, TEST, Dataset
from dpls.data.split import Split
from dpls.intervals import wilson
from dpls.nets.frozen import frozen_eval, is_right
from dpls.randomness import Noise, mix
from dpls.runs.directory import Run, write_json, write_whole


class Accuracy(NamedTuple):
    """A share of n examples with its Wilson interval; fractions."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}] (n = {self.n:,})"


def accuracy(correct: Tensor) -> Accuracy:
    """The mean of bool (N,) with its interval."""
    right, n = int(correct.sum()), len(correct)
    return Accuracy(right / n if n else math.nan, *wilson(right, n), n)


def correct(
    net: nn.Module,
    split: Split,
    attack: AnyAttack | None = None,
    *,
    seed: int = 0,
    batch_size: int = 500,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """bool (N,): which examples float32 gets right, on the clean image and, with an attack, on every attacked one.

    ``dtype`` is the precision in which the attack proposes. The net is left exactly as found.
    """
    judge, proposer = frozen_eval(net), frozen_eval(net, dtype)
    outcome = torch.zeros(len(split), dtype=torch.bool, device=split.device)
    for batch in split.batches(batch_size):
        with torch.no_grad():
            right = is_right(judge(batch.x), batch.y)
        if attack is not None and right.any():
            rows = right.nonzero().squeeze(1)
            x, y = batch.x[rows], batch.y[rows]
            noise = Noise(mix(seed, attack.name), split.ids.to(split.device)[batch.rows[rows]])
            x_adv = attack(proposer, x, Misclassification(y, judge), noise)
            with torch.no_grad():
                right[rows] = is_right(judge(x_adv), y)
        outcome[batch.rows] = right
    return outcome


@torch.no_grad()
def probabilities(net: nn.Module, dataset: Dataset, device: torch.device, batch_size: int = 500) -> np.ndarray:
    """float32 (N, K), by id: the softmax of every clean image, un-augmented, in eval mode and float32."""
    frozen = frozen_eval(net)
    found = np.empty((len(dataset.labels), len(dataset.classes)), dtype=np.float32)
    for part in range(len(PARTS)):
        split = Split.of(dataset, part, device)
        for batch in split.batches(batch_size):
            found[split.ids.cpu()[batch.rows.cpu()]] = frozen(batch.x).softmax(1).cpu().numpy()
    return found


def evaluation_name(attack: AnyAttack | None, checkpoint: str, part: int = TEST) -> str:
    """clean_best, pgd20_8-255_best; of training images clean_last_train."""
    what = "clean" if attack is None else f"{attack.name}_{show_fraction(attack.radius).replace('/', '-')}"
    return f"{what}_{checkpoint}" if part == TEST else f"{what}_{checkpoint}_{PARTS[part]}"


def evaluate(
    run: Run,
    net: nn.Module,
    dataset: Dataset,
    attack: AnyAttack | None,
    checkpoint: dict[str, Any],
    *,
    device: torch.device,
    dtype: torch.dtype,
    part: int = TEST,
) -> Accuracy:
    """Evaluates a checkpoint ({name, epoch, chosen_by}); writes the result and every example's outcome into the run."""
    split = Split.of(dataset, part, device)
    began = time.perf_counter()
    outcome = correct(net, split, attack, dtype=dtype)
    result = accuracy(outcome)
    name = evaluation_name(attack, checkpoint["name"], part)
    table = pd.DataFrame({"id": split.ids.cpu().numpy(), "correct": outcome.cpu().numpy()})
    write_whole(run.evaluations / f"{name}.parquet", table.to_parquet(index=False))
    write_json(
        run.evaluations / f"{name}.json",
        {
            "attack": attack.title if attack else "clean",
            "settings": attack.reported if attack else {},
            "split": PARTS[part],
            "n": result.n,
            "accuracy": result.value,
            "low": result.low,
            "high": result.high,
            "checkpoint": checkpoint["name"],
            "epoch": checkpoint["epoch"],
            "chosen_by": checkpoint["chosen_by"],
            "proposed_in": str(dtype).removeprefix("torch."),
            "judged_in": "float32",
            "warnings": _warnings(result, attack),
            "seconds": round(time.perf_counter() - began, 2),
        },
    )
    return result


def _warnings(result: Accuracy, attack: AnyAttack | None) -> list[str]:
    found = []
    if result.high - result.low > 0.1:
        found.append(f"the interval is {result.high - result.low:.1%} wide: {result.n:,} examples tell little")
    return found + (attack.doubts if attack else [])
