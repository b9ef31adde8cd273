"""What learns: its state, and the forward that stands beside the net."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_tiny
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dpls.data import TRAIN
from dpls.difficulty.record import Epoch
from dpls.errors import UserError
from dpls.nets.networks import SmallCNN
from dpls.randomness import generator
from dpls.recipe import RunConfig, make_config
from dpls.runs.directory import Choice, Run
from dpls.training.checkpoints import load_state, save_state
from dpls.training.learner import Learner
from dpls.training.loop import Unwatched, build, train_epoch
from tests.test_run import finish

SETTINGS = {
    "net": {"kind": "small_cnn", "width": 4},
    "objective": {"kind": "pgd_at", "attack": {"kind": "pgd", "steps": 2}},
    "phases": [{"until": 2}],
    "optimiser": {"lr": 0.05, "batch_size": 16},
    "device": "cpu",
    "precision": "float32",
}


def tiny_config() -> RunConfig:
    return make_config(SETTINGS).resolved()


def learner(seed: int = 0) -> Learner:
    return Learner.of(SmallCNN(width=4)(1, 3, generator(seed)), tiny_config())


def stepped(seed: int = 0, averaged: bool = False) -> Learner:
    """After a step, so that the optimiser has a momentum."""
    found = learner(seed)
    if averaged:
        found.average = AveragedModel(found.net)
        found.take_into_average()
    found.step(found.forward(torch.rand(6, 1, 8, 8, generator=generator(1))).square().mean())
    return found


@pytest.mark.parametrize("averaged", [False, True])
def test_a_state_keeps_all_that_learns(averaged: bool, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.checkpoints.mkdir()
    before, after = stepped(0, averaged), stepped(1, averaged)
    save_state(run, 3, before)
    load_state(run, 3, after)
    for a, b in zip(before.net.state_dict().values(), after.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    kept = [learnt.optimiser.state_dict()["state"] for learnt in (before, after)]
    assert all(torch.equal(kept[0][k]["momentum_buffer"], kept[1][k]["momentum_buffer"]) for k in kept[0])
    if averaged:
        for a, b in zip(before.average.state_dict().values(), after.average.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_a_mean_that_has_not_begun_is_not_missed() -> None:
    """A branch may take a state from before the phase that averages, where only one of the two knows of a mean."""
    plain, averaging = stepped(), stepped(averaged=True)
    averaging.resume(plain.state())
    plain.resume(averaging.state())
    assert plain.average is None and averaging.average is not None


def test_training_steps_go_through_forward_and_nothing_else_does() -> None:
    """Trap: attacks, observations or the state meeting what stands around the net."""
    dataset = make_tiny()
    seen: list[bool] = []

    class Around(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.net.training)
            return self.net(x)

    plain, wrapped = (build(tiny_config(), dataset) for _ in range(2))
    wrapped = replace(wrapped, learner=Learner(wrapped.net, Around(wrapped.net), wrapped.learner.optimiser))
    rows = torch.arange(len(plain.splits[TRAIN]))
    losses = [
        train_epoch(
            parts,
            1,
            parts.config.phases[0],
            torch.ones(len(rows)),
            rows,
            Epoch(len(dataset.labels), parts.device),
            Unwatched(),
        )
        for parts in (plain, wrapped)
    ]
    assert losses[0] == losses[1]
    assert seen == [True] * -(-len(rows) // 16)


# What a phase trains with is kept


def test_the_factors_of_every_phase_are_kept(tmp_path: Path) -> None:
    """Trap: those of an earlier DPLS phase were lost, for the table holds the last phase's alone."""
    phases = [
        {"until": 3},
        {"until": 4, "factors": {"kind": "dpls", "lambda_min": 0.3}},
        {"until": 6, "factors": {"kind": "dpls", "lambda_min": 0.8}, "subset": {"which": "hardest", "share": 0.25}},
    ]
    runs = tmp_path / "runs"
    whole = finish(runs, f"phases={phases}".replace("'", '"'))
    first, second, third = (whole.factors(start) for start in (0, 3, 4))
    assert (first.factors == 1).all() and first.kept.all()
    assert second.factors.min() == pytest.approx(0.3) and third.factors.min() == pytest.approx(0.8)
    assert third.kept.sum() == 60
    table = whole.examples()
    train = table[table["split"] == "train"]
    np.testing.assert_array_equal(train["factor"], third.factors)
    np.testing.assert_array_equal(train["trained"], 4 + 2 * third.kept)
    assert whole.factors(5) is None


def test_a_branch_takes_over_the_factors_of_the_phases_before_it(tmp_path: Path) -> None:
    parent = finish(tmp_path / "runs")
    child = finish(tmp_path / "runs", "phases.1.factors.lambda_min=0.7")
    assert child.config()["parent"]["run"] == parent.id
    np.testing.assert_array_equal(child.factors(0).factors, parent.factors(0).factors)
    assert child.factors(4).factors.min() == pytest.approx(0.7)


def test_what_a_phase_began_with_it_goes_on_with(tmp_path: Path) -> None:
    """Of a run that resumes, what was kept counts, not what would be computed again."""
    run = Run(tmp_path)
    chosen = Choice(np.linspace(0.5, 1, 8), np.arange(8) % 2 == 0)
    run.write_factors(4, chosen)
    run.write_factors(4, Choice(np.ones(8), np.ones(8, dtype=bool)))
    np.testing.assert_array_equal(run.factors(4).factors, chosen.factors)
    np.testing.assert_array_equal(run.factors(4).kept, chosen.kept)
    next((tmp_path / "factors").iterdir()).write_bytes(b"torn")
    with pytest.raises(UserError, match="damaged"):
        run.factors(4)
