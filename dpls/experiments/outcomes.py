"""What the runs of an experiment did, example by example: all that its results are computed from. No torch.

``outcomes``: a row an example of an arm and seed: arm, seed, id, split, trained (epochs in which it took part), factor
(of the last phase), predicted, and whether it was right: clean_best, attacked_best (not of training images),
clean_last, attacked_last (of all); attacked is by the attack that judges. pgd_best, pgd_last: of test images under PGD,
the article's attack, where it stands beside the judge. The same ending in average: of the mean of the weights, where
a run takes one. ``attrs["cost"]``: {arm: [seconds of training, passes an image of training]}, means over the seeds.
``scores``: a row an example of a seed: seed, id, split, label, class, cause, difficulty, by the runs that chose for it;
where an experiment makes a measure, all measures of the first of these, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from dpls.data import PARTS
from dpls.data.unlabelled import PSEUDO
from dpls.difficulty.measures import MEASURES
from dpls.errors import UserError
from dpls.evaluations import AnyEvaluation
from dpls.evaluations.trust.judged import is_attacked
from dpls.jobs.estimate import training_passes
from dpls.runs.choice import scores_of
from dpls.runs.directory import Run

ATTACK: TypeAdapter[AnyEvaluation] = TypeAdapter(AnyEvaluation)
ALL = "all images"
UNNAMED = "attacked"
COLUMNS = tuple(f"{kind}_{end}" for end in ("best", "last", "average") for kind in ("clean", "attacked", "pgd"))
WHICH = {"hardest": "hardest", "easiest": "easiest", "matched": "random"}
"""How people call the choices of a subset; the random one has the class mix of the hardest."""
CONTROLS: tuple[Literal["uniform", "permuted", "inverted", "hardest"], ...] = (
    "uniform",
    "permuted",
    "inverted",
    "hardest",
)
"""Who else is given as much smoothing."""


def role_of(name: str, seed: int) -> str:
    """A run's part in an experiment."""
    return f"seed {seed}: {name}"


def arm(name: str, *, standard: bool = False, dpls: bool = False) -> str:
    """The name of an arm under another objective or other labels."""
    return name + (", standard" if standard else "") + (", DPLS" if dpls else "")


def percent(share: float) -> str:
    """All its digits: 10% is not 10.4%."""
    return f"{100 * share:g}%"


def dropped(which: str, share: float, *, refill: bool = False, spared: float = 0) -> str:
    """e.g. ``without hardest 20%``."""
    if spared:
        return f"with {percent(spared)} of hardest {percent(share)}"
    return f"without {WHICH[which]} {percent(share)}" + (", equal steps" if refill else "")


def smoothed(lambda_min: float, how: str = "") -> str:
    """e.g. ``DPLS 0.5``, ``permuted 0.5``: a control of it."""
    return f"{how or 'DPLS'} {lambda_min:g}"


