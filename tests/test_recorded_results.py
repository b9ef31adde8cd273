"""What the recorded experiments say, to the letter: a change of the code that is meant to change nothing changes nothing.

Whoever means to change a sentence or a number, or records anew, writes down the new digests, which a failure names.
"""

import hashlib

import pytest

from dpls.experiments.kinds import KINDS, read_experiment
from dpls.experiments.stored import Stored, identify, list_experiments
from dpls.recipe import hash_at, make_config, read_settings
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs

SAID = {
    "membership-ca74d11b1d": "ff3480274a0b09ec",
    "membership-e482c9509e": "7dcb7c31b8e1f0c8",
    "pruning-273a300010": "66a4f9df94244819",
    "pruning-64c3b06de9": "b51f89dac49a463b",
    "smoothing-8ca134a182": "da4f600bb1726d8d",
    "subsets-95b724a925": "291df6d352f9ab60",
}
"""{experiment: digest of its text, its table, and its numbers to 6 decimals}."""


def digest(stored: Stored) -> str:
    result = stored.result()
    texts = (result.text(), result.table().to_csv(), result.numbers().round(6).to_csv())
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


@pytest.mark.parametrize("stored", list_experiments(RECORDED), ids=lambda e: e.id)
def test_a_recorded_experiment_says_what_it_said(stored: Stored) -> None:
    assert digest(stored) == SAID[stored.id], "another number or another sentence"


def test_all_of_them_are_there() -> None:
    assert {stored.id for stored in list_experiments(RECORDED)} == SAID.keys()


@pytest.mark.parametrize("stored", list_experiments(RECORDED), ids=lambda e: e.id)
def test_a_recorded_experiment_has_the_name_its_settings_give_it(stored: Stored) -> None:
    assert identify(stored.experiment) == stored.id


def test_they_are_those_that_the_presets_ask_for() -> None:
    natural = ["sweep=[]", "doses=[]", "standard=false"]
    asked = [read_experiment(kind, "two-core", []) for kind in KINDS]
    asked += [
        read_experiment("membership", "two-core-natural", []),
        read_experiment("pruning", "two-core-natural", natural),
    ]
    assert {identify(experiment) for experiment in asked} == SAID.keys()


@pytest.mark.parametrize("run", list_runs(RECORDED), ids=lambda run: run.label())
def test_a_recorded_run_has_the_hashes_its_settings_give_it(run: Run) -> None:
    """So what somebody trains from the same preset is known to be the same."""
    stored, config = run.config(), run.recipe()
    preset = {"Demo, adversarial": "demo", "Demo, standard": "demo-standard"}[run.label()]
    assert config == make_config(read_settings(preset))
    assert stored["recipe_hash"] == hash_at(config, config.epochs, stored["fingerprint"])
    assert stored["states"] == {str(e): hash_at(config, e, stored["fingerprint"]) for e in config.borders}
