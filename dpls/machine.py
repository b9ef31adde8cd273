"""What this machine is: versions of what shapes results, hardware."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VERSION = "0.2.0"
"""Of this package; it stands here alone, and a test holds CHANGELOG.md and CITATION.cff to it."""
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "streamlit",
    "plotly",
    "safetensors",
    "scikit-image",
)


def versions() -> dict[str, Any]:
    """Versions of this package, of Python and the packages that shape results, and the commit of the code."""

    def of(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    packages = {package: of(package) for package in PACKAGES}
    return {"dpls": VERSION, "python": platform.python_version(), "packages": packages, "commit": _commit()}


@cache
def _commit() -> str | None:
    """Commit of this checkout, with a + where files differ from it; None outside one."""
    here = Path(__file__).parent.parent
    if not (here / ".git").exists():
        return None
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def hardware() -> dict[str, Any]:
    """Processor, cores, threads, memory, GPUs."""
    import psutil
    import torch

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
