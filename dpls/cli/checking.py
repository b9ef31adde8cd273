"""Commands that check something: evaluate, bench, doctor."""

import argparse

from dpls.cli.making import RUN, Command, add_set
from dpls.runs.folder import find_run


def add(command: Command) -> None:
    evaluate = command("evaluate", _evaluate, "evaluate a checkpoint of a run on its test images")
    evaluate.add_argument("run", metavar="RUN", help=RUN)
    evaluate.add_argument(
        "--attack", metavar="NAME", default="pgd20", help="pgd20, or any other number of steps (default: pgd20)"
    )
    add_set(evaluate, "--set eps=4/255 --set step=2/255")
    evaluate.add_argument(
        "--checkpoint", metavar="WHICH", default="best", help="best, last or an epoch (default: best)"
    )
    bench = command("bench", _bench, "measure against a plain float32 loop, side by side")
    bench.add_argument("what", choices=["train", "attack"], help="an epoch of training, or an attack on a trained net")
    add_set(bench, "--set net.depth=28 --set net.width=10")
    bench.add_argument("--json", action="store_true", help="everything, for programs")
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
