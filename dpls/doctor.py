"""What this machine is and whether everything works here: versions, hardware, precision, write access."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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
    """Versions of Python and the packages that shape results, and the commit of the code."""

    def of(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {"python": platform.python_version(), "packages": {p: of(p) for p in PACKAGES}, "commit": _commit()}


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


def doctor(runs: Path) -> bool:
    """Prints what was found, a line each; whether training can work here."""
    import torch

    from dpls.device import multiplies_bfloat16, resolve_device, resolve_precision
    from dpls.runs import data_root

    found, machine = versions(), hardware()
    device = resolve_device("auto")
    missing = [name for name, number in found["packages"].items() if number is None]
    precision = str(resolve_precision("auto", device)).removeprefix("torch.")
    native = "native" if multiplies_bfloat16(device) else "not native"
    lines = [
        (sys.version_info >= (3, 11), f"Python {found['python']}"),
        (not missing, f"packages: {', '.join(f'{n} {v}' for n, v in found['packages'].items() if v)}"),
        (
            True,
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['threads']} threads",
        ),
        (
            True,
            f"GPUs: {', '.join(machine['gpus'])}" if machine["gpus"] else f"no CUDA device (torch {torch.__version__})",
        ),
        (True, f"auto means {device}, {precision}; bfloat16 is {native} here"),
    ]
    if missing:
        lines.append((False, f"missing: {', '.join(missing)}; run `make setup`"))
    for name, folder in (("runs", runs), ("images", data_root(runs))):
        there = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
        lines.append(
            (
                os.access(there, os.W_OK),
                f"{name} go to {folder.resolve()}, {'writable' if os.access(there, os.W_OK) else 'NOT writable'}",
            )
        )
    for good, text in lines:
        print("ok  " if good else "BAD ", text)
    return all(good for good, _ in lines)
