"""A Lightning callback that records. Importing this file imports Lightning."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dpls.elsewhere.observing import eval_mode, numbers_of
from dpls.errors import UserError

if TYPE_CHECKING:
    from dpls.elsewhere.recorder import Recorder

INSTALLED = [name for name in ("lightning", "pytorch_lightning") if find_spec(name)]
if not INSTALLED:
    raise UserError("dpls.LightningRecorder needs Lightning, which is not installed: pip install lightning")
Callback: type[Any] = import_module(
    "lightning.pytorch.callbacks" if INSTALLED[0] == "lightning" else "pytorch_lightning.callbacks"
).Callback


class LightningRecorder(Callback):  # type: ignore[misc]
    """Records each training batch just before its step, and each validation batch: what the module's ``forward`` says
    of it in eval mode. Batches are (ids, x, y): wrap the data sets in ``dpls.WithIds``.

    After an epoch what the module has logged goes along. Attacked images are the module's own business: it calls
    ``recorder.batch(ids, logits, y, attacked=True)``.
    """

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:  # noqa: ARG002
        self._record(pl_module, batch)

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self._record(pl_module, batch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        rates = {"lr": trainer.optimizers[0].param_groups[0]["lr"]} if trainer.optimizers else {}
        self.recorder.epoch(**rates | numbers_of(trainer.callback_metrics))

    def _record(self, pl_module: Any, batch: Any) -> None:
        if not isinstance(batch, list | tuple) or len(batch) != 3:
            raise UserError("LightningRecorder needs batches of (ids, x, y); wrap the data set: dpls.WithIds(dataset)")
        ids, x, y = batch
        with eval_mode(pl_module):
            self.recorder.batch(ids, pl_module(x), y)
