"""How long to train a person's own images: epochs, batches and clean epochs by how many there are.

About 80,000 images are shown, five minutes of two cores for the preset's net; few images are shown often, for a T of
twenty epochs ranks five hundred images badly (measured in docs/results.md).
"""

import copy
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
    settings = override(read_settings(preset), assignments, say=say)
    if preset not in SIZED:
        return settings
    settings = _with_fewer_clean_epochs(settings, assignments)
    found = make_config(settings).data.source.found()
    if not found or not found.training:
        return settings
    settings = override(sized(read_settings(preset), found.training), assignments)
    settings = _with_fewer_clean_epochs(settings, assignments)
    say(in_words(make_config(settings), found.training))
    return settings


def sized(settings: dict[str, Any], images: int) -> dict[str, Any]:
    """Two-phase settings with epochs, batches and clean epochs for so many training images."""
    settings = copy.deepcopy(settings)
    epochs = min(MOST, max(FEWEST, round(SHOWN / images)))
    batch = next((size for most, size in BATCHES if images <= most), 128)
    settings["optimiser"] = settings.get("optimiser", {}) | {"batch_size": batch}
    settings["attack_warmup"] = min(10, max(3, epochs // 5))
    settings["phases"][0]["until"], settings["phases"][1]["until"] = round(epochs * 5 / 6), epochs
    return settings


def _with_fewer_clean_epochs(settings: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """At most a third of the first phase, where a person asked for a shorter run and not for these."""
    until = settings["phases"][0].get("until") if isinstance(settings["phases"], list) and settings["phases"] else None
    if isinstance(until, int) and not any(a.partition("=")[0].strip() == "attack_warmup" for a in assignments):
        return settings | {"attack_warmup": min(settings["attack_warmup"], max(0, until // 3))}
    return settings


def in_words(config: RunConfig, images: int) -> str:
    return (
        f"For {images:,} images to train on: {config.epochs} epochs, the first {config.attack_warmup} on clean images, T ="
        f" {config.counted_epochs}, {config.optimiser.batch_size} images a step"
    )
