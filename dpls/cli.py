"""The command line. Each command imports what it needs, so that a worker locks its run before torch is loaded."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpls.errors import UserError
from dpls.runs.directory import Run, find_run, list_runs, runs_root

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where something is wrong before the start, 1 where a run fails; both with a sentence on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parser(next(iter(arguments), "")).parse_args(arguments)
    # Before torch is loaded: threads that wait shall sleep. Spinning ones bring nothing when the processor is free, and
    # cost a factor of five when somebody else uses it, as the app that shows this run does (docs/results.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return int(args.command(args))
    except UserError as error:
        print(f"dpls: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dpls: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        print(f"dpls: cannot read or write: {error}", file=sys.stderr)
        return 2


def _parser(first: str) -> argparse.ArgumentParser:
    """``first``: the command that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m dpls", description="Difficulty proportional label smoothing, per example."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(command=function)
        sub.add_argument("--runs", type=Path, default=runs_root(), help="folder of runs (default: DPLS_RUNS, or runs)")
        return sub

    train = command("train", _train, "train a preset or a configuration file, evaluate it, print the run id last")
    train.add_argument("config", metavar="PRESET-OR-FILE")
    train.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="e.g. --set phases.1.factors.lambda_min=0.7"
    )
    train.add_argument("--label", default="", type=_one_line, help="a name of your own for the run")
    experiment = command(
        "experiment", _experiment, "run one of the memorization experiments, or a sweep of lambda_min; or go on"
    )
    if first == "experiment":  # the registry takes longer to load than most commands take
        _experiment_arguments(experiment)
    work = command("work", _work, "work on a run directory: start or resume it")
    work.add_argument("directory", type=Path, metavar="DIR")
    work.add_argument("--if-queued", action="store_true", help="only if it still waits; then what else waits")
    evaluate = command("evaluate", _evaluate, "evaluate a checkpoint of a run on its test images")
    _evaluation_arguments(evaluate)
    runs = command("runs", _runs, "list the runs, or report on one")
    runs.add_argument("run", nargs="?")
    runs.add_argument("--json", action="store_true", help="everything, for programs")
    export = command("export", _export, "write a run's per-example table")
    export.add_argument("run")
    export.add_argument("--factors", action="store_true", help="training images alone: id, hash, difficulty, factor")
    export.add_argument("--to", type=Path, required=True, help="a .csv, .parquet or .npz file")
    scores = command("scores", _scores, "show scores computed elsewhere like a measure, in all runs on these images")
    scores.add_argument("run")
    scores.add_argument("file", type=Path, help="a .csv, .parquet, .npz or .npy file of scores by hash, id or order")
    scores.add_argument("--name", help="what to call them (default: the file's name)")
    scores.add_argument("--lower-is-harder", action="store_true")
    bench = command("bench", _bench, "measure against a plain float32 loop, side by side")
    bench.add_argument("what", choices=["train", "attack"])
    bench.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="e.g. --set net.depth=28 --set net.width=10"
    )
    bench.add_argument("--json", action="store_true")
    command("doctor", _doctor, "say what this machine can do and what is missing")
    return parser


def _experiment_arguments(experiment: argparse.ArgumentParser) -> None:
    from dpls.experiments.kinds import KINDS, PRESETS

    experiment.add_argument("kind", choices=[*KINDS])
    experiment.add_argument("preset", metavar="PRESET", help=f"{', '.join(PRESETS)}; or what train takes, as the base")
    experiment.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="e.g. --set seeds=1 --set base.net.width=16"
    )
    experiment.add_argument("--plan", action="store_true", help="say what it would run and cost, and start nothing")


def _evaluation_arguments(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("run")
    evaluate.add_argument("--attack", default="pgd20", help="pgd20, or any other number of steps (default: pgd20)")
    evaluate.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="e.g. --set eps=4/255 --set step=2/255"
    )
    evaluate.add_argument("--checkpoint", default="best", help="best, last or an epoch (default: best)")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _train(args: argparse.Namespace) -> int:
    from dpls.jobs.submission import submit
    from dpls.recipe import make_config, override, read_settings

    config = make_config(override(read_settings(args.config), args.set))
    run = submit(config, args.runs, args.label)
    parent = run.config()["parent"]
    if parent:
        print(f"the first {parent['epoch']} epochs are those of run {parent['run']}", flush=True)
    return _work_on(run)


def _experiment(args: argparse.Namespace) -> int:
    from dpls.experiments.conduct import submit_all
    from dpls.experiments.cost import cost
    from dpls.experiments.foreground import work_through
    from dpls.experiments.kinds import read_experiment

    experiment = read_experiment(args.kind, args.preset, args.set)
    print(cost(experiment, args.runs).in_words, flush=True)
    if args.plan:
        for planned in experiment.plan():
            print(f"  {planned.role}" + (f"  (from epoch {experiment.border} on)" if planned.after else ""))
        return 0
    stored = submit_all(experiment, args.runs)
    if not work_through(stored):
        return 1
    print(stored.result().text())
    print(stored.id)
    return 0


