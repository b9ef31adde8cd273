"""What is done once a run is trained: evaluations, the best one's answers, the per-example table, the manifest.

Net and data are built once, and the weights of each checkpoint are loaded once.
"""

import logging
import math
from statistics import median
from typing import Any

import numpy as np

from dpls.attacks import Attack
from dpls.data import PARTS, TEST, TRAIN, UNLABELLED, VALIDATION, Dataset
from dpls.data.cache import folder_of
from dpls.data.split import Split
from dpls.data.unlabelled import keep_answers
from dpls.device import resolve_device, resolve_precision
from dpls.evaluations.base import evaluation_name
from dpls.evaluations.judge import probabilities
from dpls.jobs.estimate import outline_of, speed
from dpls.jobs.evaluating import Bench, shown
from dpls.machine import hardware, versions
from dpls.recipe import RunConfig
from dpls.runs.agreement import check_record, check_seal, seal
from dpls.runs.directory import Run
from dpls.runs.files import data_root, write_json
from dpls.runs.scores.kept import keep
from dpls.training.checkpoints import forget_loaded

log = logging.getLogger("dpls")


def finish(run: Run, config: RunConfig, dataset: Dataset) -> None:
    """Everything that follows the last epoch. Evaluations that are finished, of the same weights, are left alone."""
    check_seal(run, derived=False)
    check_record(run, dataset)
    bench = Bench.of(run, config, dataset)
    for name in config.checkpoints:
        candidate = bench.candidate(name)
        for part in _judged_parts(config, name):
            for attack in (None, *config.evaluations_of(part == TEST)):
                log.info(bench.judge(candidate, attack, part, told=shown(run, attack, name)))
        if name == "best":
            _keep_what_it_says(bench)
    if config.loaded and config.epochs == 1 and config.loaded.attack:
        _keep_steps_to_flip(bench, config.loaded.attack)
    bench.write_table()
    write_manifest(run, config, dataset)
    forget_loaded(run)
    seal(run)


def _keep_what_it_says(bench: Bench) -> None:
    """Of every image; beside these, the classes of those without a label, for runs that take them for labels."""
    run, dataset = bench.run, bench.dataset
    bare = dataset.ids(UNLABELLED)
    unlabelled = [Split.of(dataset, UNLABELLED, bench.parts.device)] if len(bare) else []
    said = probabilities(bench.parts.net, [*bench.parts.splits, *unlabelled])
    run.write_probabilities(said)
    if len(bare):
        images = folder_of(data_root(run.path.parent), run.config()["fingerprint"])
        keep_answers(images, run.id, said[bare].argmax(1))


def _keep_steps_to_flip(bench: Bench, attack: Attack) -> None:
    """Scores for all runs on these images: how soon an attack breaks what one model says of each training image. 1:
    wrong without attack; less with every step that it takes; 0: never broken."""
    run = bench.run
    log.info(bench.judge(bench.candidate("best"), attack, TRAIN, told=shown(run, attack, "best")))
    outcomes = run.outcomes(evaluation_name(attack, "best", TRAIN))
    steps = outcomes["steps"].to_numpy(float, na_value=math.nan)
    if np.isnan(steps).all():  # the attack does not look before its last step, or breaks nothing
        return
    scores = np.full(len(bench.dataset.labels), math.nan)
    scores[outcomes["id"]] = np.nan_to_num(1 - steps / (np.nanmax(steps) + 1), nan=0.0)
    name = f"steps-{run.id[-4:]}"
    keep(run.path.parent, run.config()["fingerprint"], name, scores)
    log.info("steps to flip, kept as scores %r: 1 is wrong without attack, 0 never broken by %s", name, attack.title)


def _judged_parts(config: RunConfig, checkpoint: str) -> list[int]:
    """Test images, then what is asked for beside them.

    Training images at the last checkpoint alone: memorization is complete at the end.
    """
    also = [part for part in (TRAIN, VALIDATION) if PARTS[part] in config.evaluate_also]
    return [TEST, *(part for part in also if part != TRAIN or checkpoint != "best" or len(config.checkpoints) == 1)]


def write_manifest(run: Run, config: RunConfig, dataset: Dataset) -> None:
    """Where and how fast; for each phase the epochs that are committed."""
    device = resolve_device(config.device)
    rows = run.metrics()
    # The median epoch of each phase: one that somebody disturbed shall not make later estimates slow.
    parts = [rows[start : phase.until] for start, phase in config.phases_after(0)]
    seconds = sum(len(part) * median(row["seconds"] for row in part) for part in parts if part)
    write_json(
        run.manifest_file,
        {
            **versions(),
            **hardware(),
            "device": str(device),
            "precision": str(resolve_precision(config.precision, device)).removeprefix("torch."),
            "fingerprint": run.config()["fingerprint"],
            "phases": [_pace(rows[start : phase.until], phase.until) for start, phase in config.phases_after(0)],
            "operations_per_second": round(speed(config, outline_of(dataset), seconds, len(rows))) if rows else None,
        },
    )


def _pace(rows: list[dict[str, Any]], until: int) -> dict[str, Any]:
    """Seconds and mean images a second of a phase's epochs."""
    rates = [row["images_per_second"] for row in rows]
    return {
        "until": until,
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "images_per_second": round(sum(rates) / len(rates), 1) if rates else None,
    }
