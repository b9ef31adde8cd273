"""Several processes of ``torch.distributed`` record one run: the first writes it, what each saw is put together."""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist

from dpls.difficulty.record import Epoch, unseen
from dpls.difficulty.signals import SIGNALS
from dpls.errors import UserError

T = TypeVar("T")


def is_spread() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def told_by_first(make: Callable[[], T]) -> T:
    """What process 0 makes, in all processes; where it fails all do, and none waits for it for ever."""
    if not is_spread():
        return make()
    told: list[T | str | None] = [None, None]
    failed: Exception | None = None
    if dist.get_rank() == 0:
        try:
            told[0] = make()
        except Exception as error:  # whatever it is, the others must hear of it
            told[1], failed = str(error) or type(error).__name__, error
    dist.broadcast_object_list(told, src=0)
    if failed:
        raise failed
    if told[1] is not None:
        raise UserError(str(told[1]))
    return told[0]  # type: ignore[return-value]


def merged(mine: Epoch | None, count: int) -> Epoch:
    """What all processes saw in an epoch. An example that several were shown, as a sampler that fills up the last
    batch has it, is that of the lowest process. count: examples of the data set; None: this one saw nothing."""
    if not is_spread():
        return mine or Epoch(count, torch.device("cpu"))
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    total, rank = Epoch(count, device), dist.get_rank()
    mine = mine or Epoch(count, device)
    for suffix in ("", "_adv"):
        rows = {name + suffix: mine.rows[name + suffix].to(device) for name in SIGNALS}
        seen = rows[f"correct{suffix}"] != unseen(SIGNALS["correct"])
        owner = torch.where(seen, rank, dist.get_world_size())
        dist.all_reduce(owner, dist.ReduceOp.MIN)
        for name, row in rows.items():
            values = torch.where(owner == rank, row.float(), 0.0)  # all others add nothing to the owner's
            dist.all_reduce(values)
            known = owner < dist.get_world_size()
            total.rows[name][known] = values[known].to(row.dtype)
    return total
