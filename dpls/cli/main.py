"""From a command line to an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dpls.cli import checking, loading, looking, making, serving, settings
from dpls.cli.serving import EXTRA
from dpls.disk import FULL
from dpls.errors import UserError, short
from dpls.machine import VERSION
from dpls.runs.files import runs_root


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where something is wrong before the start, 1 where a run fails; both with a sentence on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser(next(iter(arguments), "")).parse_args(arguments)
    # Before torch is loaded: threads that wait shall sleep. Spinning ones bring nothing when the processor is free, and
    # cost a factor of five when somebody else uses it, as the app that shows this run does (docs/results.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if args.runs.is_file():
            raise UserError(f"{str(args.runs)!r} is a file; --runs, and DPLS_RUNS, take a folder of runs")
        _run_own(args)
        return int(args.command(args))
    except UserError as error:
        print(f"dpls: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "dpls").partition(".")[0] == "dpls":
            raise
        print(f"dpls: this needs the package {error.name!r}; install it, or {EXTRA}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dpls: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        what = f"the disk is full ({error}); make room" if error.errno in FULL else f"cannot read or write: {error}"
        print(f"dpls: {short(what)}", file=sys.stderr)
        return 2


def _run_own(args: argparse.Namespace) -> None:
    """Runs the file of a network of one's own, where the command line names one: here, and nowhere else."""
    args.own = None
    if getattr(args, "net", None):
        if getattr(args, "detach", False):
            raise UserError("--detach leaves the work to a process that runs no code of yours; leave it out with --net")
        from dpls.nets.foreign.own import run_file

        args.own = run_file(args.net)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(short(message))


def parser(first: str) -> argparse.ArgumentParser:
    """``first``: the command that is asked for; what takes long to describe is described for it alone."""
    called = Path(sys.argv[0]).stem
    found = _Parser(
        prog="dpls" if called == "dpls" else "python -m dpls",
        description="Difficulty proportional label smoothing, per example.",
    )
    found.add_argument("--version", action="version", version=f"dpls-lab {VERSION}")
    commands = found.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(command=function)
        sub.add_argument(
            "--runs", type=Path, metavar="DIR", default=runs_root(), help="folder of runs (default: DPLS_RUNS, or runs)"
        )
        return sub

    making.add(command, first)
    loading.add(command)
    checking.add(command, first)
    looking.add(command)
    settings.add(command)
    serving.add(command)
    return found
