"""Defects of the article's reference code whose tests have no better home; ``pytest -k defect_`` runs all of them.

1-3, 22 are in test_evaluation.py, 6, 12-15, 17 in test_difficulty.py, 7-9, 11 in test_objectives.py, 10, 20 in
test_attacks.py, 16 in test_labels.py, 18, 19 in test_nets.py, 21 in test_run.py.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import candidate_of, make_tiny
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dpls.attacks import PGD
from dpls.data import TEST
from dpls.data.augmentation import Augmentation
from dpls.data.split import Split
from dpls.difficulty.measures import zero_one
from dpls.difficulty.record import DifficultyTracker
from dpls.evaluations.conduct import evaluate
from dpls.randomness import generator
from dpls.runs.folder import create_run


def logits_for(answers: list[int], classes: int = 3) -> torch.Tensor:
    return F.one_hot(torch.tensor(answers), classes).float()


@pytest.mark.parametrize(("steps", "few"), [(5, True), (19, True), (20, False)])
def test_defect_04_a_robust_accuracy_states_its_attack_and_warns_of_a_weak_one(
    trained: nn.Module, tmp_path: Path, steps: int, few: bool
) -> None:
    run = create_run(tmp_path, {}, 1)
    attack = PGD(steps=steps, eps=8 / 255, step=1 / 255)
    data = make_tiny(count=300, seed=1)
    evaluate(run.evaluations, candidate_of(trained, "last"), Split.of(data, TEST, torch.device("cpu")), attack)
    (name,) = run.evaluation_names()
    written = run.evaluation(name)
    assert written["attack"] == f"PGD{steps}, eps 8/255, step 1/255"
    assert any(f"{steps} steps are few" in warning for warning in written["warnings"]) == few


def test_defect_04_few_examples_are_warned_of(trained: nn.Module, tmp_path: Path) -> None:
    run = create_run(tmp_path, {}, 1)
    data = make_tiny(count=60, seed=1)
    evaluate(run.evaluations, candidate_of(trained, "last"), Split.of(data, TEST, torch.device("cpu")))
    assert any("12 examples tell little" in warning for warning in run.evaluation("clean_last")["warnings"])


def test_defect_05_an_id_that_comes_three_times_counts_three_times() -> None:
    tracker = DifficultyTracker(4)
    tracker.update(torch.tensor([1, 1, 1, 2]), logits_for([0, 0, 1, 2]), torch.tensor([1, 1, 1, 2]))
    assert tracker.visits.tolist() == [0, 3, 1, 0] and tracker.wrong.tolist() == [0, 2, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_defect_05_counts_are_those_of_a_loop(presentations: list[tuple[int, int, int]]) -> None:
    ids, answers, y = (list(column) for column in zip(*presentations, strict=True))
    whole, single = DifficultyTracker(7), DifficultyTracker(7)
    whole.update(torch.tensor(ids), logits_for(answers), torch.tensor(y))
    for i, answer, label in presentations:
        single.update(torch.tensor([i]), logits_for([answer]), torch.tensor([label]))
    assert torch.equal(whole.visits, single.visits) and torch.equal(whole.wrong, single.wrong)
    assert whole.visits.tolist() == [ids.count(i) for i in range(7)]
    assert whole.wrong.tolist() == [sum(i == j and a != b for j, a, b in presentations) for i in range(7)]


def test_defect_06_the_tracker_has_no_rate_for_what_it_never_saw() -> None:
    tracker = DifficultyTracker(3)
    assert np.isnan(tracker.rate()).all()
    tracker.update(torch.tensor([0, 1]), logits_for([0, 0]), torch.tensor([0, 1]))
    assert tracker.rate().tolist() == pytest.approx([0, 1, float("nan")], nan_ok=True)


def test_defect_06_the_tracker_agrees_with_the_measure_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    outcomes = rng.integers(0, 2, (7, 30)).astype(np.uint8)
    outcomes[rng.random((7, 30)) < 0.3] = 255
    tracker = DifficultyTracker(30)
    for row in outcomes:
        ids = np.flatnonzero(row != 255)
        tracker.update(torch.from_numpy(ids), logits_for([int(1 - row[i]) for i in ids]), torch.zeros(len(ids)).long())
    assert tracker.rate().dtype == np.float64
    assert np.array_equal(tracker.rate(), zero_one({"correct": outcomes}), equal_nan=True)


def test_defect_05_the_tracker_takes_batches_from_any_device(device: torch.device) -> None:
    tracker = DifficultyTracker(2)
    tracker.update(torch.tensor([1, 1], device=device), logits_for([0, 1]).to(device), torch.tensor([0, 0]).to(device))
    assert tracker.rate()[1] == 0.5


def test_defect_23_nothing_is_mirrored_unless_asked_for() -> None:
    x = torch.rand(4, 1, 8, 8, generator=generator(0))
    drawn = torch.tensor([[0, 0, 1]] * 4)
    assert Augmentation().flip is False and torch.equal(Augmentation()(x, drawn), x)
