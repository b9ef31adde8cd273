"""What the recorded experiments say, to the letter: a change of the code that is meant to change nothing changes nothing.

Whoever means to change a sentence or a number, or records anew, writes down the new digests, which a failure names.
"""

import hashlib

import pytest

from dpls.experiments.kinds import read_experiment
from dpls.experiments.stored import Stored, identify, list_experiments
from dpls.recipe import hash_at, make_config, read_settings
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs

SAID = {
    "cscore-9923b3f521": "cd4e546d67319977",
    "membership-228d1bd8c3": "3c94c6218edc620c",
    "membership-e0a7b9f833": "91462d2315bfa96b",
    "methods-6eef62e312": "4e1dfc5468398d5e",
    "methods-929277b42f": "8dd052c2e2529ed6",
    "pruning-52b51a2b62": "b856ddb1d6a945f9",
    "pruning-816779a7b1": "4bdd2bc29c50b0ad",
    "smoothing-fb33fd1060": "f84b7f599c91a2e3",
    "subsets-25e88b0389": "1d94ba41a5735210",
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
    """So that nothing is trained where somebody asks for it again."""
    assert identify(stored.experiment) == stored.id
    assert "PGD alone flatters" not in stored.result().text(), "recorded under the judge"


def test_they_are_those_that_the_presets_ask_for() -> None:
    """Those of `make recorded-experiments`; the methods are compared by scores, too, which the folder of runs holds."""
    natural = ("sweep=[]", "doses=[]", "standard=false")
    asked = [
        *(read_experiment(kind, "two-core", []) for kind in ("pruning", "subsets", "membership", "smoothing")),
        read_experiment("membership", "two-core-natural", []),
        read_experiment("pruning", "two-core-natural", natural),
        read_experiment("cscore", "two-core", ["standard=true"]),
    ]
    assert {identify(one) for one in asked} == {name for name in SAID if not name.startswith("methods")}


@pytest.mark.parametrize("run", list_runs(RECORDED), ids=lambda run: run.label())
def test_a_recorded_run_has_the_hashes_its_settings_give_it(run: Run) -> None:
    """So what somebody trains from the same preset is known to be the same."""
    preset = {"Demo, adversarial": "demo", "Demo, standard": "demo-standard"}[run.label()]
    stored, config = run.config(), run.recipe()
    assert config == make_config(read_settings(preset))
    assert stored["recipe_hash"] == hash_at(config, config.epochs, stored["fingerprint"])
    assert stored["states"] == {str(e): hash_at(config, e, stored["fingerprint"]) for e in config.borders}
