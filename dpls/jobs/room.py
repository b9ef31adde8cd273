"""What a run needs on disks, and whether there is so much room, before it starts."""

from pathlib import Path

from dpls.data.source import Outline
from dpls.disk import free, same_disk, size_in_words
from dpls.errors import UserError
from dpls.nets.networks import Net
from dpls.recipe import RunConfig
from dpls.runs.files import data_root

SMALL_FILES = 512 * 1024
"""Bytes for what depends on neither images nor net: log, status, and the blocks that small files round up to."""
TABLE = 300
"""Bytes an image in the per-example table, beside what each evaluation adds."""
EVALUATED = 150
"""Bytes an image and evaluation: chunks, then a table, then a column of the per-example table."""
PER_EPOCH = 1024
"""Bytes of metrics and log."""
COLUMNS = 400
"""Bytes an image in the cache beside its pixels: labels, hash, path."""


def bytes_of_run(config: RunConfig, sizes: Outline) -> int:
    """At its largest: the record, full states of all borders and of an epoch more, weights, tables."""
    from dpls.difficulty.record import RECORDED  # it loads torch, which the estimate's form does only at the end

    images, checkpoints = sizes.images, len(config.checkpoints)
    evaluations = checkpoints * (1 + len(config.evaluations)) * (1 + len(config.evaluate_also))
    loaded = config.phases[0].until if config.loaded else 0
    kept = config.epochs // config.keep_every if config.keep_every else 0
    record = config.epochs * images * sum(dtype.itemsize for dtype in RECORDED.values())
    weights = _bytes_of_weights(config.net, sizes)
    states = checkpoints * weights * (len(config.borders) + 1)  # weights, momentum, and the mean where one is taken
    tables = images * (TABLE + 2 * sizes.classes + EVALUATED * evaluations)
    return record + states + (checkpoints + loaded + kept) * weights + tables + config.epochs * PER_EPOCH + SMALL_FILES


def bytes_of_images(config: RunConfig, sizes: Outline) -> int:
    """In the cache: what the source decodes to, and once more where images are planted or left out."""
    data, images = config.data, sizes.images
    copies = 2 if data.probes or data.limit or data.test_limit else 1
    return images * copies * (sizes.channels * sizes.size**2 + COLUMNS)


def check_room(runs: Path, of_runs: int, of_images: int = 0) -> None:
    """Refuses what would fill a disk. ``of_images``: bytes that go into the cache, often on the same disk."""
    images = data_root(runs)
    together = same_disk(runs, images)
    _check(runs, of_runs + of_images * together, "--runs DIR")
    _check(images, of_images, "DPLS_DATA")


def _check(folder: Path, needed: int, other: str) -> None:
    if needed > (left := free(folder)):
        raise UserError(
            f"the disk of {str(folder)!r} has no room: about {size_in_words(needed)} are needed and"
            f" {size_in_words(left)} are free; make room, or choose another folder with {other}"
        )


def _bytes_of_weights(net: Net, sizes: Outline) -> int:
    import torch

    with torch.device("meta"):
        layers = torch.nn.Sequential(*net.layers(sizes.channels, sizes.classes))
    return sum(tensor.numel() * tensor.element_size() for tensor in layers.state_dict().values())
