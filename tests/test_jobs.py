"""Workers as detached processes: slots, queue, stop, resume, take-up. Real processes, tiny runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.jobs import slots
from dpls.jobs.launchers import take_up
from dpls.jobs.local import Local
from dpls.jobs.queue import next_ready
from dpls.jobs.submission import submit
from dpls.jobs.worker import Stopped, work
from dpls.runs.directory import CLOCK_COLUMNS, Run
from dpls.runs.files import RECORDED, write_json
from dpls.runs.folder import list_runs
from tests.conftest import Hold
from tests.test_run import TINY, config, finish


@pytest.fixture(autouse=True)
def _own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPLS_SLOTS", str(tmp_path / "slots"))


def wait_for(what: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def workers_of(run: Run) -> list[int]:
    """The processes that were started for a run."""
    found = subprocess.run(["pgrep", "-f", str(run.path)], capture_output=True, text=True, check=False)
    return [int(number) for number in found.stdout.split()]


def worker_of(run: Run) -> int:
    return workers_of(run)[0]


def test_a_slot_is_held_by_one_at_a_time_and_freed() -> None:
    with slots.slot("cpu", "b") as taken:
        assert taken == "cpu"
        assert slots.busy() == ["cpu"]
        code = (
            "from dpls.jobs.slots import slot\nwith slot('cpu', 'a', lambda why: print(why, flush=True)): print('got')"
        )
        other = start(code)
        assert other.stdout
        assert other.stdout.readline() == "waiting for cpu, in use by another run\n"
    assert other.communicate(timeout=30)[0] == "got\n"
    assert slots.busy() == []


def test_a_session_of_tests_leaves_nothing_in_the_temporary_folder(tmp_path: Path) -> None:
    """Neither slots nor files; what torch and pytest make for all sessions is one empty folder each."""
    one = f"{__file__}::test_a_slot_is_held_by_one_at_a_time_and_freed"
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one]
    variables = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stdout
    left = list((tmp_path / "temporary").rglob("*"))
    assert not any(path.is_file() or "slots" in path.name for path in left), left


def test_the_oldest_run_goes_first_whoever_asked_first(tmp_path: Path) -> None:
    code = "import sys; from dpls.jobs.slots import slot\nwith slot('cpu', sys.argv[1]): open(sys.argv[2], 'a').write(sys.argv[1])"
    with slots.slot("cpu", "0"):
        waiting = []
        for name in ("3", "1", "2"):
            waiting.append(start(code, name, str(tmp_path / "order")))
            wait_for((slots.slots_folder() / f"cpu.{name}.ticket").exists)
    for process in waiting:
        process.communicate(timeout=30)
    assert (tmp_path / "order").read_text() == "123"


def test_a_killed_holder_frees_its_slot_and_a_dead_ticket_holds_up_nobody() -> None:
    code = "import signal; from dpls.jobs.slots import slot\nwith slot('cpu', 'a'): print('got', flush=True); signal.pause()"
    holder = start(code)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "got\n"
    (slots.slots_folder() / "cpu.0000.ticket").touch()
    holder.kill()
    holder.communicate()
    with slots.slot("cpu", "z"):
        assert not (slots.slots_folder() / "cpu.0000.ticket").exists()


@pytest.mark.parametrize(
    ("visible", "device", "expected"),
    [
        ("", "auto", ["cpu"]),
        ("-1", "auto", ["cpu"]),
        ("2,5", "cuda:1", ["gpu5"]),
        ("2,5", "cpu", ["cpu"]),
        ("2,5", "cuda:7", ["cpu"]),
    ],
)
def test_slots_follow_the_visible_gpus(
    visible: str, device: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert slots.slots_for(device) == expected


def test_a_worker_on_any_gpu_sees_only_the_one_whose_slot_it_has(tmp_path: Path) -> None:
    code = "import os; from dpls.jobs.slots import slot\nwith slot('auto', 'a') as s: print(s, os.environ['CUDA_VISIBLE_DEVICES'])"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "2,5"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gpu2", "2"]


def test_two_apps_queue_for_one_slot(tmp_path: Path, hold: Hold) -> None:
    """Two folders, as of two apps: both runs finish, never both at work."""
    first, second = (submit(config("seed=1"), tmp_path / name / "runs") for name in ("one", "two"))
    launcher = Local()
    hold.at(0)
    launcher.submit(first)
    wait_for(lambda: first.status()["state"] == "running")
    launcher.submit(second)
    wait_for(lambda: "waiting for cpu" in launcher.tail(second))
    hold.let_go()
    together = []

    def both_done() -> bool:
        states = [run.status()["state"] for run in (second, first)]  # where the later one works the first has ended
        together.append(states == ["running", "running"])
        return states == ["done", "done"]

    wait_for(both_done)
    assert not any(together)
    assert first.status()["finished"] <= second.status()["started"]


def test_stop_and_resume_give_the_numbers_of_an_undisturbed_run(tmp_path: Path, hold: Hold) -> None:
    launcher = Local()
    run = submit(config(), tmp_path / "runs")
    hold.at(260)
    launcher.submit(run)
    wait_for(lambda: len(run.metrics()) >= 3)
    launcher.cancel(run)
    wait_for(lambda: not run.is_locked())
    assert run.state() == "cancelled"
    assert not run.stop_file.exists()
    assert len(run.metrics()) == 3
    hold.let_go()
    launcher.submit(run)
    wait_for(lambda: run.state() == "done")
    other = finish(tmp_path / "other")
    clean = [[{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in r.metrics()] for r in (run, other)]
    assert clean[0] == clean[1]


def test_a_waiting_run_is_stopped_before_it_starts(tmp_path: Path) -> None:
    run = submit(config(), tmp_path / "runs")
    with slots.slot("cpu", "0"):
        Local().submit(run)
        wait_for(run.is_locked)
        wait_for(lambda: "waiting for cpu" in Local().tail(run))
        assert run.state() == "queued"
        Local().cancel(run)
        wait_for(lambda: run.state() == "cancelled" and not run.is_locked())
    assert run.metrics() == []


def test_a_run_stopped_before_its_worker_is_there_never_works(tmp_path: Path) -> None:
    """Between the launcher's start and the worker's lock lie a second or two in which people change their minds."""
    run = submit(config(), tmp_path / "runs")
    Local().submit(run)
    Local().cancel(run)
    assert run.state() == "cancelled" or run.stop_file.exists()
    wait_for(lambda: not workers_of(run))
    assert run.state() == "cancelled"
    assert run.metrics() == []
    Local().submit(run)
    wait_for(lambda: run.state() == "done")


def test_what_is_stopped_between_a_look_and_a_start_stays_stopped(tmp_path: Path) -> None:
    """Trap: an app that takes up what waits would set going again what was stopped a moment ago."""
    run = submit(config(), tmp_path / "runs")
    Local().cancel(run)
    Local().submit(run, if_queued=True)
    assert run.state() == "cancelled" and not run.log_file.exists()


def test_damaged_runs_do_not_keep_others_from_being_taken_up(tmp_path: Path) -> None:
    for number, content in enumerate(("{}", "[", '{"state": 7}')):
        damaged = submit(config(f"seed={number}"), tmp_path / "runs")
        (damaged.path / "status.json").write_text(content)
    waiting = submit(config("seed=9"), tmp_path / "runs")
    assert take_up(Local(), tmp_path / "runs") == [waiting]
    wait_for(lambda: waiting.state() == "done")


def test_killed_worker_is_taken_up_by_the_next_app(tmp_path: Path, hold: Hold) -> None:
    runs, launcher = tmp_path / "runs", Local()
    run = submit(config(), runs)
    hold.at(180)
    code = f"from pathlib import Path; from dpls.jobs.local import Local; from dpls.runs.directory import Run; Local().submit(Run(Path({str(run.path)!r})))"
    subprocess.run([sys.executable, "-c", code], check=True)  # an app that ends at once: its worker goes on
    wait_for(lambda: len(run.metrics()) >= 2)
    os.kill(worker_of(run), signal.SIGKILL)
    wait_for(lambda: run.state() == "interrupted")
    hold.let_go()
    waiting = submit(config("seed=5"), runs)
    assert take_up(launcher, runs) == [run]  # there is one slot, and its worker goes on with the other
    wait_for(lambda: run.state() == "done" and waiting.state() == "done")
    assert take_up(launcher, runs) == []


def test_what_cannot_be_done_is_refused_in_a_sentence(tmp_path: Path) -> None:
    launcher = Local()
    done = finish(tmp_path / "runs")
    with pytest.raises(UserError, match="is done; only a queued or running one can be stopped"):
        launcher.cancel(done)
    with done.lock(), pytest.raises(UserError, match="being worked on by another process"):
        launcher.submit(done)
    with pytest.raises(UserError, match="recorded run and cannot be worked on"):
        launcher.submit(list_runs(RECORDED)[0])
    assert launcher.tail(Run(tmp_path / "nothing")) == ""
    assert launcher.capacity().slots in (["cpu"], [f"gpu{name}" for name in slots.gpus()])


def test_a_crash_before_the_log_is_seen_in_the_log(tmp_path: Path) -> None:
    run = submit(config(), tmp_path / "runs")
    settings = {**run.config(), "config": TINY | {"net": {"kind": "no such net"}}}
    write_json(run.config_file, settings)
    Local().submit(run)
    wait_for(lambda: run.state() == "failed")
    assert "no such net" in run.status()["error"]


# Runs that wait for runs


def branch(parent: Run, *assignments: str) -> Run:
    """A run that starts from the parent's state at epoch 4, which the parent need not have reached."""
    return submit(config("phases.1.factors.lambda_min=0.7", *assignments), parent.path.parent, after=parent)


