"""Full states (``epoch_0090.safetensors`` beside ``epoch_0090.state.pt``) and weights (``best.safetensors``) on disk.

A state is written first, weights last, each whole; so a state exists once its weights do.
"""

import io
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dpls.difficulty.record import RECORDED, unseen
from dpls.disk import placed
from dpls.errors import UserError
from dpls.recipe import RunConfig
from dpls.runs.agreement import unseal
from dpls.runs.checked import damaged
from dpls.runs.directory import Run
from dpls.training.learner import Learner

ANEW = "restore it, or delete the folder checkpoints and resume: the run is trained again, to the same numbers"
LOADED = "loaded"
FIRST = "train the run at least one epoch, or delete the folder checkpoints and resume"
STATE_FILE = re.compile(r"epoch_(\d{4,})\.(safetensors|state\.pt)")


def _weights(run: Run, epoch: int) -> Path:
    return run.checkpoints / f"epoch_{epoch:04d}.safetensors"


def _state(run: Run, epoch: int) -> Path:
    return run.checkpoints / f"epoch_{epoch:04d}.state.pt"


def kept_weights(run: Run, epoch: int) -> Path:
    """Of an epoch, kept to be looked at: nothing is resumed from them."""
    return run.checkpoints / f"kept_{epoch:04d}.safetensors"


def save_weights(net: nn.Module, path: Path, epoch: int) -> None:
    with placed(path) as file:
        file.write(as_bytes(net.state_dict(), epoch))


def as_bytes(state: Mapping[str, Tensor], epoch: int) -> bytes:
    """What a file of weights holds."""
    content: bytes = save({k: v.contiguous() for k, v in state.items()}, metadata={"epoch": str(epoch)})
    return content


def save_state(run: Run, epoch: int, learner: Learner) -> None:
    """Everything the next epoch needs that cannot be derived from the configuration."""
    content = io.BytesIO()  # torch itself, writing to a full disk, ends the process
    torch.save({"epoch": epoch, **learner.state()}, content)
    with placed(_state(run, epoch)) as file:
        file.write(content.getbuffer())
    save_weights(learner.net, _weights(run, epoch), epoch)


def load_weights(net: nn.Module, path: Path) -> None:
    """Into a net of the same shape; the first mismatch is named."""
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {str(path)!r}; {FIRST}") from None
    except (SafetensorError, OSError) as error:
        raise damaged(path, error, ANEW) from None
    expected = net.state_dict()
    for name, tensor in expected.items():
        if name not in weights or weights[name].shape != tensor.shape:
            found = tuple(weights[name].shape) if name in weights else "nothing"
            raise UserError(
                f"{path.name} does not fit the network: {name} should have shape {tuple(tensor.shape)}, found {found}"
            )
    net.load_state_dict(weights)


def loaded_name(epoch: int) -> str:
    """Of the weights of an epoch that was trained elsewhere, in the run's directory, until the run is finished."""
    return f"{LOADED}/epoch_{epoch:04d}.safetensors"


def forget_loaded(run: Run) -> None:
    """The run keeps them as its checkpoints from here on."""
    shutil.rmtree(run.path / LOADED, ignore_errors=True)


def load_weights_of_elsewhere(net: nn.Module, run: Run, epoch: int) -> None:
    """Those that were loaded as an epoch of a run; once it is finished they are kept as its checkpoints alone."""
    file = run.path / loaded_name(epoch)
    if not file.exists():
        raise UserError(
            f"the weights of epoch {epoch} were trained elsewhere and are not in run {run.id} any more; load the files"
            " again: python -m dpls load"
        )
    load_weights(net, file)


def load_state(run: Run, epoch: int, learner: Learner) -> None:
    try:
        state: dict[str, Any] = torch.load(_state(run, epoch), weights_only=True)
        load_weights(learner.net, _weights(run, epoch))
        learner.resume(state)
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise damaged(
            _state(run, epoch), error, "delete it and resume: what it was made from is trained again"
        ) from None


def stored_epochs(run: Run) -> list[int]:
    """Epochs whose full state is there, ascending."""
    found = [int(m[1]) for f in run.checkpoints.glob("epoch_*.safetensors") if (m := STATE_FILE.fullmatch(f.name))]
    return sorted(epoch for epoch in found if _state(run, epoch).exists())


