"""A finished run in words: accuracies with intervals, the hardest images, what the planted causes cost. Plain text."""

import numpy as np
import pandas as pd

from dpls.difficulty import auroc
from dpls.runs import Run


def hardest(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The hardest training examples first; equal difficulty is ordered by mean cross-entropy, then by id."""
    train = table[table["split"] == "train"]
    return train.sort_values(["difficulty", "cross_entropy", "id"], ascending=[False, False, True]).head(count)


def report(run: Run, count: int = 10) -> str:
    """What a person wants to know first of a finished run."""
    table = run.examples()
    lines = ["", f"Run {run.id}  {run.label()}".rstrip(), "", *_accuracies(run), "", *_hardest(table, count)]
    return "\n".join([*lines, "", *_causes(table)]).rstrip() + "\n"


def _accuracies(run: Run) -> list[str]:
    lines = ["Accuracy on the test images, with 95 % Wilson intervals:"]
    found = [run.evaluation(name) for name in run.evaluation_names()]
    for e in found:
        interval = f"[{e['low']:.1%}, {e['high']:.1%}]"
        where = f"{e['checkpoint']:<4} (epoch {e['epoch']})"
        lines.append(f"  {e['accuracy']:6.1%} {interval:<16} n = {e['n']:,}  {where}  {e['attack']}")
    rules = {e["checkpoint"]: e["chosen_by"] for e in found}
    lines += [f"  {checkpoint}: {rule}" for checkpoint, rule in sorted(rules.items())]
    return lines + [f"  note: {warning}" for warning in dict.fromkeys(w for e in found for w in e["warnings"])]


def _hardest(table: pd.DataFrame, count: int) -> list[str]:
    rows = hardest(table, count)
    lines = [f"The {len(rows)} hardest training images (equal difficulty ordered by mean loss):"]
    planted = bool((table["cause"] != "").any())
    cause = f" {'planted cause':<14}" if planted else ""
    file = "  file" if (table["path"] != "").any() else ""
    lines.append(f"  {'id':>6}  {'label':<14}{cause} {'difficulty':>10} {'wrong':>6} {'loss':>6} {'factor':>7}{file}")
    for row in rows.to_dict("records"):
        cause = f" {row['cause'] or '-':<14}" if planted else ""
        line = (
            f"  {row['id']:>6}  {row['class'][:14]:<14}{cause} {row['difficulty']:>10.3f}"
            f" {row['zero_one']:>6.0%} {row['cross_entropy']:>6.2f} {row['factor']:>7.3f}  {row['path']}"
        )
        lines.append(line.rstrip())
    unseen = int(table.loc[table["split"] == "train", "difficulty"].isna().sum())
    if unseen:
        lines.append(f"  note: {unseen:,} training images have no difficulty (unseen, or all alike): factor 1")
    return lines


def _causes(table: pd.DataFrame) -> list[str]:
    train = table[table["split"] == "train"]
    planted = [cause for cause in train["cause"].unique() if cause]
    if not planted or train["difficulty"].isna().any():
        return []
    lines = ["Planted causes: how well difficulty tells them from all other training images (AUROC, 0.5 = not at all):"]
    difficulty, causes = train["difficulty"].to_numpy(), train["cause"].to_numpy()
    for cause in sorted(planted, key=lambda c: -auroc(difficulty, causes == c)):
        chosen = causes == cause
        lines.append(
            f"  {cause:<10} {auroc(difficulty, chosen):.3f}  n = {chosen.sum():>4}"
            f"  mean difficulty {difficulty[chosen].mean():.3f}"
        )
    unplanted = difficulty[causes == ""]
    lines.append(
        f"  {'(none)':<10}        n = {len(unplanted):>4}"
        f"  mean difficulty {unplanted.mean():.3f}, above one half {np.mean(unplanted > 0.5):.1%}"
    )
    return lines
