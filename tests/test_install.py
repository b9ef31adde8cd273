"""What an installation holds and what it needs: the wheel looked into, public names without the app's packages.

``make wheel`` goes further and installs the wheel into an empty environment (tests/wheel.py).
"""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dpls
from dpls.cli.main import main

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILT_FROM = ("app.py", "pages", "dpls", ".streamlit", "pyproject.toml", "setup.py", "README.md")
OWN_LOOP = """
import numpy as np, pandas as pd, torch
import dpls
for name in set(dpls.__all__) - {"LightningRecorder", "TrainerRecorder"}:
    getattr(dpls, name)
tracker, labels = dpls.DifficultyTracker(4), torch.tensor([0, 1, 2, 0])
tracker.update(torch.arange(4), torch.eye(3)[[0, 1, 1, 1]], labels)
factors = dpls.smoothing_factors(tracker.rate(), lambda_min=dpls.lambda_min_for(0.8, tracker.rate(), 3))
assert torch.allclose(dpls.dpls_labels(labels, torch.tensor(factors), 3).sum(1), torch.ones(4).double())
images = np.zeros((1, 1, 2, 2), np.uint8)
from dpls.data.cache import image_hashes
pd.DataFrame({"hash": image_hashes(images).astype(str), "factor": factors[:1]}).to_parquet("factors.parquet")
print(dpls.read_factors("factors.parquet", images))
with dpls.Recorder("runs", labels=labels, images=np.zeros((4, 1, 2, 2), np.uint8)) as recorder:
    recorder.batch(torch.arange(4), torch.eye(3)[[0, 1, 1, 1]], labels)
    recorder.epoch(loss=1.0)
assert len(dpls.open_images(recorder.path).images) == 4
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        source, skipped = ROOT / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / name, ignore=skipped) if source.is_dir() else shutil.copy(source, folder)
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "would be ignored" not in done.stderr, done.stderr
    (found,) = (folder / "dist").iterdir()
    return zipfile.ZipFile(found)


def test_a_wheel_holds_the_package_its_recorded_runs_and_the_app(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "dpls").rglob("*") if path.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    assert any(name.startswith("dpls/recorded/experiments/") for name in package)
    pages = {f"dpls/served/pages/{path.name}" for path in (ROOT / "pages").glob("*.py")}
    assert held == package | pages | {"dpls/served/app.py", "dpls/served/.streamlit/config.toml"}
    assert wheel.read("dpls/served/app.py") == (ROOT / "app.py").read_bytes()


def test_a_wheel_says_its_version_its_script_and_its_extras(wheel: zipfile.ZipFile) -> None:
    said = {name.rpartition("/")[2]: wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name}
    assert f"\nVersion: {dpls.__version__}\n" in said["METADATA"]
    assert re.findall(r"Provides-Extra: (\w+)", said["METADATA"]) == ["app", "attacks"]
    assert "dpls = dpls.cli.main:main" in said["entry_points.txt"]


def test_the_base_and_the_app_are_what_the_requirements_say() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    base, app = PROJECT["dependencies"], PROJECT["optional-dependencies"]["app"]
    assert set(base) | set(app) == wanted
    assert not set(base) & set(app)


def needed(names: list[str]) -> set[str]:
    """Distributions that these requirements bring, and what these bring."""
    found: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        one = left.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            left += [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue  # not for this machine
    return found


def without_extras(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run where nothing can be imported but what an installation without extras brings."""
    there = needed(PROJECT["dependencies"])
    refused = [
        top for top, of in packages_distributions().items() if not {canonicalize_name(name) for name in of} & there
    ]
    assert {"streamlit", "plotly", "scipy", "sklearn"} <= set(refused)
    block = f"""
import sys
class Absent:
    names = {refused!r}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, {str(ROOT)!r})
"""
    command = [sys.executable, "-I", "-c", block + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_public_name_works_without_the_extras(tmp_path: Path) -> None:
    done = without_extras(OWN_LOOP, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[1.") or done.stdout.startswith("[0.")


@pytest.mark.parametrize("command", [["app"], ["runs", "--trust", "latest"]])
def test_what_needs_the_extras_says_so(command: list[str], tmp_path: Path) -> None:
    done = without_extras(f"from dpls.cli.main import main; sys.exit(main({command!r}))", tmp_path)
    assert done.returncode == 2
    (sentence,) = done.stderr.strip().splitlines()
    assert re.fullmatch(
        r"dpls: .* needs the package '\w+'; install it, or dpls-lab with the extra \[app\], .*", sentence
    )


def test_importing_the_package_loads_nothing_but_itself() -> None:
    code = "import sys; before = set(sys.modules); import dpls; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"dpls"}


def test_the_version_stands_in_one_place_and_the_papers_follow() -> None:
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes[0] == dpls.__version__
    (cited,) = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited == dpls.__version__


def test_a_wrong_port_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["app", "--port", "70000", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "dpls: --port is 70000; choose a number from 1 to 65535\n"
