"""A new attack, objective, measure and kind of experiment is one file and one name: shown in a copy of the tree.

The contract tests of each family, and a run through everything (``members/check.py``), pass there unchanged.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.members import MEMBERS

ROOT = Path(__file__).parent.parent
COPIED = ("app.py", "dpls", "pages", "tests", "pyproject.toml", ".streamlit")
CONTRACTS = ("test_attacks.py", "test_objectives.py", "test_difficulty.py", "test_kinds.py", "test_evaluations.py")
CHOSEN = "members or onestep or OneStep or HalfAndHalf or worst_loss or halves or in_the_union or every_file"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with every member in its place."""
    found = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, found / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, found / name)
    for member in MEMBERS:
        shutil.copyfile(ROOT / "tests" / "members" / member.file, found / member.room / member.file)
        registry = found / member.registry
        text = registry.read_text()
        assert text.count(member.before) == 1, f"{member.registry} has no {member.before!r}"
        registry.write_text(text.replace(member.before, member.after))
    return found


def test_members_are_one_file_and_one_name(tree: Path) -> None:
    tests = [f"tests/{name}" for name in CONTRACTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, "tests/members/check.py"]
    done = subprocess.run(
        [*command, *tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
