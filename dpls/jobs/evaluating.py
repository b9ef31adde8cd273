"""Evaluations of trained runs: those a run's recipe names, and those somebody asks for. Loads torch."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dpls.attacks import Attack
from dpls.data import PARTS, TEST, TRAIN, Dataset
from dpls.data.cache import folder_of, open_dataset, open_hashes
from dpls.device import make_deterministic
from dpls.evaluations.base import evaluation_name
from dpls.evaluations.conduct import Candidate, evaluate
from dpls.evaluations.evaluation import Told, TrainedOn
from dpls.jobs.wanted import FAILED, Wanted, attack_of, drop, mark, next_wanted
from dpls.recipe import RunConfig
from dpls.runs.agreement import check_record, check_seal, is_sealed, seal, unseal
from dpls.runs.checked import no_links
from dpls.runs.directory import Run
from dpls.runs.examples import write_examples
from dpls.runs.files import data_root
from dpls.training.checkpoints import find_checkpoint, load_weights
from dpls.training.loop import Parts, build

log = logging.getLogger("dpls")


@dataclass(frozen=True, eq=False)
class Bench:
    """A run on the bench: its net and images, built once, for any number of evaluations. For the holder of its lock."""

    run: Run
    config: RunConfig
    dataset: Dataset
    parts: Parts

    @staticmethod
    def of(run: Run, config: RunConfig, dataset: Dataset) -> "Bench":
        return Bench(run, config, dataset, build(config, dataset))

    def candidate(self, checkpoint: str) -> Candidate:
        """The net with the weights of one checkpoint, until those of the next are loaded."""
        path, epoch = find_checkpoint(self.run, checkpoint)
        load_weights(self.parts.net, path)
        chosen_by = self.config.chosen_by(checkpoint)
        fingerprint = self.run.config()["fingerprint"]
        images = folder_of(data_root(self.run.path.parent), fingerprint)
        trained_on = TrainedOn(self.parts.splits[TRAIN], images)
        return Candidate(self.parts.net, checkpoint, epoch, chosen_by, fingerprint, self.parts.dtype, trained_on)

    def judge(
        self,
        candidate: Candidate,
        attack: Attack | None,
        part: int = TEST,
        images: int | None = None,
        told: Told | None = None,
    ) -> str:
        """One evaluation, stored; in words. images: a sample of so many, fewer than there are; None: all."""
        split = self.parts.splits[part]
        result = evaluate(self.run.evaluations, candidate, split, attack, part=part, images=images, told=told)
        checkpoint = f"{candidate.checkpoint} checkpoint (epoch {candidate.epoch})"
        return f"{title_of(attack)}, {PARTS[part]}, {checkpoint}: {result}"

    def write_table(self) -> None:
        """The per-example table, from what is there now."""
        hashes = open_hashes(data_root(self.run.path.parent), self.run.config()["fingerprint"])
        write_examples(self.config, self.run, self.dataset, hashes)


def title_of(attack: Attack | None) -> str:
    return attack.title if attack else "clean"


def shown(run: Run, attack: Attack | None, checkpoint: str) -> Told:
    """Keeps pages informed of an evaluation: what is done, how many images, how many a second."""
    stage, began = f"evaluating: {title_of(attack)}, {checkpoint} checkpoint", time.monotonic()
    first: list[int] = []

    def told(done: int, total: int, doing: str) -> None:
        first.append(done)
        rate = (done - first[0]) / max(1e-3, time.monotonic() - began)
        said = f"{stage}, {doing}" if doing else stage
        run.write_status(stage=said, images=done, images_total=total, images_per_second=round(rate, 3) or None)

    return told


def evaluate_run(run: Run, wanted: Wanted, told: Told | None = None) -> str:
    """Makes one evaluation of a trained run and returns the accuracy in words. One that was stopped goes on where it
    was; one that is finished is not made again."""
    make_deterministic()
    find_checkpoint(run, wanted.checkpoint)  # refused before anything is loaded
    with run.lock():
        no_links(run.path)
        words = _evaluate(run, wanted, told)
        drop(run, wanted.name)  # should it have been asked for, and stopped
        return words


def evaluate_wanted(run: Run, explain: Callable[[BaseException], str]) -> None:
    """Makes what is asked for, the oldest first, also what is asked for meanwhile. For the holder of the run's lock.

    What fails is marked with the reason, as ``explain`` words it, and the others are made.
    """
    make_deterministic()
    while wanted := next_wanted(run):
        try:
            log.info(_evaluate(run, wanted, shown(run, attack_of(run, wanted.settings), wanted.checkpoint)))
        except Exception as error:
            log.debug("", exc_info=True)
            log.info("%s: %s", wanted.name, explain(error))
            mark(run, wanted, FAILED, explain(error))
        else:
            drop(run, wanted.name)


def _evaluate(run: Run, wanted: Wanted, told: Told | None) -> str:
    attack = attack_of(run, wanted.settings)
    check_seal(run)
    dataset = open_dataset(data_root(run.path.parent), run.config()["fingerprint"])
    check_record(run, dataset)
    _check_tables(run)
    bench = Bench.of(run, run.recipe().resolved(), dataset)
    sealed, part = is_sealed(run), PARTS.index(wanted.part)
    there = len(bench.parts.splits[part])
    images = wanted.images if wanted.images is not None and wanted.images < there else None
    unseal(run, evaluation_name(attack, wanted.checkpoint, part, images))
    words = bench.judge(bench.candidate(wanted.checkpoint), attack, part, images, told)
    bench.write_table()
    if sealed:
        seal(run)
    return words


def _check_tables(run: Run) -> None:
    """What the per-example table would be made from; refused before hours go into another evaluation."""
    for name in run.evaluation_names(others=True):
        run.outcomes(name)
    run.probabilities()
