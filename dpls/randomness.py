"""Explicit randomness: seeds mixed by hash, and noise that belongs to an example rather than to a batch.

An example's draw depends on (seed, epoch, purpose, id) alone: never on the batch it came in, on the device, on
which other examples take part, or on whether the run was resumed.
"""

import hashlib

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def mix(seed: int, *what: int | str) -> int:
    """A 63-bit seed from a seed and anything that tells draws apart, e.g. ``mix(seed, epoch, "crop")``."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *what: int | str) -> torch.Generator:
    """A CPU generator seeded with ``mix``; draws are made on the CPU so that they are the same on every device."""
    return torch.Generator().manual_seed(mix(seed, *what))


def _scramble(x: Tensor) -> Tensor:
    """An invertible 32-bit integer hash (xor-shift-multiply, Wellons 2018), on int64 tensors holding 32 bits."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


class Noise:
    """Counter-based random numbers by example. Successive draws from one object differ.

    ids: int64 (B,), below 2**31, the examples of a batch, on the device where the numbers are wanted.
    """

    def __init__(self, seed: int, ids: Tensor) -> None:
        self._seed = seed
        self._ids = ids
        self._draws = 0

    def bits(self, count: int) -> Tensor:
        """(B, count), int64, uniform in [0, 2**32)."""
        self._draws += 1
        low, high = (mix(self._seed, self._draws) >> shift & _MASK for shift in (0, 31))
        key = _scramble(_scramble(self._ids ^ low) ^ high)
        counter = torch.arange(count, device=key.device) * 0x9E3779B9 & _MASK
        return _scramble(_scramble(counter ^ low) ^ key[:, None])

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape), float32 in [0, 1)."""
        bits = self.bits(torch.Size(shape).numel())
        return (bits >> 8).to(torch.float32).mul_(2.0**-24).view(-1, *shape)

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape), float32, mean 0 and standard deviation 1 (inverse normal distribution of a uniform draw)."""
        u = self.uniform(*shape).clamp_(2.0**-25, 1 - 2.0**-24)
        normal: Tensor = torch.special.ndtri(u)
        return normal

    def order(self) -> Tensor:
        """(B,), int64: rows in random order. It is an order of the ids: however they lie, and whoever is left out."""
        return torch.argsort((self.bits(1).squeeze(1) << 31) + self._ids)
