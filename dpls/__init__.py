"""DPLS Lab: which images are hard in adversarial training, and difficulty proportional label smoothing (DPLS).

A room a subject; each imports only rooms below it in this list. Reading order: training.loop, then what it calls.

cli           python -m dpls; bench and doctor behind it: how fast, and what is missing
ui            the Streamlit pieces that pages share
recorded      the finished runs and experiments the app opens on
experiments   plans of runs, and what their outcomes say: a file a kind
jobs          from a configuration to a finished run: who starts workers, when, and what they do
elsewhere     runs that were not trained here: recorded by anyone's loop
training      THE MAIN PATH: train() reads like Algorithm 1; learner, checkpoints
reports       a run as one file of HTML that opens offline
runs          the run directory, the per-example table, a run in words
recipe        RunConfig, presets, identity; loads no torch, nor does any setting below
evaluations   which examples a net gets right, chunk by chunk; with what interval
methods       what training minimises, how labels are smoothed, which examples take part
attacks       threat set, goals, PGD
diffusion     a small diffusion model of the images, and purification by it
difficulty    the record of every example in every epoch, measures of it, whether they may be believed
nets          networks, and frozen_eval
data          sources, probes, cache, tensors, augmentation
charts        tables to plotly figures
machine, device, intervals, randomness, component, disk, errors, text   the ground

The names below are the public interface for other people's training loops.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpls.difficulty.record import DifficultyTracker as DifficultyTracker
    from dpls.elsewhere.huggingface import TrainerRecorder as TrainerRecorder
    from dpls.elsewhere.images import open_images as open_images
    from dpls.elsewhere.lightning import LightningRecorder as LightningRecorder
    from dpls.elsewhere.numbered import WithIds as WithIds
    from dpls.elsewhere.recorder import Recorder as Recorder
    from dpls.machine import VERSION as __version__
    from dpls.methods.labels import lambda_min_for as lambda_min_for
    from dpls.methods.labels import smoothing_factors as smoothing_factors
    from dpls.methods.labels import soft_labels as dpls_labels
    from dpls.runs.sidecar import read_factors as read_factors

_PUBLIC = {
    "DifficultyTracker": ("dpls.difficulty.record", "DifficultyTracker"),
    "LightningRecorder": ("dpls.elsewhere.lightning", "LightningRecorder"),
    "Recorder": ("dpls.elsewhere.recorder", "Recorder"),
    "TrainerRecorder": ("dpls.elsewhere.huggingface", "TrainerRecorder"),
    "WithIds": ("dpls.elsewhere.numbered", "WithIds"),
    "dpls_labels": ("dpls.methods.labels", "soft_labels"),
    "open_images": ("dpls.elsewhere.images", "open_images"),
    "lambda_min_for": ("dpls.methods.labels", "lambda_min_for"),
    "read_factors": ("dpls.runs.sidecar", "read_factors"),
    "smoothing_factors": ("dpls.methods.labels", "smoothing_factors"),
    "__version__": ("dpls.machine", "VERSION"),
}
__all__ = [
    "DifficultyTracker",
    "LightningRecorder",
    "Recorder",
    "TrainerRecorder",
    "WithIds",
    "__version__",
    "dpls_labels",
    "lambda_min_for",
    "open_images",
    "read_factors",
    "smoothing_factors",
]


def __getattr__(name: str) -> object:
    """Imports a public name when it is asked for, so that a page or a worker does not load torch by ``import dpls``."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dpls' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
