"""A callback for Hugging Face's ``Trainer`` that records. Importing this file imports transformers."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dpls.elsewhere.observing import eval_mode, numbers_of
from dpls.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from dpls.elsewhere.recorder import Recorder

if not find_spec("transformers"):
    raise UserError("dpls.TrainerRecorder needs transformers, which is not installed: pip install transformers")
TrainerCallback: type[Any] = import_module("transformers").TrainerCallback


class TrainerRecorder(TrainerCallback):  # type: ignore[misc]
    """Records each batch just before the model sees it, in training and in evaluation: its logits in eval mode.

    Items are dictionaries with ``labels`` and, wrapped in ``dpls.WithIds``, ``ids``, which the model never sees. The
    trainer must not drop them: ``TrainingArguments(remove_unused_columns=False)``. An epoch is committed when the next
    one begins, so that its evaluation, and what was logged, go along.
    """

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder, self._begun, self._logged = recorder, False, dict[str, float]()

    def on_train_begin(self, args: Any, state: Any, control: Any, model: "nn.Module", **_: Any) -> None:  # noqa: ARG002
        if args.remove_unused_columns:
            raise UserError("TrainerRecorder needs the ids: set TrainingArguments(remove_unused_columns=False)")
        self._hook = model.register_forward_pre_hook(self._record, with_kwargs=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        self._logged |= {{"learning_rate": "lr"}.get(name, name): value for name, value in numbers_of(logs).items()}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self._begun:
            self._commit()
        self._begun = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._commit()
        self._hook.remove()

    def _record(self, model: "nn.Module", given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if (ids := named.pop("ids", None)) is not None:
            with eval_mode(model):
                self.recorder.batch(ids, model.forward(*given, **named).logits, named["labels"])
        return given, named

    def _commit(self) -> None:
        self.recorder.epoch(**self._logged)
        self._logged = {}
