"""What a net gets right, whether that may be believed, and how it came to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dpls import charts
from dpls.difficulty.verdict import BAD, DOUBTFUL, GOOD, Level, chance_of
from dpls.evaluations.trust.card import Card, Colour
from dpls.intervals import Estimate
from dpls.recipe import RunConfig
from dpls.reports.parts import badge, drawn, escape, folded, listed, paragraph, section, sentence_of, table
from dpls.runs import report
from dpls.runs.directory import Run

LEVELS: dict[Colour, Level] = {"green": GOOD, "amber": DOUBTFUL, "red": BAD}
COLUMNS = ("attack", "checkpoint", "accuracy", "95 % interval", "n", "trust")


def accuracies(run: Run) -> str:
    """Each with its interval, and what speaks for and against it."""
    found, cards = report.accuracies(run), report.cards(run)
    if not found:
        return ""
    rows = [_row(content, cards.get(name)) for name, content in found.items()]
    rules = {e["checkpoint"]: e["chosen_by"] for e in found.values()}
    chosen = "; ".join(f"{checkpoint}: {rule}" for checkpoint, rule in sorted(rules.items()))
    warnings = dict.fromkeys(warning for e in found.values() for warning in e["warnings"])
    return section(
        "Accuracy on the test images",
        table(COLUMNS, rows, ("accuracy", "n")),
        paragraph(f"Wilson intervals. Checkpoints are chosen by: {chosen}.", "soft"),
        *(paragraph(f"Note: {warning}.", "soft") for warning in warnings),
        _ladder(list(found.values())),
        *(_card(card) for card in cards.values()),
    )


def _row(e: Mapping[str, Any], card: Card | None) -> list[str]:
    where = f"{e['checkpoint']} (epoch {e['epoch']})"
    interval = f"{100 * e['low']:.1f} to {100 * e['high']:.1f}"
    trust = badge(LEVELS[card.colour], card.colour) if card else ""
    return [escape(e["attack"]), escape(where), f"{e['accuracy']:.1%}", interval, f"{e['n']:,}", trust]


def _ladder(found: Sequence[Mapping[str, Any]]) -> str:
    """Of the best checkpoint, the clean one first."""
    best = sorted(
        (e for e in found if e["checkpoint"] == "best"), key=lambda e: (e["attack"] != "clean", -e["accuracy"])
    )
    if not best:
        return ""
    estimates = [Estimate(e["accuracy"], e["low"], e["high"], e["n"]) for e in best]
    return drawn((charts.ladder([e["attack"] for e in best], estimates, None), "Best checkpoint, with 95 % intervals."))


def _card(card: Card) -> str:
    """Its colour and its reason; all lines inside."""
    head = f"{badge(LEVELS[card.colour], card.colour)} {escape(f'{card.attack}, {card.checkpoint} checkpoint.')}"
    lines = ((LEVELS[line.colour], line.title, line.sentence) for line in card.lines)
    return folded(f"{head} {sentence_of(card.reason)}", paragraph(f"{card.sentence} {card.advice}") + listed(lines))


def training(run: Run, config: RunConfig, examples: pd.DataFrame | None) -> str:
    """Accuracy and loss by epoch, and what to be wary of."""
    rows = run.metrics()
    if not rows:
        return ""
    border, decays, last = config.last_phase_start or None, config.schedule.decays, config.epochs
    by_epoch = "Accuracy by epoch" + ("; the last phase starts at the green line." if border else ".")
    return section(
        "Training",
        *(paragraph(sentence, "note") for sentence in _concerns(rows, config, examples)),
        drawn(
            (charts.accuracies(rows, border, decays, last), by_epoch),
            (charts.losses(rows, border, decays, last), "Training loss by epoch."),
        ),
    )


def _concerns(rows: Sequence[Mapping[str, Any]], config: RunConfig, examples: pd.DataFrame | None) -> list[str]:
    if examples is None:
        return []
    labels = report.scored(examples)["label"].to_numpy()
    return report.concerns(rows, config, chance_of(labels), int((examples["split"] == "validation").sum()))
