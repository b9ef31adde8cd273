"""Which value is white: decided once for a whole data set, from what its files say and hold, and said."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Kind = Literal["bytes", "words", "floats"]
"""8 bits a channel, 16 bits (or more), or floating point."""
FULL: Mapping[Kind, float] = {"bytes": 255.0, "words": 65535.0, "floats": 1.0}
TITLE: Mapping[Kind, str] = {"bytes": "8-bit", "words": "16-bit", "floats": "floating-point"}
TWICE = 1 / 255


class Levels(NamedTuple):
    """What one file holds: the lowest and the highest value, and which it says is white."""

    kind: Kind
    low: float
    high: float
    white: float


def _range(levels: Iterable[Levels]) -> dict[Kind, Levels]:
    """Of all images of a kind: the lowest, the highest, and the highest white that one of them names."""
    found: dict[Kind, Levels] = {}
    for one in levels:
        all_ = found.get(one.kind, one)
        found[one.kind] = Levels(one.kind, min(all_.low, one.low), max(all_.high, one.high), max(all_.white, one.white))
    return found


def balance(levels: Iterable[Levels]) -> tuple[dict[Kind, float], list[str]]:
    """The white of each kind for all images of a data set, and what is to be said of it, in sentences.

    Stretched is what the files say is narrow (12 bits in 16), and what holds nothing but 0 and 1. Anything else that is
    narrow stays as it is and is warned of.
    """
    found = _range(levels)
    binary = all(one.low >= 0 and one.high == 1 for one in found.values())
    white: dict[Kind, float] = dict(FULL)
    said = []
    for kind, one in found.items():
        white[kind], words = _white(one, binary and kind != "floats")
        said += [words] if words else []
    return white, said


def _white(one: Levels, binary: bool) -> tuple[float, str]:
    what = f"the {TITLE[one.kind]} images"
    full = FULL[one.kind]
    if binary:
        return 1.0, f"All pixels of {what} are 0 or 1: 1 was made white."
    if one.low < 0 or one.high > 65535:
        return (
            full,
            f"Values of {what} go from {one.low:g} to {one.high:g}: what lies outside 0 to {full:,g} is cut off.",
        )
    if one.kind == "floats":
        return _white_of_floats(one)
    if one.white < full and one.high <= one.white:
        return one.white, f"The files of {what} say that {one.white:,g} is white, not {full:,g}: so it was taken."
    return full, narrow(what, one.low, one.high, full)


def _white_of_floats(one: Levels) -> tuple[float, str]:
    what = "the floating-point images"
    if 0 < one.high <= TWICE * (1 + 1e-6):
        return TWICE, f"Values of {what} end at {one.high:.4g}, as if divided by 255 twice: 1/255 was made white."
    full = next(white for white in (1.0, 255.0, 65535.0) if one.high <= white)
    words = narrow(what, one.low, one.high, full)
    return full, words or (
        "" if full == 1 else f"Values of {what} go from {one.low:g} to {one.high:g}: {full:,g} is white."
    )


def narrow(what: str, low: float, high: float, full: float) -> str:
    """A warning where all pixels lie within half of the range; '' where they do not."""
    if high - low >= full / 2:
        return ""
    dark = "nearly black" if high < full / 4 else "nearly white" if low > 3 * full / 4 else "with little contrast"
    return (
        f"All pixels of {what} lie between {low:,.4g} and {high:,.4g} of {full:,g}, {dark}: training will hardly see"
        " anything; stretch them to the full range and save them again."
    )
