"""Which run, which measure, which T and which examples: what all result pages show a part of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpls.data import TRAIN
from dpls.difficulty.measures import MEASURES, titles
from dpls.difficulty.scale import NormaliserName, hardest_first
from dpls.recipe import RunConfig
from dpls.runs.directory import Run
from dpls.runs.tags.kept import Tag
from dpls.ui import decided, elsewhere, store
from dpls.ui.facts import Facts

CLEAN, ATTACKED = "clean", "attacked"
SCALE_NAMES: dict[NormaliserName, str] = {"min_max": "min-max", "rank": "rank", "quantile_clip": "1-99 %"}
UNPLANTED = "none planted"
UNTAGGED = "untagged"
EVERYTHING = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Selection:
    """What is chosen. Arrays are (N,) by id."""

    run: Run
    config: RunConfig
    facts: Facts
    epochs: int
    counted: int
    measure: str
    """A name in MEASURES, or of imported scores."""
    adversarial: bool
    normaliser: NormaliserName
    values: NDArray[np.floating]
    """(N,): the measure as it comes, NaN where unseen; ``store.higher_is_harder`` tells its direction."""
    difficulty: NDArray[np.floating]
    """(N,), in [0, 1], higher = harder; NaN where unseen."""
    filtered: NDArray[np.int64]
    """Ids that pass all filters but that of difficulty."""
    order: NDArray[np.int64]
    """Ids that pass all filters, hardest first; ties by mean cross-entropy, then by id; unseen ones last."""
    part: int
    low: float
    high: float
    tags: Mapping[int, Tag]
    """What has been decided, by id."""

    @property
    def measure_name(self) -> str:
        name = titles(self.epochs).get(self.measure) or name_of(self.measure)
        return name + (", attacked" if self.adversarial else "")

    @property
    def span(self) -> str:
        """Over what it was counted, in words."""
        return f"in the first {self.counted} epochs" if self.counted > 1 else "after one epoch"

    @property
    def is_imported(self) -> bool:
        return store.is_imported(self.measure)

    @property
    def is_own(self) -> bool:
        """Whether difficulty is counted as the run itself counts it."""
        own, counted = self.config.difficulty, min(self.config.counted_epochs, self.epochs)
        mine = (self.measure, self.adversarial, self.normaliser, self.counted)
        return mine == (own.decided_by, own.adversarial, own.normaliser, counted)

    @property
    def own_name(self) -> str:
        own = self.config.difficulty
        signal = ATTACKED if own.adversarial else CLEAN
        scale = SCALE_NAMES[own.normaliser]
        if own.scores:
            return f"{name_of(own.decided_by)}, {scale}"
        name = titles(self.config.epochs).get(own.measure) or name_of(own.measure)
        return f"{name}, {signal}, {scale}, T = {self.config.counted_epochs}"

    def rank(self, example: int) -> str:
        """Its place from the hardest among its part, in words; that it shares it, where it does."""
        turned = store.harder(self.values, self.measure)  # not difficulty, which clips what was not trained on
        scores = turned[self.facts.ids(int(self.facts.part[example]))]
        known = int((~np.isnan(scores)).sum())
        harder, alike = int((scores > turned[example]).sum()), int((scores == turned[example]).sum())
        if alike == 1:
            return f"number {harder + 1:,} of {known:,} from the hardest"
        if alike == known:
            return f"as hard as all {known:,}"
        if not harder:
            return f"one of the {alike:,} hardest of {known:,}, all alike"
        if harder + alike == known:
            return f"one of the {alike:,} easiest of {known:,}, all alike"
        return f"one of {alike:,} alike, numbers {harder + 1:,} to {harder + alike:,} of {known:,} from the hardest"


def name_of(measure: str) -> str:
    """What people call a measure, or scores that were imported."""
    return f"{measure} (imported)" if store.is_imported(measure) else MEASURES[measure].title


class Filters(NamedTuple):
    """Which examples are shown, whatever their difficulty; what is empty filters nothing."""

    part: int = TRAIN
    classes: Sequence[str] = ()
    causes: Sequence[str] = ()
    tags: Sequence[str] = ()
    """Names of tags, or UNTAGGED."""
    disputed: bool = False
    """Only those of which the best checkpoint says another class than their label."""
    file: str = ""
    """A part of the path of its file, in any case of letters."""


ALL_TRAINING = Filters()


def selection_of(
    run: Run,
    measure: str | None = None,
    adversarial: bool = False,
    counted: int | None = None,
    normaliser: NormaliserName | None = None,
    *,
    filters: Filters = ALL_TRAINING,
    low: float = 0.0,
    high: float = 1.0,
) -> Selection:
    """The selection these choices give; without any, all training images by the run's own measure, T and scale."""
    config, epochs, facts = run.recipe(), store.committed(run), store.facts(run)
    if measure is None:
        measure, adversarial = elsewhere.own_measure(run), config.difficulty.adversarial
    counted = min(config.counted_epochs, epochs) if counted is None else counted
    values = store.scores(run, counted, measure, adversarial)
    normaliser = normaliser or config.difficulty.normaliser
    difficulty = store.difficulty(values, measure, normaliser, facts.scored())
    tags = decided.tags(run)
    filtered = _filtered(run, facts, filters, tags)
    chosen = filtered
    if (low, high) != EVERYTHING:
        chosen = filtered[(difficulty[filtered] >= low - 1e-9) & (difficulty[filtered] <= high + 1e-9)]
    loss = store.scores(run, counted, "cross_entropy", adversarial)[chosen]
    return Selection(
        run=run,
        config=config,
        facts=facts,
        epochs=epochs,
        counted=counted,
        measure=measure,
        adversarial=adversarial,
        normaliser=normaliser,
        values=values,
        difficulty=difficulty,
        filtered=filtered,
        order=chosen[hardest_first(difficulty[chosen], loss, chosen)],
        part=filters.part,
        low=low,
        high=high,
        tags=tags,
    )


def _filtered(run: Run, facts: Facts, filters: Filters, tags: Mapping[int, Tag]) -> NDArray[np.int64]:
    mask = facts.part == filters.part
    if filters.classes:
        mask &= np.isin(facts.labels, [facts.classes.index(name) for name in filters.classes])
    if filters.causes:
        codes = [facts.causes.index("" if name == UNPLANTED else name) for name in filters.causes]
        mask &= np.isin(facts.cause, codes)
    if filters.tags:
        named = np.full(len(mask), UNTAGGED, dtype=object)
        for example, tag in tags.items():
            named[example] = tag.tag
        mask &= np.isin(named, list(filters.tags))
    if filters.disputed and (doubt := decided.doubt(run)) is not None:
        mask &= doubt > 0
    if filters.file:
        mask &= np.char.find(np.char.lower(facts.files), filters.file.lower()) >= 0
    return np.flatnonzero(mask)
