"""Objectives: losses against closed forms, batch norm moved by training forwards alone, crafting blind to soft labels."""

import copy
from typing import Any, NamedTuple

import pytest
import torch
from conftest import declared, probed
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.attacks import PGD
from dpls.component import members
from dpls.data.split import Batch
from dpls.methods import AWP, FGSMRS, MART, NFGSM, PGDAT, TRADES, AnyObjective, Standard
from dpls.methods.labels import soft_labels
from dpls.methods.objective import Loss, Objective, soft_cross_entropy
from dpls.methods.objectives import Plain
from dpls.nets.networks import SmallCNN
from dpls.randomness import Noise, generator

OBJECTIVES = [kind for kind in members(AnyObjective) if kind.is_chosen]
every_objective = pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda o: o.__name__)
EPS, CLASSES = 0.1, 3


def small(kind: type[Objective], steps: int = 3, eps: float = EPS) -> Objective:
    """The objective as it comes, its attack of few steps and with an eps of its own."""
    return shrunk(kind(), steps, eps)


def shrunk(objective: Objective, steps: int = 3, eps: float = EPS) -> Objective:
    update: dict[str, Any] = {}
    if hasattr(objective, "attack"):
        update["attack"] = objective.attack.model_copy(update={"steps": steps, "eps": eps})
    if hasattr(objective, "inner"):
        update["inner"] = shrunk(objective.inner, steps, eps)
    if hasattr(objective, "eps"):
        update["eps"] = eps
    return objective.model_copy(update=update)


def make_net(device: str | torch.device = "cpu") -> nn.Module:
    return SmallCNN(width=4)(1, CLASSES, generator(0), ([0.5], [0.3])).to(device).train()


def make_batch(count: int = 12, device: str | torch.device = "cpu") -> Batch:
    x = torch.rand(count, 1, 8, 8, generator=generator(1)).to(device)
    rows = torch.arange(count, device=device)
    return Batch(x, rows % CLASSES, rows)


def labels_for(batch: Batch, factor: float = 1.0) -> Tensor:
    return soft_labels(batch.y, torch.full((len(batch.y),), factor, device=batch.y.device), CLASSES)


