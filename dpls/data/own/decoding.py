"""One encoded image to one small image: turned, cropped, resized; and what its pixels held before."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dpls.data.own.levels import FULL, Kind, Levels
from dpls.data.sizes import check_image

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
MOVING = ("GIF", "TIFF", "WEBP")  # not MPO: cameras add a small preview to a JPEG
PNG_START, BITS_PER_SAMPLE, MAX_SAMPLE = b"\x89PNG\r\n\x1a\n", 258, 281  # the last two: TIFF tags


Encoded = str | Path | bytes
"""The path of an image file, or what is in one."""


class Broken(Exception):
    """A file that is no image, or a damaged one; why."""


class Decoded(NamedTuple):
    """image: L or RGB, size × size. levels: of the file, before anything was scaled. several: it holds more frames."""

    image: Image.Image
    levels: Levels
    several: bool


def decode(encoded: Encoded, size: int, white: Mapping[Kind, float] = FULL) -> Decoded:
    """The first image of a file: turned as its EXIF says, its centred square resized, antialiased; 8 bits.

    white: the value that becomes 255. Transparency is laid over white. Raises Broken.
    """
    try:
        with Image.open(BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as file:
            # JPEG can decode at 1/2, 1/4 or 1/8; twice the wanted size is left for the resize to average.
            file.draft(None, (2 * size, 2 * size))
            check_image(*file.size)
            several = file.format in MOVING and getattr(file, "n_frames", 1) > 1
            says = _said_white(file, encoded)
            image, levels = _to_eight_bits(ImageOps.exif_transpose(file), says, white)
    except UnidentifiedImageError as error:
        raise Broken("no image inside") from error
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        raise Broken(str(error) or type(error).__name__) from error
    return Decoded(square(image, size), levels, several)


def square(image: Image.Image, size: int) -> Image.Image:
    """The centred square of an image, resized to size × size with antialiasing; itself where it is that already."""
    if image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def to_bytes(values: NDArray[Any], white: float) -> NDArray[np.uint8]:
    """uint8, 0 stays 0 and white becomes 255; what lies outside is cut off."""
    pixels: NDArray[np.uint8] = np.rint(values * (255 / white)).clip(0, 255).astype(np.uint8)
    return pixels


def _to_eight_bits(image: Image.Image, says: float | None, white: Mapping[Kind, float]) -> tuple[Image.Image, Levels]:
    """Mode L where the file is grey, else RGB; and its levels. says: the white that the file names."""
    if image.mode.startswith(("I", "F")):
        kind: Kind = "floats" if image.mode == "F" else "words"
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        levels = Levels(kind, float(values.min()), float(values.max()), says or FULL[kind])
        return Image.fromarray(to_bytes(values, white[kind])), levels
    grey = image.mode in GREY_MODES
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        shape = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shape.size, "white"), shape)
    image = image.convert("L" if grey else "RGB")
    ends = image.getextrema()
    pairs: Any = [ends] if grey else ends
    levels = Levels("bytes", min(low for low, _ in pairs), max(high for _, high in pairs), says or 255.0)
    if white["bytes"] != 255:
        image = image.point([min(255, round(level * 255 / white["bytes"])) for level in range(256)] * len(pairs))
    return image, levels


def _said_white(file: Image.Image, encoded: Encoded) -> float | None:
    """The highest value that a file of 16 bits says it can hold, in the values it is decoded to; None: it says nothing.

    PNG says how many bits are significant (sBIT), TIFF how many there are or which value is the highest.
    """
    deep = file.mode.startswith("I")
    if file.format == "TIFF" and deep:
        tags: Any = getattr(file, "tag_v2", {})
        bits = max(np.atleast_1d(tags.get(BITS_PER_SAMPLE, 16)).tolist())
        highest = max(np.atleast_1d(tags.get(MAX_SAMPLE, 0)).tolist())
        return float(highest) or (2.0**bits - 1 if bits < 16 else None)
    if file.format == "PNG" and (deep or any("16B" in str(tile) for tile in getattr(file, "tile", []))):
        bits = _significant_bits(_start(encoded))
        # Pillow keeps the upper byte of a colour image of 16 bits.
        return None if not 1 < bits < 16 else 2.0**bits - 1 if deep else float(max(1, (2**bits - 1) >> 8))
    return None


def _start(encoded: Encoded) -> bytes:
    if isinstance(encoded, bytes):
        return encoded[:4096]
    with Path(encoded).open("rb") as file:
        return file.read(4096)


def _significant_bits(start: bytes) -> int:
    """The highest number in the sBIT chunk at the start of a PNG file; 0 where it has none."""
    place = len(PNG_START)
    while place + 8 <= len(start):
        length, name = int.from_bytes(start[place : place + 4]), start[place + 4 : place + 8]
        if name == b"sBIT":
            return max(start[place + 8 : place + 8 + length], default=0)
        if name in (b"PLTE", b"IDAT"):
            break
        place += 12 + length
    return 0
