"""An experiment in this process, run by run, with words for a terminal. Loads torch."""

import sys
import time

from dpls.errors import UserError
from dpls.experiments.conduct import next_of
from dpls.experiments.stored import Stored
from dpls.jobs import worker
from dpls.runs.directory import Run


def work_through(stored: Stored) -> bool:
    """Works on its runs, one after the other, and waits for those that others work on; whether all have finished."""
    tried: set[str] = set()
    with worker.shown_log():
        while _left(stored):
            run = next_of(stored, tried)
            if run:
                tried.add(run.id)
                if not _work(stored, run):
                    return False
            elif stored.is_worked_on():  # another worker has what is left
                time.sleep(1)
            else:
                break
    if left := _left(stored):
        print(f"dpls: {left} runs of {stored.id} did not finish; the same command goes on with them", file=sys.stderr)
    return not left


def _left(stored: Stored) -> int:
    return len(stored.content["arms"]) - stored.states()["done"]


def _work(stored: Stored, run: Run) -> bool:
    """Whether to go on: not where somebody interrupts this process; where one stops the run, or it fails, the next."""
    arms = len(stored.content["arms"])
    print(f"\n{arms - _left(stored) + 1} of {arms}: {run.label()}", flush=True)
    try:
        worker.work(run, if_queued=True)
    except worker.Stopped as stopped:
        if not stopped.asked:
            print(f"dpls: stopped; the same command goes on with {stored.id}", file=sys.stderr)
        return stopped.asked
    except UserError as error:
        print(f"dpls: {run.label()}: {error}", file=sys.stderr)
    return True
