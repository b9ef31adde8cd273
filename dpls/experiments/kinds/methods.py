"""Methods side by side: what the article's table compares, on one's own images. One eps an experiment."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from dpls import intervals
from dpls.component import Fractional, show_fraction
from dpls.difficulty.measures import MEASURES
from dpls.experiments.base import Experiment, Planned
from dpls.experiments.compare import about, agreement, compare, dots_of, memorized, seen, sentence
from dpls.experiments.outcomes import ALL, Outcomes, percent, role_of, smoothed
from dpls.experiments.result import Claim, Line, Result
from dpls.methods import AWP
from dpls.methods.labels import DPLS, Control
from dpls.methods.subset import Subset

Method = Literal["pruning", "uniform", "hardest", "dpls", "permuted", "swa", "awp", "dpls_swa", "dpls_awp"]
METHODS: tuple[Method, ...] = get_args(Method)
ARTICLE = pd.DataFrame(
    [
        ("CIFAR-10, PGD-AT", "hard labels", 87.19, 56.44, 51.80),
        ("CIFAR-10, PGD-AT", "pruning", 86.44, 56.18, 52.56),
        ("CIFAR-10, PGD-AT", "label smoothing", 86.96, 57.20, 51.99),
        ("CIFAR-10, PGD-AT", "DPLS", 87.13, 58.43, 54.03),
        ("CIFAR-100, PGD-AT", "hard labels", 62.88, 31.82, 27.36),
        ("CIFAR-100, PGD-AT", "pruning", 62.28, 31.64, 28.05),
        ("CIFAR-100, PGD-AT", "label smoothing", 63.02, 32.26, 27.67),
        ("CIFAR-100, PGD-AT", "DPLS", 62.95, 35.10, 29.33),
        ("STL-10, TRADES", "hard labels", 66.40, 36.27, 33.16),
        ("STL-10, TRADES", "pruning", 65.39, 37.39, 34.91),
        ("STL-10, TRADES", "label smoothing", 66.49, 37.89, 33.99),
        ("STL-10, TRADES", "DPLS", 65.63, 39.94, 36.06),
    ],
    columns=["images", "method", "clean", "PGD-20", "A3"],
)
"""What the article reports, percent."""
TITLE = "Methods at eps {}, per cent"
ARTICLE_TITLE = "What the article reports of its own networks and images, per cent; not measured here"


class Methods(Experiment):
    """One base trained by each method: with hard labels, pruned, smoothed in several ways, with SWA, with AWP."""

    question: ClassVar[str] = (
        "The article's table on your images: hard labels, pruning, ordinary and difficulty proportional smoothing, the"
        " mean of the weights (SWA), perturbed weights (AWP), and DPLS with these."
    )
    asked_first: ClassVar[tuple[str, ...]] = ("methods", "measures", "lambda_min", "seeds")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "classroom": {"seeds": 1, "methods": ["pruning", "uniform", "dpls"], "measures": []}
    }

    kind: Literal["methods"] = "methods"
    methods: tuple[Method, ...] = Field(
        METHODS,
        min_length=1,
        title="Methods",
        description="beside hard labels; uniform, hardest and permuted have the mean factor of DPLS",
    )
    measures: tuple[str, ...] = Field(
        ("cross_entropy", "el2n"),
        title="Measures",
        description="DPLS by these measures of difficulty, too; what base.difficulty names is always there",
    )
    scores: tuple[str, ...] = Field(
        (),
        title="Scores",
        description="DPLS by these scores, too: names of files taken in, or made by a cscore experiment",
    )
    lambda_min: Fractional = Field(0.5, gt=0, lt=1, title="lambda_min", description="of DPLS, and of what matches it")
    share: Fractional = Field(
        0.1, gt=0, lt=0.9, title="Share pruned", description="share of the hardest that pruning drops"
    )

    @model_validator(mode="after")
    def _known(self) -> "Methods":
        unknown = [name for name in self.measures if name not in MEASURES]
        if unknown:
            raise ValueError(f"measures: {unknown[0]!r} is none; choose from {', '.join(MEASURES)}")
        if isinstance(self.base.objective, AWP):
            raise ValueError("base.objective is AWP already; set base.objective to what stands inside it")
        return self

    def settled(self, pin: Callable[[str], str]) -> Self:
        settled = super().settled(pin)
        return settled.model_copy(update={"scores": tuple(map(pin, self.scores))}) if self.scores else settled

    @property
    def border(self) -> int:
        """T: where the base's last phase starts, or the first decay of a base with one phase."""
        return self.base.last_phase_start or super().border

    @property
    def own_words(self) -> tuple[str, ...]:
        return (f"{len(self.methods)} methods",)

    @property
    def names(self) -> list[str]:
        """Arms beside hard labels, in the order of the table."""
        return list(dict.fromkeys(planned.arm for planned in self.arms(self.base.seed)))

    def arms(self, seed: int) -> Iterator[Planned]:
        dpls = DPLS(lambda_min=self.lambda_min)
        last_phases: dict[str, dict[str, Any]] = {
            "pruning": {"subset": Subset(which="hardest", share=self.share, seed=seed)},
            "dpls": {"factors": dpls},
            "swa": {"average": True},
            "dpls_swa": {"factors": dpls, "average": True},
        }
        for how in ("uniform", "hardest", "permuted"):
            last_phases[how] = {"factors": Control(how=how, lambda_min=self.lambda_min, seed=seed)}
        for method in self.methods:
            if method in last_phases:
                yield Planned(self._title(method), seed, self.config(seed, **last_phases[method]), role_of(ALL, seed))
            if method == "dpls":
                yield from self._by_measures(seed, dpls)
        yield from self._perturbed(seed, dpls)

    def _by_measures(self, seed: int, dpls: DPLS) -> Iterator[Planned]:
        own, changes = self.base.difficulty, dict[str, dict[str, Any]]()
        for measure in self.measures:
            title = MEASURES[measure].title
            if own.scores or measure != own.measure:  # EL2N stays what it is
                changes[title.lower() if title[1:].islower() else title] = {"measure": measure, "scores": ""}
        for name in self.scores:
            changes[name.partition("@")[0]] = {"scores": name, "adversarial": False}
        for by, change in changes.items():
            config = self.config(seed, factors=dpls)
            config = config.model_copy(update={"difficulty": config.difficulty.model_copy(update=change)})
            yield Planned(f"{smoothed(self.lambda_min)} by {by}", seed, config, role_of(ALL, seed))

    def _perturbed(self, seed: int, dpls: DPLS) -> Iterator[Planned]:
        """AWP from the first epoch on; DPLS with it branches from it where it is there."""
        around = {"objective": AWP(inner=self.base.objective)}
        for method, last_phase in (("awp", {}), ("dpls_awp", {"factors": dpls})):
            if method in self.methods:
                alone = method == "awp" or "awp" not in self.methods
                after = None if alone else role_of(self._title("awp"), seed)
                config = self.config(seed, **last_phase).model_copy(update=around)
                yield Planned(self._title(method), seed, config, after)

    def _title(self, method: Method) -> str:
        dpls = smoothed(self.lambda_min)
        return {
            "pruning": f"pruned {percent(self.share)}",
            "uniform": smoothed(self.lambda_min, "uniform"),
            "hardest": smoothed(self.lambda_min, "hardest"),
            "dpls": dpls,
            "permuted": smoothed(self.lambda_min, "permuted"),
            "swa": "SWA",
            "awp": "AWP",
            "dpls_swa": f"{dpls} + SWA",
            "dpls_awp": f"{dpls} + AWP",
        }[method]

    def summarise(self, o: Outcomes) -> Result:
        """Accuracies of every method beside hard labels, what is memorized, and the table."""
        lines = compare(o, "methods", self.names, ALL) + memorized(o, self.names)
        beside = ("attacked, best", "attacked, last", "attacked, average")
        dots = dots_of(lines, "Attacked, against hard labels", beside, "difference to hard labels", True)
        tables = {
            TITLE.format(show_fraction(self.base.eps)): table(o, [ALL, *self.names]),
            ARTICLE_TITLE: _two_digits(ARTICLE),
        }
        return Result(
            lines, [self._claim(o)], [*about(self, o), *_notes(o)], (), [dots] if dots.dots else [], tables=tables
        )

    def _claim(self, o: Outcomes) -> Claim:
        dpls, uniform = self._title("dpls"), self._title("uniform")
        change = seen(o, dpls, "attacked_best", ALL)
        words = sentence(
            change,
            higher=f"At the best checkpoint {dpls} withstands attacks more often than hard labels,",
            lower=f"At the best checkpoint {dpls} withstands attacks less often than hard labels,",
            unseen=f"At the best checkpoint {dpls} is not seen to differ from hard labels",
        )
        pairs = [(name, against) for name, against in ((dpls, ALL), (dpls, uniform)) if {name, against} <= {*o.arms}]
        numbers = [
            f"{name} against {'hard labels' if against == ALL else against}, {what}: {found.short}."
            for name, against in pairs
            for column, what in (("attacked_best", "attacked, best"), ("attacked_last", "attacked, last"))
            if (found := seen(o, name, column, against))
        ]
        article = "CIFAR-10: DPLS 54.0% under A3 against 51.8% of hard labels and 52.0% of label smoothing."
        return Claim(article, words, agreement(change, "higher"), numbers)


