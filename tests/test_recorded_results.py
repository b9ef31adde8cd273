"""What the recorded experiments say, to the letter: a change of the code that is meant to change nothing changes nothing.

Whoever means to change a sentence or a number, or records anew, writes down the new digests, which a failure names.
"""

import hashlib
import json
from typing import Any

import pytest

from dpls.experiments.base import Experiment
from dpls.experiments.kinds import KINDS, read_experiment
from dpls.experiments.stored import Stored, list_experiments
from dpls.recipe import hash_at, make_config, read_settings
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs

SAID = {
    "membership-ca74d11b1d": "5b03f6a74e9ffd86",
    "membership-e482c9509e": "69bacedea9249f8c",
    "pruning-273a300010": "33a35f9ebe2e9ec4",
    "pruning-64c3b06de9": "ecf5ce60549a95a0",
    "smoothing-8ca134a182": "6c90846bd6d7e114",
    "subsets-95b724a925": "862ba6e42966648c",
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


def but_for_attacks(experiment: Experiment) -> dict[str, Any]:
    """Its settings without those that say who judges."""
    settings = experiment.model_dump(mode="json")
    base = {name: value for name, value in settings["base"].items() if name not in ("evaluations", "selection")}
    return {name: value for name, value in settings.items() if name != "judge"} | {"base": base}


def test_they_are_those_that_the_presets_ask_for() -> None:
    """But for the judge: these were recorded under PGD-20 alone, and say so."""
    natural = ["sweep=[]", "doses=[]", "standard=false"]
    asked = [
        read_experiment(kind, "two-core", []) for kind in KINDS if kind != "cscore"
    ]  # that asks what no article did
    asked += [
        read_experiment("membership", "two-core-natural", []),
        read_experiment("pruning", "two-core-natural", natural),
    ]
    recorded = list_experiments(RECORDED)
    key = lambda settings: json.dumps(settings, sort_keys=True)  # noqa: E731
    there = [but_for_attacks(stored.experiment) for stored in recorded]
    assert sorted(there, key=key) == sorted(map(but_for_attacks, asked), key=key)
    assert all("PGD alone flatters" in stored.result().text() for stored in recorded)


@pytest.mark.parametrize("run", list_runs(RECORDED), ids=lambda run: run.label())
def test_a_recorded_run_has_the_hashes_its_settings_give_it(run: Run) -> None:
    """So what somebody trains from the same preset is known to be the same."""
    preset = {"Demo, adversarial": "demo", "Demo, standard": "demo-standard"}[run.label()]
    stored, config = run.config(), run.recipe()
    assert config == make_config(read_settings(preset))
    assert stored["recipe_hash"] == hash_at(config, config.epochs, stored["fingerprint"])
    assert stored["states"] == {str(e): hash_at(config, e, stored["fingerprint"]) for e in config.borders}