def judged(judge: Run, *assignments: str) -> Run:
    """A run whose examples another one chooses."""
    subset = f'phases.1.subset={{"which":"hardest","share":0.1,"scores":["{judge.id}"]}}'
    return submit(config(subset, *assignments), judge.path.parent)


def work_on(run: Run) -> None:
    """What a launcher's worker does, here: on this run, then on what else waits."""
    assert main(["work", "--if-queued", str(run.path)]) == 0


def break_down(run: Run) -> dict:
    """Makes a run one that fails; returns what mends it."""
    content = run.config()
    write_json(run.config_file, content | {"config": content["config"] | {"net": {"kind": "no such net"}}})
    return content


def rows_of(run: Run) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in run.metrics()]


def test_a_branch_starts_when_its_parent_has_come_to_the_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: Hold
) -> None:
    """The parent is at work meanwhile: each has a slot, as on a machine with two GPUs."""
    parent = submit(config(), tmp_path / "runs")
    child = branch(parent)
    hold.at(340)
    assert next_ready(parent.path.parent) == parent
    parent.commit({"epoch": 1})
    assert next_ready(parent.path.parent, {parent.id}) is None
    parent.keep_metrics([])
    Local().submit(parent)
    wait_for(lambda: len(parent.metrics()) >= 4)
    assert next_ready(parent.path.parent) == child
    monkeypatch.setenv("DPLS_SLOTS", str(tmp_path / "other slots"))
    work_on(child)
    assert child.state() == "done"
    assert parent.state() == "running"
    assert child.metrics()[:4] == parent.metrics()[:4]
    Local().cancel(parent)
    wait_for(lambda: parent.state() == "cancelled" and not parent.is_locked())


