"""What every attack shares: the threat set, enforced here once, and the goals an attack can climb."""

from typing import Annotated, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.component import Component, Fractional
from dpls.models import is_right
from dpls.randomness import Noise

Eps = Annotated[
    Fractional,
    Field(ge=0, le=1, description="largest change of a pixel, images in [0, 1]; 8/255 may be written"),
]


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


class CrossEntropyAscent:
    """Climb the cross-entropy to the hard label, never stopping: the inner maximisation of adversarial training."""

    stops = False

    def __init__(self, y: Tensor) -> None:
        self.y = y

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """log(1 + sum_k exp(z_k - z_y)) over the rivals k: the gradient stays exact where p_y rounds to 1."""
        logits, y = logits.float(), self.y[rows][:, None]
        rivals = logits.scatter(1, y, -torch.inf).logsumexp(1)
        return F.softplus(rivals - logits.gather(1, y).squeeze(1))

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return ~is_right(logits, self.y[rows])


class Misclassification(CrossEntropyAscent):
    """Climb the cross-entropy until the ``judge`` misclassifies: the goal of an evaluation.

    The attacked net may compute in low precision; what it takes for broken only counts once the judge (float32) agrees.
    """

    stops = True

    def __init__(self, y: Tensor, judge: nn.Module) -> None:
        super().__init__(y)
        self.judge = judge

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        flagged = ~is_right(logits, self.y[rows])
        candidates = flagged.nonzero().squeeze(1)
        if len(candidates):
            with torch.no_grad():
                flagged[candidates] = ~is_right(self.judge(x[candidates]), self.y[rows[candidates]])
        return flagged


class KullbackLeiblerAscent:
    """Climb KL(p(clean) || p(adversarial)), the clean prediction held constant: the inner maximisation of TRADES."""

    stops = False

    def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
        self.y = y
        self._log_p = F.log_softmax(clean_logits.detach().float(), 1)

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        log_q = F.log_softmax(logits.float(), 1)
        return F.kl_div(log_q, self._log_p[rows], reduction="none", log_target=True).sum(1)

    def broken(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return ~is_right(logits, self.y[rows])


class Attack(Component):
    """An L-infinity attack. Called on a frozen net, it returns images inside the eps ball and [0, 1]."""

    eps: Eps | None = Field(None, description="none: the run's eps")

    @property
    def name(self) -> str:
        """Short name, as in ``pgd20``, that tells attacks of the same eps apart."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """For tables and sentences: everything that makes the attack."""
        raise NotImplementedError

    @property
    def radius(self) -> float:
        """eps, once it is known."""
        assert self.eps is not None, "resolve the run configuration first: this attack has no eps of its own"
        return self.eps

    def search(self, net: nn.Module, x: Tensor, goal: Goal, noise: Noise) -> Tensor:
        """(B, C, H, W): the attack itself. It may return anything; ``__call__`` keeps the promise."""
        raise NotImplementedError

    def __call__(self, net: nn.Module, x: Tensor, goal: Goal, noise: Noise) -> Tensor:
        return self.project(self.search(net, x, goal, noise).detach(), x)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Onto the eps ball around x, then onto [0, 1]."""
        return torch.clamp(x_adv, x - self.radius, x + self.radius).clamp_(0, 1)


def ascent_gradient(net: nn.Module, x: Tensor, goal: Goal, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the goal's summed loss with respect to x, like x, and the logits (b, K) at x.

    The sum, not the mean: in low precision a mean would drown small gradients.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = net(x)
        (gradient,) = torch.autograd.grad(goal.loss(logits, rows).sum(), x)
    return gradient, logits.detach()
