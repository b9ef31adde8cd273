"""Images without labels: those whose label is hidden, and pseudo-labels, the classes that another run says they show.

Robust self-training: Y. Carmon et al., 2019, "Unlabeled Data Improves Adversarial Robustness",
https://arxiv.org/abs/1905.13736. It is TRADES on labelled and pseudo-labelled images.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dpls.component import Component, Fractional
from dpls.data.dataset import NO_LABEL, TRAIN, UNLABELLED, Dataset
from dpls.data.found import counted, first
from dpls.disk import placed, save_array
from dpls.errors import UserError

PSEUDO = "pseudo-label"
"""The cause of an example whose label another run said."""
ANSWERS = "answers-"


class Pseudo(Component):
    """The unlabelled images are trained on, each with the class that another run says."""

    run: str = Field(
        description="id of a finished run on the same images, without pseudo; its best checkpoint says the classes"
    )
    share: Fractional = Field(
        0.5,
        gt=0,
        lt=1,
        description="share of the images an epoch shows that is pseudo-labelled; the labelled are all shown",
    )

    def shown(self, labelled: int) -> int:
        """How many pseudo-labelled images an epoch shows beside so many labelled ones."""
        return round(labelled * self.share / (1 - self.share))


def has_own_label(dataset: Dataset) -> NDArray[np.bool_]:
    """(n,), by row of the training images: whose label is no pseudo-label."""
    return np.asarray(dataset.cause[dataset.ids(TRAIN)] != PSEUDO)


def images_an_epoch(dataset: Dataset, pseudo: Pseudo | None) -> int:
    """How many images an epoch shows, where all training images take part."""
    labelled = int(has_own_label(dataset).sum())
    return labelled + (pseudo.shown(labelled) if pseudo else 0)


def hide(dataset: Dataset, ids: NDArray[np.int64]) -> Dataset:
    """The data set without the labels of these training images, which become unlabelled; true_labels keeps them."""
    labels, part = np.array(dataset.labels), np.array(dataset.part)
    labels[ids], part[ids] = NO_LABEL, UNLABELLED
    left = np.bincount(labels[part == TRAIN], minlength=len(dataset.classes))
    if not left.all():
        lost = first([repr(dataset.classes[label]) for label in np.flatnonzero(left == 0)])
        raise UserError(f"data.hidden leaves no label of class {lost}; lower it, or add training images")
    return replace(dataset, labels=labels, part=part)


def keep_answers(folder: Path, run: str, classes: NDArray[np.integer[Any]]) -> None:
    """Beside the images of a data set: what a run says its unlabelled images show, (n,), in order of ids."""
    with placed(folder / f"{ANSWERS}{run}.npy") as aside:
        save_array(aside, classes.astype(np.int64))


def read_answers(folder: Path, run: str, dataset: Dataset) -> NDArray[np.int64]:
    """(n,), what a run said of the unlabelled images of the data set that lies in ``folder``."""
    count = len(dataset.ids(UNLABELLED))
    if not count:
        raise UserError("data.pseudo: all images have labels; set data.hidden, or data.source.unlabelled if it has one")
    known = {file.stem.removeprefix(ANSWERS): file for file in sorted(folder.glob(f"{ANSWERS}*.npy"))}
    if run not in known:
        choices = f"choose from {first([*known], 8)}" if known else "first train one with the same data but pseudo"
        raise UserError(f"data.pseudo.run: {run[:60]!r} is no finished run on these images; {choices}")
    try:
        found: NDArray[np.int64] = np.load(known[run], allow_pickle=False)
        if found.shape != (count,) or found.dtype != np.int64 or found.min() < 0 or found.max() >= len(dataset.classes):
            raise ValueError("it does not fit these images")
    except (OSError, ValueError, EOFError) as error:
        why = str(error).split(". ")[0]
        raise UserError(
            f"{known[run]} is damaged ({why}); delete it, then `python -m dpls work` on run {run} makes it again"
        ) from error
    return found


def pseudo_labelled(dataset: Dataset, classes: NDArray[np.int64], run: str) -> Dataset:
    """The data set with its unlabelled images, in order of ids, as training images of these classes."""
    ids = dataset.ids(UNLABELLED)
    labels, part, cause = np.array(dataset.labels), np.array(dataset.part), np.array(dataset.cause)
    labels[ids], part[ids], cause[ids] = classes, TRAIN, PSEUDO
    said = f"{counted(len(ids), 'image')} without a label were given the class that run {run} says"
    known = dataset.true_labels[ids] != NO_LABEL
    if known.any():
        right = (classes == dataset.true_labels[ids])[known].mean()
        said += f"; of those whose label was hidden, {right:.1%} are right"
    return replace(dataset, labels=labels, part=part, cause=cause).saying(f"{said}.")
