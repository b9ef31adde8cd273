"""What test files share: devices, a tiny data set, a small trained net, a layer that notes what passes through it."""

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from dpls.component import Component
from dpls.data import TEST, TRAIN, VALIDATION, Dataset
from dpls.data.split import Split
from dpls.evaluations.conduct import Candidate
from dpls.jobs.console import Console
from dpls.nets.layers import Normalise
from dpls.nets.networks import Architecture, SmallCNN
from dpls.randomness import generator
from dpls.runs.files import write_json

# One thread, here and in the processes tests start: tests are small, so a second costs more than it brings, and a run
# equals another only if both had as many.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
for name in ("DPLS_RUNS", "DPLS_DATA", "DPLS_READONLY"):
    os.environ.pop(name, None)

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


LONG = ("test_browser_training.py", "test_members.py", "test_jobs.py", "test_experiments.py", "test_browser.py")
"""Files that take longest, first: so that two at a time end at about the same time, and no two browsers are at work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session", autouse=True)
def _slots(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not those of a run somebody trains meanwhile; among pytest's own folders, which go when the session has passed."""
    os.environ["DPLS_SLOTS"] = str(tmp_path_factory.mktemp("slots"))


DEVICES = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]
SMALL: dict[str, dict[str, Any]] = {"wide_resnet": {"depth": 10, "width": 1}, "small_cnn": {"width": 4}}
"""Settings that make a network small, by kind; a network that is not listed is tested as it is."""


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device of this machine."""
    return torch.device(request.param)


def declared(base: type[Component]) -> set[type]:
    """Every subclass of ``base`` inside dpls that has a ``kind``, however deep."""
    found: list[type[Component]] = []
    todo = [base]
    while todo:
        todo += (below := todo.pop().__subclasses__())
        found += below
    return {c for c in found if "kind" in c.model_fields and c.__module__.startswith("dpls.")}


def small(architecture: type[Architecture]) -> Architecture:
    """A network's settings, as small as they go."""
    return architecture(**SMALL.get(architecture.model_fields["kind"].default, {}))


def double(net: nn.Module) -> nn.Module:
    """A copy that computes in float64 throughout."""
    net = copy.deepcopy(net).double()
    for module in net.modules():
        if isinstance(module, Normalise):
            module.dtype = torch.float64
    return net


def lively(net: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms as after training: statistics and weights that differ from 0 and 1, some weights negative."""
    g = generator(seed, "batch norm")
    with torch.no_grad():
        for bn in net.modules():
            if isinstance(bn, nn.BatchNorm2d):
                bn.running_mean.copy_(torch.randn(bn.num_features, generator=g) * 0.3)
                bn.running_var.copy_(torch.rand(bn.num_features, generator=g) * 1.5 + 0.5)
                bn.weight.copy_(torch.rand(bn.num_features, generator=g) * 1.4 - 0.2)
                bn.bias.copy_(torch.randn(bn.num_features, generator=g) * 0.3)
    return net


class Pass(NamedTuple):
    """One forward pass through a Probe."""

    training: bool
    x: Tensor


class _Shared(list[Pass]):
    """A list that copies of its owner share."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Shared":
        return self


class Probe(nn.Module):
    """The identity; notes mode and input of every forward pass, through copies of itself as well."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = _Shared()

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(Pass(self.training, x.detach().clone()))
        return x


def probed(net: nn.Module) -> tuple[nn.Sequential, list[Pass]]:
    """The net behind a Probe, and the list the probe writes to."""
    probe = Probe()
    return nn.Sequential(probe, net), probe.passes


def make_tiny(count: int = 60, classes: int = 3, size: int = 8, channels: int = 1, seed: int = 0) -> Dataset:
    """Gratings under noise, a frequency a class: 60 % train, 20 % validation, 20 % test, classes balanced in each."""
    assert classes <= 9
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    part = np.array([TRAIN, TRAIN, TRAIN, VALIDATION, TEST], dtype=np.uint8)[np.arange(count) // classes % 5]
    row, column = np.mgrid[:size, :size]
    frequencies = [(1, 0), (0, 1), (1, 1), (0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5), (1, 0.5), (0.5, 1)]
    gratings = np.stack([np.cos(np.pi * (a * row + b * column)) for a, b in frequencies])[labels]
    images = 128 + 40 * gratings[:, None] + rng.normal(0, 30, (count, channels, size, size))
    names = tuple(f"class {k}" for k in range(classes))
    return Dataset.of(np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int64), part, names)


def candidate_of(net: nn.Module, checkpoint: str = "best") -> Candidate:
    """A net as that checkpoint of the third epoch."""
    return Candidate(net, checkpoint, 3, "validation accuracy, clean", "some images", torch.float32)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Dataset]:
    """The factory of tiny data sets: ``tiny(count=60, classes=3, size=8, channels=1, seed=0)``."""
    return make_tiny


@pytest.fixture(scope="session")
def _trained() -> nn.Module:
    split = Split.of(make_tiny(count=300), TRAIN, torch.device("cpu"))
    net = SmallCNN(width=4)(1, 3, generator(0, "initialisation"), ([0.5], [0.2]))
    optimiser = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    for _ in range(6):
        for batch in split.batches(45):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(batch.x), batch.y).backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return net


@pytest.fixture
def trained(_trained: nn.Module) -> nn.Module:
    """A SmallCNN for 8x8 grey images of 3 classes after 24 steps on clean ones; in train mode; a copy for each test."""
    return copy.deepcopy(_trained)


HOLD = f"""
import json, sys, time
from pathlib import Path

def held(console):
    try:
        said = json.loads(Path(__file__).with_name("hold.json").read_text())
    except FileNotFoundError:
        return False
    return console._done >= said["images"] and console._run.id not in said["but"]

if "work" in sys.orig_argv:
    from {Console.__module__} import Console

    def images(self, count, go_on=Console.images):
        go_on(self, count)
        while held(self):
            time.sleep(0.01)

    Console.images = images
"""


class Hold:
    """Keeps workers in the middle of an epoch until it lets go; one that is to be stopped cannot end before that.

    Real workers in every other respect: the waiting comes with ``variables``, which they are to be started with.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HOLD)
        self.file = folder / "hold.json"
        self.variables = {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])}

    def at(self, images: int, *but: str) -> None:
        """Whoever has trained on this many images or more waits, but not the runs with these ids."""
        write_json(self.file, {"images": images, "but": but})

    def let_go(self) -> None:
        self.file.unlink(missing_ok=True)


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    """For workers this test starts."""
    found = Hold(tmp_path / "hold")
    for name, value in found.variables.items():
        monkeypatch.setenv(name, value)
    yield found
    found.let_go()
