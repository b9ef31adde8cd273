"""What the recorded experiments say, to the letter: a change of the code that is meant to change nothing changes nothing.

Whoever means to change a sentence or a number, or records anew, writes down the new digests, which a failure names.
"""

import hashlib

import pytest

from dpls.experiments.stored import Stored, list_experiments
from dpls.runs.files import RECORDED

SAID = {
    "membership-5815ec9dc1": "de2c562af2d145f5",
    "membership-fd04e1f779": "1833116333e43a79",
    "pruning-06fd92e89d": "4f01640b5959048c",
    "pruning-2b87452416": "74ea2ba458593f4c",
    "smoothing-dc378a7066": "6fd0fad8f2921959",
    "subsets-0635bde4d5": "69d2ab46ff2ca0fa",
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
