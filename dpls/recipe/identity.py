"""Identity: the chained hash that says which runs share a beginning."""

import hashlib
import json
from typing import Any

from dpls.recipe.config import RunConfig

ENGINE = 1
"""Raised whenever the same configuration starts to give other numbers; part of every hash."""


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def hash_at(config: RunConfig, epoch: int, fingerprint: str) -> str:
    """h_0 over the shared part, then h_k over h_(k-1) and phase k, its learning rates included.

    Neighbouring phases that say the same are one, so that a baseline and its branch agree on their beginning.
    """
    config = config.resolved()
    shared = config.model_dump(
        mode="json", include={"augmentation", "net", "optimiser", "seed", "precision", "observing", "selection"}
    )
    chain = _digest(ENGINE, fingerprint, shared, config.schedule.warmup)
    merged: list[tuple[dict[str, Any], list[list[float]]]] = []
    for number in range(epoch):
        start, phase = config.phases_after(number)[0]
        content = phase.model_dump(mode="json", exclude={"until"})
        if phase.factors.needs_difficulty or (
            phase.subset and phase.subset.needs_difficulty and not phase.subset.scores
        ):
            content |= {"difficulty": config.difficulty.model_dump(mode="json"), "start": start}
        if not merged or merged[-1][0] != content:
            merged.append((content, []))
        merged[-1][1].append([config.schedule.scale(number + part, config.epochs) for part in (0, 0.5)])
    for content, rates in merged:
        chain = _digest(chain, content, rates)
    return chain
