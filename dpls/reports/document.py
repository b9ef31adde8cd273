"""The sections of a report, in the order a reader asks: what is it, may it be believed, what came of it, how."""

from pathlib import Path

import pandas as pd

from dpls.machine import VERSION
from dpls.recipe import RunConfig
from dpls.recipe.differing import flat, known
from dpls.reports import images, results
from dpls.reports.parts import escape, folded, page, pairs, paragraph, section
from dpls.runs import report
from dpls.runs.directory import Run

ARTICLE = (
    "Hyungyu Lee, Saehyung Lee, Ho Bae and Sungroh Yoon: Regularizing Hard Examples Improves Adversarial Robustness."
    " Journal of Machine Learning Research 26, 2025."
)


def document(run: Run, root: Path) -> str:
    """A run as one file of HTML: no script, nothing loaded from elsewhere. Of an unfinished one, what is known.

    ``root``: where images are cached. UserError where the run is damaged.
    """
    config = run.recipe()
    examples = run.examples() if run.examples_file.exists() else None
    sections = [_head(run, config), _state(run, examples)]
    if examples is not None:
        sections += [images.verdict(run, examples), images.distribution(config, examples)]
        sections += [images.hardest(examples, images.images_of(run, root)), images.factors(config, examples)]
    sections += [results.accuracies(run), results.training(run, config, examples), _made(run, config), _cited()]
    return page(run.label() or run.id, (part for part in sections if part))


def _head(run: Run, config: RunConfig) -> str:
    status = run.status()
    counted = f"{config.counted_epochs} of {config.epochs} epochs"
    facts = {
        "Run": run.id,
        "Images": report.data_of(config),
        "Method": report.method_of(config),
        "Network": config.net.kind,
        "Difficulty": f"{config.difficulty.decided_by}, counted over {counted}",
        "Begun": status["created"],
    }
    return f"<h1>{escape(run.label() or run.id)}</h1>\n{pairs(facts)}"


def _state(run: Run, examples: pd.DataFrame | None) -> str:
    """What a reader has to know of a run that is not finished."""
    state, status = run.reading()
    if state == "done":
        return ""
    said = f"This run is not finished: it is {state}, after {status['epoch']} of {status['epochs']} epochs."
    missing = " Hardest images, difficulty and factors are known once it is." if examples is None else ""
    return paragraph(f"{said}{missing} The numbers below may change.", "note")


def _made(run: Run, config: RunConfig) -> str:
    """Configuration and versions."""
    stored = run.config()
    settings = flat(known(config))
    versions = flat(run.manifest()) if run.manifest_file.exists() else {}
    identity = {"recipe": stored.get("recipe_hash"), "images": stored["fingerprint"], "engine": stored.get("engine")}
    identity = {name: value for name, value in identity.items() if value is not None}
    return section(
        "How it was made",
        pairs(identity),
        folded(f"Configuration: {len(settings):,} settings", pairs(settings)),
        folded("Versions, hardware, speed", pairs(versions)) if versions else "",
    )


def _cited() -> str:
    return section("To cite", paragraph(f"Method: {ARTICLE}"), paragraph(f"Software: DPLS Lab {VERSION}."))
