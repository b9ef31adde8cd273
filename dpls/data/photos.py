"""Colour patches cut from ten photographs that come with scikit-image and scikit-learn: real images, no download.

The class of a patch is the photograph it was cut from. Nothing of either library is imported: the files are found
beside their packages and decoded here.
"""

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from dpls.data.dataset import PARTS, TEST, TRAIN, VALIDATION, Dataset
from dpls.data.source import DataSource, Outline
from dpls.errors import UserError


class Photo(NamedTuple):
    """A photograph in an installed package, with whom to thank for it.

    frame: left, top, right, bottom of the pixels used.
    """

    name: str
    package: str
    file: str
    frame: tuple[int, int, int, int]
    author: str
    licence: str


PHOTOS = (
    Photo("astronaut", "skimage", "data/astronaut.png", (0, 0, 512, 512), "NASA", "public domain"),
    Photo("cat", "skimage", "data/chelsea.png", (0, 0, 451, 300), "Stefan van der Walt", "CC0"),
    Photo("coffee", "skimage", "data/coffee.png", (0, 0, 600, 400), "Rachel Michetti, Pikolo Espresso Bar", "CC0"),
    Photo("dahlia", "sklearn", "datasets/images/flower.jpg", (0, 0, 640, 427), "vultilion (Flickr)", "CC BY 2.0"),
    Photo(
        "galaxies",
        "skimage",
        "data/hubble_deep_field.jpg",
        (0, 0, 1000, 872),
        "NASA, Hubble",
        "public domain",
    ),
    Photo(
        "motorcycle",
        "skimage",
        "data/motorcycle_left.png",
        (0, 0, 741, 500),
        "Nesic, Westling, Wang, Kitajima, Krathwohl and Scharstein (Middlebury stereo benchmark, 2014)",
        "none stated",
    ),
    Photo("pagoda", "sklearn", "datasets/images/china.jpg", (0, 0, 640, 427), "danielbuechele (Flickr)", "CC BY 2.0"),
    # The square inside the round field of view: outside it the picture is plain black.
    Photo("retina", "skimage", "data/retina.jpg", (235, 225, 1175, 1165), "Mikael Häggström", "CC0"),
    Photo("rocket", "skimage", "data/rocket.jpg", (0, 0, 640, 427), "SpaceX", "public domain"),
    Photo(
        "tissue",
        "skimage",
        "data/ihc.png",
        (0, 0, 512, 512),
        "Center for Microscopy and Molecular Imaging",
        "no known restrictions",
    ),
)
ROWS = 6  # tiles from the top of a photograph to its bottom
SMALLEST = 0.6  # side of the smallest patch, in tiles
# Tile (row, column) belongs to PATTERN[(column + 3 row) mod 7]: any seven neighbours in a row or in a column hold four
# training tiles, one of validation and two of test, so the three parts see the same mixture of every photograph.
PATTERN = (TRAIN, TEST, TRAIN, VALIDATION, TRAIN, TEST, TRAIN)


@cache
def _pixels(photo: Photo) -> Image.Image:
    spec = find_spec(photo.package)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / photo.file
        if path.is_file():
            with Image.open(path) as file:
                return file.convert("RGB")
    package = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[photo.package]
    raise UserError(f"the photograph {photo.file} of {package} is missing; install it with: pip install {package}")


def tiles(photo: Photo, part: int) -> NDArray[np.int64]:
    """(n, 4), left, top, right, bottom in pixels of the photograph: the square tiles that belong to a part."""
    left, top, right, bottom = photo.frame
    side = (bottom - top) // ROWS
    return np.array(
        [
            (left + c * side, top + r * side, left + (c + 1) * side, top + (r + 1) * side)
            for r in range(ROWS)
            for c in range((right - left) // side)
            if PATTERN[(c + 3 * r) % len(PATTERN)] == part
        ]
    )


class Photos(DataSource):
    """Square patches of ten photographs, one class a photograph.

    Each photograph is cut into tiles, each tile belongs to train, validation or test, and every patch lies within one
    tile: no pixel is seen by two parts. A patch is 0.6 to 1 tile wide and is averaged down (or, in the smallest
    photographs, up) to ``size``. Patch i of a part depends on the seed, the part and i alone, so more examples
    extend fewer. No patch is mirrored.
    """

    is_embedded: ClassVar[bool] = True
    kind: Literal["photos"] = "photos"
    train: int = Field(2000, ge=10, le=200_000, description="Patches to train on.")
    validation: int = Field(500, ge=10, le=200_000, description="Patches to choose checkpoints with.")
    test: int = Field(1000, ge=10, le=200_000, description="Patches that judge the result.")
    size: int = Field(32, ge=8, le=96, description="Height and width of a patch, in pixels.")
    seed: int = Field(0, ge=0, description="Where the patches are cut.")

    def outline(self) -> Outline:
        return Outline((self.train, self.validation, self.test), 3, self.size, len(PHOTOS))

    def patches(self, part: int) -> NDArray[np.int64]:
        """(n, 5), the photograph (its index, the label) and left, top, right, bottom of each patch of a part."""
        count = (self.train, self.validation, self.test)[part]
        places = [tiles(photo, part) for photo in PHOTOS]
        return np.array([self._place(part, index, places) for index in range(count)])

    def _place(self, part: int, index: int, places: list[NDArray[np.int64]]) -> tuple[int, ...]:
        label = index % len(PHOTOS)
        generator = np.random.default_rng([self.seed, part, index])
        left, top, right, _ = generator.choice(places[label])
        tile = right - left
        side = generator.integers(round(SMALLEST * tile), tile, endpoint=True)
        x = left + generator.integers(0, tile - side, endpoint=True)
        y = top + generator.integers(0, tile - side, endpoint=True)
        return label, x, y, x + side, y + side

    def _cut(self, patch: NDArray[np.int64]) -> NDArray[np.uint8]:
        label, *box = patch.tolist()
        # Cropped first: a resize with a box would read a little beyond it, into pixels of another part.
        crop = _pixels(PHOTOS[label]).crop(tuple(box))
        return np.asarray(crop.resize((self.size, self.size), Image.Resampling.HAMMING))

    def __call__(self) -> Dataset:
        """All patches, train before validation before test."""
        patches = [self.patches(part) for part in range(len(PARTS))]
        images = np.stack([self._cut(patch) for patch in np.concatenate(patches)])
        return Dataset.of(
            np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
            np.concatenate(patches)[:, 0],
            np.repeat(np.arange(len(PARTS), dtype=np.uint8), [len(p) for p in patches]),
            tuple(photo.name for photo in PHOTOS),
        )

    def stamp(self) -> str:
        """What the patches depend on beside the settings: the packages that hold the photographs and decode them."""
        return " ".join(f"{name} {version(name)}" for name in ("scikit-image", "scikit-learn", "pillow"))