class Around(nn.Module):
    """Stands around a net, as what compiles or spreads it would, and notes what goes through."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((x, self.net(x)))
        return self.seen[-1][1]


class Ran(NamedTuple):
    """A loss, and the logits that its training forwards gave: all of them, and those at the images as they are."""

    values: Tensor
    logits_adv: Tensor | None
    logits: list[Tensor]
    clean: Tensor | None


def run(objective: Objective, net: nn.Module, batch: Batch, factor: float = 1.0, dtype: Any = torch.float32) -> Ran:
    """A step up to its loss: crafting on the net, then the loss by a forward that stands around it."""
    forward = Around(net)
    x_adv = objective.craft(net, batch, Noise(0, batch.rows), dtype)
    loss = objective.loss(forward, batch, x_adv, labels_for(batch, factor))
    assert isinstance(loss, Loss)
    clean = next((logits for x, logits in forward.seen if x is batch.x), None)
    return Ran(*loss, [logits for _, logits in forward.seen], clean)


def updates(net: nn.Module) -> set[int]:
    """How often each batch norm has updated its statistics."""
    return {int(m.num_batches_tracked) for m in net.modules() if isinstance(m, nn.BatchNorm2d)}


# What every objective promises


def test_every_objective_is_in_the_union() -> None:
    assert declared(Objective) == set(members(AnyObjective))
    assert len({o.model_fields["kind"].default for o in OBJECTIVES}) == len(OBJECTIVES)


@every_objective
def test_settings_survive_json(kind: type[Objective]) -> None:
    assert TypeAdapter(AnyObjective).validate_json(kind().model_dump_json()) == kind()


@every_objective
def test_values_are_per_example_and_reach_every_parameter(kind: type[Objective], device: torch.device) -> None:
    net, batch = make_net(device), make_batch(device=device)
    loss = run(small(kind), net, batch, 0.7)
    assert loss.values.shape == (12,) and loss.values.dtype == torch.float32 and loss.values.isfinite().all()
    assert loss.logits and all(logits.shape == (12, CLASSES) for logits in loss.logits)
    assert (loss.logits_adv is not None) == kind().attacks
    assert all(p.grad is None for p in net.parameters())
    loss.values.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert sum(float(p.grad.abs().sum()) for p in net.parameters()) > 0


@every_objective
def test_an_objective_moves_nothing_but_batch_norm_statistics(kind: type[Objective]) -> None:
    net, batch = make_net(), make_batch()
    before, flags = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    images = batch.x.clone()
    run(small(kind), net, batch)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) != name.endswith(statistics), name
    assert [m.training for m in net.modules()] == flags
    assert torch.equal(batch.x, images) and not batch.x.requires_grad
    assert all(p.requires_grad for p in net.parameters())


@every_objective
def test_defect_07_08_batch_norm_is_updated_once_a_training_forward(kind: type[Objective]) -> None:
    net, passes = probed(make_net())
    run(small(kind), net.train(), make_batch())
    trained = sum(p.training for p in passes)
    assert updates(net) == {trained // (2 if kind is AWP else 1)}, "an ascent of the weights leaves them alone"


@every_objective
def test_crafting_is_in_eval_mode_and_before_the_training_forwards(kind: type[Objective]) -> None:
    net, passes = probed(make_net())
    objective = small(kind, steps=4)
    run(objective, net.train(), make_batch())
    flags = [p.training for p in passes]
    assert flags == sorted(flags)
    attacked = getattr(objective, "inner", objective)
    if hasattr(attacked, "attack"):
        assert 4 <= flags.count(False) <= 5


@every_objective
def test_training_sees_the_image_or_one_within_eps_of_it(kind: type[Objective]) -> None:
    net, passes = probed(make_net())
    batch = make_batch()
    loss = run(small(kind), net.train(), batch)
    seen = [p.x for p in passes if p.training]
    assert any(torch.equal(x, batch.x) for x in seen) == (loss.clean is not None)
    reach = 3 * EPS if kind is NFGSM else EPS
    assert all((x - batch.x).abs().max() <= reach + 1e-6 and x.min() >= 0 and x.max() <= 1 for x in seen)


@every_objective
def test_smoothing_never_reaches_the_inner_maximisation(kind: type[Objective]) -> None:
    seen = []
    for factor in (1.0, 0.5):
        net, passes = probed(make_net())
        run(small(kind), net.train(), make_batch(), factor)
        seen.append([p.x for p in passes])
    assert len(seen[0]) == len(seen[1]) > 0
    assert all(torch.equal(hard, soft) for hard, soft in zip(*seen, strict=True))


@every_objective
def test_smoothing_reaches_the_loss(kind: type[Objective]) -> None:
    """And no more of it than the label: the loss is linear in it, where the weights stay what they are."""
    hard, half, soft = (run(small(kind), make_net(), make_batch(), factor).values for factor in (1.0, 0.8, 0.6))
    assert ((soft - hard).abs() > 1e-3).any()
    if kind is not AWP:
        torch.testing.assert_close(soft - hard, 2 * (half - hard), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", [Standard, PGDAT, TRADES])
def test_in_these_with_the_slope_of_the_cross_entropy(kind: type[Objective]) -> None:
    hard, soft = (run(small(kind), make_net(), make_batch(), factor) for factor in (1.0, 0.6))
    batch, logits = make_batch(), hard.logits[0]
    slope = soft_cross_entropy(logits, labels_for(batch, 0.6)) - soft_cross_entropy(logits, labels_for(batch))
    torch.testing.assert_close(soft.values - hard.values, slope, rtol=1e-4, atol=1e-6)


@every_objective
def test_an_objective_does_not_touch_the_global_random_state(kind: type[Objective]) -> None:
    net, before = make_net(), torch.get_rng_state()
    first = run(small(kind), net, make_batch())
    assert torch.equal(torch.get_rng_state(), before)
    again = run(small(kind), make_net(), make_batch())
    assert torch.equal(first.values, again.values)


@pytest.mark.parametrize("kind", [Standard, PGDAT, TRADES, FGSMRS, NFGSM])
def test_without_eps_these_are_standard_training(kind: type[Objective]) -> None:
    net, reference, batch = make_net(), make_net(), make_batch()
    values = run(small(kind, eps=0.0), net, batch, 0.8).values
    expected = run(Standard(), reference, batch, 0.8).values
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-6 if kind is TRADES else 0)
    for loss in (values, expected):
        loss.mean().backward()
    for a, b in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-7)


@every_objective
def test_crafting_in_low_precision_gives_a_similar_loss(kind: type[Objective], device: torch.device) -> None:
    losses = [
        run(small(kind), make_net(device), make_batch(device=device), dtype=dtype).values
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert losses[1].dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=0.1, atol=0.05)


@every_objective
def test_what_an_objective_says_of_itself(kind: type[Objective]) -> None:
    objective = small(kind, steps=4)
    assert objective.title and set(objective.title.split()) <= set(objective.in_words(0.3).split())
    net, passes = probed(make_net())
    run(objective, net.train(), make_batch())
    trained = sum(p.training for p in passes)
    assert objective.training.forward == trained and objective.crafting.forward == len(passes) - trained


@pytest.mark.parametrize(("kind", "count"), [(Standard, 1), (PGDAT, 1), (TRADES, 2), (MART, 2), (FGSMRS, 1), (AWP, 2)])
def test_training_forwards_of_a_step(kind: type[Objective], count: int) -> None:
    net, passes = probed(make_net())
    run(small(kind), net.train(), make_batch())
    assert sum(p.training for p in passes) == count


# What stands around an objective


@pytest.mark.parametrize("inner", [small(kind) for kind in members(Plain)], ids=lambda o: o.kind)
def test_an_objective_can_be_wrapped_and_its_weights_perturbed(inner: Objective) -> None:
    """``craft`` on the net itself, ``loss`` through other weights, gradients for its own."""
    net, batch = make_net(), make_batch()
    before = copy.deepcopy(net.state_dict())
    plain = run(inner, make_net(), batch).values
    still, moved = (run(AWP(inner=inner, gamma=gamma), net, batch).values for gamma in (0.0, 0.01))
    torch.testing.assert_close(still, plain, rtol=1e-5, atol=1e-6)
    assert moved.mean() > plain.mean()
    assert all(torch.equal(value, before[name]) for name, value in net.named_parameters())
    moved.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


# Closed forms


@given(st.integers(2, 30), st.integers(0, 2**31), st.floats(0.05, 1))
def test_the_gradient_of_the_soft_cross_entropy_is_p_minus_label(classes: int, seed: int, factor: float) -> None:
    g = generator(seed)
    z = torch.randn(8, classes, generator=g, dtype=torch.float64).mul_(3).requires_grad_()
    y = torch.randint(classes, (8,), generator=g)
    labels = soft_labels(y, torch.full((8,), factor, dtype=torch.float64), classes)
    values = soft_cross_entropy(z, labels)
    assert values.shape == (8,)
    (gradient,) = torch.autograd.grad(values.sum(), z)
    torch.testing.assert_close(gradient, (z.softmax(1) - labels).detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        values.detach().double(), -(labels * z.detach().log_softmax(1)).sum(1), rtol=1e-5, atol=1e-5
    )
    assert (values.detach() >= torch.special.entr(labels).sum(1) - 1e-5).all()


def test_hard_labels_give_the_ordinary_cross_entropy() -> None:
    net, batch = make_net(), make_batch()
    loss = run(Standard(), net, batch)
    assert loss.logits_adv is None and loss.clean is not None
    torch.testing.assert_close(loss.values, F.cross_entropy(loss.clean, batch.y, reduction="none"))


def test_adversarial_training_takes_the_loss_at_the_attacked_images() -> None:
    net, passes = probed(make_net())
    batch = make_batch()
    loss = run(PGDAT(attack=PGD(eps=EPS, steps=3)), net.train(), batch, 0.7)
    (x_adv,) = (p.x for p in passes if p.training)
    assert (x_adv - batch.x).abs().max() > EPS / 2
    reference = make_net()
    logits = reference(x_adv)
    torch.testing.assert_close(loss.logits_adv, logits)
    torch.testing.assert_close(loss.values, soft_cross_entropy(logits, labels_for(batch, 0.7)))
    assert loss.clean is None


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_defect_11_trades_is_cross_entropy_plus_beta_times_the_kl_from_clean_to_adversarial(beta: float) -> None:
    batch = make_batch()
    loss = run(TRADES(beta=beta, attack=PGD(eps=EPS, steps=3, start="gaussian")), make_net(), batch, 0.7)
    clean, adversarial = loss.clean.detach().double(), loss.logits_adv.detach().double()
    p, q = (torch.distributions.Categorical(logits=z) for z in (clean, adversarial))
    forward, backward = (torch.distributions.kl_divergence(a, b) for a, b in ((p, q), (q, p)))
    expected = -(labels_for(batch, 0.7) * clean.log_softmax(1)).sum(1) + beta * forward
    torch.testing.assert_close(loss.values.detach().double(), expected, rtol=1e-5, atol=1e-6)
    assert (forward - backward).abs().max() > 1e-4  # the direction can be told


def test_trades_without_beta_equals_standard_training() -> None:
    net, reference, batch = make_net(), make_net(), make_batch()
    loss = run(TRADES(beta=0, attack=PGD(eps=EPS, steps=3, start="gaussian")), net, batch, 0.7)
    expected = run(Standard(), reference, batch, 0.7)
    assert torch.equal(loss.values, expected.values)
    loss.values.mean().backward()
    expected.values.mean().backward()
    for a, b in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-9)


def test_defect_09_the_kl_term_has_a_gradient_through_both_branches() -> None:
    """dKL/dz' = q - p, and dKL/dz = p (log p/q - KL): both by autograd through the objective, both in closed form."""
    batch = make_batch()
    attack = PGD(eps=EPS, steps=3, start="gaussian")
    with_kl, without = (run(TRADES(beta=beta, attack=attack), make_net(), batch) for beta in (1.0, 0.0))
    gradients = []
    for loss in (with_kl, without):
        both = (loss.clean, loss.logits_adv)
        gradients.append(torch.autograd.grad(loss.values.sum(), both))
    of_clean, of_adv = (a - b for a, b in zip(*gradients, strict=True))
    log_p, log_q = (z.detach().log_softmax(1) for z in (with_kl.clean, with_kl.logits_adv))
    p, ratio = log_p.exp(), log_p - log_q
    torch.testing.assert_close(of_adv, log_q.exp() - p, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(of_clean, p * (ratio - (p * ratio).sum(1, keepdim=True)), rtol=1e-3, atol=1e-6)
    assert of_clean.abs().max() > 1e-3 and of_adv.abs().max() > 1e-3


def test_the_defaults_are_those_of_the_articles() -> None:
    assert PGDAT().attack == PGD(steps=10, start="uniform")
    assert TRADES().beta == 6 and TRADES().attack == PGD(steps=10, start="gaussian")


@pytest.mark.parametrize("objective", [PGDAT(), TRADES()], ids=["PGDAT", "TRADES"])
def test_the_inner_maximisation_raises_the_loss_it_climbs(objective: Objective) -> None:
    """Judged on the net that was attacked, in eval mode."""
    net, passes = probed(make_net())
    batch = make_batch()
    frozen = copy.deepcopy(net).eval()
    run(small(type(objective), steps=10), net.train(), batch)
    x_adv = [p.x for p in passes if p.training][-1]
    with torch.no_grad():
        before, after = frozen(batch.x), frozen(x_adv)
        if isinstance(objective, PGDAT):
            gain = F.cross_entropy(after, batch.y, reduction="none") - F.cross_entropy(
                before, batch.y, reduction="none"
            )
        else:
            gain = F.kl_div(after.log_softmax(1), before.softmax(1), reduction="none").sum(1)
    assert (gain > 0).all()
