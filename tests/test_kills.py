"""Runs that are killed at random file operations and moments; `make kills` does it 500 times."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_kills_lose_nothing_change_no_number_and_leave_nothing_behind() -> None:
    """In a process of its own, which forks once torch is loaded."""
    arguments = [sys.executable, "-m", "tests.kills", "42"]
    done = subprocess.run(arguments, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    kills = int(done.stdout.splitlines()[-1].split()[0])
    assert kills >= 40
