"""A finished run in words: accuracies with intervals, the hardest images, what the planted causes cost. Plain text."""

import json

import numpy as np
import pandas as pd

from dpls.difficulty import auroc
from dpls.runs import Run, data_root


def hardest(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The hardest training examples first; equal difficulty is ordered by mean cross-entropy, then by id."""
    train = table[table["split"] == "train"]
    return train.sort_values(["difficulty", "cross_entropy", "id"], ascending=[False, False, True]).head(count)


def report(run: Run, count: int = 10) -> str:
    """What a person wants to know first of a finished run."""
    table = run.examples()
    lines = ["", f"Run {run.id}  {run.label()}".rstrip(), "", *_accuracies(run), "", *_hardest(run, table, count)]
    return "\n".join([*lines, "", *_causes(table)]).rstrip() + "\n"


def _accuracies(run: Run) -> list[str]:
    lines = ["Accuracy on the test images, with 95 % Wilson intervals:"]
    for name in run.evaluation_names():
        e = run.evaluation(name)
        where = f"{e['checkpoint']} checkpoint (epoch {e['epoch']}, {e['chosen_by']})"
        lines.append(
            f"  {e['accuracy']:6.1%} [{e['low']:.1%}, {e['high']:.1%}]  n = {e['n']:,}  {e['attack']};  {where}"
        )
        lines += [f"          note: {warning}" for warning in e["warnings"]]
    return lines


def _hardest(run: Run, table: pd.DataFrame, count: int) -> list[str]:
    rows = hardest(table, count)
    classes = class_names(run)
    lines = [f"The {len(rows)} hardest training images (equal difficulty ordered by mean loss):"]
    lines.append(
        f"  {'id':>6}  {'label':<14} {'planted cause':<14} {'difficulty':>10} {'wrong':>6} {'loss':>6} {'factor':>7}"
    )
    for row in rows.to_dict("records"):
        label = classes[row["label"]] if row["label"] < len(classes) else str(row["label"])
        lines.append(
            f"  {row['id']:>6}  {label[:14]:<14} {row['cause'] or '-':<14} {row['difficulty']:>10.3f}"
            f" {row['zero_one']:>6.0%} {row['cross_entropy']:>6.2f} {row['factor']:>7.3f}"
        )
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


def class_names(run: Run) -> list[str]:
    """Names by label from the image cache; empty where the cache is gone."""
    meta = data_root(run.path.parent) / run.config()["fingerprint"] / "meta.json"
    return list(json.loads(meta.read_text())["classes"]) if meta.exists() else []
