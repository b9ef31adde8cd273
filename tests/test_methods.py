"""MART, AWP, fast adversarial training and averaged weights against textbook versions of them, in float64."""

import copy
from pathlib import Path

import pytest
import torch
from test_objectives import CLASSES, EPS, labels_for, make_batch, make_net, run, small
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.attacks import PGD
from dpls.cli.main import main
from dpls.component import members
from dpls.data.split import Batch
from dpls.methods import AWP, FGSMRS, MART, NFGSM, PGDAT, TRADES, Standard
from dpls.methods.objective import Objective
from dpls.methods.objectives import Plain
from dpls.nets.layers import Normalise
from dpls.randomness import Noise
from dpls.recipe import RunConfig
from dpls.training.learner import Learner

ATTACK = PGD(eps=EPS, steps=3, start="gaussian")


def crafted(objective: Objective, net: nn.Module, batch: Batch) -> Tensor:
    return objective.craft(net, batch, Noise(0, batch.rows), torch.float32)


def in_float64(net: nn.Module) -> nn.Module:
    double = copy.deepcopy(net).double()
    for module in double.modules():
        if isinstance(module, Normalise):
            module.dtype = torch.float64
    return double


def gradients(net: nn.Module) -> list[Tensor]:
    return [p.grad.double() for p in net.parameters()]


# MART


def textbook_mart(clean: Tensor, adversarial: Tensor, y: Tensor, labels: Tensor, beta: float) -> Tensor:
    """Term by term, an example at a time, as the article writes it."""
    values = []
    for z, z_adv, true, label in zip(clean, adversarial, y.tolist(), labels, strict=True):
        p, q = z.softmax(0), z_adv.softmax(0)
        k = max((k for k in range(len(q)) if k != true), key=q.detach().__getitem__)
        boosted = -(label * q.log()).sum() - (1 - q[k]).log()
        values.append(boosted + beta * (p * (p / q).log()).sum() * (1 - p[true]))
    return torch.stack(values)


