"""A net with other weights or statistics in place of its own."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.func import functional_call


class Elsewhere(nn.Module):
    """``module`` with ``tensors`` (by name) in place of its own parameters and buffers; what it updates is theirs."""

    def __init__(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._call = partial(functional_call, module, dict(tensors))  # no child: its parameters are not ours

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self._call((x,))
        return logits
