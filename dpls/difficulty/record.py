"""The record: what every single example did in every epoch. Signals are (epochs, N) arrays; measures come later.

Clean signals are observed for training, validation and test examples, adversarial ones (suffix ``_adv``) for training
examples at presentation, from the logits of the training step. 255 and NaN mean "not seen".
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional as F

from dpls.difficulty.signals import SIGNALS
from dpls.errors import UserError
from dpls.nets.frozen import frozen_eval, is_right

if TYPE_CHECKING:
    from dpls.data.split import Split

RECORDED: dict[str, np.dtype] = SIGNALS | {f"{name}_adv": dtype for name, dtype in SIGNALS.items()}


def unseen(dtype: np.dtype) -> float | int:
    """The value that marks an entry as not seen."""
    return 255 if dtype == np.uint8 else float("nan")


@torch.no_grad()
def signals(logits: Tensor, y: Tensor) -> dict[str, Tensor]:
    """The five signals (B,) of logits (B, K) for labels (B,)."""
    logits = logits.detach().float()
    one_hot = F.one_hot(y, logits.shape[1]).bool()
    log_p = F.log_softmax(logits, 1)
    rival = logits.masked_fill(one_hot, -torch.inf).amax(1)
    loss = -log_p[one_hot]
    return {
        "correct": is_right(logits, y).to(torch.uint8),
        "p_true": torch.exp(-loss),
        "loss": loss,
        "margin": logits[one_hot] - rival,
        "error_norm": (log_p.exp() - one_hot.float()).norm(dim=1),
    }


class Epoch:
    """One epoch's rows of the record while they are being filled: (N,) tensors on the device."""

    def __init__(self, count: int, device: torch.device) -> None:
        kinds = {np.dtype(np.uint8): torch.uint8, np.dtype(np.float32): torch.float32}
        self.rows = {
            name: torch.full((count,), unseen(dtype), dtype=kinds[dtype], device=device)
            for name, dtype in RECORDED.items()
        }

    def put(self, ids: Tensor, logits: Tensor, y: Tensor, suffix: str = "") -> None:
        """Records the signals of a batch at its ids (B,); of an id that is shown again in an epoch the last showing."""
        for name, values in signals(logits, y).items():
            self.rows[name + suffix][ids] = values

    def numpy(self) -> dict[str, np.ndarray]:
        return {name: row.cpu().numpy() for name, row in self.rows.items()}


@torch.no_grad()
def observe(
    net: nn.Module, split: "Split", batch_size: int = 500, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """{signal: (N,)} of un-augmented images in eval mode; the net is left exactly as found."""
    frozen = frozen_eval(net, dtype)
    batches = [signals(frozen(batch.x), batch.y) for batch in split.batches(batch_size)]
    return {name: torch.cat([b[name] for b in batches]) for name in SIGNALS}


class DifficultyTracker:
    """Counts visits and misclassifications by example id, in anyone's training loop.

    Repeated ids in a batch all count. An example never visited has the rate NaN, not 0. ``state_dict`` and
    ``load_state_dict`` are for checkpoints, ``reduced`` for several processes.
    """

    def __init__(self, count: int) -> None:
        self.visits = torch.zeros(count, dtype=torch.int64)
        self.wrong = torch.zeros(count, dtype=torch.int64)

    def update(self, ids: Tensor, logits: Tensor, y: Tensor) -> None:
        """ids (B,), logits (B, K) of clean images in eval mode, labels (B,)."""
        ids = ids.cpu()
        self.visits.index_add_(0, ids, torch.ones_like(ids))
        self.wrong.index_add_(0, ids, (logits.argmax(1) != y).cpu().long())

    def state_dict(self) -> dict[str, Tensor]:
        """Both counts, (N,)."""
        return {"visits": self.visits.clone(), "wrong": self.wrong.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from the counts of another tracker over as many examples."""
        for name in ("visits", "wrong"):
            if state[name].shape != self.visits.shape:
                raise UserError(
                    f"this tracker counts {len(self.visits):,} examples, the state {len(state[name]):,}; make the"
                    " tracker for the same data set"
                )
        self.visits, self.wrong = state["visits"].clone(), state["wrong"].clone()

    def reduced(self) -> "DifficultyTracker":
        """A tracker with the counts of all processes of ``torch.distributed`` together; this one is left as it is."""
        total = DifficultyTracker(len(self.visits))
        total.load_state_dict(self.state_dict())
        for counts in (total.visits, total.wrong):
            torch.distributed.all_reduce(counts)
        return total

    def rate(self) -> np.ndarray:
        """float64 (N,), in [0, 1], higher = harder: the accumulated 0-1 loss per visit; NaN where never visited."""
        return torch.where(self.visits > 0, self.wrong.double() / self.visits.clamp(min=1), torch.nan).numpy()
