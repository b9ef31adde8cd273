"""How long a run will take: its arithmetic, counted, over the speed an earlier run had.

The arithmetic is counted in forward passes of one image and turned into operations by torch's own counter, on shapes
alone. A backward pass to the input costs about as much as the forward pass, one to input and weights about twice that.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dpls.attacks import Attack
from dpls.data import TEST, TRAIN, UNLABELLED, VALIDATION, Dataset
from dpls.data.cache import open_dataset
from dpls.data.source import Outline
from dpls.data.unlabelled import has_own_label
from dpls.device import resolve_device
from dpls.errors import UserError
from dpls.jobs.room import bytes_of_run
from dpls.nets.networks import Net
from dpls.recipe import Phase, RunConfig
from dpls.runs.directory import Run

ATTACKED_SHARE, ATTACKED_SHARE_STANDARD = 0.6, 0.25
"""Share of an attack's steps that an evaluation makes, for broken images leave. It depends on how robust the net is:
seen on adversarially trained ones from 0.2 (on the hardest fifth alone) to 0.85, on others from 0.13 to 0.5."""


class Duration(NamedTuple):
    """Seconds of training and evaluation, what they were reckoned from, in words, and bytes on the disk."""

    seconds: float
    basis: str
    size: int


def outline_of(dataset: Dataset) -> Outline:
    """Of a data set that is there."""
    train, validation, test, unlabelled = (len(dataset.ids(part)) for part in (TRAIN, VALIDATION, TEST, UNLABELLED))
    _, channels, size, _ = dataset.images.shape
    pseudo = int((~has_own_label(dataset)).sum())
    return Outline((train, validation, test), channels, size, len(dataset.classes), unlabelled, pseudo)


def sizes_of(config: RunConfig, root: Path) -> Outline | None:
    """Of a data set that has been read before, or of patches yet to be cut; None where nobody knows yet."""
    dataset, outline = config.data.known(root), config.data.source.outline()
    if dataset is not None:
        return outline_of(dataset)
    if outline is None or config.data.limit is None:
        return outline
    _, validation, test = outline.counts
    return outline._replace(counts=(config.data.limit, validation, test))


def forward_operations(net: Net, sizes: Outline) -> int:
    """Floating-point operations of one image's forward pass."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        layers = nn.Sequential(*net.layers(sizes.channels, sizes.classes)).eval().to("meta")
    image = torch.empty(1, sizes.channels, sizes.size, sizes.size, device="meta")
    try:
        with FlopCounterMode(display=False) as counter:
            layers(image)
    except Exception:
        if net.is_chosen:
            raise
        return 2 * sum(p.numel() for p in layers.parameters())  # somebody's own, which needs to see numbers
    return int(counter.get_total_flops())


def passes_a_step(config: RunConfig, phase: Phase, epoch: int) -> float:
    """Forward passes' worth of one training image: the attack, then the step itself."""
    objective = config.objective_in(phase, epoch)
    observed = 1 if config.observing == "presentation" else 0
    return objective.passes + observed


def _attacked(attack: Attack, config: RunConfig) -> float:
    """Forward passes' worth of one image in an evaluation."""
    share = ATTACKED_SHARE if config.objective.attacks else ATTACKED_SHARE_STANDARD
    return 2 + attack.passes * share


def epoch_passes(config: RunConfig, phase: Phase, counts: tuple[int, int, int], epoch: int, pseudo: int = 0) -> float:
    """Forward passes' worth of an epoch: training, the sweep over all images, the attack on validation images.

    ``pseudo``: how many of the training images have a pseudo-label; an epoch shows as many as their share asks for.
    """
    kept = (counts[TRAIN] - pseudo) * (1 if phase.subset is None or phase.subset.refill else phase.subset.left)
    kept += config.data.pseudo.shown(round(kept)) if config.data.pseudo and pseudo else 0
    swept = sum(counts) - (min(kept, counts[TRAIN]) if config.observing == "presentation" else 0)
    validated = counts[VALIDATION] * _attacked(config.selection.attack, config) / config.selection.every
    return kept * passes_a_step(config, phase, epoch) + swept + validated


