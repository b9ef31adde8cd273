"""Outcomes for tests, made from a planted truth, example by example, as the runs of an experiment would have left them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dpls.experiments.base import Experiment
from dpls.experiments.kinds import read_experiment
from dpls.experiments.outcomes import COLUMNS, Outcomes
from dpls.experiments.result import Result
from dpls.methods.subset import Subset

BORDER, EPOCHS = 5, 20


class Truth(NamedTuple):
    """An arm as it is made: which share took part less, how often it is right, and what it says."""

    which: str | None = None
    share: float = 0.0
    action: str = "drop"
    from_scratch: bool = False
    gain: float = 0.0
    """Test accuracy above that of an arm without."""
    unseen: float = 0.5
    """How often a training example is right at the end that took no part."""
    says: int | None = None
    """The only class it says."""


class World:
    """Examples, and outcomes of arms on them: an image is as hard for every arm of a seed, but for some luck."""

    def __init__(
        self,
        train: int = 300,
        test: int = 400,
        classes: int = 10,
        planted: int = 0,
        seeds: int = 3,
        validation: int = 0,
    ) -> None:
        self.train, self.test, self.classes, self.seeds = train, test, classes, list(range(7, 7 + seeds))
        rng, n = np.random.default_rng(0), train + test + validation
        self.ids = np.arange(n)
        self.split = np.repeat(["train", "test", "validation"], [train, test, validation])
        self.label = rng.integers(0, classes, n)
        self.cause = np.where(self.ids < planted, "label noise", "")
        self.hardness = np.where(self.ids < planted, 0.9, rng.random(n) * 0.9)
        self.threshold = {s: np.where(rng.random(n) < 0.8, rng.random(n), rng.random(n)) for s in self.seeds}

    def difficulty(self, seed: int) -> np.ndarray:
        """As a run would count it over 20 epochs: with ties."""
        noise = np.random.default_rng([seed, 1]).normal(0, 0.1, len(self.ids))
        return np.round(np.clip(self.hardness + noise, 0, 1) * 20) / 20

    def scores(self) -> pd.DataFrame:
        tables = [
            pd.DataFrame(
                {"id": self.ids, "split": self.split, "label": self.label, "class": self.said(), "cause": self.cause}
            ).assign(difficulty=self.difficulty(seed), seed=seed)
            for seed in self.seeds
        ]
        return pd.concat(tables, ignore_index=True)

    def said(self) -> np.ndarray:
        return np.char.add("class ", self.label.astype(str))

    def took_part(self, truth: Truth, seed: int) -> np.ndarray:
        """Epochs, by id."""
        trained = np.where(self.ids < self.train, EPOCHS, 0)
        if truth.which:
            rows = self.ids < self.train
            subset = Subset(which=truth.which, share=truth.share, action=truth.action, seed=seed)
            out = ~subset.keep(self.difficulty(seed)[rows], self.label[rows])
            trained[: self.train][out] = 0 if truth.from_scratch else BORDER
        return trained

    def run(self, name: str, seed: int, truth: Truth, salt: int) -> pd.DataFrame:
        rng, n = np.random.default_rng([seed, salt]), len(self.ids)
        trained = self.took_part(truth, seed)
        # A tenth of the luck is an arm's own, so that arms with the same truth are not equal.
        threshold = np.where(rng.random(n) < 0.1, rng.random(n), self.threshold[seed])
        table = pd.DataFrame({"arm": name, "seed": seed, "id": self.ids, "split": self.split, "trained": trained})
        table["factor"] = np.where(self.ids < self.train, 1.0, np.nan)
        said = np.full(n, f"class {truth.says}") if truth.says is not None else self.said()
        table["predicted"] = said
        for column in (column for column in COLUMNS if not column.endswith("average")):
            accuracy = np.full(n, (0.75 if column.startswith("clean") else 0.5) + truth.gain)
            seen_in_training = np.where(trained == EPOCHS, 0.99, truth.unseen)
            accuracy = np.where(self.ids < self.train, seen_in_training, accuracy)
            values = (threshold < accuracy).astype(float)
            # Best checkpoints are judged on test images alone.
            table[column] = np.where((self.ids < self.train) & column.endswith("best"), np.nan, values)
        return table

    def outcomes(self, truths: Mapping[str, Truth], without: Iterable[tuple[str, int]] = ()) -> Outcomes:
        """``without``: arms and seeds whose run is not there yet."""
        missing = set(without)
        tables = [
            self.run(name, seed, truth, salt)
            for salt, (name, truth) in enumerate(truths.items())
            for seed in self.seeds
            if (name, seed) not in missing
        ]
        found = pd.concat(tables, ignore_index=True)
        found.attrs["attack"] = "PGD-20 within 8/255"
        return Outcomes(found, self.scores())


def of_kind(kind: str, **changes: Any) -> Experiment:
    """An experiment of the smallest preset."""
    return read_experiment(kind, "classroom", [f"{name}={json.dumps(value)}" for name, value in changes.items()])


def of_plan(experiment: Experiment) -> dict[str, Truth]:
    """The arms of a plan, by the examples they train on; none has an effect."""
    truths = {}
    for planned in experiment.plan():
        subset = planned.config.phases[-1].subset
        scratch = planned.after is None or planned.config.phases[0].subset is not None
        truths[planned.arm] = Truth(subset.which, subset.share, subset.action, scratch) if subset else Truth()
    return truths


def only(o: Outcomes, runs: Iterable[tuple[str, int]], seeds: Iterable[int] | None = None) -> Outcomes:
    """What is known when only these runs (arm, seed) have finished, and those that judge for these seeds; none: all."""
    there = pd.MultiIndex.from_frame(o.outcomes[["arm", "seed"]]).isin(list(runs))
    judged = o.scores["seed"].isin(o.seeds if seeds is None else list(seeds))
    return Outcomes(o.outcomes[there], o.scores[judged])


def shown(experiment: Experiment, o: Outcomes) -> Result:
    """Its result, of which everything is numbers and can be shown."""
    result = experiment.summarise(o)
    text, table = result.text(), result.table()
    assert "nan" not in text.lower() and "nothing to compare" not in text and "Empty DataFrame" not in text
    assert len(table) == len(result.lines) == len(result.numbers())
    for line in result.lines:
        assert line.estimate.low <= line.estimate.high and line.estimate.n > 0
        assert line.difference is None or (line.difference.n > 0 and line.difference.low <= line.difference.high)
    for chart in result.charts:
        assert chart.series
        assert all(len(s.x) == len(s.y) > 0 and all(e.low <= e.high for e in s.y) for s in chart.series)
    for dots in result.dots:
        assert dots.dots and all(dot.estimate.n > 0 for dot in dots.dots)
    for images in result.images:
        assert images.ids.dtype == np.int64 and len(set(images.ids)) == len(images.ids)
        assert set(images.ids) <= set(range(o.count))
    for claim in result.claims:
        assert claim.article and claim.seen
    return result
