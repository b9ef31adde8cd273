"""Whether everything works here: versions, hardware, precision, write access."""

import os
import sys
from pathlib import Path

from dpls.machine import hardware, versions


def doctor(runs: Path) -> bool:
    """Prints what was found, a line each; whether training can work here."""
    import torch

    from dpls.device import multiplies_bfloat16, resolve_device, resolve_precision
    from dpls.runs.files import data_root

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
        remedy = "run `make setup`, or install dpls-lab with the extra [app]"
        lines.append((False, f"missing: {', '.join(missing)}; {remedy}"))
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
