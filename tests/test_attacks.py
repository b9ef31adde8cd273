"""Attacks: what all of them promise, PGD against closed forms on linear nets, and the forwards it does not waste."""

import itertools
import math
import pkgutil
from importlib import import_module

import numpy as np
import pytest
import torch
from conftest import declared, double, lively, make_tiny, probed
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

import dpls.attacks
from dpls.attacks import PGD, PMA, AnyAttack, Attack, Margins
from dpls.attacks.goals import CrossEntropyAscent, KullbackLeiblerAscent, Misclassification
from dpls.component import members, show_fraction
from dpls.data.split import Batch
from dpls.errors import UserError
from dpls.evaluations import named
from dpls.evaluations.base import Procedure
from dpls.methods.objectives import TRADES
from dpls.nets.frozen import frozen_eval
from dpls.nets.networks import SmallCNN
from dpls.randomness import Noise, generator
from dpls.recipe import RunConfig

ATTACKS = members(AnyAttack)
EPS = 8 / 255
VARIANTS = [
    *(attack(eps=EPS) for attack in ATTACKS),
    *(PGD(eps=EPS, steps=3, start=start) for start in ("gaussian", "clean")),
    PGD(eps=EPS, steps=2, step=1.0),
    PGD(eps=EPS, steps=3, restarts=3),
    PMA(eps=EPS, steps=5, starts=3),
    Margins(eps=EPS, steps=3, targets=0),
    PGD(eps=EPS, steps=0),
    PGD(eps=EPS, steps=0, start="gaussian"),
]
every_attack = pytest.mark.parametrize("attack", VARIANTS, ids=lambda a: a.name)
GOALS = ["cross_entropy", "misclassification", "kullback_leibler"]


def random_net(classes: int) -> nn.Module:
    """Untrained, its logits spread as after training; in float64, so that no rounding decides a sign."""
    net = double(lively(SmallCNN(width=4)(1, classes, generator(classes)))).eval().requires_grad_(False)
    logits, head = net(random_images(100)), net[-1]
    head.weight.mul_(3 / logits.std(0).mean())
    head.bias.copy_(-(logits.mean(0) - head.bias) * 3 / logits.std(0).mean())
    return net


def random_images(count: int) -> Tensor:
    """(count, 1, 8, 8), some pixels at the ends of [0, 1]."""
    x = torch.rand(count, 1, 8, 8, generator=generator(1), dtype=torch.float64)
    return (x * 1.2 - 0.1).clamp(0, 1)


def noise(count: int, seed: int = 0, device: str | torch.device = "cpu") -> Noise:
    return Noise(seed, torch.arange(count, device=device))


def goal_for(kind: str, net: nn.Module, x: Tensor, y: Tensor) -> CrossEntropyAscent | KullbackLeiblerAscent:
    with torch.no_grad():
        return {
            "cross_entropy": lambda: CrossEntropyAscent(y),
            "misclassification": lambda: Misclassification(y, net),
            "kullback_leibler": lambda: KullbackLeiblerAscent(y, net(x)),
        }[kind]()


# What every attack promises


def test_every_attack_is_in_the_union() -> None:
    for module in pkgutil.iter_modules(dpls.attacks.__path__):
        import_module(f"dpls.attacks.{module.name}")
    assert {kind for kind in declared(Attack) if not issubclass(kind, Procedure)} == set(ATTACKS)
    assert len({a.model_fields["kind"].default for a in ATTACKS}) == len(ATTACKS)


@every_attack
def test_settings_survive_json(attack: Attack) -> None:
    assert TypeAdapter(AnyAttack).validate_json(attack.model_dump_json()) == attack


@every_attack
@pytest.mark.parametrize("kind", GOALS)
@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_images_stay_in_the_eps_ball_and_in_the_unit_box(
    attack: Attack, kind: str, classes: int, device: torch.device
) -> None:
    net = random_net(classes).float().to(device)
    net[0].dtype = torch.float32
    for count in (1, 12):
        x = random_images(count).float().to(device)
        before = x.clone()
        goal = goal_for(kind, net, x, (torch.arange(count) % classes).to(device))
        x_adv = attack(net, x, goal, noise(count, device=device))
        assert x_adv.shape == x.shape and x_adv.dtype == x.dtype and x_adv.device == x.device
        assert (x_adv - x).abs().max() <= EPS + 1e-6
        assert x_adv.min() >= 0 and x_adv.max() <= 1
        assert not x_adv.requires_grad and x_adv.grad_fn is None
        assert torch.equal(x, before) and not x.requires_grad and x.grad is None
        assert x_adv.data_ptr() != x.data_ptr()


