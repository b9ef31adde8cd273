"""Goals: what an attack climbs, and when it has won; and the gradient that climbs."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.nets.frozen import is_right


class Goal(Protocol):
    """What an attack climbs, and when it has won. ``rows`` (b,) tells which of the batch's B examples are meant."""

    y: Tensor
    stops: bool
    """Whether examples leave the attack once broken."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(b,), climbed by the attack."""
        ...

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        """bool (b,): the goal is reached at images x, whose logits the attacked net gave."""
        ...

    def reached(self, x: Tensor, rows: Tensor) -> Tensor:
        """bool (b,): as ``broken``, whatever the attacked net says; asked of a goal that stops."""
        ...

    def step(self, rows: Tensor) -> None:
        """Is told that these take a gradient step."""
        ...


class _NeverStopping:
    """What goals of training have in common: examples go on when they are broken, and nobody counts their steps."""

    stops = False

    def __init__(self, y: Tensor) -> None:
        self.y = y

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return ~is_right(logits, self.y[rows])

    def reached(self, x: Tensor, rows: Tensor) -> Tensor:
        raise NotImplementedError

    def step(self, rows: Tensor) -> None: ...


class CrossEntropyAscent(_NeverStopping):
    """Climb the cross-entropy to the hard label, never stopping: the inner maximisation of adversarial training."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """log(1 + sum_k exp(z_k - z_y)) over the rivals k: the gradient stays exact where p_y rounds to 1."""
        logits, y = logits.float(), self.y[rows][:, None]
        rivals = logits.scatter(1, y, -torch.inf).logsumexp(1)
        return F.softplus(rivals - logits.gather(1, y).squeeze(1))


class Misclassification(CrossEntropyAscent):
    """Climb the cross-entropy until the ``judge`` misclassifies: the goal of an evaluation.

    The attacked net may compute in low precision; what it takes for broken only counts once the judge (float32) agrees.
    ``steps``: int64 (B,), the gradient steps an example has taken, after which it was broken, if it was; ``asked``:
    whether an attack looked at all.
    """

    stops = True

    def __init__(self, y: Tensor, judge: nn.Module) -> None:
        super().__init__(y)
        self.judge = judge
        self.steps = torch.zeros_like(y)
        self.asked = False

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        flagged = ~is_right(logits, self.y[rows])
        candidates = flagged.nonzero().squeeze(1)
        if len(candidates):
            with torch.no_grad():
                flagged[candidates] = ~is_right(self.judge(x[candidates]), self.y[rows[candidates]])
        self.asked = True
        return flagged

    @torch.no_grad()
    def reached(self, x: Tensor, rows: Tensor) -> Tensor:
        return ~is_right(self.judge(x), self.y[rows])

    def step(self, rows: Tensor) -> None:
        self.steps[rows] += 1


class KullbackLeiblerAscent(_NeverStopping):
    """Climb KL(p(clean) || p(adversarial)), the clean prediction held constant: the inner maximisation of TRADES."""

    def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
        super().__init__(y)
        self._log_p = F.log_softmax(clean_logits.detach().float(), 1)

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        log_q = F.log_softmax(logits.float(), 1)
        return F.kl_div(log_q, self._log_p[rows], reduction="none", log_target=True).sum(1)


class Climbing:
    """Another goal, reached in the same way, but by climbing a loss of the attack's own."""

    def __init__(self, goal: Goal) -> None:
        self._goal, self.y, self.stops = goal, goal.y, goal.stops

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        raise NotImplementedError

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        return self._goal.broken(x, logits, rows)

    def reached(self, x: Tensor, rows: Tensor) -> Tensor:
        return self._goal.reached(x, rows)

    def step(self, rows: Tensor) -> None:
        self._goal.step(rows)


class MarginAscent(Climbing):
    """Climb the best rival's logit minus the label's: its gradient's sign is the same however logits are scaled."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        return _margin(logits.float(), self.y[rows])


class LabelDescent(Climbing):
    """Bring down the label's probability, whoever gains."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        return -logits.double().softmax(1).gather(1, self.y[rows][:, None]).squeeze(1)


class RivalAscent(Climbing):
    """Bring up the best rival's probability."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        return logits.double().softmax(1).scatter(1, self.y[rows][:, None], -torch.inf).amax(1)


class ProbabilityMarginAscent(Climbing):
    """Climb the best rival's probability minus the label's; in double precision, where saturated ones still differ."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        return _margin(logits.double().softmax(1), self.y[rows])


class TargetedAscent(Climbing):
    """Climb the logit of a target minus the label's. target: int64 (B,), another class than the label."""

    def __init__(self, goal: Goal, target: Tensor) -> None:
        super().__init__(goal)
        self._target = target

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        logits = logits.float()
        return (logits.gather(1, self._target[rows, None]) - logits.gather(1, self.y[rows, None])).squeeze(1)


def _margin(values: Tensor, y: Tensor) -> Tensor:
    """(b,): the largest of the others minus the label's."""
    y = y[:, None]
    return values.scatter(1, y, -torch.inf).amax(1) - values.gather(1, y).squeeze(1)


def rivals(logits: Tensor, y: Tensor) -> Tensor:
    """int64 (B, K - 1): the other classes, the likeliest first."""
    return logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :-1]


def ascent_gradient(net: nn.Module, x: Tensor, goal: Goal, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the goal's summed loss with respect to x, like x, and the logits (b, K) at x.

    The sum, not the mean: in low precision a mean would drown small gradients.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = net(x)
        (gradient,) = torch.autograd.grad(goal.loss(logits, rows).sum(), x)
    return gradient, logits.detach()
