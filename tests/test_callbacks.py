"""The callbacks for Lightning and Hugging Face's Trainer record what a plain loop on the same batches records."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import dpls
from dpls.elsewhere.observing import eval_mode, numbers_of
from dpls.errors import UserError
from dpls.runs.directory import Run

MISSING = "is not installed; `pip install lightning transformers accelerate` brings what these tests need"
EPOCHS, TRAINED, VALIDATED = 3, 60, 30
X = torch.rand(TRAINED + VALIDATED, 8, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * 3).long().clamp(max=2)
SPLIT = ["train"] * TRAINED + ["validation"] * VALIDATED


class Pairs(Dataset):
    """Items as a Hugging Face model takes them."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return {"x": self.x[place], "labels": self.y[place]}


def make_net() -> nn.Module:
    """With all that eval mode changes; from here on, chance is the same for everyone."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


def loaders() -> tuple[DataLoader, DataLoader]:
    train, validation = TensorDataset(X[:TRAINED], Y[:TRAINED]), TensorDataset(X[TRAINED:], Y[TRAINED:])
    return DataLoader(dpls.WithIds(train), 20), DataLoader(dpls.WithIds(validation, start=TRAINED), 30)


def recorder_in(folder: Path) -> dpls.Recorder:
    return dpls.Recorder(folder / "runs", labels=Y, split=SPLIT)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same training by a loop of one's own."""
    net, (train, validation) = make_net(), loaders()
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    torch.manual_seed(2)
    with recorder_in(tmp_path_factory.mktemp("plain")) as recorder:
        for _ in range(EPOCHS):
            for ids, x, y in train:
                net.eval()
                recorder.batch(ids, net(x), y)
                net.train()
                loss = F.cross_entropy(net(x), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            net.eval()
            for ids, x, y in validation:
                recorder.batch(ids, net(x), y)
            recorder.epoch(loss=loss)
    return Run(recorder.path)


def assert_same_record(run: Run, plain: Run) -> None:
    """The record bit for bit, and the accuracies counted from it."""
    mine, theirs = run.dynamics(), plain.dynamics()
    for name, values in theirs.items():
        assert mine[name].tobytes() == values.tobytes(), name
    assert (mine["correct"] <= 1).all(), "every example was seen in every epoch"
    assert len(np.unique(mine["loss"][-1])) > 50
    for column in ("train_clean", "validation_clean"):
        assert [row[column] for row in run.metrics()] == [row[column] for row in plain.metrics()]
    assert run.state() == "done" and [row["lr"] for row in run.metrics()] == [0.5] * EPOCHS


@pytest.mark.parametrize("library", ["lightning.pytorch", "pytorch_lightning"])
@pytest.mark.filterwarnings("ignore")
def test_lightning_records_what_a_plain_loop_does(library: str, plain: Run, tmp_path: Path) -> None:
    pl = pytest.importorskip(library, reason=f"{library} {MISSING}")
    logging.getLogger(library).setLevel(logging.ERROR)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def training_step(self, batch: Any, number: int) -> Tensor:
            _, x, y = batch
            loss = F.cross_entropy(self(x), y)
            self.log("loss", loss)
            return loss

        def validation_step(self, batch: Any, number: int) -> None: ...

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.5)

    def fit(module: Any, *data: Any) -> dpls.Recorder:
        quiet = dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "barebones"), False
        )
        with recorder_in(tmp_path) as recorder:
            callbacks = [dpls.LightningRecorder(recorder)]
            pl.Trainer(max_epochs=EPOCHS, callbacks=callbacks, accelerator="cpu", **quiet).fit(module, *data)
        return recorder

    module = Module()
    torch.manual_seed(2)
    run = Run(fit(module, *loaders()).path)
    assert_same_record(run, plain)
    assert [row["loss"] for row in run.metrics()] == [row["loss"] for row in plain.metrics()]
    with pytest.raises(UserError, match=r"batches of \(ids, x, y\); wrap the data set"):
        fit(Module(), DataLoader(TensorDataset(X, Y), 20))


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_trainer_records_what_a_plain_loop_does(plain: Run, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason=f"transformers {MISSING}")
    pytest.importorskip("accelerate", reason=f"accelerate, which its Trainer needs, {MISSING}")
    from transformers.modeling_outputs import SequenceClassifierOutput

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, x: Tensor, labels: Tensor | None = None) -> SequenceClassifierOutput:
            logits = self.net(x)
            return SequenceClassifierOutput(loss=F.cross_entropy(logits, labels), logits=logits)

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    def train(recorder: dpls.Recorder, **changes: Any) -> Model:
        model = Model()
        settings = {
            "num_train_epochs": EPOCHS,
            "per_device_train_batch_size": 20,
            "per_device_eval_batch_size": 30,
            "eval_strategy": "epoch",
            "logging_strategy": "epoch",
            "save_strategy": "no",
            "lr_scheduler_type": "constant",
            "max_grad_norm": 0,
            "seed": 2,
            "use_cpu": True,
            "disable_tqdm": True,
            "report_to": [],
            "remove_unused_columns": False,
        }
        trainer = InOrder(
            model,
            transformers.TrainingArguments(str(tmp_path / "trainer"), **settings | changes),
            train_dataset=dpls.WithIds(Pairs(X[:TRAINED], Y[:TRAINED])),
            eval_dataset=dpls.WithIds(Pairs(X[TRAINED:], Y[TRAINED:]), start=TRAINED),
            callbacks=[dpls.TrainerRecorder(recorder)],
            optimizers=(torch.optim.SGD(model.parameters(), 0.5), None),
        )
        trainer.train()
        return model

    with recorder_in(tmp_path) as recorder:
        with pytest.raises(UserError, match="remove_unused_columns=False"):
            train(recorder, remove_unused_columns=True)
        model = train(recorder)
    run = Run(recorder.path)
    assert_same_record(run, plain)
    assert all(row["eval_loss"] > 0 and row["loss"] > 0 for row in run.metrics())
    assert not model._forward_pre_hooks, "the model is left as it was"


@pytest.mark.parametrize(
    ("name", "libraries"),
    [("LightningRecorder", ("lightning", "pytorch_lightning")), ("TrainerRecorder", ("transformers",))],
)
def test_without_its_library_a_callback_is_refused_in_a_sentence(
    name: str, libraries: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util
    import sys

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked in libraries else find(asked))
    for module in ("dpls.elsewhere.lightning", "dpls.elsewhere.huggingface"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(UserError, match=f"dpls.{name} needs .* is not installed: pip install {libraries[0]}"):
        getattr(dpls, name)


def test_eval_mode_leaves_every_module_in_the_mode_it_was_in() -> None:
    net = make_net().train()
    net[1].eval()  # somebody has frozen this batch norm
    with pytest.raises(ZeroDivisionError), eval_mode(net):
        assert not any(module.training for module in net.modules()) and not torch.is_grad_enabled()
        raise ZeroDivisionError
    assert [module.training for module in net] == [True, False, True, True, True] and torch.is_grad_enabled()


def test_of_what_is_logged_numbers_alone_go_along() -> None:
    logged = {
        "loss": torch.tensor(0.5),
        "name": "x",
        "both": torch.zeros(2),
        "steps": 3,
        "train_clean": 1.0,
        "epoch": 2,
    }
    assert numbers_of(logged) == {"loss": 0.5, "steps": 3.0}