def training_passes(config: RunConfig, counts: tuple[int, int, int], epochs: int, pseudo: int = 0) -> float:
    """Forward passes' worth of the first ``epochs`` epochs."""
    return sum(
        epoch_passes(config, phase, counts, epoch, pseudo)
        for start, phase in config.phases_after(0)
        for epoch in range(start + 1, min(phase.until, epochs) + 1)
    )


def total_passes(config: RunConfig, counts: tuple[int, int, int], pseudo: int = 0) -> float:
    """Forward passes' worth of a whole run, evaluations of its checkpoints included."""
    training = training_passes(config, counts, config.epochs, pseudo)
    checkpoints = len(config.checkpoints)
    also = {"train": max(1, checkpoints - 1) * counts[TRAIN], "validation": checkpoints * counts[VALIDATION]}
    evaluated = counts[TRAIN] * max(0.0, checkpoints - 2)  # of a mean of weights batch norm is estimated anew
    for images, tested in (
        (checkpoints * counts[TEST], True),
        (sum(also[part] for part in config.evaluate_also), False),
    ):
        evaluated += images * (1 + sum(_attacked(attack, config) for attack in config.evaluations_of(tested)))
    return training + evaluated


def speed(config: RunConfig, sizes: Outline, seconds: float, epochs: int) -> float:
    """Operations a second of a run whose first ``epochs`` epochs took so long, by the same count."""
    passes = training_passes(config, sizes.counts, epochs, sizes.pseudo)
    return passes * forward_operations(config.net, sizes) / max(seconds, 1e-3)


def estimate(config: RunConfig, runs: Iterable[Run], root: Path) -> Duration | None:
    """From the speed of the most similar run, the newest among equals; None where there is nothing to go by."""
    sizes = sizes_of(config, root)
    found = [(*likeness, run) for run in runs if (likeness := _likeness(run, config))]
    if sizes is None or not found:
        return None
    alike, _, own, _, operations, run = max(found, key=lambda entry: entry[:4])
    seconds = total_passes(config, sizes.counts, sizes.pseudo) * forward_operations(config.net, sizes) / operations
    where = "here" if own else "perhaps on another machine"
    net = ("another network, so very roughly", "a network of the kind, so roughly", "the same network and images")[
        alike
    ]
    return Duration(
        seconds, f"from the speed of {run.label() or run.id}, {where}, with {net}", bytes_of_run(config, sizes)
    )


def evaluation_seconds(run: Run, attack: Attack, images: int, root: Path) -> float | None:
    """How long an attack on so many of a run's images will take, by the speed the run was trained at; None where that
    is not known. A UserError where its images are not there."""
    config, sizes = run.recipe(), outline_of(open_dataset(root, run.config()["fingerprint"]))
    operations = float(run.manifest().get("operations_per_second") or 0)
    if not operations:
        return None
    return images * _attacked(attack, config) * forward_operations(config.net, sizes) / operations


def _likeness(run: Run, config: RunConfig) -> tuple[int, bool, bool, str, float] | None:
    """(how like the nets are, same objective, ran here, id, speed); None where it tells nothing."""
    try:
        manifest, other = run.manifest(), run.recipe()
    except (UserError, KeyError):
        return None
    on_gpu = resolve_device(config.device).type == "cuda"
    if not manifest.get("operations_per_second") or str(manifest.get("device")).startswith("cuda") != on_gpu:
        return None
    same = other.net == config.net and other.data.source.kind == config.data.source.kind
    alike = 2 if same else 1 if other.net.kind == config.net.kind else 0
    objective = other.objective.kind == config.objective.kind
    return alike, objective, not run.is_recorded, run.id, manifest["operations_per_second"]


def in_words(seconds: float) -> str:
    """e.g. ``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
