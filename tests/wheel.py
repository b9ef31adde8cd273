"""``python -m tests.wheel FILE``: a wheel in an environment that has nothing of this checkout.

Installed by pip without its dependencies: those come from the environment this runs in, through a .pth file, so that
nobody downloads torch for it. Then what README promises, from a folder with nothing in it.
"""

import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

PATIENCE = 60  # seconds for the app to answer
IMPORTS = "import dpls, sys; from dpls import DifficultyTracker, read_factors; print(dpls.__version__, dpls.__file__)"


def environment(folder: Path, wheel: Path) -> Path:
    """A fresh environment with the wheel in it; its folder of programs."""
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel.resolve()]
    subprocess.run(install, check=True)
    here = subprocess.run(
        [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    (Path(here.stdout.strip()) / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def answer(url: str, alive: subprocess.Popen[bytes]) -> int:
    """The status with which the app answers, as soon as it does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and alive.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as said:
                return int(said.status)
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} never answered")


def serve(programs: Path, folder: Path, clean: dict[str, str]) -> None:
    """``dpls app``: answers at its address, below it, and is healthy."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    app = subprocess.Popen([programs / "dpls", "app", "--port", str(port)], cwd=folder, env=clean)
    try:
        for page in ("", "images", "_stcore/health"):
            print(f"dpls app answers {answer(f'http://127.0.0.1:{port}/{page}', app)} at /{page}")
    finally:
        app.terminate()
        app.wait(timeout=PATIENCE)


def main(wheel: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DPLS"))}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "somewhere"
        folder.mkdir()
        programs = environment(Path(made) / "environment", wheel)
        for command in (
            [programs / "python", "-c", IMPORTS],
            [programs / "dpls", "--help"],
            [programs / "dpls", "--version"],
            [programs / "dpls", "doctor"],
            [programs / "dpls", "train", "classroom", "--set", "phases.0.until=3", "--set", "phases.1.until=4"],
        ):
            print("$", *(str(part).removeprefix(f"{programs}/") for part in command))
            subprocess.run(command, cwd=folder, env=clean, check=True)
        serve(programs, folder, clean)
        print("left behind:", ", ".join(sorted(path.name for path in folder.iterdir())))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