def test_a_run_waits_for_the_whole_of_one_that_judges(tmp_path: Path) -> None:
    """Its table is written last."""
    judge = submit(config(), tmp_path / "runs")
    child = judged(judge)
    for number in range(6):
        judge.commit({"epoch": number + 1})
    assert next_ready(judge.path.parent, {judge.id}) is None
    judge.write_status(state="done")
    assert next_ready(judge.path.parent, {judge.id}) == child


@pytest.mark.parametrize("make", [branch, judged])
def test_blocked_by_a_stopped_run_and_released_by_its_end(tmp_path: Path, make: Callable[..., Run]) -> None:
    needed = submit(config(), tmp_path / "runs")
    child = make(needed)
    assert child.status()["error"] is None
    Local().cancel(needed)
    assert take_up(Local(), tmp_path / "runs") == []
    assert child.state() == "blocked"
    assert child.status()["error"] == f"it needs run {needed.id}, which is cancelled; resume that one"
    with pytest.raises(UserError, match=f"cannot start yet: it needs run {needed.id}, which is cancelled"):
        work(child)
    assert main(["work", str(child.path)]) == 2
    Local().submit(needed)
    wait_for(lambda: needed.state() == "done" and child.state() == "done")
    assert child.status()["error"] is None
    assert needed.status()["finished"] <= child.status()["started"]


