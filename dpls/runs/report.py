"""A run in words, for terminal and pages: a row, a report, a comparison of two, what to be wary of. No torch."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pandas as pd

from dpls import intervals
from dpls.data.unlabelled import PSEUDO
from dpls.difficulty import causes
from dpls.difficulty.measures import MEASURES
from dpls.difficulty.scale import hardest_first
from dpls.difficulty.signals import signals_of
from dpls.difficulty.verdict import Verdict, has_left_chance, verdict
from dpls.errors import UserError
from dpls.evaluations.trust import judged as trust
from dpls.evaluations.trust.card import Card
from dpls.recipe import RunConfig
from dpls.runs.directory import Run
from dpls.text import display

FEWEST_IMAGES = 5
"""A fall in accuracy of fewer images than these is no news."""


def row(run: Run) -> dict[str, Any]:
    """What a list of runs shows; a damaged run is a row, too, and does not hide the others."""
    try:
        (state, status), stored, _ = run.reading(), run.config(), run.metrics()
        age = datetime.now(UTC) - datetime.fromisoformat(status["created"])
        planned = run.recipe().elsewhere is None  # else nobody here knows how many epochs it will have
        found = {
            "id": run.id,
            "label": run.label(),
            "state": state,
            "epoch": status["epoch"],
            "epochs": status["epochs"] if planned else None,
            "done": status["epoch"] / max(1, status["epochs"]) if planned else None,
            "created": status["created"],
            "age": age.total_seconds(),
            "error": status["error"],
            "parent": stored["parent"],
            "data": data_of(run.recipe()),
            "method": method_of(run.recipe()),
            "elsewhere": not planned,
            "eps": run.recipe().eps,
            "evaluations": [content | {"name": name} for name, content in accuracies(run).items()],
        }
        for evaluation in best_of(found["evaluations"], found["eps"]):
            with_interval(evaluation)  # what a list shows of it is there
        return found
    except Exception as error:  # whatever is wrong with it, it is a row
        text = display(str(error))[:200]
        reason = f"run {run.id} is damaged ({type(error).__name__}: {text}); restore its files or delete it"
        reason = str(error) if isinstance(error, UserError) else reason
        nothing = {
            "label": reason,
            "epoch": 0,
            "epochs": 0,
            "done": 0.0,
            "created": None,
            "age": None,
            "parent": None,
            "eps": 0.0,
            "evaluations": [],
        }
        return {
            "id": run.id,
            "state": "damaged",
            "error": reason,
            "data": "",
            "method": "",
            "elsewhere": False,
            **nothing,
        }


def data_of(config: RunConfig) -> str:
    """e.g. ``photos, 10 % planted``."""
    name, probes = config.data.source.title, config.data.probes
    return f"{name}, {sum(probe.share for probe in probes):.0%} planted" if probes else name


def method_of(config: RunConfig) -> str:
    """e.g. ``PGD-AT 8/255, DPLS 0.5``: the objective with its radius, and the labels and examples of the last phase."""
    phase = config.phases[-1]
    subset = phase.subset.in_words if phase.subset else ""
    by = config.difficulty.scores_name if phase.factors.needs_difficulty else ""
    factors = phase.factors.in_words + (f" by {by}" if by else "")
    words = (config.objective.in_words(config.eps), factors, subset)
    return ", ".join(part for part in words if part)


def best_of(
    evaluations: Sequence[Mapping[str, Any]], eps: float, checkpoint: str = "best"
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The clean and the lowest attacked evaluation of a checkpoint; at eps, the run's, where one was made so."""
    mine = [e for e in evaluations if e["checkpoint"] == checkpoint]
    clean = next((e for e in mine if e["attack"] == "clean"), None)
    attacked = _largest([e for e in mine if trust.is_attacked(e)])
    attacked = [e for e in attacked if abs(e["settings"].get("eps", eps) - eps) < 1e-9] or attacked
    return clean, min(attacked, key=lambda e: e["accuracy"]) if attacked else None


C = TypeVar("C", bound=Mapping[str, Any])


def _largest(evaluations: Sequence[C]) -> list[C]:
    """Of each attack on a checkpoint the one that looked at most images: a smaller sample is part of a larger one."""
    best: dict[tuple[Any, ...], C] = {}
    for e in evaluations:
        same = (e["checkpoint"], e["attack"], e["settings"].get("eps"))
        if same not in best or e["n"] > best[same]["n"]:
            best[same] = e
    return list(best.values())


def accuracies(run: Run) -> dict[str, dict[str, Any]]:
    """What is said of each accuracy on test images, by the name of its evaluation; the checks are none."""
    found = {name: run.evaluation(name) for name in run.evaluation_names()}
    return {name: content for name, content in found.items() if not trust.is_checks(content)}


