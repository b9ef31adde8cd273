"""How other codebases call the layers of networks known here, and which network a set of names and shapes is of.

A name here is one of ``nn.Sequential(Normalise, *net.layers(...))``. No torch: shapes are tuples.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dpls.nets.networks import Architecture, PreActResNet18, WideResNet

Shape = tuple[int, ...]
PIECES = ("bn", "body.0", "body.1", "body.3", "shortcut")
"""Of a pre-activation block: batch norm, convolution, batch norm, convolution, projection."""


class Layout(NamedTuple):
    """kind: of the network. title: whose code. stem, norm, head: names of these layers. block: of one, by group and
    number; first: number of the first group. pieces: in the order of ``PIECES``. unused: names that its networks hold
    and never use. settings: what its code does that no shape shows."""

    kind: str
    title: str
    stem: str
    block: str
    first: int
    pieces: tuple[str, ...]
    norm: str
    head: str
    unused: str = ""
    settings: Mapping[str, Any] = {}


LAYOUTS = (
    Layout(
        "wide_resnet",
        "the WideResNet of TRADES, MART, AWP and RobustBench",
        "conv1",
        "block{}.layer.{}",
        1,
        ("bn1", "conv1", "bn2", "conv2", "convShortcut"),
        "bn1",
        "fc",
        unused="sub_block1.",
    ),
    Layout(
        "wide_resnet",
        "the WideResNet of Gowal et al.",
        "init_conv",
        "layer.{}.block.{}",
        0,
        ("batchnorm_0", "conv_0", "batchnorm_1", "conv_1", "shortcut"),
        "batchnorm",
        "logits",
        settings={"activation": "silu", "padding": "end"},
    ),
    Layout(
        "preact_resnet18",
        "the PreActResNet-18 of Rice et al., AWP and RobustBench",
        "conv1",
        "layer{}.{}",
        1,
        ("bn1", "conv1", "bn2", "conv2", "shortcut.0"),
        "bn",
        "linear",
    ),
)


class Recognised(NamedTuple):
    """settings: of the network, as JSON. layout: of the names; None: those used here. title: in words."""

    settings: dict[str, Any]
    layout: Layout | None
    title: str


def recognise(shapes: Mapping[str, Shape]) -> Recognised | None:
    """The network that names and shapes are of, as far as these tell; None where it is none known here."""
    for layout in LAYOUTS:
        pattern = re.compile(
            re.escape(layout.block).replace(r"\{\}", r"(\d+)") + rf"\.{re.escape(layout.pieces[1])}\.weight"
        )
        blocks = [tuple(map(int, m.groups())) for name in shapes if (m := pattern.fullmatch(name))]
        if blocks and (f"{layout.stem}.weight" in shapes or f"{layout.head}.weight" in shapes):
            return _of_blocks(layout, blocks, shapes)
    return _of_our_own(shapes)


def _of_blocks(layout: Layout, blocks: list[tuple[int, ...]], shapes: Mapping[str, Shape]) -> Recognised | None:
    counts = [sum(group == number for group, _ in blocks) for number in sorted({group for group, _ in blocks})]
    first = shapes.get(f"{layout.block.format(layout.first, 0)}.{layout.pieces[1]}.weight", ())
    settings = {"kind": layout.kind} | dict(layout.settings)
    if layout.kind == "wide_resnet":
        if len(set(counts)) > 1 or len(counts) != 3 or len(first) != 4:
            return None
        return Recognised(settings | _wide(counts[0], first[0]), layout, layout.title)
    if counts != [2, 2, 2, 2]:
        return None
    if f"{layout.norm}.weight" not in shapes:  # the codes without it take the input as it is
        settings |= {"final_norm": False, "shortcut": "raw"}
    return Recognised(settings, layout, layout.title)


def _wide(blocks: int, channels: int) -> dict[str, Any]:
    return {"depth": 6 * blocks + 4, "width": max(1, channels // 16)}


def _of_our_own(shapes: Mapping[str, Shape]) -> Recognised | None:
    stem, blocks = shapes.get("1.weight", ()), sum(name.endswith(".body.0.weight") for name in shapes)
    if len(stem) != 4:
        return None
    if not blocks and "14.weight" in shapes:
        return Recognised({"kind": "small_cnn", "width": stem[0]}, None, "a SmallCNN of a run here")
    if blocks == 8 and stem[0] == 64:
        bare = {} if f"{blocks + 2}.running_mean" in shapes else {"final_norm": False}
        return Recognised({"kind": "preact_resnet18"} | bare, None, "a PreActResNet-18 of a run here")
    first = shapes.get("2.body.0.weight")
    if not first or blocks % 3:
        return None
    return Recognised({"kind": "wide_resnet"} | _wide(blocks // 3, first[0]), None, "a WideResNet of a run here")


def theirs(layout: Layout | None, net: Architecture) -> dict[str, str]:
    """{name of a layer here: what the layout calls it} of a network of pre-activation blocks, in order; empty where the
    names are those used here."""
    if layout is None or not isinstance(net, WideResNet | PreActResNet18):
        return {}
    return dict(_pairs(layout, net))


def _pairs(layout: Layout, net: WideResNet | PreActResNet18) -> Iterator[tuple[str, str]]:
    groups, blocks = (3, (net.depth - 4) // 6) if isinstance(net, WideResNet) else (4, 2)
    yield "1", layout.stem
    for place in range(groups * blocks):
        block = layout.block.format(layout.first + place // blocks, place % blocks)
        for piece, name in zip(PIECES, layout.pieces, strict=True):
            yield f"{place + 2}.{piece}", f"{block}.{name}"
    end, head = groups * blocks + 2, 3
    if getattr(net, "final_norm", True):
        yield str(end), layout.norm
    else:
        head = 1
    yield str(end + head), layout.head
