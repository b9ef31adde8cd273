"""Runs that are killed again and again, before a file operation or at a moment that a seed draws, until they are done.

    python -m tests.kills 500

Each life begins with nothing, or as a branch, with the images cut or yet to be cut, and is started as a person would
start it. What it comes to must be, file by file, what an undisturbed run comes to, and nothing else may lie there.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from dpls.jobs.submission import submit
from dpls.jobs.worker import work
from dpls.recipe import RunConfig, make_config, override
from dpls.runs.directory import CLOCK_COLUMNS, Run
from dpls.runs.folder import list_runs
from tests.test_run import TINY

SMALLER = (
    "data.source.train=20",
    "data.source.validation=10",
    "data.source.test=10",
    "objective.attack.steps=1",
    "selection.attack.steps=1",
    'phases=[{"until":2},{"until":3,"factors":{"kind":"dpls","lambda_min":0.5}}]',
    "schedule={}",
    "difficulty.measure=cross_entropy",
)
BRANCH = "phases.1.factors.lambda_min=0.7"
OPERATIONS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CLOCKS = ("status.json", "manifest.json", "log.txt", "run.lock", "config.json")
"""Files that say when, where and how fast."""


def configuration(*assignments: str) -> RunConfig:
    return make_config(override(TINY, [*SMALLER, *assignments]))


def content(run: Run) -> dict[str, object]:
    """Every file of a run, without what measures time."""
    found: dict[str, object] = {}
    for file in run.path.rglob("*"):
        name = str(file.relative_to(run.path))
        if file.is_file() and name not in CLOCKS:
            found[name] = file.read_bytes()
        if name.startswith("evaluations/") and file.suffix == ".json":
            found[name] = json.loads(file.read_text()) | {"seconds": 0}
        if name == "seal.json":
            found[name] = {
                key: value for key, value in json.loads(file.read_text()).items() if not key.endswith(".json")
            }
    rows = [{name: value for name, value in row.items() if name not in CLOCK_COLUMNS} for row in run.metrics()]
    return found | {"metrics.jsonl": rows}


def start(runs: Path, *assignments: str) -> None:
    """What a person does, the first time and to go on: the run that is there is resumed, else there is a new one."""
    own = [run for run in list_runs(runs) if not (run.path / "reference").exists()]
    work(own[0] if own else submit(configuration(*assignments), runs))


def child(folder: Path, then: Callable[[], None], assignments: tuple[str, ...]) -> int:
    """A start in a process of its own, which ``then`` prepares; its exit status, negative where it was killed."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 1
    try:
        with (folder / "said").open("a") as said, redirect_stdout(said), redirect_stderr(said):
            then()
            start(folder / "runs", *assignments)
        code = 0
    except BaseException as error:
        (folder / "failed").write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def counting(folder: Path, hit: Callable[[int], object]) -> None:
    """``hit`` is called before every operation that changes files of the folder, with how many there were."""
    seen = 0

    def operation(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (opened and str(arguments[0]).startswith(str(folder))) or event in OPERATIONS:
            seen += 1
            hit(seen)

    fsync = os.fsync

    def synced(handle: int) -> None:
        operation("os.truncate", ())
        fsync(handle)

    os.fsync = synced
    sys.addaudithook(operation)


def kill_at(folder: Path, number: int) -> None:
    counting(folder, lambda seen: os.kill(os.getpid(), signal.SIGKILL) if seen == number else None)


class Lives:
    """Undisturbed runs to compare with, and lives of runs that are killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ |= {"DPLS_SLOTS": str(folder / "slots")}
        self.references: list[dict[str, object]] = []
        for assignments in ((), (BRANCH,)):
            start(folder / "undisturbed" / "runs", *assignments)
            run = list_runs(folder / "undisturbed" / "runs")[-1]
            self.references.append(content(run))
            (run.path / "reference").touch()
        self.parent = list_runs(folder / "undisturbed" / "runs")[0]
        whole = self._born("count", False)
        began = time.monotonic()
        with (whole / "seen").open("wb", buffering=0) as file:
            child(whole, lambda: counting(whole, lambda seen: os.pwrite(file.fileno(), str(seen).encode(), 0)), ())
        self.seconds, self.operations = time.monotonic() - began, int((whole / "seen").read_text())

    def _born(self, name: str, branch: bool) -> Path:
        folder = self.folder / name
        (folder / "runs").mkdir(parents=True)
        if branch:
            shutil.copytree(self.parent.path, folder / "runs" / self.parent.id)
        return folder

    def live(self, number: int, draw: random.Random) -> Iterator[str]:
        """A life; for each kill '', at the end what was wrong, if anything."""
        branch, cut = number % 3 == 2, number % 4 == 0
        folder = self._born(str(number), branch)
        os.environ["DPLS_DATA"] = str((folder if cut else self.folder / "undisturbed") / "data")
        assignments = (BRANCH,) if branch else ()
        code, operations = -1, self.operations
        while code < 0 and draw.random() < 0.85:
            if draw.random() < 0.8:
                at = draw.randint(1, operations)
                code = child(folder, lambda at=at: kill_at(folder, at), assignments)
            else:
                moment = draw.uniform(0.01, self.seconds)
                code = child(folder, lambda moment=moment: signal.setitimer(signal.ITIMER_REAL, moment), assignments)
            if code < 0:
                operations = self.operations // 2  # there is less left to do
                yield ""
        if code < 0:
            code = child(folder, lambda: None, assignments)
        if code:
            yield f"life {number} was lost: {(folder / 'failed').read_text()}"
        elif wrong := self._wrong(folder, branch):
            yield f"life {number}: {wrong}"
        else:
            shutil.rmtree(folder)

    def _wrong(self, folder: Path, branch: bool) -> str:
        own = [run for run in list_runs(folder / "runs") if not (run.path / "reference").exists()]
        if [run.state() for run in own] != ["done"]:
            return f"there are {len(own)} runs, {[run.state() for run in own]}"
        found, expected = content(own[0]), self.references[branch]
        if differing := [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]:
            return f"other files than those of an undisturbed run: {sorted(differing)}"
        left = [str(path.relative_to(folder)) for path in folder.rglob(".*")]
        return f"left over: {left}" if left else ""


def kill(count: int, seed: int = 0) -> tuple[int, int, list[str]]:
    """Lives until there were so many kills: how many of both, and what was wrong."""
    torch.set_num_threads(1)
    draw, kills, lives, wrong = random.Random(seed), 0, 0, []
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # quicker, and a kill is a kill everywhere
    with tempfile.TemporaryDirectory(prefix="dpls-kills-", dir=place) as folder:
        all_lives = Lives(Path(folder))
        while kills < count:
            for said in all_lives.live(lives, draw):
                kills += not said
                wrong += [said] if said else []
            lives += 1
    return kills, lives, wrong


if __name__ == "__main__":
    began = time.monotonic()
    kills, lives, wrong = kill(int(sys.argv[1]), *map(int, sys.argv[2:]))
    print("\n".join([*wrong, f"{kills} kills of {lives} runs in {time.monotonic() - began:.0f} s: {len(wrong)} wrong"]))
    sys.exit(bool(wrong))
