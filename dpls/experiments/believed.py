"""What speaks for and against the robust accuracies of an experiment: the trust card's lines, of all arms. No torch."""

from collections.abc import Iterator

import numpy as np

from dpls.evaluations.trust.card import Line
from dpls.evaluations.trust.judged import short
from dpls.experiments.base import Experiment
from dpls.experiments.compare import FEW
from dpls.experiments.outcomes import Outcomes


def believed(e: Experiment, o: Outcomes) -> tuple[Line, ...]:
    """Of the arms that have finished; none where nothing was attacked."""
    gaps = dict(_gaps(o))
    if not gaps and not any(np.isfinite(o.right(name, "attacked_last")).any() for name in o.arms):
        return ()
    count = int((o.scores[o.scores["seed"] == o.seeds[0]]["split"] == "test").sum())
    images = f"{count:,} test images, {len(o.seeds)} seed{'s' if len(o.seeds) > 1 else ''}"
    enough = count >= FEW and len(o.seeds) > 1
    by = "validation images" if e.base.selection.by == "robust" else "clean validation images"
    return (
        _strongest(o, gaps),
        Line(
            "Gradients",
            "amber",
            "Gradients are not checked in an experiment; do it in one of its runs with `python -m dpls evaluate RUN"
            " --attack checks`.",
        ),
        Line("Images", "green" if enough else "amber", f"{images}{'.' if enough else ': so few tell little.'}"),
        Line("Checkpoint", "green", f"The best is chosen by {by}, the last by nothing; no test image had a say."),
    )


def _gaps(o: Outcomes) -> Iterator[tuple[str, float]]:
    """By how much PGD stands above the judge, in points: of each arm and checkpoint where both are there."""
    for name in o.arms:
        for end in ("best", "last"):
            both = np.stack([o.right(name, f"{attack}_{end}") for attack in ("pgd", "attacked")])
            known = np.isfinite(both).all(0)
            if known.any():
                yield f"{name}, {end}", 100 * float((both[0] - both[1])[known].mean())


def _strongest(o: Outcomes, gaps: dict[str, float]) -> Line:
    title, judge = "Strongest attack", short(o.attack)
    if o.attack.startswith("PGD"):
        return Line(title, "amber", f"No stronger attack has looked: {judge} alone may be fooled. Set judge=margins.")
    if not gaps:
        return Line(title, "green", f"{judge} is the one attack that looked.")
    least, most = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
    between = f"{gaps[least]:.1f} ({least}) to {gaps[most]:.1f} points ({most})"
    return Line(title, "green", f"{judge} decides; {short(o.pgd)} stands {between} above it.")
