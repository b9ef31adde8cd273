"""Weights in other codebases' layouts: the same logits here, whatever is wrapped around them; the broken in a sentence."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import lively
from official_nets import GowalWideResNet, OfficialPreActResNet18, TradesWideResNet
from pydantic import TypeAdapter
from safetensors.torch import save_file
from torch import Tensor, nn

from dpls.component import members
from dpls.errors import UserError
from dpls.nets.foreign.fitting import fitted, network_of
from dpls.nets.foreign.reading import read_weights
from dpls.nets.networks import Net, SmallCNN, WideResNet
from dpls.randomness import generator


def images(size: int = 32) -> Tensor:
    return torch.rand(1, 3, size, size, generator=generator(0, "images"))


def loaded(file: Path, classes: int = 10, channels: int = 3, entry: str = "", **changes: Any) -> nn.Module:
    """The net that a file is of, in eval mode, with its weights."""
    weights = read_weights(file, entry)
    recognised = network_of(weights)
    settings = recognised.settings | ({} if weights.mean else {"normalise": False}) | changes
    if weights.mean:
        settings |= {"pixel_mean": weights.mean, "pixel_std": weights.std}
    architecture = TypeAdapter(Net).validate_python(settings)
    net = architecture(channels, classes, generator(0))
    net.load_state_dict(fitted(weights, recognised, architecture, net))
    return net.eval()


def official(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return lively(TradesWideResNet(10, 1)).eval()


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (lambda: TradesWideResNet(34, 10), {}),  # the one whose authors publish it
        (lambda: TradesWideResNet(16, 2, 7, sub_block=False), {}),
        (lambda: GowalWideResNet(16, 2), {}),
        (lambda: GowalWideResNet(10, 1, active=nn.ReLU), {"activation": "relu"}),
        (lambda: OfficialPreActResNet18(), {}),
        (lambda: OfficialPreActResNet18(raw=True), {"shortcut": "raw"}),
        (lambda: OfficialPreActResNet18(final_norm=False, raw=True), {}),
    ],
)
def test_an_official_state_dict_gives_the_logits_of_its_own_code(build: Any, changes: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = lively(build()).eval()
    torch.save(net.state_dict(), tmp_path / "model.pt")
    with torch.no_grad():
        expected = net(images())
        found = loaded(tmp_path / "model.pt", expected.shape[1], **changes)(images())
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


WRAPPED = {
    "plain": lambda state: state,
    "data parallel": lambda state: {f"module.{name}": t for name, t in state.items()},
    "compiled": lambda state: {"model": {f"_orig_mod.{name}": t for name, t in state.items()}},
    "both, in a loop's checkpoint": lambda state: {
        "epoch": 3,
        "best_acc": torch.tensor(0.5),
        "state_dict": {f"module._orig_mod.model.{name}": t for name, t in state.items()},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]},
    },
    "model_state_dict": lambda state: {"model_state_dict": state},
    "net": lambda state: {"net": state, "acc": 91.5},
    "ema": lambda state: {"ema": state},
    "swa": lambda state: {"n_averaged": torch.tensor(3), **{f"module.{name}": t for name, t in state.items()}},
    "behind a layer that normalises": lambda state: {
        "0.mean": torch.zeros(1, 3, 1, 1),
        "0.std": torch.ones(1, 3, 1, 1),
        **{f"1.{name}": t for name, t in state.items()},
    },
    "of an older torch": lambda state: {n: t for n, t in state.items() if not n.endswith("tracked")},
    "in half precision": lambda state: {n: t.half() if t.is_floating_point() else t for n, t in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_what_is_wrapped_around_the_weights_does_not_matter(wrap: Any, tmp_path: Path) -> None:
    net = official()
    torch.save(wrap(net.state_dict()), tmp_path / "model.pt")
    with torch.no_grad():
        found, expected = loaded(tmp_path / "model.pt")(images()), net(images())
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)
    if wrap is not WRAPPED["in half precision"]:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_safetensors_and_the_old_format_of_torch(tmp_path: Path) -> None:
    net = official()
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    torch.save(net.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for file in ("model.safetensors", "old.pt"):
        with torch.no_grad():
            torch.testing.assert_close(loaded(tmp_path / file)(images()), net(images()), rtol=1e-5, atol=1e-5)


def test_of_several_networks_in_a_file_one_is_named(tmp_path: Path) -> None:
    first, second = official(1), official(2)
    torch.save({"net": first.state_dict(), "ema": second.state_dict()}, tmp_path / "both.pt")
    assert read_weights(tmp_path / "both.pt").others == ("ema",)
    with torch.no_grad():
        torch.testing.assert_close(loaded(tmp_path / "both.pt")(images()), first(images()), rtol=1e-5, atol=1e-5)
        named = loaded(tmp_path / "both.pt", entry="ema")
        torch.testing.assert_close(named(images()), second(images()), rtol=1e-5, atol=1e-5)
    torch.save({"teacher": first.state_dict(), "student": second.state_dict()}, tmp_path / "others.pt")
    with pytest.raises(UserError, match="student, teacher; choose one with --entry"):
        read_weights(tmp_path / "others.pt")


@pytest.mark.parametrize("architecture", [a for a in members(Net) if a.is_chosen], ids=lambda a: a.__name__)
def test_networks_of_runs_here_are_known_by_their_own_names(architecture: Any, tmp_path: Path) -> None:
    small: dict[str, Any] = {"wide_resnet": {"depth": 16, "width": 2}, "small_cnn": {"width": 8}}
    settings = architecture(**small.get(architecture.model_fields["kind"].default, {}))
    net = lively(settings(3, 4, generator(1), ([0.4, 0.5, 0.3], [0.2, 0.3, 0.25]))).eval()
    save_file(net.state_dict(), tmp_path / "best.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded(tmp_path / "best.safetensors", 4)(images(8)), net(images(8)))


def _truncated(folder: Path) -> Path:
    torch.save(official().state_dict(), folder / "x.pt")
    (folder / "x.pt").write_bytes((folder / "x.pt").read_bytes()[:-2000])
    return folder / "x.pt"


def _truncated_safetensors(folder: Path) -> Path:
    save_file(official().state_dict(), folder / "x.safetensors")
    (folder / "x.safetensors").write_bytes((folder / "x.safetensors").read_bytes()[:-2000])
    return folder / "x.safetensors"


def _saved(change: Any) -> Any:
    def make(folder: Path) -> Path:
        torch.save(change(dict(official().state_dict())), folder / "x.pt")
        return folder / "x.pt"

    return make


def _written(content: bytes) -> Any:
    def make(folder: Path) -> Path:
        (folder / "x.pt").write_bytes(content)
        return folder / "x.pt"

    return make


def _optimiser(_: Any) -> Any:
    net = official()
    return torch.optim.SGD(net.parameters(), 0.1).state_dict()


def _whole_net(folder: Path) -> Path:
    torch.save(official(), folder / "x.pt")
    return folder / "x.pt"


BROKEN: dict[str, tuple[Any, str]] = {
    "truncated": (_truncated, "damaged or cut off .*copy or save it again"),
    "truncated safetensors": (_truncated_safetensors, "damaged or cut off .*copy or save it again"),
    "a pickled network": (
        _whole_net,
        r"holds pickled Python objects \(official_nets.TradesWideResNet\).*would run code",
    ),
    "settings pickled beside": (
        _saved(lambda state: {"state_dict": state, "args": argparse.Namespace(lr=0.1)}),
        r"holds pickled Python objects \(argparse.Namespace\).*save net.state_dict\(\) again",
    ),
    "an optimiser's state": (_saved(_optimiser), "state of an optimiser, not a network's weights; save net.state_dict"),
    "empty": (_written(b""), "is empty; save net.state_dict"),
    "a text": (_written(b"epoch,loss\n1,2.3\n"), "neither safetensors nor what torch.save writes; save"),
    "a folder": (lambda folder: folder, "is a folder; name the files of weights in it"),
    "not there": (lambda folder: folder / "gone.pt", "No such file or directory.*name a file of weights"),
    "numbers of a loop": (_saved(lambda _: {"epoch": 3, "loss": 0.2}), "its entries are epoch, loss; save"),
    "wrong K": (
        _saved(lambda state: state | {"fc.weight": torch.zeros(100, 64), "fc.bias": torch.zeros(100)}),
        r"fc.weight has shape \(100, 64\), and wide_resnet \(depth 10, width 1\).*needs \(10, 64\); set net or data",
    ),
    "wrong channels": (
        _saved(lambda state: state | {"conv1.weight": torch.zeros(16, 1, 3, 3)}),
        r"conv1.weight has shape \(16, 1, 3, 3\), .*needs \(16, 3, 3, 3\)",
    ),
    "missing keys": (
        _saved(lambda state: {name: t for name, t in state.items() if not name.startswith("fc")}),
        r"lacks fc.weight, which wide_resnet .* has with shape \(10, 64\)",
    ),
    "unexpected keys": (
        _saved(lambda state: state | {"head.weight": torch.zeros(2), "head.bias": torch.zeros(2)}),
        "holds head.weight and 1 more, and wide_resnet .* has no place for it; .* --net FILE.py:function",
    ),
    "NaN": (
        _saved(lambda state: state | {"bn1.weight": torch.full((64,), torch.nan)}),
        "bn1.weight holds NaN or infinity; load an earlier checkpoint",
    ),
    "another network": (
        _saved(lambda _: nn.Sequential(nn.Sequential(nn.Linear(4, 3)), nn.Linear(3, 2)).state_dict()),
        "of no network known here.*0.0.weight, 0.0.bias, 1.weight, 1.bias.*--net FILE.py:function",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_loaded_is_said_in_one_sentence(make: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        loaded(make(tmp_path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            SmallCNN(),
            "holds the WideResNet of TRADES.*net.kind is small_cnn; leave net.kind out, or set net.kind=wide_resnet",
        ),
        (
            WideResNet(depth=10, width=2),
            r"block1.layer.0.conv1.weight has shape \(16, 16, 3, 3\).*width 2.*\(32, 16, 3, 3\)",
        ),
        (WideResNet(depth=16, width=1), r"lacks block1.layer.1.bn1.weight, which wide_resnet \(depth 16, width 1\)"),
    ],
)
def test_a_net_that_was_set_otherwise_is_named_with_both_shapes(settings: Any, sentence: str, tmp_path: Path) -> None:
    torch.save(official().state_dict(), tmp_path / "x.pt")
    weights = read_weights(tmp_path / "x.pt")
    with pytest.raises(UserError, match=sentence):
        fitted(weights, network_of(weights), settings, settings(3, 10, generator(0)))


def test_reading_a_pickle_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Trap()}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="pickled Python objects"):
        read_weights(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()
