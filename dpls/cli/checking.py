"""Commands that check something: evaluate, bench, doctor."""

import argparse
import sys

from dpls.cli.making import DETACH, RUN, Command, add_net, add_set
from dpls.runs.folder import find_run


def add(command: Command, first: str) -> None:
    """``first``: the command that is asked for."""
    evaluate = command("evaluate", _evaluate, "evaluate a checkpoint of a run on its test images; or go on with it")
    evaluate.add_argument("run", metavar="RUN", help=RUN)
    evaluate.add_argument("--attack", metavar="NAME", default="pgd20", help="pgd20, or another (default: pgd20)")
    if first == "evaluate":
        _describe_attacks(evaluate)
    add_set(evaluate, "--set eps=4/255 --set step=2/255")
    add_net(evaluate)
    evaluate.add_argument(
        "--checkpoint", metavar="WHICH", default="best", help="best, last, average or an epoch (default: best)"
    )
    evaluate.add_argument("--part", metavar="PART", default="test", help="test, train or validation (default: test)")
    evaluate.add_argument("--images", type=int, metavar="N", help="a sample of so many images (default: all)")
    evaluate.add_argument("--detach", action="store_true", help=DETACH)
    bench = command("bench", _bench, "measure against a plain float32 loop, side by side")
    bench.add_argument(
        "what",
        choices=["train", "attack", "passes"],
        help="an epoch of training, or an attack on a trained net; passes: a step of every objective, counted",
    )
    add_set(bench, "--set net.depth=28 --set net.width=10")
    bench.add_argument("--json", action="store_true", help="everything, for programs")
    command("doctor", _doctor, "say what this machine can do and what is missing")


def _describe_attacks(evaluate: argparse.ArgumentParser) -> None:
    from dpls.component import members
    from dpls.evaluations import AnyEvaluation

    evaluate.epilog = f"attacks: {'; '.join(kind.examples for kind in members(AnyEvaluation))}"


def _evaluate(args: argparse.Namespace) -> int:
    from dpls.jobs.launchers import ask_for
    from dpls.jobs.wanted import asked

    run = find_run(args.runs, args.run)
    wanted = asked(run, args.attack, args.set, args.checkpoint, args.part, args.images)
    if args.detach:
        ask_for(run, wanted)
        print(wanted.name)
        return 0
    from dpls.jobs.evaluating import evaluate_run

    print(evaluate_run(run, wanted, _said if sys.stderr.isatty() else None))
    return 0


def _said(done: int, total: int, doing: str) -> None:
    line = f"{done:,} of {total:,} images" + (f", {doing}" if doing else "")
    print(f"\r{line:<70}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _bench(args: argparse.Namespace) -> int:
    if args.what == "passes":
        from dpls.methods.passes import passes_table

        print(passes_table())
        return 0
    from dpls.bench import bench

    bench(args.what, args.set, args.json, args.runs)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from dpls.doctor import doctor

    return 0 if doctor(args.runs) else 1
