"""One evaluation from its first chunk to its files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from dpls.attacks import Attack
from dpls.component import ENGINE
from dpls.data import PARTS, TEST
from dpls.data.split import Split
from dpls.evaluations.accuracy import Accuracy, accuracy
from dpls.evaluations.base import Procedure, evaluation_name
from dpls.evaluations.evaluation import Evaluation, Told, TrainedOn
from dpls.evaluations.judge import judge_chunks
from dpls.evaluations.store import Store
from dpls.nets.weights import hash_of

SEED = 0
"""Of the attacks' noise, the same in every run: nets are compared under the same attack."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A net under evaluation, with the weights of one checkpoint.

    checkpoint: best, last or an epoch. chosen_by: the rule that chose it, in words. fingerprint: of the data set it is
    judged on. dtype: the precision in which attacks propose. trained_on: for procedures that learn from these images.
    """

    net: nn.Module
    checkpoint: str
    epoch: int
    chosen_by: str
    fingerprint: str
    dtype: torch.dtype
    trained_on: TrainedOn | None = None

    @cached_property
    def weights(self) -> str:
        """What tells these weights from others: a hash of their names, shapes and content."""
        return hash_of(self.net.state_dict())


def evaluate(
    folder: Path,
    candidate: Candidate,
    split: Split,
    attack: Attack | None = None,
    *,
    part: int = TEST,
    images: int | None = None,
    told: Told | None = None,
) -> Accuracy:
    """Judges the examples of a split that have no outcome yet, and writes result and outcomes into the folder.

    What is finished already is not made again, and ``told`` then hears nothing. Without an attack: clean images.
    ``images``: a sample of so many; None: all.
    """
    name, header = evaluation_name(attack, candidate.checkpoint, part, images), {}
    if images is not None:
        split, header = split.sample(images), {"sample_of": len(split)}
    store = Store(folder, name, _header(candidate, split, attack, part) | header)
    if found := store.whole():
        store.forget_chunks()
        return Accuracy(found["accuracy"], found["low"], found["high"], found["n"])
    evaluation = Evaluation(
        candidate.net,
        split,
        store,
        images_a_chunk=_images_a_chunk(attack),
        seed=SEED,
        dtype=_proposed_in(candidate, attack),
        told=told,
        trained_on=candidate.trained_on,
    )
    if isinstance(attack, Procedure):
        attack.run(evaluation)
    else:
        judge_chunks(evaluation, attack)
    table = evaluation.table()
    result = accuracy(table["correct"].to_numpy())
    content = {
        "attack": attack.title if attack else "clean",
        "accuracy": result.value,
        "low": result.low,
        "high": result.high,
        "chosen_by": candidate.chosen_by,
        "warnings": _warnings(result, attack, evaluation, table),
        "seconds": round(evaluation.seconds, 2),
        **evaluation.passes,
    }
    store.finish(table, content)
    return result


def _header(candidate: Candidate, split: Split, attack: Attack | None, part: int) -> dict[str, Any]:
    """Everything that an outcome depends on."""
    return {
        "engine": ENGINE,
        "settings": attack.reported if attack else {},
        "split": PARTS[part],
        "n": len(split),
        "checkpoint": candidate.checkpoint,
        "epoch": candidate.epoch,
        "proposed_in": str(_proposed_in(candidate, attack)).removeprefix("torch."),
        "judged_in": "float32",
        "weights": candidate.weights,
        "fingerprint": candidate.fingerprint,
        "seed": SEED,
        "device": split.device.type,
        "images_a_chunk": _images_a_chunk(attack),
    }


def _proposed_in(candidate: Candidate, attack: Attack | None) -> torch.dtype:
    """A procedure attacks the net that judges."""
    return torch.float32 if isinstance(attack, Procedure) else candidate.dtype


def _images_a_chunk(attack: Attack | None) -> int:
    return (attack if isinstance(attack, Procedure) else Procedure).images_a_chunk


def _warnings(result: Accuracy, attack: Attack | None, evaluation: Evaluation, table: pd.DataFrame) -> list[str]:
    found = []
    if result.high - result.low > 0.1:
        found.append(f"the interval is {result.high - result.low:.1%} wide: {result.n:,} examples tell little")
    found += attack.doubts if attack else []
    found += evaluation.warnings
    return found + (attack.warnings(table) if isinstance(attack, Procedure) else [])