@every_attack
@pytest.mark.parametrize("kind", GOALS)
def test_eps_zero_returns_the_images(attack: Attack, kind: str) -> None:
    net, x = random_net(3), random_images(9)
    attack = attack.model_copy(update={"eps": 0.0})
    assert torch.equal(attack(net, x, goal_for(kind, net, x, torch.arange(9) % 3), noise(9)), x)


@every_attack
@pytest.mark.parametrize("kind", GOALS)
def test_an_example_is_attacked_the_same_in_any_batch(attack: Attack, kind: str) -> None:
    net, x, y = random_net(3), random_images(12), torch.arange(12) % 3

    def run(rows: Tensor) -> Tensor:
        return attack(net, x[rows], goal_for(kind, net, x[rows], y[rows]), Noise(5, rows))

    together = run(torch.arange(12))
    shuffled = torch.randperm(12, generator=generator(0))
    assert torch.equal(run(shuffled), together[shuffled])
    assert torch.equal(torch.cat([run(torch.tensor([i])) for i in range(12)]), together)


@every_attack
def test_the_same_noise_gives_the_same_images_whatever_the_global_seed(attack: Attack) -> None:
    net, x, goal = random_net(3), random_images(6), CrossEntropyAscent(torch.arange(6) % 3)
    before = torch.get_rng_state()
    first = attack(net, x, goal, noise(6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(attack(net, x, goal, noise(6)), first)


@pytest.mark.parametrize("start", ["uniform", "gaussian"])
def test_pgd_starts_elsewhere_with_other_noise(start: str) -> None:
    net, x, goal = random_net(3), random_images(6), CrossEntropyAscent(torch.arange(6) % 3)
    attack = PGD(eps=EPS, steps=2, start=start)
    assert not torch.equal(attack(net, x, goal, noise(6, seed=1)), attack(net, x, goal, noise(6)))


@every_attack
def test_what_an_attack_says_of_itself(attack: Attack) -> None:
    net, back = random_net(10), []
    net.register_forward_hook(lambda module, x, logits: back.append(logits.requires_grad))
    attack(net, random_images(4), CrossEntropyAscent(torch.arange(4) % 3), noise(4))
    assert attack.passes == 2 * sum(back)
    assert attack.name and show_fraction(EPS) in attack.title
    assert attack.reported.items() >= attack.model_dump(mode="json", exclude={"step"}).items()
    assert all(isinstance(doubt, str) for doubt in attack.doubts)


@pytest.mark.parametrize("kind", ATTACKS)
def test_every_attack_has_a_short_name(kind: type[Attack]) -> None:
    found = named(kind.examples.split(",")[0].split(" ")[0])
    assert isinstance(found, kind)
    assert kind.named("no such attack") is None


@pytest.mark.parametrize("kind", GOALS)
def test_pgd_raises_the_loss(kind: str) -> None:
    net, x, y = random_net(3), random_images(30), torch.arange(30) % 3
    rows = torch.arange(30)
    start, end = (
        PGD(eps=0.1, steps=steps)(
            net, x, goal_for(kind.replace("misclassification", "cross_entropy"), net, x, y), noise(30)
        )
        for steps in (0, 20)
    )
    goal = goal_for(kind, net, x, y)
    low, high = goal.loss(net(start), rows), goal.loss(net(end), rows)
    assert low.shape == (30,) and (high > low).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine to compare with")
@every_attack
def test_cuda_finds_the_same_images_as_the_cpu(attack: Attack) -> None:
    net, x, y = random_net(3), random_images(12), torch.arange(12) % 3
    on_cpu = attack(net, x, CrossEntropyAscent(y), noise(12))
    on_cuda = attack(net.cuda(), x.cuda(), CrossEntropyAscent(y.cuda()), noise(12, device="cuda:0")).cpu()
    same = (on_cpu - on_cuda).abs() < 1e-6
    assert same.double().mean() > 0.999  # a sign may turn where a gradient is rounding noise


# PGD on a linear net: closed form


class Linear(nn.Module):
    """Two classes, logits (0, w.x + b): label 1 is right where the score is positive."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(w, requires_grad=False), b

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(score), score], 1)


class FarCorner(Noise):
    """The worst draw there is: the start from which every pixel has to cross the whole ball, 2 eps."""

    def __init__(self, w: Tensor, y: Tensor) -> None:
        self._positive = (w[None] * (2 * y[:, None] - 1) > 0).double()

    def uniform(self, *shape: int) -> Tensor:
        return self._positive.view(-1, *shape)


def linear_problem(eps: float) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """Net, x, y, and the closed-form answer x - eps y sign(w); no pixel comes near 0 or 1."""
    g = generator(3, "linear")
    w = torch.randn(64, generator=g, dtype=torch.float64)
    x = 0.5 + 0.1 * (torch.rand(10, 1, 8, 8, generator=g, dtype=torch.float64) - 0.5)
    y = torch.arange(10) % 2
    corner = x - eps * (2.0 * y - 1).double().view(-1, 1, 1, 1) * w.sign().view(1, 1, 8, 8)
    return Linear(w, -0.5 * float(w.sum())), x, y, corner


@pytest.mark.parametrize(("parts", "enough"), [(4, 8), (8, 16), (3, 6), (1, 2)])
@pytest.mark.parametrize("eps", [1 / 16, 8 / 255])
def test_pgd_reaches_the_corner_of_a_linear_net_in_two_eps_over_step_steps_and_not_in_fewer(
    parts: int, enough: int, eps: float
) -> None:
    net, x, y, corner = linear_problem(eps)
    goal, step = CrossEntropyAscent(y), None if parts == 4 else eps / parts
    assert enough == math.ceil(2 * eps / (eps / parts) - 1e-9)
    found = PGD(eps=eps, steps=enough, step=step)(net, x, goal, FarCorner(net.w, y))
    torch.testing.assert_close(found, corner, rtol=0, atol=1e-15)
    short = PGD(eps=eps, steps=enough - 1, step=step)(net, x, goal, FarCorner(net.w, y))
    torch.testing.assert_close((short - corner).abs(), torch.full_like(x, eps / parts), rtol=0, atol=1e-15)
    beyond = PGD(eps=eps, steps=enough + 5, step=step)(net, x, goal, noise(10))
    torch.testing.assert_close(beyond, corner, rtol=0, atol=1e-15)


def test_the_loss_of_a_linear_net_is_that_of_the_margin_less_eps_times_the_one_norm() -> None:
    eps = 1 / 16
    net, x, y, _ = linear_problem(eps)
    found = PGD(eps=eps, steps=8)(net, x, CrossEntropyAscent(y), noise(10))
    sign = (2 * y - 1).double()
    margin = sign * (x.flatten(1) @ net.w + net.b)
    expected = F.softplus(-(margin - eps * net.w.abs().sum()))
    torch.testing.assert_close(F.cross_entropy(net(found), y, reduction="none"), expected, rtol=1e-12, atol=1e-12)


def test_the_unit_box_cuts_the_corner() -> None:
    net, x, y, _ = linear_problem(0.25)
    x = (x - 0.5) * 10 + 0.5
    expected = (x - 0.25 * (2.0 * y - 1).double().view(-1, 1, 1, 1) * net.w.sign().view(1, 1, 8, 8)).clamp(0, 1)
    found = PGD(eps=0.25, steps=8)(net, x, CrossEntropyAscent(y), noise(10))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)
    assert (expected == 0).any() and (expected == 1).any()


@pytest.mark.parametrize("margin", [1.0, 10.0, 20.0, 40.0])
def test_a_confident_net_is_no_harder_to_attack_than_its_margin(margin: float) -> None:
    """1 - p_y is below float32 resolution from a margin of 17 on; the direction of ascent is the same all the same."""
    w = torch.ones(64, dtype=torch.float64)
    x, y, eps = torch.full((1, 1, 8, 8), 0.5, dtype=torch.float64), torch.tensor([1]), 0.25
    net = Linear(w * 5 * margin / 64, -1.5 * margin)
    assert float(net(x)[0, 1]) == pytest.approx(margin)  # eps |w| = 1.25 margin: an attack exists
    for net_, x_ in ((net, x), (Linear(net.w.float(), net.b), x.float())):
        found = PGD(eps=eps, steps=10, start="clean")(net_, x_, CrossEntropyAscent(y), noise(1))
        torch.testing.assert_close(found, x_ - eps, rtol=0, atol=1e-6)
        assert int(net_(found).argmax()) == 0


# Settings


@pytest.mark.parametrize("eps", [2 / 255, 4 / 255, 8 / 255, 0.1])
def test_defect_20_the_step_is_a_quarter_of_eps_unless_given(eps: float) -> None:
    assert PGD(eps=eps).step_length == eps / 4
    assert PGD(eps=eps, step=0.003).step_length == 0.003


def test_defect_20_one_eps_sets_every_attack_of_a_run_and_its_step() -> None:
    own = PGD(steps=20, eps=1 / 255)
    config = RunConfig(eps="2/255", evaluations=(PGD(steps=20), own), phases=({"until": 1}, {"until": 2}))
    resolved = config.resolved()
    inner = [resolved.objective.attack, *(p.objective.attack for p in resolved.phases)]
    assert [a.step_length for a in inner] == [0.5 / 255] * 3 and resolved.selection.attack.radius == 2 / 255
    assert [a.step_length for a in resolved.evaluations] == [0.5 / 255, 0.25 / 255]
    assert config.model_copy(update={"eps": 8 / 255}).resolved().evaluations[0].step_length == 2 / 255


def test_a_title_states_steps_eps_and_step() -> None:
    assert PGD(steps=20, eps=8 / 255).title == "PGD20, eps 8/255, step 2/255"
    assert PGD(steps=7, eps=0.1, step=0.02).title == "PGD7, eps 0.1, step 0.02"
    assert "step 1/255" in PGD(steps=20, eps=8 / 255, step=1 / 255).title


@pytest.mark.parametrize(
    "wrong", [{"eps": -0.1}, {"eps": 1.5}, {"steps": -1}, {"step": 0}, {"start": "zero"}, {"k": 1}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PGD.model_validate(wrong)


def test_short_names() -> None:
    assert named("pgd20") == PGD(steps=20) and named("PGD7").name == "pgd7"
    with pytest.raises(UserError, match="'deepfool'; choose from pgd10"):
        named("deepfool")


# Starts


def test_the_uniform_start_fills_the_ball() -> None:
    x = torch.full((200, 1, 8, 8), 0.5, dtype=torch.float64)
    offset = (PGD(eps=0.1, steps=0)(nn.Identity(), x, CrossEntropyAscent(torch.zeros(200)), noise(200)) - x) / 0.1
    assert stats.kstest(offset.flatten().numpy(), "uniform", (-1, 2)).pvalue > 1e-3


def test_the_gaussian_start_has_deviation_a_thousandth() -> None:
    assert TRADES().attack.start == "gaussian"
    x = torch.full((200, 1, 8, 8), 0.5, dtype=torch.float64)
    attack = PGD(eps=0.1, steps=0, start="gaussian")
    offset = attack(nn.Identity(), x, CrossEntropyAscent(torch.zeros(200)), noise(200)) - x
    assert stats.kstest(offset.flatten().numpy() / 0.001, "norm").pvalue > 1e-3


def test_the_kl_has_no_gradient_at_the_image_itself_but_has_one_at_the_gaussian_start() -> None:
    net, x, rows = random_net(3), random_images(50), torch.arange(50)
    goal = KullbackLeiblerAscent(rows % 3, net(x))
    sizes = []
    for image in (x, PGD(eps=EPS, start="gaussian").first(x, noise(50))):
        leaf = image.clone().requires_grad_()
        loss = goal.loss(net(leaf), rows)
        sizes.append(float(torch.autograd.grad(loss.sum(), leaf)[0].abs().mean()))
    assert sizes[1] > 1000 * sizes[0]


# Goals


def test_defect_11_the_clean_prediction_is_the_reference_of_the_kl() -> None:
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.6, 0.3])
    goal = KullbackLeiblerAscent(torch.tensor([0]), torch.tensor(np.log(p))[None])
    found = float(goal.loss(torch.tensor(np.log(q))[None], torch.tensor([0])))
    assert found == pytest.approx(stats.entropy(p, q), rel=1e-6)
    assert abs(found - stats.entropy(q, p)) > 0.1


def test_the_kl_is_quadratic_in_a_small_change_of_logits() -> None:
    g = generator(0, "kl")
    z, dz = (torch.randn(50, 5, generator=g, dtype=torch.float64) for _ in range(2))
    p = z.softmax(1)
    goal, rows = KullbackLeiblerAscent(torch.zeros(50), z), torch.arange(50)
    fisher = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    errors = []
    for scale in (0.2, 0.1):
        form = 0.5 * torch.einsum("bi,bij,bj->b", dz * scale, fisher, dz * scale)
        both = (goal.loss(z + dz * scale, rows) + goal.loss(z - dz * scale, rows)) / 2  # odd orders cancel
        errors.append(float(((both - form).abs() / form).max()))
    assert errors[0] < 0.05 and errors[1] < errors[0] / 3  # the next order is dz ** 4, a quarter of the relative error


def test_goals_answer_for_the_rows_asked() -> None:
    g = generator(0, "rows")
    y, clean, logits = torch.arange(6) % 3, torch.randn(6, 3, generator=g), torch.randn(6, 3, generator=g)
    rows, x = torch.tensor([4, 0, 3]), torch.zeros(3, 1)
    goals = (CrossEntropyAscent(y), KullbackLeiblerAscent(y, clean), Misclassification(y, nn.Identity()))
    for goal in goals[:2]:
        assert torch.equal(goal.loss(logits[rows], rows), goal.loss(logits, torch.arange(6))[rows])
    for goal in goals[:2]:
        assert torch.equal(goal.broken(x, logits[rows], rows), logits[rows].argmax(1) != y[rows])


# Examples that are broken leave


def reference_outcome(
    net: nn.Module, x: Tensor, y: Tensor, start: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    """bool (B,): broken at any iterate of plain PGD from ``start`` in which nobody ever leaves; textbook code."""
    x_adv, broken = start.clone(), torch.zeros(len(x), dtype=torch.bool)
    for _ in range(steps):
        x_adv.requires_grad_(True)
        logits = net(x_adv)
        broken |= logits.argmax(1) != y
        gradient = torch.autograd.grad(-logits.log_softmax(1).gather(1, y[:, None]).sum(), x_adv)[0]
        x_adv = x_adv.detach() + step * gradient.sign()
        x_adv = torch.min(torch.max(x_adv, x - eps), x + eps).clamp(0, 1)
    return broken | (net(x_adv).argmax(1) != y)


@pytest.mark.parametrize(("eps", "step"), [(0.01, None), (0.03, None), (0.03, 0.03), (0.11, None)])
def test_dropping_broken_examples_changes_no_outcome(trained: nn.Module, eps: float, step: float | None) -> None:
    outcomes = []
    nets = (random_net(3), double(trained).eval().requires_grad_(False))
    for net, x in itertools.product(nets, (random_images(200), grating_images(200))):
        y = net(x).argmax(1)
        attack = PGD(eps=eps, step=step, steps=7)
        x_adv = attack(net, x, Misclassification(y, net), noise(200))
        expected = reference_outcome(net, x, y, attack.first(x, noise(200)), eps, attack.step_length, 7)
        assert torch.equal(net(x_adv).argmax(1) != y, expected)
        outcomes.append(expected)
    assert 100 < torch.cat(outcomes).sum() < 700


def grating_images(count: int) -> Tensor:
    return torch.from_numpy(make_tiny(count=count, seed=4).images).double() / 255


def test_the_broken_are_not_computed_further() -> None:
    net, passes = probed(random_net(3))
    x = random_images(100)
    y = net(x).argmax(1)
    passes.clear()
    attack = PGD(eps=0.03, steps=10)
    attack(net, x, Misclassification(y, net), noise(100))
    dropped = sum(len(p.x) for p in passes)
    passes.clear()
    attack(net, x, CrossEntropyAscent(y), noise(100))
    assert [len(p.x) for p in passes] == [100] * 10
    assert dropped < 1000


def test_what_the_proposer_takes_for_broken_only_counts_once_the_judge_agrees() -> None:
    judge, x = random_net(3), random_images(60)
    y = judge(x).argmax(1)
    confused = nn.Sequential(judge, nn.Linear(3, 3, bias=False).double().requires_grad_(False))
    with torch.no_grad():
        confused[1].weight.copy_(-torch.eye(3))  # orders the classes the other way round
    goal, rows = Misclassification(y, judge), torch.arange(60)
    assert (confused(x).argmax(1) != y).all() and not goal.broken(x, confused(x), rows).any()
    x_adv = PGD(eps=EPS, steps=5)(confused, x, goal, noise(60))
    expected = judge(x_adv).argmax(1) != y
    assert torch.equal(goal.broken(x_adv, confused(x_adv), rows), expected)


# Forward passes


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_defect_10_trades_forwards_the_clean_images_once_to_craft(steps: int) -> None:
    net, passes = probed(SmallCNN(width=4)(1, 3, generator(0)))
    x, y = random_images(6).float(), torch.arange(6) % 3
    labels = F.one_hot(y, 3).float()
    objective = TRADES(attack=PGD(eps=EPS, steps=steps, start="gaussian"))
    batch = Batch(x, y, torch.arange(6))
    x_adv = objective.craft(net.train(), batch, noise(6), torch.float32)
    objective.loss(net, batch, x_adv, labels)
    assert [p.training for p in passes] == [False] * (steps + 1) + [True] * 2
    assert sum(torch.equal(p.x, x) for p in passes if not p.training) == 1


def test_an_attack_touches_no_parameter_gradient() -> None:
    net = random_net(3).requires_grad_(True)
    PGD(eps=EPS, steps=2)(net, random_images(4), CrossEntropyAscent(torch.zeros(4, dtype=torch.long)), noise(4))
    assert all(p.grad is None for p in net.parameters())


def test_channels_last_images_give_the_same_result() -> None:
    net, x = random_net(3), random_images(6)
    last = x.contiguous(memory_format=torch.channels_last)
    goal = CrossEntropyAscent(torch.arange(6) % 3)
    torch.testing.assert_close(
        PGD(eps=EPS)(net, last, goal, noise(6)), PGD(eps=EPS)(net, x, goal, noise(6)), rtol=0, atol=1e-15
    )


def test_the_frozen_net_can_be_attacked_in_low_precision(trained: nn.Module, device: torch.device) -> None:
    net, x = trained.to(device), grating_images(60).float().to(device)
    y = frozen_eval(net)(x).argmax(1)
    goals = [CrossEntropyAscent(y), Misclassification(y, frozen_eval(net))]
    for goal in goals:
        x_adv = PGD(eps=0.12, steps=10)(frozen_eval(net, torch.bfloat16), x, goal, noise(60, device=device))
        assert x_adv.dtype == torch.float32 and (x_adv - x).abs().max() <= 0.12 + 1e-6
        assert (frozen_eval(net)(x_adv).argmax(1) != y).float().mean() > 0.3


class Rounded(nn.Module):
    """A net as low precision has it: near ties are not seen."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x) + 16
        return logits + (logits.bfloat16().to(logits.dtype) - logits).detach()


@pytest.mark.parametrize(
    "few, many",
    [(Margins(eps=0.01, targets=0), Margins(eps=0.01)), (PGD(eps=0.01, restarts=1), PGD(eps=0.01, restarts=6))],
)
def test_more_ascents_never_lose_what_the_judge_calls_broken(few: Attack, many: Attack) -> None:
    """Also where the net that proposes does not see it: the last image of an ascent is the judge's to judge."""
    judge, x, y = random_net(10), random_images(200), torch.arange(200) % 10
    y = judge(x).argmax(1)
    right = []
    for attack in (few, many):
        found = attack(Rounded(judge), x, Misclassification(y, judge), Noise(5, torch.arange(200)))
        right.append(judge(found).argmax(1) == y)
    assert not (right[1] & ~right[0]).any() and 0 < right[0].sum() < 200