def kept(which: str, share: float) -> str:
    return f"only {WHICH[which]} {percent(share)}"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Both tables, and arrays out of them: (S, N), a row a seed, a column an id; NaN where nothing is known."""

    outcomes: pd.DataFrame
    scores: pd.DataFrame

    @cached_property
    def seeds(self) -> list[int]:
        return sorted(self.scores["seed"].unique().tolist())

    @cached_property
    def count(self) -> int:
        """Ids lie below this."""
        return int(self.scores["id"].max()) + 1

    @cached_property
    def arms(self) -> list[str]:
        return list(self.outcomes["arm"].unique())

    @cached_property
    def attack(self) -> str:
        """The attack of ``attacked``, with its radius."""
        return str(self.outcomes.attrs.get("attack", UNNAMED))

    @cached_property
    def cost(self) -> dict[str, list[float]]:
        """{arm: [seconds of training, forward passes' worth of a training image]}; nothing of earlier versions."""
        found: dict[str, list[float]] = self.outcomes.attrs.get("cost", {})
        return found

    @cached_property
    def pgd(self) -> str:
        """The attack of ``pgd``, with its radius; "" where there is none."""
        return str(self.outcomes.attrs.get("pgd", ""))

    def seeds_of(self, name: str) -> int:
        """How many seeds have finished an arm."""
        return int(self.outcomes.loc[self.outcomes["arm"] == name, "seed"].nunique())

    def right(self, name: str, column: str, split: str = "test") -> NDArray[np.float64]:
        """(S, N): which examples an arm gets right, 1 or 0."""
        return self._spread(self._of(name, split), column)

    def took_part(self, name: str) -> NDArray[np.float64]:
        """(S, N): in how many epochs a training example took part."""
        return self._spread(self._of(name, "train"), "trained")

    def factors(self, name: str) -> NDArray[np.float64]:
        """(S, N): the smoothing factor of each training example in an arm's last phase."""
        return self._spread(self._of(name, "train"), "factor")

    def score(self, column: str, split: str = "train") -> NDArray[np.float64]:
        """(S, N): difficulty or label, by the runs that chose for a seed."""
        return self._spread(self.scores[self.scores["split"] == split], column)

    @cached_property
    def _parts(self) -> dict[tuple[str, str], pd.DataFrame]:
        """Rows by arm and split: looking for texts among all rows each time takes longer than all the rest."""
        groups = self.outcomes.groupby(["arm", "split"], sort=False, observed=True)
        return {(str(name), str(split)): rows for (name, split), rows in groups}

    def _of(self, name: str, split: str) -> pd.DataFrame:
        """Outcomes of an arm; no rows where it is not there."""
        return self._parts.get((name, split), self.outcomes[:0])

    def _spread(self, rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
        """(S, N): a column of rows with a seed and an id each."""
        found = np.full((len(self.seeds), self.count), np.nan)
        if column not in rows:  # outcomes of an earlier version
            return found
        places = rows["seed"].map({seed: place for place, seed in enumerate(self.seeds)}).to_numpy()
        found[places, rows["id"].to_numpy()] = rows[column].to_numpy(dtype=float, na_value=np.nan)
        return found

    def chosen(self, name: str) -> NDArray[np.bool_]:
        """(S, N): training examples that an arm left out from some epoch on, of the seeds whose run is there."""
        trained = self.took_part(name)
        most = np.nanmax(trained, axis=1, keepdims=True, initial=0)
        return np.asarray(trained < most)

    def mean_difficulty(self, splits: Sequence[str] = ("train",)) -> NDArray[np.float64]:
        """(N,): of the examples of these splits, over the seeds; higher is harder, NaN for those without."""
        scores = self._spread(self.scores[self.scores["split"].isin(splits)], "difficulty")
        known, means = ~np.isnan(scores), np.full(self.count, np.nan)
        np.divide(np.nansum(scores, 0), known.sum(0), out=means, where=known.any(0))
        return means

    def causes(self) -> NDArray[np.bool_]:
        """(N,): which examples carry a planted cause."""
        rows = self.scores[self.scores["seed"] == self.seeds[0]]
        planted = np.zeros(self.count, dtype=bool)
        planted[rows["id"].to_numpy()] = (rows["cause"] != "").to_numpy()
        return planted


def among(outcomes: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The same outcomes, NaN where rows (S, N) or (N,) does not hold."""
    return np.where(rows, outcomes, np.nan)


def gather(
    runs: Path,
    roles: Mapping[str, Run],
    arms: Mapping[str, tuple[str, int]],
    judges: Mapping[int, Sequence[str]],
    measures: bool = False,
) -> Outcomes:
    """From the finished of ``roles`` in a folder; ``arms``: role -> (arm, seed), ``judges``: seed -> ids of runs.

    ``measures``: whether scores hold all measures, and not difficulty alone.
    """
    done = {role: run for role, run in roles.items() if role in arms and run.state() == "done"}
    tables = [_outcomes(run).assign(arm=arms[role][0], seed=arms[role][1]) for role, run in done.items()]
    scores = [_scores(runs, names, measures).assign(seed=seed) for seed, names in judges.items()]
    if not tables or not scores:
        raise UserError(
            "nothing can be shown yet: it takes a finished run, and that whose scores say which images are hard"
        )
    found = pd.concat(tables, ignore_index=True)
    # Runs that only judge attack nothing after training.
    found.attrs["attack"] = next((a for table in tables if (a := table.attrs["attacked"])), UNNAMED)
    found.attrs["pgd"] = next((a for table in tables if (a := table.attrs["pgd"])), "")
    costs = pd.DataFrame([table.attrs["cost"] for table in tables]).groupby([arms[role][0] for role in done]).mean()
    found.attrs["cost"] = {str(arm): [round(float(value), 2) for value in row] for arm, *row in costs.itertuples()}
    return Outcomes(found, pd.concat(scores, ignore_index=True))


def _outcomes(run: Run) -> pd.DataFrame:
    examples = run.examples()
    found = examples[["id", "split", "trained", "factor", "predicted"]]
    right = {column: np.full(len(found), np.nan) for column in COLUMNS}
    titles = {"attacked": "", "pgd": ""}
    for name in run.evaluation_names(others=True):
        e = run.evaluation(name)
        kind = _kind_of(e, run.config()["config"])
        column = f"{kind}_{e['checkpoint']}"
        if column not in COLUMNS:  # somebody has evaluated this run in another way, too
            continue
        titles[kind] = e["attack"]
        values = run.outcomes(name).set_index("id")["correct"]
        known = found["id"].map(values)
        right[column] = np.where(known.notna(), known.astype(float), right[column])
    found = found.assign(**right)
    found.attrs |= {**titles, "cost": _cost(run, examples)}
    return found


def _cost(run: Run, examples: pd.DataFrame) -> tuple[float, float]:
    """Seconds of training, a shared beginning included, and forward passes' worth of a training image."""
    rows, split = run.metrics(), examples["split"]
    train, validation, test = (int((split == part).sum()) for part in PARTS)
    pseudo = int((examples["cause"] == PSEUDO).sum())
    passes = training_passes(run.recipe().resolved(), (train, validation, test), len(rows), pseudo)
    return sum(row["seconds"] for row in rows), passes / max(1, train)


def _kind_of(evaluation: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """'clean'; 'attacked', by the first attack of the run's own configuration; 'pgd', by a later one that is PGD."""
    if "sample_of" in evaluation:
        return ""
    if evaluation["attack"] == "clean":
        return "clean"
    attacks = [
        attack for attack in config["evaluations"] if is_attacked({"attack": attack["kind"], "settings": attack})
    ]
    for place, attack in enumerate(attacks):
        named = ATTACK.validate_python(attack | {"eps": attack.get("eps") or config["eps"]})
        if all(evaluation["settings"].get(name, value) == value for name, value in named.reported.items()):
            return "attacked" if place == 0 else str(named.kind)
    return ""


def _scores(runs: Path, names: Sequence[str], measures: bool) -> pd.DataFrame:
    table = Run(runs / names[0]).examples()
    more = [f"{name}{suffix}" for suffix in ("", "_adv") for name in MEASURES] if measures else []
    columns = ["id", "split", "label", "class", "cause", *(name for name in more if name in table)]
    return table[columns].assign(difficulty=scores_of(runs, names))
