"""Files of weights as the first epochs of a run: read, put in place, and described by settings. Loads torch."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpls.attacks import PGD
from dpls.component import digest
from dpls.data import TRAIN
from dpls.data.split import Split
from dpls.elsewhere.doubts import check_answers, doubts
from dpls.errors import UserError
from dpls.methods import Elsewhere
from dpls.methods.objective import Adversarial
from dpls.nets.foreign.fitting import fitted, network_of
from dpls.nets.foreign.layouts import Recognised
from dpls.nets.foreign.own import Named
from dpls.nets.foreign.reading import Weights, read_weights
from dpls.nets.weights import hash_of
from dpls.randomness import generator
from dpls.recipe import RunConfig, make_config, override
from dpls.runs.files import data_root
from dpls.training.checkpoints import as_bytes, loaded_name

ENDINGS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
"""Of what is taken for weights in a folder."""


@dataclass(frozen=True)
class Loaded:
    """config: of the run. files: what its directory is to hold of them. said: what was done, in sentences."""

    config: RunConfig
    files: Mapping[str, Callable[[], bytes]]
    said: tuple[str, ...]


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Files in the order they are given; of a folder those that end as weights do, by name, numbers by their size."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        there = [file for file in path.iterdir() if file.suffix in ENDINGS and file.is_file()]
        if not there:
            raise UserError(f"the folder {str(path)!r} holds no file that ends as weights do: {', '.join(ENDINGS)}")
        found += sorted(there, key=lambda file: _by_number(file.name))
    return found


def _by_number(name: str) -> list[tuple[int, str]]:
    """So that epoch_9 comes before epoch_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def load(
    files: Sequence[Path],
    base: Mapping[str, Any],
    runs: Path,
    assignments: Sequence[str] = (),
    entry: str = "",
    attacked: bool = False,
    own: Named | None = None,
) -> Loaded:
    """Files of one network, an epoch each, as a run. A UserError in one sentence where they are none.

    base: settings that say of what images, and how it is evaluated; assignments: ``path=value``, changes of these.
    entry: which network of a file that holds several. attacked: looks at attacked images, too. own: the
    function that builds the network, where it is none known here.
    """
    said: list[str] = []
    first = read_weights(files[0], entry, whole=own is not None)
    recognised = None if own else network_of(first)
    settings = _settings(_net_of(first, recognised, own), base, len(files))
    if any(assignment.strip().startswith("net.pixel_") for assignment in assignments):
        settings["net"].pop("normalise", None)
    config = make_config(override(settings, list(assignments), say=said.append))
    dataset, _ = config.data(data_root(runs))
    _check_channels(first, dataset.images.shape[1])
    train = Split.of(dataset, TRAIN, torch.device("cpu"))
    net = config.net(
        dataset.images.shape[1],
        len(dataset.classes),
        generator(config.seed, "initialisation"),
        train.pixel_statistics(),
    )

    def state_of(file: Path) -> dict[str, Tensor]:
        weights = first if file == files[0] else read_weights(file, entry, whole=own is not None)
        return fitted(weights, recognised, config.net, net)

    weights = digest(*(hash_of(state_of(file)) for file in files))
    net.load_state_dict(state_of(files[-1]))
    if own:
        check_answers(net, train, len(dataset.classes), own.function)
    said += [_found(first, recognised, config), *doubts(config, train, len(dataset.classes), net, assignments)]
    held = {loaded_name(n): partial(_bytes_of, state_of, file, n) for n, file in enumerate(files, 1)}
    return Loaded(_of_elsewhere(config, weights, files, attacked), held, tuple(said))


def _bytes_of(state_of: Callable[[Path], dict[str, Tensor]], file: Path, epoch: int) -> bytes:
    return as_bytes(state_of(file), epoch)


def _net_of(weights: Weights, recognised: Recognised | None, own: Named | None) -> dict[str, Any]:
    """Settings of the network that a file is of, with what it says of pixels."""
    if recognised is None:
        return {"kind": "own", **(own._asdict() if own else {})}
    if weights.mean is None or weights.std is None:
        return recognised.settings | {"normalise": False}
    return recognised.settings | {"pixel_mean": list(weights.mean), "pixel_std": list(weights.std)}


def _settings(net: dict[str, Any], base: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Those of the base with this network, and nothing of how the base would have trained."""
    left = {name: value for name, value in base.items() if name not in ("net", "phases", "schedule", "attack_warmup")}
    difficulty = {} if epochs > 1 else {"difficulty": {"measure": "el2n"}}  # of one look 0-1 knows two values alone
    return left | difficulty | {"net": net, "phases": [{"until": epochs}]}


def _check_channels(weights: Weights, channels: int) -> None:
    if weights.mean is not None and len(weights.mean) != channels:
        raise UserError(
            f"{str(weights.file)!r} normalises {len(weights.mean)} channel{'s' * (len(weights.mean) > 1)}, and these"
            f" images have {channels}; set data to the images it was trained on"
        )


def _of_elsewhere(config: RunConfig, weights: str, files: Sequence[Path], attacked: bool) -> RunConfig:
    """The same, its epochs said to be those of the files."""
    attack = None
    if attacked:
        attack = config.objective.attack if isinstance(config.objective, Adversarial) else PGD()
    name = files[0].name if len(files) == 1 else f"{files[0].name} to {files[-1].name}"
    objective = Elsewhere(how="loaded", said=name[:200], weights=weights, attack=attack)
    phases = (config.phases[0].model_copy(update={"objective": objective}),)
    return config.model_copy(update={"objective": objective, "phases": phases})


def _found(weights: Weights, recognised: Recognised | None, config: RunConfig) -> str:
    """What the file holds, where in it, and what was taken of pixels and shortcuts."""
    where = f", its entry {weights.entry!r}" if weights.entry else ""
    others = f" ({', '.join(weights.others)} left alone)" if weights.others else ""
    net, pixels = config.net, "images enter in [0, 1] as they are"
    if net.pixel_mean:
        pixels = "pixels are normalised by the mean and deviation that stand in the settings of net"
    elif net.normalise:
        pixels = "pixels are normalised by the training images' mean and deviation"
    what = recognised.title if recognised else getattr(net, "title", "")
    return f"{weights.file.name}{where}{others}: {what}; {pixels}"
