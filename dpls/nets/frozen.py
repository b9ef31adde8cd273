"""``frozen_eval``, for every pass that is not a training step: a twin in eval mode, batch norm folded."""

import copy
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dpls.nets.layers import Normalise


class _Affine(nn.Module):
    """A batch norm in eval mode as one multiply-add by channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.register_buffer("shift", torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class _Twin:
    """A frozen copy of a net with batch norm folded away, and the means to bring it up to date."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        self.module = copy.deepcopy(net).requires_grad_(False)
        self._updates: list[Callable[[nn.Module], None]] = []
        folded = _fold(self.module, net, self._updates)
        self.module.eval().to(dtype)
        for module in self.module.modules():
            if isinstance(module, Normalise):
                module.float()
                module.dtype = dtype
        tensors = dict(self.module.named_parameters()) | dict(self.module.named_buffers())
        names = [n for n, _ in [*net.named_parameters(), *net.named_buffers()] if n.rpartition(".")[0] not in folded]
        self._copied = [(name, tensors[name]) for name in names]

    @torch.no_grad()
    def refresh(self, net: nn.Module) -> nn.Module:
        current = dict(net.named_parameters()) | dict(net.named_buffers())
        torch._foreach_copy_([t for _, t in self._copied], [current[name] for name, _ in self._copied])
        for update in self._updates:
            update(net)
        return self.module


def _fold(twin: nn.Module, net: nn.Module, updates: list[Callable[[nn.Module], None]]) -> set[str]:
    """Replaces the twin's batch norms; returns the names of all layers whose weights are now derived."""
    folded: set[str] = set()
    layers = dict(net.named_modules())
    for name, parent in [*net.named_modules()]:
        children = [(f"{name}.{child}".lstrip("."), m) for child, m in parent.named_children()]
        for i, (child, bn) in enumerate(children):
            if not isinstance(bn, nn.BatchNorm2d):
                continue
            before, conv = children[i - 1] if i else ("", None)
            if isinstance(parent, nn.Sequential) and isinstance(conv, nn.Conv2d) and conv.bias is None:
                fused = twin.get_submodule(before)
                assert isinstance(fused, nn.Conv2d)
                fused.bias = nn.Parameter(torch.zeros_like(bn.running_mean), requires_grad=False)  # type: ignore[arg-type]
                twin.set_submodule(child, nn.Identity())
                updates.append(_update_conv(before, child, fused))
                folded |= {before, child}
            else:
                affine = _Affine(bn.num_features).to(layers[child].weight.device)
                twin.set_submodule(child, affine)
                updates.append(_update_affine(child, affine))
                folded.add(child)
    return folded


def _scale_shift(bn: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(bn, nn.BatchNorm2d) and bn.running_mean is not None and bn.running_var is not None
    scale = torch.rsqrt(bn.running_var + bn.eps) * (bn.weight if bn.affine else 1)
    return scale, (bn.bias if bn.affine else 0) - bn.running_mean * scale


def _update_conv(conv: str, bn: str, fused: nn.Conv2d) -> Callable[[nn.Module], None]:
    def update(net: nn.Module) -> None:
        scale, shift = _scale_shift(net.get_submodule(bn))
        weight = net.get_submodule(conv).weight
        assert isinstance(weight, Tensor) and fused.bias is not None
        fused.weight.copy_(weight * scale.view(-1, 1, 1, 1))
        fused.bias.copy_(shift)

    return update


def _update_affine(bn: str, affine: _Affine) -> Callable[[nn.Module], None]:
    def update(net: nn.Module) -> None:
        scale, shift = _scale_shift(net.get_submodule(bn))
        affine.scale.copy_(scale.view(1, -1, 1, 1))
        affine.shift.copy_(shift.view(1, -1, 1, 1))

    return update


_twins: "WeakKeyDictionary[nn.Module, dict[tuple[torch.dtype, torch.device], _Twin]]" = WeakKeyDictionary()


def frozen_eval(net: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The net as it is now, in eval mode, without parameter gradients, batch norm folded, computing in ``dtype``.

    A twin is returned and the net itself is only read, so there is nothing to restore: its mode, its gradients and its
    batch-norm buffers cannot be moved by an attack or an evaluation. The twin goes stale with the next change of the
    weights; call again then (that refreshes the same twin, it does not build another). Logits are float32 or ``dtype``.
    """
    twins = _twins.setdefault(net, {})
    key = (dtype, next(net.parameters()).device)
    if key not in twins:
        twins[key] = _Twin(net, dtype)
    return twins[key].refresh(net)


def is_right(logits: Tensor, y: Tensor) -> Tensor:
    """bool (b,): the largest logit is the label's. A net that answers NaN or infinity is right about nothing."""
    return (logits.argmax(1) == y) & logits.isfinite().all(1)
