"""DPLS Lab: which images are hard in adversarial training, and difficulty proportional label smoothing (DPLS).

Reading order:

training      THE MAIN PATH: train() reads like Algorithm 1
targets       how much each label is smoothed: hard, uniform, DPLS; lambda_min from a target mean
objectives    what training minimises: standard, PGD-AT, TRADES
attacks       threat set, goals, PGD
models        WideResNet, PreActResNet-18, SmallCNN; frozen_eval
dynamics      the record of every example in every epoch; DifficultyTracker for other people's loops
difficulty    measures of the record, normalisers; subsets: what a phase leaves out, or trains on alone
evaluation    which examples a net gets right, with what interval
data          sources, probes, cache, tensors, augmentation
config        RunConfig, presets, the chained recipe hash
runs          the run directory: every file name in one place
submission    from a configuration to a run directory; worker: from there to a finished run; progress: how far
jobs          who starts workers, stops and resumes them; slots: who may compute now
checkpoints   full states, resuming, branching
sidecar       factors as a file for other people's loops; scores: other people's scores, shown like a measure
examples      the per-example table; report: a run in words, two runs compared
experiments   pruning, subsets, membership: plans of runs, and what their outcomes say
statistics    paired differences over seeds and images, with intervals
verdict       may this difficulty be believed? estimate: how long a run will take
charts        tables to plotly figures; ui: the Streamlit pieces that pages share
recorded      the finished runs the app opens on
cli           python -m dpls; bench and doctor: how fast, and what is missing
randomness    seeds mixed by hash, noise by example

The names below are the public interface for other people's training loops.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpls.difficulty.record import DifficultyTracker as DifficultyTracker
    from dpls.methods.labels import lambda_min_for as lambda_min_for
    from dpls.methods.labels import smoothing_factors as smoothing_factors
    from dpls.methods.labels import soft_labels as dpls_labels
    from dpls.runs.sidecar import read_factors as read_factors

_PUBLIC = {
    "DifficultyTracker": ("dpls.difficulty.record", "DifficultyTracker"),
    "dpls_labels": ("dpls.methods.labels", "soft_labels"),
    "lambda_min_for": ("dpls.methods.labels", "lambda_min_for"),
    "read_factors": ("dpls.runs.sidecar", "read_factors"),
    "smoothing_factors": ("dpls.methods.labels", "smoothing_factors"),
}
__all__ = ["DifficultyTracker", "dpls_labels", "lambda_min_for", "read_factors", "smoothing_factors"]


def __getattr__(name: str) -> object:
    """Imports a public name when it is asked for, so that a page or a worker does not load torch by ``import dpls``."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dpls' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
