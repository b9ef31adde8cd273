"""Which images are hard, whether that may be believed, and how their labels are smoothed."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpls import charts
from dpls.data.cache import folder_of, open_dataset
from dpls.difficulty import causes
from dpls.errors import UserError
from dpls.recipe import RunConfig
from dpls.reports.parts import badge, drawn, escape, listed, paragraph, picture, section, table
from dpls.runs import report
from dpls.runs.directory import Run

Row: TypeAlias = dict[Hashable, Any]
"""Of the per-example table, by column."""
SHOWN = 36
COLUMNS = ("id", "label", "network says", "difficulty", "factor", "planted", "file")


def images_of(run: Run, root: Path) -> NDArray[np.uint8] | None:
    """uint8 (N, C, H, W), by id, from the cache; cut again where they come with packages. None where they are gone,
    or were never handed over."""
    fingerprint, data = run.config()["fingerprint"], run.recipe().data
    try:
        if not folder_of(root, fingerprint).is_dir() and data.source.is_embedded:
            data(root)
        images = open_dataset(root, fingerprint).images
    except UserError:
        return None
    return images if images.size else None


def verdict(run: Run, examples: pd.DataFrame) -> str:
    """May this difficulty be believed, and why."""
    if name := run.recipe().difficulty.scores_name:
        said = f"Difficulty is that of the scores {name!r}: how they were found, nothing here can check."
        return section("May it be believed?", paragraph(said))
    found = report.verdict_on(run, examples)
    checks = listed((check.level, check.name, check.sentence) for check in found.checks)
    return section("May it be believed?", f"<p>{badge(found.level, found.sentence)}</p>", checks)


def distribution(config: RunConfig, examples: pd.DataFrame) -> str:
    """Of difficulty, by what was planted and by class."""
    train = report.scored(examples)
    difficulty, labels = train["difficulty"].to_numpy(float), train["label"].to_numpy()
    if np.isnan(difficulty).all():
        return section("Difficulty", paragraph("No training image has a difficulty.", "note"))
    edges = charts.bins_of(difficulty)
    groups = {name or "not planted": difficulty[train["cause"] == name] for name in sorted(train["cause"].unique())}
    names = dict(zip(labels.tolist(), train["class"].tolist(), strict=True))
    classes = [str(names.get(label, "")) for label in range(max(names) + 1)]
    by = f"difficulty by {config.difficulty.decided_by}"
    found = causes.of_difficulty(train)
    return section(
        "Difficulty",
        drawn(
            (
                charts.histogram(groups, edges, 0, 1, by),
                f"The {len(train):,} training images, 0 the easiest, 1 the hardest.",
            ),
            (charts.by_class(classes, labels, difficulty, edges), "By class, the hardest on top; the dot is the mean."),
        ),
        "<pre>{}</pre>".format("\n".join(map(escape, found))) if found else "",
    )


def hardest(examples: pd.DataFrame, images: NDArray[np.uint8] | None) -> str:
    """As pictures where they are at hand, else as a table."""
    rows: list[Row] = report.hardest(examples, SHOWN).to_dict("records")
    title = f"The {len(rows)} hardest training images"
    said = "Equal difficulty is ordered by mean loss."
    if images is None:
        cells = [_cells(row) for row in rows]
        told = [place for place in range(len(COLUMNS)) if any(cell[place] != "" for cell in cells)]
        lines = ([escape(cell[place]) for place in told] for cell in cells)
        missing = "The images are not at hand; these are their numbers."
        columns = [COLUMNS[place] for place in told]
        return section(title, paragraph(f"{missing} {said}", "soft"), table(columns, lines))
    tiles = "".join(f"<figure>{picture(images[row['id']], _alt(row))}{_caption(row)}</figure>" for row in rows)
    legend = "Below each: its label, what the network says where it is not that, difficulty, factor, what was planted."
    return section(title, paragraph(f"{legend} {said}", "soft"), f'<div class="tiles">{tiles}</div>')


def _cells(row: Row) -> list[object]:
    numbers = (_difficulty(row, 3), "" if np.isnan(row["factor"]) else f"{row['factor']:.3f}")
    return [row["id"], row["class"], row.get("predicted", ""), *numbers, row["cause"], row["path"]]


def _difficulty(row: Row, digits: int) -> str:
    return "unseen" if np.isnan(row["difficulty"]) else f"{row['difficulty']:.{digits}f}"


def _alt(row: Row) -> str:
    return f"image {row['id']}, labelled {row['class']}, difficulty {_difficulty(row, 2)}"


def _caption(row: Row) -> str:
    said = row.get("predicted", row["class"])
    lines = [f"<b>{escape(row['class'])}</b>", escape(f"→ {said}") if said != row["class"] else ""]
    factor = "" if np.isnan(row["factor"]) else f", factor {row['factor']:.2f}"
    lines += [f"{_difficulty(row, 2)}{factor}", escape(row["cause"]), f"no. {row['id']}"]
    path = escape(row["path"])
    file = f'<span class="path" title="{path}">{path}</span>' if path else ""
    return f"<figcaption>{'<br>'.join(line for line in lines if line)}{file}</figcaption>"


def factors(config: RunConfig, examples: pd.DataFrame) -> str:
    """How much of its label each training image keeps, in the last phase."""
    train = report.scored(examples)
    found = train["factor"].to_numpy(float)
    rule = config.phases[-1].factors
    if config.elsewhere and np.isnan(found).all():
        return section("Smoothing", paragraph(f"The run was {config.elsewhere.title}: its factors are not known."))
    if np.isnan(found).any():
        return section("Smoothing", paragraph("The last phase has not begun; there are no factors yet."))
    if (found == 1).all():
        return section("Smoothing", paragraph("Every label was hard: all factors are 1."))
    said = (
        f"{rule.in_words or 'factors'}: mean factor {found.mean():.4f}, smallest {found.min():.4f};"
        f" {np.mean(found > 0.999):.0%} of the labels stay hard. The factor is the mass that the label keeps."
    )
    curve = charts.factor_curve(found, float(found.min()), float(found.mean()))
    return section(
        "Smoothing",
        paragraph(said),
        drawn(
            (curve, "Factors from the easiest to the hardest image, beside a uniform one of the same mean."),
            (charts.factor_histogram(found), "How many images keep how much."),
        ),
    )