def test_a_failing_run_blocks_its_own_and_holds_up_nobody_else(tmp_path: Path) -> None:
    bad = submit(config(), tmp_path / "runs")
    mended = break_down(bad)
    children = [branch(bad), judged(bad)]
    others = [submit(config(f"seed={seed}"), tmp_path / "runs") for seed in (1, 2)]
    work_on(bad)
    assert bad.state() == "failed"
    assert [run.state() for run in others] == ["done", "done"]
    for child in children:
        assert child.state() == "blocked"
        assert child.status()["error"] == f"it needs run {bad.id}, which is failed; resume that one"
    began = [run.status()["started"] for run in others]
    work_on(children[0])  # none can start, and that ends at once
    assert [run.status()["started"] for run in others] == began
    write_json(bad.config_file, mended)
    bad.write_status(state="queued")
    work_on(bad)
    assert {run.state() for run in list_runs(tmp_path / "runs")} == {"done"}


def test_a_worker_comes_back_to_the_run_it_was_started_for(tmp_path: Path) -> None:
    """It cannot start yet; what it needs waits as well, and has no worker of its own."""
    parent = submit(config(), tmp_path / "runs")
    child = branch(parent)
    work_on(child)
    assert [parent.state(), child.state()] == ["done", "done"]


def test_a_worker_whose_run_was_stopped_meanwhile_goes_on_with_the_next(tmp_path: Path) -> None:
    first, second = (submit(config(f"seed={seed}"), tmp_path / "runs") for seed in (1, 2))
    Local().cancel(first)
    work_on(first)
    assert [first.state(), second.state()] == ["cancelled", "done"]
    with pytest.raises(Stopped) as stopped:  # found out only when it has the lock
        work(first, if_queued=True)
    assert stopped.value.asked
    assert first.metrics() == []


def test_without_its_parent_a_branch_trains_the_beginning_itself_but_without_scores_it_cannot(tmp_path: Path) -> None:
    parent = submit(config(), tmp_path / "runs")
    child, other = branch(parent), judged(parent, "seed=3")
    shutil.rmtree(parent.path)
    assert next_ready(tmp_path / "runs") == child
    work_on(child)
    assert child.state() == "done"
    assert rows_of(child) == rows_of(finish(tmp_path / "elsewhere", "phases.1.factors.lambda_min=0.7"))
    assert other.state() == "blocked"
    assert other.status()["error"] == f"it needs the scores of run {parent.id}, which is gone"


def test_stopping_one_run_of_a_queue_lets_its_worker_go_on_but_ending_the_worker_does_not(
    tmp_path: Path, hold: Hold
) -> None:
    first, *others = (submit(config(f"seed={seed}"), tmp_path / "runs") for seed in (1, 2, 3))
    hold.at(100)
    Local().submit(first)
    wait_for(lambda: len(first.metrics()) >= 1)
    process = worker_of(first)
    Local().cancel(first)
    wait_for(lambda: any(run.metrics() for run in others))
    second, third = sorted(others, key=lambda run: run.state(), reverse=True)
    assert [first.state(), second.state(), third.state()] == ["cancelled", "running", "queued"]
    os.kill(process, signal.SIGTERM)  # it is the same worker
    wait_for(lambda: second.state() == "cancelled" and not second.is_locked())
    wait_for(lambda: not workers_of(first))
    assert third.state() == "queued"
    assert third.metrics() == []


def test_a_detached_run_is_left_to_the_launcher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, runs = tmp_path / "tiny.json", tmp_path / "runs"
    file.write_text(json.dumps(TINY))
    assert main(["train", str(file), "--runs", str(runs), "--detach"]) == 0
    run = Run(runs / capsys.readouterr().out.strip().splitlines()[-1])
    wait_for(lambda: run.state() == "done")
