"""What learns: the net, what a training step calls, the optimiser; all that a state saves and resumes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dpls.errors import UserError
from dpls.recipe import RunConfig


@dataclass(eq=False)
class Learner:
    """``net`` holds the weights: it is attacked, observed, evaluated and saved.

    ``forward`` is what a training step calls with images (B, C, H, W) for logits (B, K): the net itself, or what stands
    around it, compiled or spread over devices. ``average``: a net of averaged weights, where a method keeps one.
    """

    net: nn.Module
    forward: Callable[[Tensor], Tensor]
    optimiser: torch.optim.Optimizer
    average: nn.Module | None = None

    @staticmethod
    def of(net: nn.Module, config: RunConfig) -> "Learner":
        """A net that has not learnt anything yet."""
        o = config.optimiser
        sgd = torch.optim.SGD(net.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay, nesterov=o.nesterov)
        return Learner(net, net, sgd)

    def set_learning_rate(self, lr: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def step(self, loss: Tensor) -> None:
        """One step of the optimiser down a loss ()."""
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """What the next epoch needs beside the net's weights."""
        found: dict[str, Any] = {"optimiser": self.optimiser.state_dict()}
        return found | ({"average": self.average.state_dict()} if self.average is not None else {})

    def resume(self, state: dict[str, Any]) -> None:
        """Goes on from what ``state`` gave; the net's weights are loaded apart."""
        if ("average" in state) != (self.average is not None):
            raise UserError("the stored state and this configuration differ in whether weights are averaged")
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
