"""Commands that check something: evaluate, bench, doctor."""

import argparse

from dpls.cli.making import Command
from dpls.runs.folder import find_run


def add(command: Command) -> None:
    evaluate = command("evaluate", _evaluate, "evaluate a checkpoint of a run on its test images")
    evaluate.add_argument("run")
    evaluate.add_argument("--attack", default="pgd20", help="pgd20, or any other number of steps (default: pgd20)")
    evaluate.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="e.g. --set eps=4/255 --set step=2/255"
    )
    evaluate.add_argument("--checkpoint", default="best", help="best, last or an epoch (default: best)")
    bench = command("bench", _bench, "measure against a plain float32 loop, side by side")
    bench.add_argument("what", choices=["train", "attack"])
    bench.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="e.g. --set net.depth=28 --set net.width=10"
    )
    bench.add_argument("--json", action="store_true")
    command("doctor", _doctor, "say what this machine can do and what is missing")


def _evaluate(args: argparse.Namespace) -> int:
    from dpls.jobs.finish import evaluate_run

    run = find_run(args.runs, args.run)
    print(evaluate_run(run, args.attack, args.set, args.checkpoint))
    return 0


def _bench(args: argparse.Namespace) -> int:
    from dpls.bench import bench

    bench(args.what, args.set, args.json, args.runs)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from dpls.doctor import doctor

    return 0 if doctor(args.runs) else 1
