"""What tells weights from others."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def hash_of(*states: Mapping[str, Tensor]) -> str:
    """20 hex digits of names, shapes and content, of one state dict or of several in their order."""
    digest = hashlib.sha256()
    for state in states:
        for name, tensor in state.items():
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)} ".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:20]
