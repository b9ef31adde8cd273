"""What a run is to do: its whole configuration, checked, and what makes two of them the same. No torch.

config      RunConfig and its phases
identity    the canonical form, the chain of hashes, equality of runs and experiments
assigning   ``path=value``
linking     settings as ``path=value``, for a link, and back
reading     presets (presets/*.toml) and files
sizing      epochs and batches for a person's own images, by how many there are
listing     every setting there is, for people
differing   in what two configurations differ
sentences   a validation error as one sentence
"""

from dpls.component import ENGINE
from dpls.recipe.assigning import override
from dpls.recipe.config import Optimiser, Phase, RunConfig, Schedule, Selection
from dpls.recipe.identity import anywhere, hash_at, same_run
from dpls.recipe.linking import assignments, fitting
from dpls.recipe.reading import make_config, preset_names, preset_title, read_settings
from dpls.recipe.sizing import SIZED, settings_for, sized

__all__ = [
    "ENGINE",
    "SIZED",
    "Optimiser",
    "Phase",
    "RunConfig",
    "Schedule",
    "Selection",
    "anywhere",
    "assignments",
    "fitting",
    "hash_at",
    "make_config",
    "override",
    "preset_names",
    "preset_title",
    "read_settings",
    "same_run",
    "settings_for",
    "sized",
]
