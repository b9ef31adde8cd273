"""The command that serves the app, from a checkout or from site-packages: app."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from dpls.cli.making import Command
from dpls.errors import UserError
from dpls.runs.files import data_root
from dpls.runs.folder import list_runs

INSTALLED = Path(__file__).parent.parent / "served" / "app.py"
"""Where a wheel keeps the app's script; pages and the server's settings lie beside it."""
EXTRA = "dpls-lab with the extra [app], which brings all that app and commands need"
CHECKOUT = Path(__file__).parent.parent.parent / "app.py"


def add(command: Command) -> None:
    app = command("app", _app, "serve the app to this machine's browser")
    app.add_argument("--port", type=int, metavar="N", help="default: 8501, or the next that is free")


def _app(args: argparse.Namespace) -> int:
    """Becomes the server: what stops a terminal's process stops the app."""
    if find_spec("streamlit") is None:
        raise UserError(f"the app needs the package 'streamlit'; install it, or {EXTRA}")
    if args.port is not None and not 0 < args.port < 2**16:
        raise UserError(f"--port is {args.port}; choose a number from 1 to {2**16 - 1}")
    runs = args.runs.resolve()
    count = len(list_runs(runs))
    print(f"runs: {runs} ({count:,} there; --runs or DPLS_RUNS names another folder); images: {data_root(runs)}")
    sys.stdout.flush()
    script = INSTALLED if INSTALLED.exists() else CHECKOUT
    port = [] if args.port is None else ["--server.port", str(args.port)]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *port]
    os.execve(sys.executable, command, os.environ | {"DPLS_RUNS": str(runs)})
