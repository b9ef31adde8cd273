"""What callbacks share: the net as it is now, in eval mode; numbers that a library has logged."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dpls.elsewhere.recording import COUNTED


@contextmanager
def eval_mode(net: nn.Module) -> Iterator[None]:
    """No gradients, no dropout, no batch-norm statistic moved; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def numbers_of(logged: Mapping[str, Any]) -> dict[str, float]:
    """Those of logged values that are numbers, but for names of what the record counts itself."""
    found = {}
    for name, value in logged.items():
        if isinstance(value, int | float) or (isinstance(value, torch.Tensor) and value.numel() == 1):
            found[name] = float(value)
    return {name: value for name, value in found.items() if name not in COUNTED}
