"""May this run's difficulty be believed? Checks on the record alone, each with its reason. numpy only."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpls.difficulty.measures import MEASURES, MeasureName
from dpls.difficulty.scale import rank
from dpls.difficulty.signals import Dynamics

Level = Literal["good", "doubtful", "bad"]
GOOD: Level = "good"
DOUBTFUL: Level = "doubtful"
BAD: Level = "bad"


class Check(NamedTuple):
    """What was checked, how it came out, and one sentence with the number."""

    name: str
    level: Level
    sentence: str


def spearman(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Rank correlation with mid-ranks, in [-1, 1]; NaN where one of them does not vary."""
    a, b = rank(a, a), rank(b, b)
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


class Verdict(NamedTuple):
    """All checks of a run's difficulty; the worst decides."""

    checks: tuple[Check, ...]

    @property
    def level(self) -> Level:
        return max((check.level for check in self.checks), key=(GOOD, DOUBTFUL, BAD).index)

    @property
    def doubts(self) -> list[Check]:
        return [check for check in self.checks if check.level != GOOD]

    @property
    def sentence(self) -> str:
        return {
            GOOD: "This difficulty may be believed.",
            DOUBTFUL: "Believe this difficulty with care.",
            BAD: "This difficulty should not be believed.",
        }[self.level]


def verdict(
    record: Dynamics, measure: MeasureName, scores: NDArray[np.floating], labels: NDArray[np.integer]
) -> Verdict:
    """``record``: signals (T, n) of training examples under plain names; ``scores`` (n,): the measure over these T;
    ``labels`` (n,)."""
    accuracy, length, ties = _accuracy(record, chance_of(labels)), _length(record, measure), _ties(scores)
    harder = scores if MEASURES[measure].higher_is_harder else -scores
    return Verdict((accuracy, length, ties, _classes(harder, labels)))


def chance_of(labels: NDArray[np.integer]) -> float:
    """Accuracy of whoever always says the commonest class, in [0, 1]; NaN of no labels."""
    return float(np.bincount(labels).max() / len(labels)) if len(labels) else float("nan")


def has_left_chance(accuracy: float, chance: float) -> bool:
    """Whether a net has begun to learn: a twentieth of the way from chance to all right."""
    return accuracy >= chance + (1 - chance) / 20


def _accuracy(record: Dynamics, chance: float) -> Check:
    """A net that has not learnt finds nothing hard or easy: what it gets wrong is chance."""
    outcome = record["correct"][-max(1, len(record["correct"]) // 10) :]
    right = float((outcome == 1).sum() / max(1, (outcome != 255).sum()))
    if not has_left_chance(right, chance):
        sentence = (
            f"The network never left chance: {right:.0%} of these images are right at the end of T; saying always"
        )
        return Check("Accuracy", BAD, f"{sentence} the commonest class gets {chance:.0%}. Which are hard is luck.")
    # Halfway from chance to all correct, and a quarter of the way: below that most of the errors are the net's.
    level: Level = GOOD if right >= (1 + chance) / 2 else DOUBTFUL if right >= chance + (1 - chance) / 4 else BAD
    said = {GOOD: "has learnt", DOUBTFUL: "has learnt only in part", BAD: "has hardly learnt"}[level]
    sentence = f"The network {said}: {right:.0%} of these images are right at the end of T (chance {chance:.0%})."
    return Check("Accuracy", level, sentence)


def _length(record: Dynamics, measure: MeasureName) -> Check:
    """Split-half reliability: odd against even epochs, stepped up to the full length by Spearman and Brown."""
    epochs = len(record["correct"])
    if epochs < 4:
        return Check("Length of T", BAD, f"T = {epochs}: too few epochs to tell hard images from unlucky ones.")
    compute = MEASURES[measure].compute
    halves = [compute({name: rows[start::2] for name, rows in record.items()}) for start in (0, 1)]
    seen = ~np.isnan(halves[0]) & ~np.isnan(halves[1])
    agreement = spearman(halves[0][seen], halves[1][seen]) if seen.any() else float("nan")
    if np.isnan(agreement):
        return Check("Length of T", BAD, f"T = {epochs}: the measure does not vary over these epochs.")
    reliability = 2 * agreement / (1 + agreement) if agreement > 0 else agreement
    level: Level = GOOD if reliability >= 0.9 else DOUBTFUL if reliability >= 0.75 else BAD
    said = {GOOD: "long enough", DOUBTFUL: "rather short", BAD: "too short"}[level]
    sentence = f"T = {epochs} is {said}: odd and even epochs rank the images alike (reliability {reliability:.2f})."
    return Check("Length of T", level, sentence)


def _ties(scores: NDArray[np.floating]) -> Check:
    """Tied images are ordered by something else, or by nothing."""
    known = scores[~np.isnan(scores)]
    if not len(known):
        return Check("Ties", BAD, "No image has a score yet.")
    values, counts = np.unique(known, return_counts=True)
    largest = counts.max() / len(known)
    level: Level = BAD if len(values) < 2 or largest > 0.9 else DOUBTFUL if largest > 0.5 else GOOD
    sentence = (
        f"{len(values):,} different scores among {len(known):,} images; the most common, {values[counts.argmax()]:.3g},"
        f" is shared by {largest:.0%}."
    )
    return Check("Ties", level, sentence)


def _classes(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> Check:
    """Where the class alone says how hard an image is, difficulty tells nothing of the image; most often because some
    classes are rare. What share it explains: epsilon squared, that of the variance which lies between classes, less
    what would by chance (Kelley, 1935, https://doi.org/10.1073/pnas.21.9.554)."""
    known = ~np.isnan(scores)
    values, inverse, sizes = scores[known], *np.unique(labels[known], return_inverse=True, return_counts=True)[1:]
    if not known.any() or values.std() == 0:
        return Check("Classes", BAD, "The images do not differ in difficulty, within classes or between.")
    means, n = np.bincount(inverse, values) / sizes, len(values)
    within = float(((values - means[inverse]) ** 2).sum()) / max(1, n - len(sizes))
    explained = max(0.0, 1 - within / float(values.var(ddof=1)))
    level: Level = BAD if explained >= 0.8 else DOUBTFUL if explained >= 0.5 else GOOD
    sentence = f"{explained:.0%} of what tells images apart is their class"
    if level != GOOD and _rare_are_hard(means, sizes):
        sentence += ", and the rare classes are the hard ones: this is rarity more than hardness"
    remedy = "" if level == GOOD else ". Compare images within a class"
    return Check("Classes", level, f"{sentence}{remedy}.")


def _rare_are_hard(means: NDArray[np.floating], sizes: NDArray[np.integer]) -> bool:
    """Whether classes of very different sizes are the harder, the smaller they are."""
    return bool(sizes.max() >= 2 * sizes.min() and spearman(means, sizes.astype(float)) < -0.5)