def cards(run: Run) -> dict[str, Card]:
    """The trust card of every robust accuracy on test images, by the name of its evaluation."""
    found = {name: run.evaluation(name) for name in run.evaluation_names()}
    kept = [id(content) for content in _largest([c for c in found.values() if c["attack"] != "clean"])]
    attacked = {name: content for name, content in found.items() if id(content) in kept}
    return trust.cards({name: trust.Judged(content, run.outcomes(name)) for name, content in attacked.items()})


def card_of(run: Run, checkpoint: str = "best") -> Card | None:
    """That of the lowest robust accuracy of a checkpoint, at the run's eps where one was made so."""
    named = [said | {"name": name} for name, said in accuracies(run).items()]
    _, attacked = best_of(named, run.recipe().eps, checkpoint)
    return cards(run)[attacked["name"]] if attacked else None


def with_interval(evaluation: Mapping[str, Any] | None) -> str:
    """e.g. ``77.0 % [74.3, 79.5]``."""
    if evaluation is None:
        return ""
    return f"{evaluation['accuracy']:.1%} [{100 * evaluation['low']:.1f}, {100 * evaluation['high']:.1f}]"


def difference(first: Run, second: Run, evaluation: str) -> intervals.Difference | None:
    """Paired by image; None where the two were not judged on the same images by the same evaluation.

    One run of each: the interval says nothing about other seeds.
    """
    names = (first.evaluation_names(others=True), second.evaluation_names(others=True))
    if first.config()["fingerprint"] != second.config()["fingerprint"] or not all(evaluation in n for n in names):
        return None
    a, b = (run.evaluation(evaluation)["settings"] for run in (first, second))
    if any(a[setting] != b[setting] for setting in a.keys() & b.keys()):  # what one alone says, the name tells
        return None
    before, after = (run.outcomes(evaluation).set_index("id")["correct"].astype(float) for run in (first, second))
    shared = before.index.intersection(after.index)
    return intervals.difference(before[shared].to_numpy()[None], after[shared].to_numpy()[None])


def concerns(rows: Sequence[Mapping[str, Any]], config: RunConfig, chance: float, validation: int) -> list[str]:
    """What a look at the rows of metrics.jsonl should make one wary of, a sentence each.

    ``chance``: accuracy on training images of whoever always says the commonest class; ``validation``: how many
    validation images there are.
    """
    known = [row for row in rows if row["validation_robust"] is not None and row["train_robust"] is not None]
    found = [_stuck(rows[-1], config, chance)] if _is_stuck(rows, config, chance) else []
    if known:
        best, last = max(known, key=lambda row: row["validation_robust"]), known[-1]
        fall = best["validation_robust"] - last["validation_robust"]
        if last["train_robust"] > 0.5 and last["validation_robust"] < 0.1 and best["validation_robust"] > 0.2:
            found.append(
                f"Catastrophic overfitting: right on {last['train_robust']:.0%} of its own attacks, but on"
                f" {last['validation_robust']:.0%} under the validation attack. Use more attack steps."
            )
        elif (
            fall >= max(0.03, FEWEST_IMAGES / max(1, validation)) and last["train_robust"] - best["train_robust"] > 0.02
        ):
            found.append(
                f"Robust overfitting: validation accuracy under attack fell by {100 * fall:.1f} points since epoch"
                f" {best['epoch']}, while training accuracy rose. The best checkpoint is kept."
            )
    if rows and any(not math.isfinite(row["loss"] or 0) for row in rows):
        found.append("The loss is not finite: lower the learning rate.")
    return found


def _is_stuck(rows: Sequence[Mapping[str, Any]], config: RunConfig, chance: float) -> bool:
    """No epoch of the last three has left chance, after a tenth of all epochs and three at least."""
    late = len(rows) >= max(3, config.epochs / 10)
    known = [row["train_clean"] for row in rows[-3:] if row["train_clean"] is not None]
    return late and bool(known) and not any(has_left_chance(share, chance) for share in known)


def _stuck(row: Mapping[str, Any], config: RunConfig, chance: float) -> str:
    longer = max(5, round(config.epochs / 5), 2 * config.attack_warmup)
    stop = "Stop it" if row["epoch"] < config.epochs or config.elsewhere else "Start again"
    if config.elsewhere and config.elsewhere.how == "loaded":
        stop, remedy = "Load it again", "see whether the settings of net and data are those it was trained with"
    elif config.elsewhere:
        remedy = "see whether ids, labels and logits belong together, and try another learning rate"
    elif not config.objective.attacks or row["epoch"] <= config.attack_warmup:  # there was no attack yet
        remedy = "see whether the labels belong to these images, and try another optimiser.lr"
    elif longer < config.counted_epochs:
        remedy = f"set attack_warmup={longer}, or a smaller eps"
    else:
        remedy = f"train longer with attack_warmup={longer}, or set a smaller eps"
    return (
        f"Still at chance after epoch {row['epoch']}: {row['train_clean'] or 0:.1%} of the training images are right,"
        f" and saying always the commonest class gets {chance:.1%}. {stop}: {remedy}."
    )