@pytest.mark.parametrize("factor", [1.0, 0.7])
def test_mart_and_its_gradients_are_the_textbooks(factor: float) -> None:
    net, batch = make_net(), make_batch()
    double, labels = in_float64(net), labels_for(batch, factor)
    objective = MART(attack=ATTACK)
    x_adv = crafted(objective, net, batch)
    values = objective.loss(net, batch, x_adv, labels).values
    expected = textbook_mart(double(batch.x.double()), double(x_adv.double()), batch.y, labels.double(), 6)
    torch.testing.assert_close(values.detach().double(), expected.detach(), rtol=1e-5, atol=1e-6)
    values.mean().backward()
    expected.mean().backward()
    for ours, theirs in zip(gradients(net), gradients(double), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


class Says(nn.Module):
    """Gives these logits in turn, whatever it is shown."""

    def __init__(self, *logits: Tensor) -> None:
        super().__init__()
        self.logits = list(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.pop(0)


def mart(clean: Tensor, adversarial: Tensor, y: Tensor, beta: float = 6.0) -> Tensor:
    batch = Batch(torch.zeros(len(y), 1, 8, 8), y, torch.arange(len(y)))
    labels = F.one_hot(y, clean.shape[1]).float()
    return MART(beta=beta).loss(Says(clean, adversarial), batch, batch.x, labels).values


def test_limits_of_mart() -> None:
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(64, 5, generator=g), torch.randint(5, (64,), generator=g)
    boosted, plain = mart(z, z, y, 0), F.cross_entropy(z, y, reduction="none")
    assert (boosted >= plain).all(), "the margin term is never negative"
    two, label = z[:, :2], y % 2
    torch.testing.assert_close(mart(two, two, label, 0), 2 * F.cross_entropy(two, label, reduction="none"))
    sure = 40.0 * F.one_hot(y, 5)
    torch.testing.assert_close(mart(sure, z, y, 6), mart(sure, z, y, 0), msg="who is sure of the clean image weighs 0")
    lost = -40.0 * F.one_hot(y, 5)
    spread = F.kl_div(z.log_softmax(1), lost.softmax(1), reduction="none").sum(1)
    torch.testing.assert_close(mart(lost, z, y, 6) - mart(lost, z, y, 0), 6 * spread, rtol=1e-4, atol=1e-4)
    far = -200.0 * F.one_hot(y, 5)
    assert mart(far, far, y).isfinite().all(), "a rival at probability 1 leaves the logarithm finite"


# AWP


def textbook_awp(net: nn.Module, loss: object, gamma: float) -> tuple[Tensor, list[Tensor]]:
    """The authors' way: a proxy ascends, its difference is scaled, added to the net, and taken away again."""
    proxy = copy.deepcopy(net)
    ascent = torch.optim.SGD(proxy.parameters(), lr=0.01)
    (-loss(proxy)).backward()
    ascent.step()
    before, after = net.state_dict(), proxy.state_dict()
    moved = {}
    for name, old in before.items():
        if old.dim() > 1 and "weight" in name:
            difference = after[name] - old
            moved[name] = old.norm() / (difference.norm() + 1e-20) * difference
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name in moved:
                parameter.add_(moved[name], alpha=gamma)
    value = loss(net)
    value.backward()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name in moved:
                parameter.sub_(moved[name], alpha=gamma)
    return value.detach(), gradients(net)


@pytest.mark.parametrize("factor", [1.0, 0.7])
@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.1])
def test_awp_and_its_gradients_are_the_textbooks(gamma: float, factor: float) -> None:
    net, batch = make_net(), make_batch()
    double, labels = in_float64(net), labels_for(batch, factor)
    before = copy.deepcopy(net.state_dict())
    objective = AWP(inner=PGDAT(attack=ATTACK), gamma=gamma)
    x_adv = crafted(objective, net, batch)
    loss = objective.loss(net, batch, x_adv, labels).values.mean()
    loss.backward()

    def at(module: nn.Module) -> Tensor:
        return -(labels.double() * module(x_adv.double()).log_softmax(1)).sum(1).mean()

    value, slopes = textbook_awp(double, at, gamma)
    torch.testing.assert_close(loss.detach().double(), value, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients(net), slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for name, weight in net.named_parameters():
        assert torch.equal(weight, before[name]), "the net is never moved"
    for name, buffer in double.named_buffers():  # the textbook's net saw one training forward, its proxy another
        torch.testing.assert_close(net.get_buffer(name), buffer, check_dtype=False, rtol=1e-5, atol=1e-6)


def test_awp_moves_each_weight_by_gamma_times_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    from dpls.nets import elsewhere

    seen, original = [], elsewhere.Elsewhere.__init__

    def noted(self, module, tensors):
        seen.append(tensors)
        original(self, module, tensors)

    monkeypatch.setattr(elsewhere.Elsewhere, "__init__", noted)
    net = make_net()
    run(AWP(inner=small(TRADES), gamma=0.02), net, make_batch())
    own = dict(net.named_parameters())
    assert set(seen[1]) == {f"net.{name}" for name, weight in own.items() if weight.dim() > 1}
    for name, moved in seen[1].items():
        name = name.removeprefix("net.")
        torch.testing.assert_close((moved - own[name]).norm(), 0.02 * own[name].norm(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", members(Plain), ids=lambda o: o.__name__)
def test_awp_without_gamma_is_what_stands_inside(kind: type[Objective]) -> None:
    nets, batch = (make_net(), make_net()), make_batch()
    for objective, net in zip((small(kind), AWP(inner=small(kind), gamma=0)), nets, strict=True):
        run(objective, net, batch, 0.7).values.mean().backward()
    for a, b in zip(*map(gradients, nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


# One step


def test_n_fgsm_leaves_the_ball_and_fgsm_rs_does_not() -> None:
    net, batch = make_net(), make_batch()
    inside = batch._replace(x=0.4 + 0.2 * batch.x)  # 1 is far enough
    far, near = (crafted(small(kind), net, inside) - inside.x for kind in (NFGSM, FGSMRS))
    assert EPS < far.abs().max() <= 3 * EPS + 1e-6
    assert near.abs().max() <= EPS + 1e-6
    clipped = NFGSM(noise=1, step=1.25, eps=EPS)
    rs = inside.x + (crafted(clipped, net, inside) - inside.x).clamp(-EPS, EPS)
    torch.testing.assert_close(rs, crafted(small(FGSMRS), net, inside), msg="k = 1, a = 1.25, projected")


def test_a_single_step_goes_by_the_sign_of_the_gradient() -> None:
    """From N-FGSM's start, which is no farther than its noise, exactly eps up the cross-entropy of the net in eval mode."""
    net, batch = make_net(), make_batch()
    batch = batch._replace(x=0.4 + 0.2 * batch.x)
    start = crafted(small(NFGSM).model_copy(update={"step": 1e-9}), net, batch).requires_grad_()
    assert (start - batch.x).abs().max() <= 2 * EPS + 1e-6
    (slope,) = torch.autograd.grad(F.cross_entropy(copy.deepcopy(net).eval()(start), batch.y, reduction="sum"), start)
    moved = crafted(small(NFGSM), net, batch) - start.detach()
    clear = slope.abs() > 1e-6
    torch.testing.assert_close(moved[clear], EPS * slope.sign()[clear], rtol=1e-4, atol=1e-6)


# Averaged weights


def averaging(net: nn.Module) -> Learner:
    phases = [{"until": 2}, {"until": 4, "average": True}]
    return Learner.of(net, RunConfig.model_validate({"phases": phases}))


def batches(seed: int = 3) -> list[Tensor]:
    return list(torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).split(10))


def moved(net: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(by)


def test_the_average_of_equal_models_is_the_model_and_of_others_their_mean() -> None:
    net = make_net()
    learner = averaging(net)
    for _ in range(3):
        learner.take_into_average()
    for a, b in zip(learner.averaged(batches()).parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    first = [p.detach().clone() for p in net.parameters()]
    other = averaging(net)
    other.take_into_average()
    moved(net, 0.3)
    other.take_into_average()
    for a, b in zip(other.averaged(batches()).parameters(), first, strict=True):
        torch.testing.assert_close(a, b + 0.15, rtol=1e-5, atol=1e-6)


def test_the_first_model_replaces_what_the_average_began_with() -> None:
    net = make_net()
    learner = averaging(net)
    moved(net, 0.5)
    learner.take_into_average()
    for a, b in zip(learner.averaged(batches()).parameters(), net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_batch_norm_of_the_average_is_the_mean_over_the_batches() -> None:
    net, shown = make_net(), batches()
    learner = averaging(net)
    learner.take_into_average()
    before = copy.deepcopy(net.state_dict())
    found = learner.averaged(shown)
    assert not found.training and all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    first = next(m for m in found.modules() if isinstance(m, nn.BatchNorm2d))
    into: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, args: into.append(args[0].detach()))
    copy.deepcopy(found)
    with torch.no_grad():
        for x in shown:
            found(x)
    hook.remove()
    means = torch.stack([x.mean((0, 2, 3)) for x in into]).mean(0)
    torch.testing.assert_close(first.running_mean, means, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        first.running_var, torch.stack([x.var((0, 2, 3)) for x in into]).mean(0), rtol=1e-4, atol=1e-6
    )


def test_an_average_that_has_not_begun_is_resumed_from_a_state_without_one() -> None:
    plain, learner = Learner.of(make_net(), RunConfig.model_validate({"phases": [{"until": 2}]})), averaging(make_net())
    learner.resume(plain.state())
    learner.take_into_average()
    assert int(learner.average.n_averaged) == 1
    again = averaging(make_net())
    again.resume(learner.state())
    assert int(again.average.n_averaged) == 1


def test_passes_of_every_objective() -> None:
    ten = {"attack": PGD(steps=10)}
    table = {
        Standard(): ((0, 0), (1, 1)),
        PGDAT(**ten): ((10, 10), (1, 1)),
        TRADES(**ten): ((11, 10), (2, 2)),
        MART(**ten): ((10, 10), (2, 2)),
        FGSMRS(): ((1, 1), (1, 1)),
        NFGSM(): ((1, 1), (1, 1)),
    }
    assert {type(objective) for objective in table} == set(members(Plain))
    for objective, (crafting, training) in table.items():
        assert (objective.crafting, objective.training) == (crafting, training)
        around = AWP(inner=objective)
        assert around.crafting == crafting and around.training == (2 * training[0], 2 * training[1])


def test_the_table_of_the_docs_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "passes"]) == 0
    printed = capsys.readouterr().out.strip()
    assert "| TRADES, pgd10-gaussian | 11 | 10 | 2 | 2 | 13 + 12 | 15 + 14 |" in printed
    assert printed in (Path(__file__).parent.parent / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("around", [False, True], ids=["alone", "awp"])
@pytest.mark.parametrize("kind", members(Plain), ids=lambda o: o.__name__)
def test_passes_are_what_hooks_count(kind: type[Objective], around: bool) -> None:
    """Forward and back again, of the images' net in eval mode and of the trained one."""
    counted = {(mode, way): 0 for mode in (False, True) for way in ("forward", "back")}

    class Count(nn.Module):
        def __deepcopy__(self, memo: object) -> "Count":
            return type(self)().train(self.training)

        def forward(self, z: Tensor) -> Tensor:
            counted[self.training, "forward"] += 1
            if z.requires_grad:
                mode = self.training
                z.register_hook(lambda _: counted.update({(mode, "back"): counted[mode, "back"] + 1}))
            return z

    net, objective = nn.Sequential(make_net(), Count()).train(), small(kind, steps=4)
    objective = AWP(inner=objective) if around else objective
    run(objective, net, make_batch()).values.mean().backward()
    assert (counted[False, "forward"], counted[False, "back"]) == objective.crafting
    assert (counted[True, "forward"], counted[True, "back"]) == objective.training
    assert CLASSES == 3


@pytest.mark.parametrize("objective", [FGSMRS(), NFGSM(), AWP(inner=FGSMRS())])
def test_single_steps_stop_at_catastrophic_overfitting_and_at_nothing_else(objective: Objective) -> None:
    def stopped(*pairs: tuple[float | None, float | None], by: Objective = objective) -> str:
        rows = [{"epoch": e, "train_robust": t, "validation_robust": v} for e, (t, v) in enumerate(pairs, 1)]
        return by.stopped_by(rows)

    why = stopped((0.4, 0.4), (0.5, 0.45), (0.9, 0.02))
    assert "in epoch 3: validation accuracy under attack fell from 45.0% to 2.0%" in why
    assert stopped((0.5, 0.45), (0.6, None), (0.9, 0.02)) and stopped((0.5, 0.45), (0.9, 0.02), (0.9, None))
    assert not stopped() and not stopped((0.9, 0.02))
    assert not stopped((0.5, 0.45), (0.9, 0.25)), "20 points"
    assert not stopped((0.5, 0.6), (0.7, 0.45), (0.9, 0.3)), "robust overfitting is slower"
    assert not stopped((0.5, 0.45), (0.2, 0.02)), "a bad epoch, for its own step, too"
    assert not stopped((0.5, 0.45), (0.9, 0.02), by=NFGSM(guard=1))
    assert not stopped((0.5, 0.45), (0.9, 0.02), by=PGDAT()), "its fall is reported, and may be meant"
