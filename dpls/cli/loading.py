"""The command load: somebody else's weights as a run."""

import argparse
import re
from pathlib import Path

from dpls.cli.making import DETACH, Command, add_net, add_set, say, work_on


def add(command: Command) -> None:
    load = command("load", _load, "make a run of weights that another program trained; several files are its epochs")
    load.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="safetensors, or a state dict that torch.save wrote; several, or a folder of them: a series, in order",
    )
    load.add_argument(
        "--base", metavar="PRESET-OR-FILE", help="whose images, eps, attacks and evaluations (default: the defaults)"
    )
    add_set(load, "--set data.source.kind=cifar10 --set net.shortcut=raw")
    add_net(load)
    load.add_argument("--attacked", action="store_true", help="look at attacked images, too, by objective.attack")
    load.add_argument("--entry", metavar="NAME", default="", help="which network of files that hold several, as ema")
    load.add_argument("--label", metavar="TEXT", help="a name of your own for the run (default: that of the last file)")
    load.add_argument("--detach", action="store_true", help=DETACH)


def _load(args: argparse.Namespace) -> int:
    from dpls.elsewhere.loading import files_of, load
    from dpls.jobs.launchers import launcher
    from dpls.jobs.submission import submit
    from dpls.recipe import read_settings

    base = read_settings(args.base) if args.base else {}
    files = files_of(args.files)
    loaded = load(files, base, args.runs, args.set, entry=args.entry, attacked=args.attacked, own=args.own)
    say(loaded.said)
    label = re.sub(r"\s+", " ", args.label) if args.label is not None else files[-1].stem
    run = submit(loaded.config, args.runs, label, loaded=loaded.files)
    if args.detach:
        launcher().submit(run)
        print(run.id)
        return 0
    return work_on(run)
