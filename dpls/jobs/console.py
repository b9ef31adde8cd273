"""How far a run is: a bar and lines for a terminal and the log, entries of status.json for the pages."""

import logging
import time
from typing import Any

from tqdm import tqdm

from dpls.runs.directory import Run

log = logging.getLogger("dpls")


class Console:
    """Progress: a bar with the time left and a line an epoch on a terminal and in the log; status.json for pages."""

    def __init__(self, run: Run, epochs: int, images: int) -> None:
        self._run = run
        self._epochs = epochs
        self._began = self._told = time.monotonic()
        self._bar = tqdm(
            total=epochs * images, unit=" images", unit_scale=True, disable=None, leave=False, dynamic_ncols=True
        )
        self._done = 0
        self._resumed_at: int | None = None
        log.info("run %s: %d epochs of %d images", run.id, epochs, images)

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

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

        left = round((self._epochs - row["epoch"]) * row["seconds"])
        self._bar.clear()
        log.info(
            f"epoch {row['epoch']:>{len(str(self._epochs))}}/{self._epochs}  lr {row['lr']:.4f}  loss {row['loss']:.3f}"
            f"  train {percent('train_clean')} robust {percent('train_robust')}"
            f"  validation {percent('validation_clean')} robust {percent('validation_robust')}"
            f"  {row['images_per_second']:.0f} images/s  {left // 60}:{left % 60:02d} left"
        )
        self._bar.refresh()
