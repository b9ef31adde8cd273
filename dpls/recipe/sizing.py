"""How long to train a person's own images: epochs, batches and clean epochs by how many there are.

About 80,000 images are shown, six minutes of two cores for the preset's net; few images are shown often, for a T of
twenty epochs ranks five hundred images badly (measured in docs/results.md).
"""

import copy
import re
from collections.abc import Callable
from typing import Any

from dpls.recipe.assigning import override
from dpls.recipe.config import RunConfig
from dpls.recipe.reading import make_config, read_settings

SIZED = ("your-images",)
"""Presets that are cut to the number of images."""
SHOWN = 80_000
FEWEST, MOST = 12, 100
BATCHES = ((300, 16), (4_000, 32), (20_000, 64))


def settings_for(preset: str, assignments: list[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Settings of a preset, cut to its images where that is its way, after 'path=value', each; unchecked.

    Raises UserError where there are no images yet.
    """
    base = read_settings(preset)
    if preset not in SIZED:
        return override(base, assignments, say=say)
    data = [assignment for assignment in assignments if assignment.strip().startswith("data.")]
    found = make_config(override(base, data)).data.source.found()
    if found and found.training:
        base = sized(base, found.training)
        say(in_words(make_config(base), found.training))
    return override(_within(base, assignments), assignments, say=say)


def _within(settings: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """The same, where a person asks for another number of epochs: the other phase and the clean epochs go along."""
    settings = copy.deepcopy(settings)
    first, last = settings["phases"]
    asked = {path.strip(): value for path, _, value in (assignment.partition("=") for assignment in assignments)}
    counted, epochs = (_whole(asked.get(f"phases.{place}.until")) for place in (0, 1))
    if epochs and not counted:
        first["until"] = min(first["until"], max(1, round(epochs * 5 / 6)))
    if counted:
        first["until"], last["until"] = counted, max(last["until"], counted + 1)
    settings["attack_warmup"] = min(settings["attack_warmup"], first["until"] // 3)
    return settings


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(" *[0-9]{1,9} *", text) else None


def sized(settings: dict[str, Any], images: int) -> dict[str, Any]:
    """Two-phase settings with epochs, batches and clean epochs for so many training images."""
    settings = copy.deepcopy(settings)
    epochs = min(MOST, max(FEWEST, round(SHOWN / images)))
    batch = next((size for most, size in BATCHES if images <= most), 128)
    settings["optimiser"] = settings.get("optimiser", {}) | {"batch_size": batch}
    settings["attack_warmup"] = min(10, max(3, epochs // 5))
    settings["phases"][0]["until"], settings["phases"][1]["until"] = round(epochs * 5 / 6), epochs
    return settings


def in_words(config: RunConfig, images: int) -> str:
    return (
        f"For {images:,} images to train on, unless set: {config.epochs} epochs, the first {config.attack_warmup} on"
        f" clean images, T = {config.counted_epochs}, {config.optimiser.batch_size} images a step"
    )
