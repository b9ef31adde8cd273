"""The tensors of a file in the places of a network; what does not fit is named, with both shapes."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dpls.errors import UserError
from dpls.fields import kind_of
from dpls.nets.foreign.layouts import Layout, Recognised, recognise, theirs
from dpls.nets.foreign.reading import Weights, bare
from dpls.nets.networks import Architecture, OwnNet

SHOWN = ("depth", "width", "final_norm")
"""Settings of a network that shapes depend on."""
ELSE = "any other network is loaded from a terminal with --net FILE.py:function"


def network_of(weights: Weights) -> Recognised:
    """The network that a file is of; a UserError where it is none known here."""
    if found := recognise({name: tuple(tensor.shape) for name, tensor in weights.tensors.items()}):
        return found
    layers = ", ".join(list(weights.tensors)[:4])
    raise UserError(
        f"{str(weights.file)!r} is of no network known here, which are WideResNet, PreActResNet-18 and SmallCNN; its"
        f" layers are {layers}, …; {ELSE}"
    )


def fitted(
    weights: Weights, recognised: Recognised | None, architecture: Architecture, net: nn.Module
) -> dict[str, Tensor]:
    """What ``net.load_state_dict`` takes, of a net that ``architecture`` has built. recognised: None where the names
    are the net's own. A UserError names the first tensor that does not fit, as the file calls it, and both shapes."""
    kind = kind_of(type(architecture))
    if recognised and recognised.settings["kind"] != kind:
        raise UserError(
            f"{str(weights.file)!r} holds {recognised.title}, and net.kind is {kind}; leave net.kind out, or set"
            f" net.kind={recognised.settings['kind']}"
        )
    layout = recognised.layout if recognised else None
    expected, found = net.state_dict(), dict[str, Tensor]()
    names = _names(layout, architecture, expected)
    for name, place in expected.items():
        called = names.get(name, name)
        if name in ("0.mean", "0.std"):
            found[name] = place
        elif called in weights.tensors:
            found[name] = _checked(weights, called, place, architecture)
        elif name.endswith("num_batches_tracked"):  # older versions of torch kept none, and nothing depends on it
            found[name] = torch.zeros_like(place)
        else:
            raise UserError(
                f"{str(weights.file)!r} lacks {called}, which {_in_words(architecture)} has with shape"
                f" {tuple(place.shape)}; set the net it is of, or save all of it"
            )
    _refuse_others(weights, {names.get(name, name) for name in expected}, layout, architecture)
    return found


def _in_words(architecture: Architecture) -> str:
    """e.g. ``wide_resnet (depth 34, width 10)``."""
    settings = {name: getattr(architecture, name) for name in type(architecture).model_fields}
    shown = [f"{name} {value}" for name, value in settings.items() if name in SHOWN]
    return str(settings["kind"]) + (f" ({', '.join(shown)})" if shown else "")


def _names(layout: Layout | None, architecture: Architecture, expected: Mapping[str, Tensor]) -> dict[str, str]:
    """{name of a tensor here: what the file calls it}; those that are called alike may be left out."""
    if isinstance(architecture, OwnNet):
        inside = {name: tensor for name, tensor in expected.items() if name not in ("0.mean", "0.std")}
        return dict(zip(inside, bare(inside), strict=True))
    layers, names = theirs(layout, architecture), {}
    for name in expected:
        layer, _, tensor = name.rpartition(".")
        if layer in layers:
            names[name] = f"{layers[layer]}.{tensor}"
    return names


def _checked(weights: Weights, called: str, place: Tensor, architecture: Architecture) -> Tensor:
    tensor = weights.tensors[called]
    if tensor.shape != place.shape:
        raise UserError(
            f"{str(weights.file)!r}: {called} has shape {tuple(tensor.shape)}, and {_in_words(architecture)} on"
            f" these images needs {tuple(place.shape)}; set net or data to those it was trained with"
        )
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise UserError(f"{str(weights.file)!r}: {called} holds NaN or infinity; load an earlier checkpoint")
    return tensor.to(place.dtype)


def _refuse_others(weights: Weights, known: set[str], layout: Layout | None, architecture: Architecture) -> None:
    unused = layout.unused if layout else ""
    others = [name for name in weights.tensors if name not in known and not (unused and name.startswith(unused))]
    if others:
        more = f" and {len(others) - 1:,} more" if others[1:] else ""
        raise UserError(
            f"{str(weights.file)!r} holds {others[0]}{more}, and {_in_words(architecture)} has no place for it;"
            f" set the net it is of; {ELSE}"
        )