def _work(args: argparse.Namespace) -> int:
    path = args.directory.resolve()
    if not (path / "config.json").exists():
        raise UserError(f"{str(args.directory)!r} is no run directory; list runs with `python -m dpls runs`")
    return _work_through(Run(path)) if args.if_queued else _work_on(Run(path))


def _work_through(run: Run) -> int:
    """Works on a run that waits, then on what else waits in its folder: loading torch takes longer than many a run."""
    from dpls.jobs import worker
    from dpls.jobs.queue import next_ready

    tried: set[str] = set()
    waiting = next_ready(run.path.parent, first=[run])
    while waiting:
        try:
            tried.add(waiting.id)
            worker.work(waiting, if_queued=True)
        except worker.Stopped as stopped:
            if not stopped.asked:
                return 1
        except UserError as error:
            print(f"dpls: {error}", file=sys.stderr)
        waiting = next_ready(run.path.parent, tried)
    return 0


def _work_on(run: Run) -> int:
    from dpls.jobs import worker
    from dpls.jobs.queue import hindrance

    with run.lock():  # refused before the start where another worker holds it
        pass
    if hindered := hindrance(run):
        raise UserError(f"run {run.id} cannot start yet: {hindered[1]}")
    try:
        with worker.shown_log():
            worker.work(run)
    except worker.Stopped:
        return 1
    except UserError as error:
        print(f"dpls: {error}", file=sys.stderr)
        return 1
    from dpls.runs.report import report

    print(report(run))
    print(run.id)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from dpls.jobs.worker import evaluate_run

    run = find_run(args.runs, args.run)
    print(evaluate_run(run, args.attack, args.set, args.checkpoint))
    return 0


def _runs(args: argparse.Namespace) -> int:
    from dpls.runs.report import report, row

    if args.run:
        run = find_run(args.runs, args.run)
        print(json.dumps(row(run), indent=1) if args.json else report(run))
        return 0
    rows = [row(run) for run in list_runs(args.runs)]
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    if not rows:
        print(f"no runs in {args.runs}; start one with: python -m dpls train demo")
    for r in rows:
        best = [e for e in r["evaluations"] if e["checkpoint"] == "best"]
        accuracies = [
            f"{e['attack'].split(',')[0]}{_eps(e)} {e['accuracy']:.1%} [{e['low']:.1%}, {e['high']:.1%}]" for e in best
        ]
        epochs = f"{r['epoch']}/{r['epochs']}"
        print(f"{r['id']}  {r['state']:<11} {epochs:>9}  {'  '.join([*accuracies, r['label']])}".rstrip())
    return 0


def _eps(evaluation: dict[str, Any]) -> str:
    from dpls.component import show_fraction

    eps = evaluation["settings"].get("eps")
    return "" if eps is None else f" {show_fraction(eps)}"


def _export(args: argparse.Namespace) -> int:
    import numpy as np

    table = find_run(args.runs, args.run).examples()
    if args.factors:
        from dpls.runs.sidecar import sidecar

        table = sidecar(table)
    match args.to.suffix:
        case ".csv":
            table.to_csv(args.to, index=False)
        case ".parquet":
            table.to_parquet(args.to, index=False)
        case ".npz":
            np.savez_compressed(args.to, allow_pickle=False, **{str(n): _plain(c) for n, c in table.items()})
        case suffix:
            raise UserError(
                f"cannot export to {suffix or 'a file without an ending'}; choose a .csv, .parquet or .npz file"
            )
    print(f"{len(table):,} examples written to {args.to}")
    return 0


def _scores(args: argparse.Namespace) -> int:
    from dpls.runs import scores

    run = find_run(args.runs, args.run)
    values = scores.read_scores(args.file, run.examples(), lower_is_harder=args.lower_is_harder)
    name = args.name or args.file.stem
    scores.keep(args.runs, run.config()["fingerprint"], name, values)
    known = int((values == values).sum())
    print(f"{name}: scores of {known:,} of {len(values):,} images; choose them as a measure on the pages")
    return 0


def _plain(column: "pd.Series") -> "np.ndarray":
    """As an array that numpy reads back without pickle: text as unicode, outcomes as 0, 1 and NaN."""
    if column.dtype == "boolean":
        return column.astype("float32").to_numpy()
    return column.to_numpy(dtype="U") if column.dtype.kind not in "iuf" else column.to_numpy()


def _bench(args: argparse.Namespace) -> int:
    from dpls.bench import bench

    bench(args.what, args.set, args.json, args.runs)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from dpls.doctor import doctor

    return 0 if doctor(args.runs) else 1
