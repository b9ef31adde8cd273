"""Tensors of a file of weights, by name.

Pickled objects are refused, for reading them would run code that the file brings.
"""

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dpls.errors import UserError

WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "ema")
"""Entries in which training loops keep a network's weights; the first that is there is taken."""
STATISTICS = (("mean", "std"), ("mu", "sigma"), ("new_mean", "new_std"))
"""How layers that normalise pixels call what they subtract and divide by."""
COUNTERS = ("n_averaged",)
"""What a mean of weights keeps beside them."""
AGAIN = "save net.state_dict() again, as safetensors or with torch.save"
ZIP, PICKLE = b"PK\x03\x04", b"\x80"


class Weights(NamedTuple):
    """tensors: by name, without what all names begin with. mean, std: of the pixels by channel, or None where the file
    has none. entry: which entry of the file they stand in, "" where it has nothing else; others: what else could be."""

    file: Path
    tensors: dict[str, Tensor]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    entry: str = ""
    others: tuple[str, ...] = ()


def read_weights(file: Path, entry: str = "", whole: bool = False) -> Weights:
    """A network's weights. ``entry``: where the file holds several. ``whole``: leaves statistics of pixels among them.
    A UserError in one sentence where it holds none."""
    content = _content(file)
    found = dict(_states(content))
    if not found:
        raise UserError(f"{str(file)!r} {_what_instead(content)}; {AGAIN}")
    if entry and entry not in found:
        raise UserError(f"{str(file)!r} has no weights under {entry!r}; choose from {', '.join(sorted(found))}")
    name = entry or next((name for name in ("", *WRAPPINGS) if name in found), "")
    if name not in found and len(found) > 1:
        raise UserError(
            f"{str(file)!r} holds several networks: {', '.join(sorted(found))}; choose one with --entry NAME"
        )
    name = name if name in found else next(iter(found))
    tensors, mean, std = (found[name], None, None) if whole else _without_statistics(found[name])
    return Weights(file, bare(tensors), mean, std, name, tuple(sorted(found.keys() - {name})))


def _content(file: Path) -> Any:
    """What a file holds; tensors on the CPU."""
    if file.is_dir():
        raise UserError(f"{str(file)!r} is a folder; name the files of weights in it")
    try:
        with file.open("rb") as head:
            begins = head.read(9)
    except OSError as error:
        raise UserError(f"cannot read {str(file)!r} ({error.strerror}); name a file of weights") from None
    if not begins:
        raise UserError(f"{str(file)!r} is empty; {AGAIN}")
    if begins[8:] == b"{":
        try:
            return load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(f"{str(file)!r} is damaged or cut off ({error}); copy or save it again") from None
    if not begins.startswith((ZIP, PICKLE)):
        raise UserError(f"{str(file)!r} is neither safetensors nor what torch.save writes; {AGAIN}")
    return _torch_content(file)


def _torch_content(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        held = re.search(r"GLOBAL ([\w.]+)", str(error))
        if held is None and "weights only" not in str(error).lower():
            raise UserError(f"{str(file)!r} is damaged or cut off; copy or save it again") from None
        what = f" ({held[1]})" if held else ""
        raise UserError(
            f"{str(file)!r} holds pickled Python objects{what}, and reading those would run code that the file brings;"
            f" {AGAIN}"
        ) from None
    except Exception as error:  # whatever a damaged archive makes its readers raise
        why = str(error).split("\n")[0].rstrip(".")
        raise UserError(
            f"{str(file)!r} is damaged or cut off ({why or type(error).__name__}); copy or save it again"
        ) from None


def _states(content: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The state dicts of a file, each with the entry it stands in."""
    if state := _as_state(content):
        yield "", state
    elif isinstance(content, Mapping):
        for name, part in content.items():
            if state := _as_state(part):
                yield str(name), state


def _as_state(content: Any) -> dict[str, Tensor]:
    """Named tensors, some of them inside a layer; nothing where it is no state dict."""
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return {}
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return tensors if any("." in name or name == "weight" for name in tensors) else {}


def _what_instead(content: Any) -> str:
    if isinstance(content, Mapping) and {"state", "param_groups"} <= content.keys():
        return "holds the state of an optimiser, not a network's weights"
    if isinstance(content, Mapping):
        names = ", ".join(str(name) for name in list(content)[:5])
        return f"holds no weights: its entries are {names}" if names else "holds nothing"
    return f"holds {type(content).__name__}, not a network's weights by name"


def _without_statistics(
    tensors: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], tuple[float, ...] | None, tuple[float, ...] | None]:
    """The tensors but for mean and deviation of the pixels, if these are among them; and both by channel."""
    for mean, std in STATISTICS:
        for name in tensors:
            other = f"{name.removesuffix(mean)}{std}"
            if (
                name.split(".")[-1] == mean
                and other in tensors
                and 1 <= tensors[name].numel() == tensors[other].numel() <= 3
            ):
                left = {n: t for n, t in tensors.items() if n not in (name, other)}
                return left, _by_channel(tensors[name]), _by_channel(tensors[other])
    return dict(tensors), None, None


def _by_channel(tensor: Tensor) -> tuple[float, ...]:
    return tuple(tensor.float().flatten().tolist())


def bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what every name begins with: module., _orig_mod., model. and whatever else was wrapped around a net."""
    found = {name: tensor for name, tensor in tensors.items() if name not in COUNTERS}
    while len(heads := {name.partition(".")[0] for name in found}) == 1 and all("." in name for name in found):
        found = {name.removeprefix(f"{next(iter(heads))}."): tensor for name, tensor in found.items()}
    return found
