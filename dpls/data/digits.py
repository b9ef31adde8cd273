"""The 1,797 handwritten digits that come with scikit-learn: 8×8, grey, seconds to train on."""

from importlib.metadata import version
from typing import ClassVar, Literal

import numpy as np

from dpls.data.dataset import TRAIN, Dataset
from dpls.data.source import DataSource


class Digits(DataSource):
    """Handwritten digits 0 to 9, 8×8 and grey; the 17 levels of ink become 0..255.

    All are training images; validation and test are taken from them. Source: E. Alpaydin and C. Kaynak, 1998,
    "Optical Recognition of Handwritten Digits", https://doi.org/10.24432/C50P49 (its test set).
    """

    is_embedded: ClassVar[bool] = True
    kind: Literal["digits"] = "digits"

    def __call__(self) -> Dataset:
        """Every digit, as a training image."""
        from sklearn.datasets import load_digits

        ink, labels = load_digits(return_X_y=True)
        images = np.rint(ink * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        part = np.full(len(images), TRAIN, dtype=np.uint8)
        return Dataset.of(images, labels.astype(np.int64), part, tuple("0123456789"))

    def stamp(self) -> str:
        """What the digits depend on: the package that holds them."""
        return f"scikit-learn {version('scikit-learn')}"
