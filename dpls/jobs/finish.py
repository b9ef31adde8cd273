"""What is done once a run is trained: evaluations, the best one's answers, the per-example table, the manifest.

Net and data are built once, and the weights of each checkpoint are loaded once.
"""

import logging
from statistics import median
from typing import Any

from pydantic import ValidationError

from dpls.attacks import Attack
from dpls.data import PARTS, TEST, TRAIN, VALIDATION, Dataset
from dpls.data.cache import open_dataset, open_hashes
from dpls.device import make_deterministic, resolve_device, resolve_precision
from dpls.errors import UserError
from dpls.evaluations import named
from dpls.evaluations.conduct import Candidate, evaluate, evaluation_name
from dpls.evaluations.evaluation import Told
from dpls.evaluations.judge import probabilities
from dpls.jobs.estimate import outline_of, speed
from dpls.machine import hardware, versions
from dpls.recipe import RunConfig, make_config, override
from dpls.recipe.sentences import sentence
from dpls.runs.agreement import check_record, check_seal, is_sealed, seal, unseal
from dpls.runs.checked import no_links
from dpls.runs.directory import Run
from dpls.runs.examples import write_examples
from dpls.runs.files import data_root, write_json
from dpls.training.checkpoints import find_checkpoint, load_weights
from dpls.training.loop import Parts, build

log = logging.getLogger("dpls")


def finish(run: Run, config: RunConfig, dataset: Dataset) -> None:
    """Everything that follows the last epoch. Evaluations that are finished, of the same weights, are left alone."""
    check_seal(run, derived=False)
    check_record(run, dataset)
    parts = build(config, dataset)
    for name in ("best", "last"):
        candidate = _candidate(run, parts, name)
        for part in _judged_parts(config, name):
            for attack in (None, *config.evaluations):
                log.info(_judge(run, parts, candidate, attack, part, _shown(run, attack, name)))
        if name == "best":
            run.write_probabilities(probabilities(parts.net, parts.splits))
    _write_table(run, config, dataset)
    write_manifest(run, config, dataset)
    seal(run)


def evaluate_run(run: Run, attack: str, assignments: list[str], checkpoint: str) -> str:
    """Evaluates a checkpoint of a run on its test images and stores the outcome; returns the accuracy in words.

    ``attack`` is a short name, its settings are ``name=value``; eps is the run's where it is not among them. One that
    was stopped goes on where it was; one that is finished is not made again.
    """
    make_deterministic()
    stored = run.config()
    asked = named(attack)
    settings = override(asked.model_dump(mode="json"), assignments, type(asked))
    try:
        type(asked).model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, type(asked))) from None
    config = make_config(stored["config"] | {"evaluations": [settings]}).resolved()
    find_checkpoint(run, checkpoint)  # refused before anything is loaded
    with run.lock():
        no_links(run.path)
        check_seal(run)
        dataset = open_dataset(data_root(run.path.parent), stored["fingerprint"])
        check_record(run, dataset)
        _check_tables(run)
        parts = build(config, dataset)
        sealed = is_sealed(run)
        unseal(run, evaluation_name(config.evaluations[0], checkpoint))
        words = _judge(run, parts, _candidate(run, parts, checkpoint), config.evaluations[0])
        _write_table(run, config, dataset)
        if sealed:
            seal(run)
    return words


def _judged_parts(config: RunConfig, checkpoint: str) -> list[int]:
    """Test images, then what is asked for beside them.

    Training images at the last checkpoint alone: memorization is complete at the end.
    """
    also = [part for part in (TRAIN, VALIDATION) if PARTS[part] in config.evaluate_also]
    return [TEST, *(part for part in also if (checkpoint, part) != ("best", TRAIN))]


def _candidate(run: Run, parts: Parts, checkpoint: str) -> Candidate:
    """The net with the weights of one checkpoint, until those of the next are loaded."""
    path, epoch = find_checkpoint(run, checkpoint)
    load_weights(parts.net, path)
    chosen_by = {"best": parts.config.chosen_by, "last": "last epoch"}.get(checkpoint, "named by hand")
    return Candidate(parts.net, checkpoint, epoch, chosen_by, run.config()["fingerprint"], parts.dtype)


def _check_tables(run: Run) -> None:
    """What the per-example table would be made from; refused before hours go into another evaluation."""
    for name in run.evaluation_names(others=True):
        run.outcomes(name)
    run.probabilities()


def _judge(
    run: Run, parts: Parts, candidate: Candidate, attack: Attack | None, part: int = TEST, told: Told | None = None
) -> str:
    """One evaluation, stored; in words."""
    result = evaluate(run.evaluations, candidate, parts.splits[part], attack, part=part, told=told)
    checkpoint = f"{candidate.checkpoint} checkpoint (epoch {candidate.epoch})"
    return f"{_title(attack)}, {PARTS[part]}, {checkpoint}: {result}"


def _shown(run: Run, attack: Attack | None, checkpoint: str) -> Told:
    """Keeps pages informed of an evaluation."""
    stage = f"evaluating: {_title(attack)}, {checkpoint} checkpoint"

    def told(done: int, total: int, doing: str) -> None:
        run.write_status(stage=f"{stage}, {doing}" if doing else stage, images=done, images_total=total)

    return told


def _title(attack: Attack | None) -> str:
    return attack.title if attack else "clean"


def _write_table(run: Run, config: RunConfig, dataset: Dataset) -> None:
    write_examples(config, run, dataset, open_hashes(data_root(run.path.parent), run.config()["fingerprint"]))


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
