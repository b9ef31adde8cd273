"""How far a run is: a bar and lines for a terminal and the log, entries of status.json for the pages."""

import logging
import time
from typing import Any

from tqdm import tqdm

from dpls.data import TEST, TRAIN, VALIDATION, Dataset
from dpls.data.unlabelled import images_an_epoch
from dpls.difficulty.verdict import chance_of
from dpls.jobs.estimate import passes_a_step
from dpls.recipe import RunConfig
from dpls.runs.directory import Run
from dpls.runs.report import concerns

log = logging.getLogger("dpls")


class Console:
    """Progress: a bar with the time left and a line an epoch on a terminal and in the log; status.json for pages."""

    def __init__(self, run: Run, config: RunConfig, dataset: Dataset) -> None:
        labels = dataset.labels[dataset.ids(TRAIN)]
        epochs, images = config.epochs, images_an_epoch(dataset, config.data.pseudo)
        self._run = run
        self._config = config
        self._chance = chance_of(labels)
        self._validation = len(dataset.ids(VALIDATION))
        self._told_of: set[str] = set()
        self._began = self._told = time.monotonic()
        self._bar = tqdm(
            total=epochs * images, unit=" images", unit_scale=True, disable=None, leave=False, dynamic_ncols=True
        )
        self._done = 0
        self._resumed_at: int | None = None
        others = f"{self._validation} choose the checkpoint, {len(dataset.ids(TEST))} test it"
        log.info("run %s: %d epochs of %d images; %s", run.id, epochs, images, others)

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _epochs_left(self, done: int) -> float:
        """Epochs to go, in epochs like the last: a clean one costs less than an attacked one."""
        config = self._config
        costs = [
            1 + passes_a_step(config, phase, epoch)
            for start, phase in config.phases_after(0)
            for epoch in range(start + 1, phase.until + 1)
        ]
        return sum(costs[done:]) / costs[done - 1]

    def images(self, count: int) -> None:
        self._done += count
        if self._resumed_at is None:  # the first call tells what was done before
            self._resumed_at = count
            self._bar.initial = self._bar.n = count
            self._run.write_status(stage="training", images=count, images_total=self._bar.total)
        else:
            self._bar.update(count)
        if time.monotonic() - self._told > 1:
            self._told = time.monotonic()
            rate = (self._done - self._resumed_at) / (self._told - self._began)
            self._run.write_status(images=self._done, images_per_second=round(rate, 1))

    def epoch(self, row: dict[str, Any]) -> None:
        def percent(name: str) -> str:
            return "    -" if row[name] is None else f"{row[name]:5.1%}"

        epochs = self._config.epochs
        left = round(row["seconds"] * self._epochs_left(row["epoch"]))
        learnt = f"lr {row['lr']:.4f}  loss {row['loss']:.3f}" if row["lr"] is not None else "trained elsewhere"
        self._bar.clear()
        log.info(
            f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  {learnt}"
            f"  train {percent('train_clean')} robust {percent('train_robust')}"
            f"  validation {percent('validation_clean')} robust {percent('validation_robust')}"
            f"  {row['images_per_second']:.0f} images/s  {left // 60}:{left % 60:02d} left"
        )
        for sentence in concerns(self._run.metrics(), self._config, self._chance, self._validation):
            kind = sentence.split(":")[0].split(" after ")[0]  # the numbers in it change with every epoch
            if kind not in self._told_of:
                log.warning("note: " + sentence)
            self._told_of.add(kind)
        self._bar.refresh()
