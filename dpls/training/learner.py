"""What learns: the net, what a training step goes through, the optimiser. A state saves and resumes it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dpls.errors import UserError
from dpls.recipe import RunConfig


@dataclass(eq=False)
class Learner:
    """``net`` holds the weights: it is attacked, observed, evaluated and saved.

    ``forward`` is what a training step goes through, from images (B, C, H, W) to logits (B, K): the net itself, or a
    module around it that compiles or spreads it; its parameters are the net's. ``average``: a net of averaged weights,
    where a method keeps one; none does yet.
    """

    net: nn.Module
    forward: nn.Module
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
            raise UserError(
                "the stored state has averaged weights where this run has none, or lacks them; train a new run"
            )
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
