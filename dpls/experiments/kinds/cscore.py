"""The C-score, measured: how often is an image right in runs that never trained on it?"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from dpls import intervals
from dpls.difficulty.causes import found_by
from dpls.difficulty.measures import MEASURES
from dpls.difficulty.verdict import spearman
from dpls.experiments.answers import by_image
from dpls.experiments.base import Experiment, Planned
from dpls.experiments.compare import QUANTITIES, about
from dpls.experiments.outcomes import ALL, Outcomes, among
from dpls.experiments.result import NOT_YET, Claim, Images, Line, Result
from dpls.methods.objectives import Standard
from dpls.methods.subset import Subset
from dpls.recipe import RunConfig

COLUMNS = {"clean": "clean_last", "attacked": "attacked_last"}
"""Each score, and the outcome it counts."""
COUNTED = "Right when left out, by images"
AGREEING = "Agreement with measures of the run on all images (Spearman, mean over seeds)"
CAUSES = "Which planted causes it finds (AUROC)"


class CScore(Experiment):
    """Leave out each image in turn, fold by fold, and see how often it is right."""

    question: ClassVar[str] = (
        "Train without a fold of the images, for every fold, and again with other folds. How often an image is right in"
        " the runs that never saw it is its held-out C-score: difficulty without memorization. The result is a measure"
        " on all pages, and a run can be trained by it."
    )
    title: ClassVar[str] = "C-score"
    asked_first: ClassVar[tuple[str, ...]] = ("seeds", "folds", "standard")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {"seeds": 2}}
    makes_measures: ClassVar[bool] = True
    tells_best_from_last: ClassVar[bool] = False

    kind: Literal["cscore"] = "cscore"
    folds: int = Field(
        5, ge=2, le=20, title="Folds", description="each run leaves one of so many out; for every seed other folds"
    )
    standard: bool = Field(
        False,
        title="Standard training",
        description="train without attack, as C-scores mostly are; else as the base does",
    )

    @property
    def own_words(self) -> tuple[str, ...]:
        return (f"{self.folds} folds{', standard training' if self.standard else ''}",)

    @property
    def folds_left_out(self) -> list[str]:
        """The arms beside that on all images."""
        return [f"without fold {fold + 1} of {self.folds}" for fold in range(self.folds)]

    def config(self, seed: int, objective: Any = None, **last_phase: Any) -> RunConfig:
        return super().config(seed, objective or (Standard() if self.standard else None), **last_phase)

    def arms(self, seed: int) -> Iterator[Planned]:
        for fold, name in enumerate(self.folds_left_out):
            left_out = Subset(which="random", share=1 / self.folds, fold=fold, seed=seed)
            yield Planned(name, seed, self.from_scratch(seed, left_out))

    def new_measures(self, o: Outcomes) -> dict[str, NDArray[np.float64]]:
        """1 - C, clean and attacked; none that tells no training image from another."""
        known = {"" if name == "clean" else f"-{name}": 1 - score.share for name, score in self.scores_in(o).items()}
        train = ~np.isnan(o.score("label")).all(0)
        return {name: values for name, values in known.items() if len(np.unique(values[train & ~np.isnan(values)])) > 1}

    def scores_in(self, o: Outcomes) -> dict[str, "HeldOut"]:
        """Clean and attacked, those of which anything is known."""
        found = {name: held_out(o, self.folds_left_out, column) for name, column in COLUMNS.items()}
        return {name: score for name, score in found.items() if score.runs.any()}

    def summarise(self, o: Outcomes) -> Result:
        """How the score is distributed, how it agrees with what one run counts, and what it finds."""
        scores = self.scores_in(o)
        notes = about(self, o) + [_precision(name, score, o) for name, score in scores.items()]
        tables = {COUNTED: _counted(scores, o), AGREEING: _agreeing(scores, o), CAUSES: _causes(scores, o)}
        return Result(
            [line for column in COLUMNS.values() for line in _lines(self.folds_left_out, o, column)],
            [_claim(scores, o)],
            notes,
            _images(scores, o),
            tables={title: table for title, table in tables.items() if len(table)},
            by_image=by_image(o, self.folds_left_out),
        )


class HeldOut(NamedTuple):
    """right, runs: (N,) by id, in how many of how many runs that never trained on it an image was right."""

    right: NDArray[np.float64]
    runs: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """(N,), in [0, 1]: the C-score; NaN where no run left the image out."""
        found = np.full(len(self.runs), np.nan)
        np.divide(self.right, self.runs, out=found, where=self.runs > 0)
        return found

    @property
    def error(self) -> NDArray[np.float64]:
        """(N,): its standard error, sqrt(C (1 - C) / (runs - 1)); NaN of fewer than two runs."""
        c, free, squared = self.share, self.runs - 1, np.full(len(self.runs), np.nan)
        np.divide(c * (1 - c), free, out=squared, where=free > 0)
        return np.asarray(np.sqrt(squared))


def held_out(o: Outcomes, folds: list[str], column: str) -> HeldOut:
    """Of a column of outcomes, over the runs that left a fold out; those of an image of validation or test are all of
    them."""
    rows = o.outcomes[o.outcomes["arm"].isin(folds) & (o.outcomes["trained"] == 0) & o.outcomes[column].notna()]
    ids, right = rows["id"].to_numpy(), rows[column].to_numpy(float)
    counts = (np.bincount(ids, right, o.count), np.bincount(ids, minlength=o.count))
    return HeldOut(*(count.astype(np.float64) for count in counts))


def _of_train(score: HeldOut, o: Outcomes) -> HeldOut:
    train = ~np.isnan(o.score("label")).all(0)
    return HeldOut(np.where(train, score.right, 0), np.where(train, score.runs, 0))


def _lines(folds: list[str], o: Outcomes, column: str) -> Iterator[Line]:
    """Training images by the runs that left them out, and by those on all images."""
    quantity, group = QUANTITIES[column], "training images"
    out = np.full((len(o.seeds), o.count), np.nan)
    for name in folds:
        here = among(o.right(name, column, "train"), o.took_part(name) == 0)
        out = np.where(np.isnan(here), out, here)
    seen = o.right(ALL, column, "train")
    if not np.isnan(out).all():
        yield Line(group, "left out", quantity, intervals.mean(out))
    if not np.isnan(seen).all():
        change = None if np.isnan(seen - out).all() else intervals.difference(out, seen)
        yield Line(group, "seen", quantity, intervals.mean(seen), change, "left out" if change else "")


def _precision(name: str, score: HeldOut, o: Outcomes) -> str:
    mine = _of_train(score, o)
    runs = mine.runs[mine.runs > 0]
    if not len(runs):
        return f"C-score, {name}: no training image has been left out yet."
    least, most, unknown = int(runs.min()), int(runs.max()), int((~np.isnan(o.score("label")).all(0)).sum()) - len(runs)
    number = f"{least}" if least == most else f"{least} to {most}"
    error = mine.error[mine.runs > 1]
    known = (
        f" its standard error is {error.mean():.2f} on average (0 where none or all were right)"
        if len(error)
        else " of one run no error is known"
    )
    return (
        f"C-score, {name}: the share of the {number} runs that never trained on an image in which it was right at the"
        f" last epoch;{known}, at most {0.5 / np.sqrt(least):.2f} by its number of runs."
        + (f" {unknown:,} training images were left out by none and have no score." if unknown else "")
    )


def _counted(scores: dict[str, HeldOut], o: Outcomes) -> pd.DataFrame:
    """How many training images were right in how many of the runs that left them out."""
    columns = {}
    for name, score in scores.items():
        mine = _of_train(score, o)
        known = mine.runs > 0
        pairs = zip(mine.right[known].astype(int), mine.runs[known].astype(int), strict=True)
        columns[name] = pd.Series(list(pairs), dtype=object).value_counts()
    table = pd.DataFrame(columns).fillna(0).astype(int)
    order = sorted(table.index, key=lambda pair: (pair[0] / pair[1], pair[1]))
    return (
        table.loc[order].rename_axis("right in").reset_index().assign(**{"right in": [f"{a} of {b}" for a, b in order]})
    )


def agreement(score: HeldOut, o: Outcomes, column: str, higher_is_harder: bool = True) -> float:
    """Spearman of 1 - C with a measure of the run on all images, mean over seeds; NaN where nothing can be told."""
    hard, found = 1 - _of_train(score, o).share, []
    for values in o.score(column):
        known = ~np.isnan(values) & ~np.isnan(hard)
        if known.sum() > 1:
            found.append(spearman(hard[known], values[known] * (1 if higher_is_harder else -1)))
    told = [rho for rho in found if not np.isnan(rho)]
    return float(np.mean(told)) if told else float("nan")


def _agreeing(scores: dict[str, HeldOut], o: Outcomes) -> pd.DataFrame:
    rows = []
    measured = [
        (f"{measure.title}, {seen}", name + suffix, measure.higher_is_harder)
        for seen, suffix in (("clean", ""), ("attacked", "_adv"))
        for name, measure in MEASURES.items()
    ]
    for title, column, higher in [("its own difficulty", "difficulty", True), *measured]:
        found = {f"C-score, {name}": agreement(score, o, column, higher) for name, score in scores.items()}
        if not all(np.isnan(rho) for rho in found.values()):
            rows.append({"measure": title} | {name: _two(rho) for name, rho in found.items()})
    return pd.DataFrame(rows)


def _two(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _causes(scores: dict[str, HeldOut], o: Outcomes) -> pd.DataFrame:
    """Of every planted cause: how well the score, and the difficulty of the runs on all images, tell its images."""
    first = o.scores[(o.scores["seed"] == o.seeds[0]) & (o.scores["split"] == "train")]
    cause = np.full(o.count, "", dtype=object)
    cause[first["id"].to_numpy()] = first["cause"].to_numpy(object)
    train, own = np.zeros(o.count, dtype=bool), o.mean_difficulty()
    train[first["id"].to_numpy()] = True
    members = {name: cause[train] == name for name in sorted(set(cause.tolist()) - {""})}
    hard = {f"C-score, {name}": 1 - score.share for name, score in scores.items()} | {"one run's difficulty": own}
    found = {title: found_by(values[train], members) for title, values in hard.items()}
    return pd.DataFrame(
        [
            {"planted cause": name, "images": int(members[name].sum())}
            | {title: _two(by_cause[name]) for title, by_cause in found.items()}
            for name in members
        ]
    )


def _claim(scores: dict[str, HeldOut], o: Outcomes) -> Claim:
    article = (
        "Difficulty may be measured by the C-score, by cross-entropy, by EL2N or by 0-1 errors counted in training; of"
        " these DPLS did best with the last, which one run gives."
    )
    found = {name: rho for name, score in scores.items() if not np.isnan(rho := agreement(score, o, "difficulty"))}
    if not found:
        return Claim(article, NOT_YET)
    words = " and ".join(f"{rho:.2f} ({name})" for name, rho in found.items())
    return Claim(
        article,
        f"The difficulty that one run counts and the held-out C-score have a rank correlation of {words}.",
        "",
        ["Which of them serves DPLS better, only runs trained by each can say: set difficulty.scores."],
    )


def _images(scores: dict[str, HeldOut], o: Outcomes) -> list[Images]:
    """The hardest by each score, ties by what the runs on all images say."""
    own, found = np.nan_to_num(o.mean_difficulty(), nan=-1), []
    for name, score in scores.items():
        c = _of_train(score, o).share
        order = np.lexsort((-own, np.where(np.isnan(c), 2, c)))
        words = "Right least often in the runs that left them out; ties by the difficulty of the runs on all images."
        found.append(Images(f"Hardest, {name}", words, order[c[order] < 0.5].astype(np.int64)))
    return found