def hardest(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The hardest training examples first; equal difficulty is ordered by mean cross-entropy, then by id."""
    train = table[table["split"] == "train"]
    difficulty, loss = (train[name].to_numpy(dtype=float) for name in ("difficulty", "cross_entropy"))
    return train.iloc[hardest_first(difficulty, loss, train["id"].to_numpy())[:count]]


def report(run: Run, count: int = 10) -> str:
    """What a person wants to know first of a finished run."""
    table = run.examples()
    lines = ["", f"Run {run.id}  {run.label()}".rstrip(), "", *_accuracies(run), "", *_believed(run, table)]
    lines += _hardest(table, count, run.recipe().difficulty.scores_name)
    train = scored(table)
    return "\n".join([*lines, "", *causes.of_difficulty(train), "", *causes.of_measures(train)]).rstrip() + "\n"


def scored(table: pd.DataFrame) -> pd.DataFrame:
    """The training rows, without those whose label is a pseudo-label: nobody planted these."""
    return table[(table["split"] == "train") & (table["cause"] != PSEUDO)]


def _accuracies(run: Run) -> list[str]:
    config, found, trusted = run.recipe(), accuracies(run), cards(run)
    origin = [f"{config.objective.title[:1].upper()}{config.objective.title[1:]}."] if config.elsewhere else []
    if not config.net.is_known:
        return [*origin, "Without the weights of its network nothing here can evaluate it."]
    lines = [*origin, "Accuracy on the test images, with 95 % Wilson intervals:"]
    for name, e in found.items():
        interval = f"[{e['low']:.1%}, {e['high']:.1%}]"
        where = f"{e['checkpoint']:<4} (epoch {e['epoch']})"
        lines.append(f"  {e['accuracy']:6.1%} {interval:<16} n = {e['n']:,}  {where}  {e['attack']}")
        if name in trusted:
            lines.append(f"         {trusted[name].colour}: {trusted[name].reason}")
    rules = {e["checkpoint"]: e["chosen_by"] for e in found.values()}
    lines += [f"  {checkpoint}: {rule}" for checkpoint, rule in sorted(rules.items())]
    return lines + [f"  note: {warning}" for warning in dict.fromkeys(w for e in found.values() for w in e["warnings"])]


def verdict_on(run: Run, table: pd.DataFrame) -> Verdict:
    """May the difficulty in a run's table be believed?"""
    config, train = run.recipe(), scored(table)
    record = signals_of(run.dynamics(min(config.counted_epochs, len(run.metrics()))), config.difficulty.adversarial)
    mine = {name: rows[:, train["id"].to_numpy()] for name, rows in record.items()}
    measure = config.difficulty.measure
    return verdict(mine, measure, MEASURES[measure].compute(mine), train["label"].to_numpy())


def _believed(run: Run, table: pd.DataFrame) -> list[str]:
    if name := run.recipe().difficulty.scores_name:
        return [f"Difficulty is that of the scores {name!r}: how they were found, nothing here can check.", ""]
    found = verdict_on(run, table)
    return [found.sentence, *(f"  {check.name}: {check.sentence}" for check in found.doubts), ""]


def _hardest(table: pd.DataFrame, count: int, by: str) -> list[str]:
    rows = hardest(table, count)
    lines = [f"The {len(rows)} hardest training images (equal difficulty ordered by mean loss):"]
    planted = bool((table["cause"] != "").any())
    cause = f" {'planted cause':<14}" if planted else ""
    file = "  file" if (table["path"] != "").any() else ""
    smoothed = bool(table["factor"].notna().any())
    seen = "" if table["zero_one"].notna().any() else "_adv"  # a loop elsewhere may record attacked images alone
    factor = f" {'factor':>7}" if smoothed else ""
    lines.append(f"  {'id':>6}  {'label':<14}{cause} {'difficulty':>10} {'wrong':>6} {'loss':>6}{factor}{file}")
    for row in rows.to_dict("records"):
        cause = f" {row['cause'] or '-':<14}" if planted else ""
        factor = f" {row['factor']:>7.3f}" if smoothed else ""
        line = (
            f"  {row['id']:>6}  {row['class'][:14]:<14}{cause} {row['difficulty']:>10.3f}"
            f" {row[f'zero_one{seen}']:>6.0%} {row[f'cross_entropy{seen}']:>6.2f}{factor}  {row['path']}"
        )
        lines.append(line.rstrip())
    unseen = int(table.loc[table["split"] == "train", "difficulty"].isna().sum())
    if unseen:
        why = "they have no score, or" if by else "unseen, or"
        then = ": factor 1" if smoothed else ""
        lines.append(f"  note: {unseen:,} training images have no difficulty ({why} all alike){then}")
    return lines
