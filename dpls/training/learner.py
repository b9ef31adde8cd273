"""What learns: the net, what a training step goes through, the optimiser. A state saves and resumes it."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from dpls.recipe import RunConfig


@dataclass(eq=False)
class Learner:
    """``net`` holds the weights: it is attacked, observed, evaluated and saved.

    ``forward`` is what a training step goes through, from images (B, C, H, W) to logits (B, K): the net itself, or a
    module around it that compiles or spreads it; its parameters are the net's. ``average``: the mean of the weights,
    where a phase takes one (SWA; Izmailov et al., 2018, https://arxiv.org/abs/1803.05407).
    """

    net: nn.Module
    forward: nn.Module
    optimiser: torch.optim.Optimizer
    average: AveragedModel | None = None

    @staticmethod
    def of(net: nn.Module, config: RunConfig) -> "Learner":
        """A net that has not learnt anything yet."""
        o = config.optimiser
        sgd = torch.optim.SGD(net.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay, nesterov=o.nesterov)
        return Learner(net, net, sgd, AveragedModel(net) if any(phase.average for phase in config.phases) else None)

    def set_learning_rate(self, lr: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def step(self, loss: Tensor) -> None:
        """One step of the optimiser down a loss ()."""
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()

    def take_into_average(self) -> None:
        """The weights as they are now count as much as each of those before."""
        assert self.average is not None
        self.average.update_parameters(self.net)

    def averaged(self, showings: Iterable[Tensor]) -> nn.Module:
        """The net of averaged weights, batch norm estimated anew: as its mean over batches of images (B, C, H, W)."""
        assert self.average is not None
        net: nn.Module = copy.deepcopy(self.average.module)
        update_bn(showings, net)
        return net.eval()

    def state(self) -> dict[str, Any]:
        """What the next epoch needs beside the net's weights."""
        found: dict[str, Any] = {"optimiser": self.optimiser.state_dict()}
        return found | ({"average": self.average.state_dict()} if self.average is not None else {})

    def resume(self, state: dict[str, Any]) -> None:
        """Goes on from what ``state`` gave; the net's weights are loaded apart.

        Which of the two knows of a mean does not matter where none has begun: at the borders before.
        """
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None and "average" in state:
            self.average.load_state_dict(state["average"])
