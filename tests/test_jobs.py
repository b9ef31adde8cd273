"""Workers as detached processes: slots, queue, stop, resume, take-up. Real processes, tiny runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dpls import slots
from dpls.errors import UserError
from dpls.jobs import Local, take_up
from dpls.runs import CLOCK_COLUMNS, RECORDED, Run, list_runs
from dpls.submission import submit
from tests.test_run import TINY, config, finish

LONG = ("phases.0.until=20", "phases.1.until=25", "schedule.decays=[]")


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


def test_a_slot_is_held_by_one_at_a_time_and_freed() -> None:
    with slots.slot("cpu", "b") as taken:
        assert taken == "cpu"
        assert slots.busy() == ["cpu"]
        other = start("from dpls.slots import slot\nwith slot('cpu', 'a', print): print('got')")
        wait_for((slots.slots_folder() / "cpu.a.ticket").exists)
    out, _ = other.communicate(timeout=30)
    assert out.splitlines() == ["waiting for cpu, in use by another run", "got"]
    assert slots.busy() == []


def test_the_oldest_run_goes_first_whoever_asked_first(tmp_path: Path) -> None:
    code = "import sys; from dpls.slots import slot\nwith slot('cpu', sys.argv[1]): open(sys.argv[2], 'a').write(sys.argv[1])"
    with slots.slot("cpu", "0"):
        waiting = []
        for name in ("3", "1", "2"):
            waiting.append(start(code, name, str(tmp_path / "order")))
            wait_for((slots.slots_folder() / f"cpu.{name}.ticket").exists)
    for process in waiting:
        process.communicate(timeout=30)
    assert (tmp_path / "order").read_text() == "123"


def test_a_killed_holder_frees_its_slot_and_a_dead_ticket_holds_up_nobody() -> None:
    code = "import time; from dpls.slots import slot\nwith slot('cpu', 'a'): print('got', flush=True); time.sleep(60)"
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
    code = "import os; from dpls.slots import slot\nwith slot('auto', 'a') as s: print(s, os.environ['CUDA_VISIBLE_DEVICES'])"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "2,5"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gpu2", "2"]


def test_two_apps_queue_for_one_slot(tmp_path: Path) -> None:
    """Two folders, as of two apps: both runs finish, never both at work."""
    first, second = (submit(config("seed=1"), tmp_path / name / "runs") for name in ("one", "two"))
    launcher = Local()
    launcher.submit(first)
    wait_for(lambda: first.status()["state"] == "running")
    launcher.submit(second)
    together = []

    def both_done() -> bool:
        states = [run.status()["state"] for run in (first, second)]
        together.append(states == ["running", "running"])
        return states == ["done", "done"]

    wait_for(both_done)
    assert not any(together)
    assert first.status()["finished"] <= second.status()["started"]


def test_stop_and_resume_give_the_numbers_of_an_undisturbed_run(tmp_path: Path) -> None:
    launcher = Local()
    run = submit(config(*LONG), tmp_path / "runs")
    launcher.submit(run)
    wait_for(lambda: len(run.metrics()) >= 3)
    launcher.cancel(run)
    wait_for(lambda: not run.is_locked())
    assert run.state() == "cancelled"
    assert not run.stop_file.exists()
    assert 3 <= len(run.metrics()) < 25
    launcher.submit(run)
    wait_for(lambda: run.state() == "done")
    other = finish(tmp_path / "other", *LONG)
    clean = [[{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in r.metrics()] for r in (run, other)]
    assert clean[0] == clean[1]


def test_a_waiting_run_is_stopped_before_it_starts(tmp_path: Path) -> None:
    run = submit(config(), tmp_path / "runs")
    with slots.slot("cpu", "0"):
        Local().submit(run)
        wait_for(run.is_locked)
        wait_for(lambda: "waiting for cpu" in Local().tail(run))
        assert Local().state(run) == "queued"
        Local().cancel(run)
        wait_for(lambda: run.state() == "cancelled" and not run.is_locked())
    assert run.metrics() == []


def test_a_run_stopped_before_its_worker_is_there_never_works(tmp_path: Path) -> None:
    """Between the launcher's start and the worker's lock lie a second or two in which people change their minds."""
    run = submit(config(), tmp_path / "runs")
    Local().submit(run)
    Local().cancel(run)
    assert run.state() == "cancelled" or run.stop_file.exists()
    time.sleep(4)
    wait_for(lambda: not run.is_locked())
    assert run.state() == "cancelled"
    assert run.metrics() == []
    Local().submit(run)
    wait_for(lambda: run.state() == "done")


def test_damaged_runs_do_not_keep_others_from_being_taken_up(tmp_path: Path) -> None:
    for number, content in enumerate(("{}", "[", '{"state": 7}')):
        damaged = submit(config(f"seed={number}"), tmp_path / "runs")
        (damaged.path / "status.json").write_text(content)
    waiting = submit(config("seed=9"), tmp_path / "runs")
    assert take_up(Local(), tmp_path / "runs") == [waiting]
    wait_for(lambda: waiting.state() == "done")


def test_killed_worker_is_taken_up_by_the_next_app(tmp_path: Path) -> None:
    runs, launcher = tmp_path / "runs", Local()
    run = submit(config(*LONG), runs)
    code = f"from pathlib import Path; from dpls.jobs import Local; from dpls.runs import Run; Local().submit(Run(Path({str(run.path)!r})))"
    subprocess.run([sys.executable, "-c", code], check=True)  # an app that ends at once: its worker goes on
    wait_for(lambda: len(run.metrics()) >= 2)
    found = subprocess.run(["pgrep", "-f", str(run.path)], capture_output=True, text=True, check=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    wait_for(lambda: run.state() == "interrupted")
    waiting = submit(config("seed=5"), runs)
    assert take_up(launcher, runs) == [run, waiting]
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
    from dpls.runs import write_json

    write_json(run.config_file, settings)
    Local().submit(run)
    wait_for(lambda: run.state() == "failed")
    assert "no such net" in run.status()["error"]
