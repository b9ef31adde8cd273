"""Which images a run uses: a source, the split, how many of them, and probes. No torch here.

A new source is a file here with a ``DataSource``, and a name in ``Source``.

dataset    the data set in memory, as every source returns it
photos, digits, benchmarks/, own/   the sources; benchmarks/: as published; own/: folders and files of one's own
found      what lies where a source looks, in sentences
probes     planted causes of difficulty
unlabelled hidden labels, and those that another run says
doubles    images that are there twice
cache      decoded data sets on disk, found by their content
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.component import Component, Fractional, canonical, validated
from dpls.data import cache
from dpls.data.benchmarks.cifar import Cifar10, Cifar100
from dpls.data.benchmarks.fashion import FashionMnist
from dpls.data.benchmarks.stl10 import Stl10
from dpls.data.benchmarks.svhn import Svhn
from dpls.data.dataset import PARTS, SPLITS, TEST, TRAIN, UNLABELLED, VALIDATION, Dataset
from dpls.data.digits import Digits
from dpls.data.doubles import doubles
from dpls.data.found import first, needed, too_few
from dpls.data.own.folder import Folder
from dpls.data.own.given import Given
from dpls.data.own.npz import Npz
from dpls.data.own.parquet import Parquet
from dpls.data.photos import Photos
from dpls.data.probes import Probe, plant
from dpls.data.source import DataSource
from dpls.data.unlabelled import Pseudo, hide, pseudo_labelled, read_answers
from dpls.errors import UserError

__all__ = [
    "PARTS",
    "SPLITS",
    "TEST",
    "TRAIN",
    "UNLABELLED",
    "VALIDATION",
    "Cifar10",
    "Cifar100",
    "Data",
    "Dataset",
    "Digits",
    "FashionMnist",
    "Folder",
    "Given",
    "Npz",
    "Parquet",
    "Photos",
    "Source",
    "Stl10",
    "Svhn",
]

Source = Annotated[
    Photos | Digits | Folder | Parquet | Npz | Cifar10 | Cifar100 | Svhn | Stl10 | FashionMnist | Given,
    Field(discriminator="kind"),
]


def apportion(sizes: Sequence[int], total: int) -> NDArray[np.int64]:
    """How many of each class to take: in proportion to its size, at least 1, ``total`` in all (largest remainders)."""
    exact = np.array(sizes) * total / max(1, sum(sizes))
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    while (counts == 0).any() and counts.max() > 1:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts


def sample(dataset: Dataset, part: int, total: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """(total,), ascending: ids of one part, stratified by class, drawn uniformly within each class."""
    generator = np.random.default_rng([seed, *purpose.encode()])
    ids = generator.permutation(dataset.ids(part))
    groups = [ids[dataset.labels[ids] == label] for label in range(len(dataset.classes))]
    counts = apportion([len(group) for group in groups], total)
    return np.sort(np.concatenate([group[:count] for group, count in zip(groups, counts, strict=True)]))


def _check_every_class(dataset: Dataset) -> None:
    for part, name in enumerate(PARTS):
        present = np.bincount(dataset.labels[dataset.part == part], minlength=len(dataset.classes))
        if not present.all():
            absent = [repr(dataset.classes[label]) for label in np.flatnonzero(present == 0)]
            raise UserError(
                f"no image of class {first(absent)} is left for {name}; "
                "every class needs one in each part: add images, or change data.validation, data.test or the limits"
            )


def _check_classes_suffice(source: Dataset) -> None:
    """Before anything is taken: whether each class has a training image for each part that will be taken from them."""
    counts = np.bincount(source.labels[source.part == TRAIN], minlength=len(source.classes)).tolist()
    if few := too_few(dict(zip(source.classes, counts, strict=True)), needed(np.unique(source.part).tolist())):
        raise UserError(few)


class Data(Component):
    """The images of a run, split into training, validation and test.

    Order: the test share is taken where the source has no test images, then the validation share where it has none,
    then the limits, then labels are hidden, then the probes are planted. So validation and test are the same images
    with and without these. An example's id is its row in the final data set.
    """

    source: Source = Field(Photos(), description="Where the images come from.")
    probes: tuple[Probe, ...] = Field((), description="Planted causes of difficulty, in the training images only.")
    seed: int = Field(0, ge=0, description="Which images the split, the limits and the probes take.")
    validation: Fractional = Field(
        0.1, gt=0, le=0.5, description="Share of the training images kept for validation, if the source has none."
    )
    test: Fractional = Field(
        0.2, gt=0, le=0.5, description="Share of the training images kept for the test, if the source has none."
    )
    limit: int | None = Field(
        None, ge=2, description="Train on this many images only, drawn from each class in proportion."
    )
    test_limit: int | None = Field(None, ge=2, description="Test on this many images only, drawn likewise.")
    hidden: Fractional = Field(
        0, ge=0, lt=1, description="Share of the training images, the same of each class, whose label is hidden."
    )
    pseudo: Pseudo | None = Field(
        None, description="Train on the images without labels, too, by what another run says; none: leave them alone."
    )

    @staticmethod
    def given(root: Path, dataset: Dataset, name: str = "") -> tuple["Data", str]:
        """Settings and fingerprint of images that are handed over as they are, and kept in ``root``. Only such a data
        set may lack pixels, or a part, or a class in one."""
        fingerprint = cache.fingerprint_of(dataset)
        data = Data(source=Given(name=name, content=fingerprint))
        cache.store(root, dataset, {"data": data.model_dump(mode="json")})
        return data, fingerprint

    def __call__(self, root: Path) -> tuple[Dataset, str]:
        """The data set, as read-only memory maps, and its fingerprint; kept in ``root`` and built only once."""
        settings = validated(self.source)  # a fresh one, whose look at its files is of now
        stamp = settings.stamp()
        key = self._key(stamp)
        if known := cache.recall(root, key):
            return known
        made = self._with_pseudo(root, self.pseudo) if self.pseudo else self._from_source(root, settings, stamp)
        final, images = made
        fingerprint = cache.store(root, final, {"data": self.model_dump(mode="json")}, images)
        cache.remember(root, key, fingerprint)
        return cache.open_dataset(root, fingerprint), fingerprint

    def known(self, root: Path) -> Dataset | None:
        """The data set, if it has been built before."""
        found = self._recalled(root)
        return found[0] if found else None

    def fingerprint(self, root: Path) -> str | None:
        """That of the data set as its files are now, if it has been built from them before."""
        found = self._recalled(root)
        return found[1] if found else None

    def _recalled(self, root: Path) -> tuple[Dataset, str] | None:
        return cache.recall(root, self._key(validated(self.source).stamp()))

    def _key(self, stamp: str) -> str:
        return cache.key_of(canonical(validated(self)), stamp)

    def _from_source(self, root: Path, settings: DataSource, stamp: str) -> tuple[Dataset, Path | None]:
        """The final data set, and the file that holds just its images, where there is one already."""
        source, images = cache.open_source(root, cache.key_of(canonical(settings), stamp), settings)
        final = self._compose(source)
        final = final.saying(*doubles(final, cache.image_hashes(final.images)))
        return final, images if final.images is source.images else None

    def _with_pseudo(self, root: Path, pseudo: Pseudo) -> tuple[Dataset, Path | None]:
        """Likewise, of the same images with what a run has said of them."""
        plain, fingerprint = self.model_copy(update={"pseudo": None})(root)
        folder = cache.folder_of(root, fingerprint)
        classes = read_answers(folder, pseudo.run, plain)
        return pseudo_labelled(plain, classes, pseudo.run), folder / cache.IMAGES

    def _compose(self, source: Dataset) -> Dataset:
        """The final data set; its images are the source's own array where none was changed or left out."""
        _check_classes_suffice(source)
        dataset = self._take(source, TEST, self.test)
        dataset = self._take(dataset, VALIDATION, self.validation)
        dataset = self._keep(dataset, TRAIN, self.limit)
        dataset = self._keep(dataset, TEST, self.test_limit)
        if self.hidden:
            count = round(self.hidden * len(dataset.ids(TRAIN)))
            dataset = hide(dataset, sample(dataset, TRAIN, count, self.seed, "hidden"))
        _check_every_class(dataset)
        return plant(dataset, self.probes, self.seed)

    def _take(self, dataset: Dataset, part: int, share: float) -> Dataset:
        """Move a share of the training images, at least one of each class, to a part that has none."""
        if len(dataset.ids(part)):
            return dataset
        count = max(round(share * len(dataset.ids(TRAIN))), len(dataset.classes))
        taken = sample(dataset, TRAIN, count, self.seed, PARTS[part])
        assigned = np.array(dataset.part)
        assigned[taken] = part
        return replace(dataset, part=assigned)

    def _keep(self, dataset: Dataset, part: int, limit: int | None) -> Dataset:
        """Leave out all but ``limit`` examples of a part; the others keep their order."""
        if limit is None or limit >= len(dataset.ids(part)):
            return dataset
        kept = dataset.part != part
        kept[sample(dataset, part, limit, self.seed, f"limit {PARTS[part]}")] = True
        return dataset.take(kept)