def forget_states(run: Run, keep: set[int]) -> None:
    """Deletes the full states of all other epochs, and halves of states."""
    whole = keep & set(stored_epochs(run))
    wanted = {file for epoch in whole for file in (_weights(run, epoch), _state(run, epoch))}
    for file in sorted(set(run.checkpoints.glob("epoch_*")) - wanted):  # weights first: without them there is no state
        if STATE_FILE.fullmatch(file.name):
            file.unlink()


def adopt_state(parent: Run, child: Run, epoch: int) -> None:
    """Hard-links a state of the parent into the child (copies where links cannot be made)."""
    for source in (_state(parent, epoch), _weights(parent, epoch)):
        target = child.checkpoints / source.name
        if target.exists():
            continue
        try:
            os.link(source, target)
        except OSError:
            with source.open("rb") as content, placed(target) as file:
                shutil.copyfileobj(content, file)


def find_checkpoint(run: Run, name: str) -> tuple[Path, int]:
    """Path and epoch of 'best', 'last', 'average' or a number of epochs; of an average the last that is in it."""
    stored, average = stored_epochs(run), run.checkpoints / "average.safetensors"
    if name == "best":
        path = run.checkpoints / "best.safetensors"
        return path, _epoch_of(path)
    if name == "average" and average.exists():
        return average, _epoch_of(average)
    if name == "last" and stored:
        return _weights(run, stored[-1]), stored[-1]
    if name in map(str, stored):  # and not in other digits, which would be another name for the same
        return _weights(run, int(name)), int(name)
    others = ["average"] * average.exists() + [str(epoch) for epoch in stored]
    raise UserError(f"run {run.id} has no checkpoint {name!r}; choose from {', '.join(['best', 'last', *others])}")


def _epoch_of(path: Path) -> int:
    try:
        with safe_open(path, "pt") as file:
            return int(file.metadata()["epoch"])
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {str(path)!r}; {FIRST}") from None
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise damaged(path, error, ANEW) from None


def resume(config: RunConfig, run: Run, count: int, learner: Learner) -> tuple[int, float]:
    """Brings learner and directory to the last epoch that is whole; returns it, and the best score so far.

    ``count``: columns of the record. A run without rows takes over its parent's first, if the parent is still there.
    """
    run.checkpoints.mkdir(exist_ok=True)  # somebody may have deleted it, as is advised where one is damaged
    parent = run.config()["parent"]
    if not run.metrics():
        signals = {name: (dtype, unseen(dtype)) for name, dtype in RECORDED.items()}
        run.create_dynamics(np.arange(count), signals, config.epochs)
        other = Run(run.path.parent / parent["run"]) if parent else None
        if other and parent["epoch"] in stored_epochs(other) and _precision(other) in (None, _precision(run)):
            take_over(other, run, parent["epoch"])
    rows = run.metrics()
    epoch = max((e for e in stored_epochs(run) if e <= len(rows)), default=0)
    if epoch < config.epochs:  # its files become others
        unseal(run)
    if epoch:
        load_state(run, epoch, learner)
    run.keep_metrics(rows[:epoch])
    forget_states(run, {e for e in (epoch, *config.borders) if e <= epoch})  # a kill may have left one too many
    own = [row[config.selection.column] for row in rows[config.last_phase_start : epoch]]
    return epoch, max((score for score in own if score is not None), default=-math.inf)


def _precision(run: Run) -> str | None:
    """What it was, or is to be, trained in; None where nobody has written it down."""
    return str(run.manifest()["precision"]) if run.manifest_file.exists() else None


def take_over(parent: Run, child: Run, epoch: int) -> None:
    """Copies the parent's first epochs and links its state, so that each directory stands alone."""
    record = parent.dynamics(epoch)
    for number in range(epoch):
        child.write_dynamics(number + 1, {name: rows[number] for name, rows in record.items()})
    child.take_over_factors(parent, epoch)
    adopt_state(parent, child, epoch)
    child.keep_metrics(parent.metrics()[:epoch])
