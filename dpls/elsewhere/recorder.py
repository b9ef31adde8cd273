"""``dpls.Recorder``: a few lines in anyone's training loop write a run directory that every page shows."""

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from dpls.data import Data, Dataset
from dpls.difficulty.record import Epoch
from dpls.elsewhere import recording
from dpls.elsewhere.handed import handed_over
from dpls.elsewhere.merging import merged, told_by_first
from dpls.errors import UserError
from dpls.methods import Elsewhere
from dpls.runs.directory import Run
from dpls.runs.files import data_root


class Recorder:
    """Records what every example does in every epoch of somebody's own training loop.

    An example's id is its place in what is handed over. ``batch`` keeps what a net says of some of them, ``epoch``
    commits all that was seen since the last: a kill takes the epoch under way, and no more. Give it a run directory in
    place of a folder of runs to go on after the last epoch that is committed there, or after that of your own
    checkpoint (``after``; later ones are dropped). Under ``torch.distributed`` make one in every process: each records
    what it is shown, and ``epoch`` puts it together. ``close``, or ``with``, completes the run.

    runs: a folder of runs, or a run directory. labels, images, split, classes, paths: arrays, tensors or lists, see
    ``dpls.elsewhere.handed.handed_over``; without images, pages show numbers and file names. label: the run's name.
    data: what people call the images. said: what the run is, in your words (net, objective, attack). seed: its seed.
    """

    def __init__(
        self,
        runs: str | Path = "runs",
        *,
        labels: Any = None,
        images: Any = None,
        split: Any = None,
        classes: Any = None,
        paths: Any = None,
        label: str = "",
        data: str = "",
        said: str = "",
        seed: int = 0,
        after: int | None = None,
    ) -> None:
        self._held = ExitStack()
        self._epoch: Epoch | None = None
        self._dataset: Dataset | None = None

        def open_run() -> tuple[Path, int, np.ndarray, int]:
            given = None if labels is None else handed_over(labels, images, split, classes, paths)
            if (Path(runs) / "config.json").exists():
                run, dataset = self._go_on(Run(Path(runs).resolve()), given, after)
            elif given is None:
                raise UserError(f"{str(runs)!r} is no run directory to go on with; hand over labels to begin a run")
            else:
                run, dataset = self._begin(Path(runs).resolve(), given, label, data, said, seed), given
            self._dataset = dataset
            return run.path, len(run.metrics()), np.array(dataset.labels), len(dataset.classes)

        self.path, self.epochs, known, self._classes = told_by_first(open_run)
        self._labels = {torch.device("cpu"): torch.from_numpy(known)}
        self._began = time.perf_counter()

    def batch(self, ids: Any, logits: Any, y: Any, attacked: bool = False) -> None:
        """What a net says of some examples: ids (B,), logits (B, K), labels (B,), those handed over.

        Of clean images in eval mode, before or after the step, or, ``attacked``, of attacked ones. Of an example that
        is shown again in an epoch the last showing counts. Nothing of the graph is kept.
        """
        logits = torch.as_tensor(logits).detach()
        ids, y = (torch.as_tensor(values, dtype=torch.int64, device=logits.device) for values in (ids, y))
        self._check(ids, logits, y)
        if self._epoch is None:
            self._epoch = Epoch(len(self._labels[torch.device("cpu")]), logits.device)
        home = self._epoch.rows["correct"].device
        self._epoch.put(ids.to(home), logits.to(home), y.to(home), "_adv" if attacked else "")

    def epoch(self, **metrics: Any) -> dict[str, Any]:
        """Commits what was recorded since the last epoch, with numbers of your own: ``loss``, ``lr``,
        ``validation_robust``, and any other. Accuracies are counted from the record. Returns the row."""
        epoch = merged(self._epoch, len(self._labels[torch.device("cpu")]))

        def commit() -> dict[str, Any]:
            if self._dataset is None:
                raise UserError(f"this recorder is closed; dpls.Recorder({str(self.path)!r}) goes on with its run")
            seconds = time.perf_counter() - self._began
            return recording.add_epoch(Run(self.path), self._dataset, epoch.numpy(), metrics, seconds)

        row = told_by_first(commit)
        self._epoch, self.epochs, self._began = None, row["epoch"], time.perf_counter()
        return row

    def close(self, state: str = "done") -> None:
        """Completes the run with its per-example table; what no ``epoch`` has committed is dropped. A new Recorder goes
        on with it."""
        if self._dataset:  # of several processes the first has it
            recording.complete(Run(self.path), self._dataset)
            recording.end(Run(self.path), state)
            self._dataset = None
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close("done" if kind is None else "cancelled")

    def _begin(self, runs: Path, dataset: Dataset, label: str, name: str, said: str, seed: int) -> Run:
        data, fingerprint = Data.given(data_root(runs), dataset, name)
        config = recording.configured(data, how=Elsewhere(said=said), seed=seed)
        run = recording.begin(runs, config, fingerprint, len(dataset.labels), label)
        self._held.enter_context(run.lock())
        return run

    def _go_on(self, run: Run, given: Dataset | None, after: int | None) -> tuple[Run, Dataset]:
        dataset = recording.dataset_of(run, given)
        self._held.enter_context(run.lock())
        try:
            recording.go_on(run, dataset, after)
        except BaseException:
            self._held.close()
            raise
        return run, dataset

    def _check(self, ids: Tensor, logits: Tensor, y: Tensor) -> None:
        """Refuses what is not said of the examples that were handed over: numbers under wrong ids are worthless."""
        if ids.ndim != 1 or y.shape != ids.shape or logits.ndim != 2 or len(logits) != len(ids):
            shapes = ", ".join(str(tuple(x.shape)) for x in (ids, logits, y))
            raise UserError(f"ids, logits and y have the shapes {shapes}; they must be (B,), (B, K) and (B,)")
        if logits.shape[1] < self._classes:
            raise UserError(f"logits have {logits.shape[1]} columns, and there are {self._classes} classes")
        known = self._labels.setdefault(ids.device, self._labels[torch.device("cpu")].to(ids.device))
        if len(ids) and (ids.min() < 0 or ids.max() >= len(known)):
            strange = ids[(ids < 0) | (ids >= len(known))][0]
            raise UserError(f"there is no example {int(strange)}; ids are places in labels, from 0 to {len(known) - 1}")
        if (wrong := known[ids] != y).any():
            place = int(wrong.nonzero()[0, 0])
            raise UserError(
                f"example {int(ids[place])} has the label {int(known[ids[place]])}, and this batch says"
                f" {int(y[place])}: its ids are not places in the labels that were handed over, or y is another label"
            )