def as_text(tables: Mapping[float, Mapping[str, pd.DataFrame]], as_csv: bool) -> str:
    """Tables of several eps as one, csv or Markdown; the article's stands below in Markdown."""
    own = [
        found.assign(eps=show_fraction(eps)).set_index("eps").reset_index()
        for eps, some in tables.items()
        for title, found in some.items()
        if title != ARTICLE_TITLE
    ]
    together = pd.concat(own, ignore_index=True).fillna("")
    if as_csv:
        return together.to_csv(index=False)
    return f"{_markdown(together)}\n\n{ARTICLE_TITLE}:\n\n{_markdown(ARTICLE)}\n"


def _two_digits(found: pd.DataFrame) -> pd.DataFrame:
    return found.map(lambda value: f"{value:.2f}" if isinstance(value, float) else str(value))


def _markdown(found: pd.DataFrame) -> str:
    lines = [[*found.columns], ["---"] * len(found.columns), *_two_digits(found).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(o: Outcomes, names: list[str]) -> pd.DataFrame:
    """A row a method that is there: per cent with 95 % intervals; best minus last is paired, by the judge."""
    kept = {line.arm: line for line in memorized(o, names)}
    rows = [_row(o, name, kept.get(name)) for name in names if name in o.arms]
    found = pd.DataFrame(rows)
    return found.loc[:, (found != "").any()]


def _row(o: Outcomes, name: str, kept: Line | None) -> dict[str, str]:
    kinds = {"clean": "clean", "pgd": "PGD", "attacked": "judge"}
    row = {"method": "hard labels" if name == ALL else name, "mean factor": _mean_factor(o, name)}
    for end in ("best", "last", "average"):
        for kind, title in kinds.items():
            right = o.right(name, f"{kind}_{end}")
            row[f"{title}, {end}"] = "" if np.isnan(right).all() else _short(intervals.mean(right))
    best, last = o.right(name, "attacked_best"), o.right(name, "attacked_last")
    fall = None if np.isnan(best - last).all() else intervals.difference(last, best)
    row["best - last"] = f"{100 * fall.value:+.1f} ± {100 * fall.half:.1f}" if fall else ""
    row["hardest tenth"] = _short(kept.estimate) if kept else ""
    seconds, passes = o.cost.get(name, (np.nan, np.nan))
    row["minutes"] = "" if np.isnan(seconds) else f"{seconds / 60:.1f}"
    row["passes an image"] = "" if np.isnan(passes) else f"{passes:,.0f}"
    return row


def _short(estimate: intervals.Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _mean_factor(o: Outcomes, name: str) -> str:
    factors = o.factors(name)
    return "" if np.isnan(factors).all() else f"{np.nanmean(factors):.2f}"


def _notes(o: Outcomes) -> list[str]:
    found = [
        "Hard labels are the runs on all images. Best minus last is paired, by the judge. Hardest tenth: clean accuracy"
        " on these training images, last epoch."
    ]
    if any(name.endswith("SWA") for name in o.arms):
        found.append(
            "Average is the mean of the weights after each epoch of the last phase; against hard labels it is compared"
            " with their last epoch."
        )
    if o.cost:
        found.append(
            "Passes an image: forward passes' worth of training, recording and validation. Minutes: of training, by the"
            " clock."
        )
    return found
