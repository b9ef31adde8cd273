"""Identity: which runs are the same, and the chained hash that says which share a beginning.

Hashed is the canonical form of checked values, without those at their default: a new field orphans nothing. Whoever
changes a default, or what a setting does, raises ENGINE.
"""

from typing import Any

from dpls.component import ENGINE, canonical, digest, validated
from dpls.methods import Elsewhere
from dpls.recipe.config import RunConfig

NOT_SHARED = frozenset(
    {"data", "eps", "objective", "phases", "difficulty", "schedule"}
    | {"evaluations", "evaluate_also", "keep_every", "device"}
)
"""Settings that do not enter the hash as they are. Images do by their fingerprint, eps and objective by the phases that
use them, the schedule by its learning rates, difficulty with the phases that use it. Evaluations, kept weights and the
device change no state but by rounding."""


def same_run(config: RunConfig) -> str:
    """Equal only where two configurations make the same run of the same images, wherever it computes."""
    return digest(ENGINE, canonical(validated(anywhere(config))))


def anywhere(config: RunConfig) -> RunConfig:
    """The same run without the device it computes on."""
    return config.model_copy(update={"device": "auto"})


def _content_of(loaded: Elsewhere) -> dict[str, Any]:
    """Without what people call it."""
    return {name: value for name, value in canonical(loaded).items() if name != "said"}


def hash_at(config: RunConfig, epoch: int, fingerprint: str) -> str:
    """Hash of every setting that decides the state after ``epoch``, or which checkpoint of it is best.

    Runs with the same hash may share that state if they computed in the same precision, which ``auto`` does not tell:
    whoever takes a state over looks at the manifests.

    h_0 over the shared part, then h_k over h_(k-1) and phase k, its learning rates included. Neighbouring phases that
    say the same are one, so that a baseline and its branch agree on their beginning.
    """
    config = validated(config).resolved()
    first, loaded = config.phases[0], config.loaded
    if (
        loaded and epoch <= first.until
    ):  # they depend on the weights alone, in the networks and on the images they are of
        return digest(ENGINE, fingerprint, canonical(config.net), _content_of(loaded), epoch)
    shared = {name: value for name, value in canonical(config).items() if name not in NOT_SHARED}
    if config.data.pseudo:  # which images, the fingerprint says; how many of them an epoch shows, it does not
        shared["pseudo"] = config.data.pseudo.share
    chain = digest(ENGINE, fingerprint, shared, config.schedule.warmup)
    begun = first.until if loaded else 0
    if loaded:
        chain = digest(chain, hash_at(config, begun, fingerprint))
    merged: list[tuple[dict[str, Any], list[list[float]]]] = []
    for number in range(begun, epoch):
        start, phase = config.phases_after(number)[0]
        content = {name: value for name, value in canonical(phase).items() if name != "until"}
        if phase.uses_own_difficulty:
            content |= {"difficulty": canonical(config.difficulty), "start": start}
        if not merged or merged[-1][0] != content:
            merged.append((content, []))
        merged[-1][1].append([config.schedule.scale(number + part, config.epochs) for part in (0, 0.5)])
    for content, rates in merged:
        chain = digest(chain, content, rates)
    return chain
