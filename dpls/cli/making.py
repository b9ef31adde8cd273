"""Commands that make something: train, experiment, compare, work."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dpls.errors import UserError
from dpls.runs.directory import Run
from dpls.runs.files import data_root, write_whole

if TYPE_CHECKING:
    from dpls.data import Data
    from dpls.experiments.base import Experiment

Command: TypeAlias = Callable[[str, object, str], argparse.ArgumentParser]
"""Adds a command: its name, what is called with the arguments, a sentence of help."""
RUN = "an id, the beginning or end of one, or latest"
SETTINGS = "python -m dpls settings"
DETACH = "leave it to the launcher and return; it goes on when the terminal is closed"


def add(command: Command, first: str) -> None:
    """``first``: the command that is asked for."""
    train = command("train", _train, "train a preset or a configuration file, evaluate it, print the run id last")
    train.add_argument("config", metavar="PRESET-OR-FILE", help="a preset, or a .toml or .json file of settings")
    add_set(train, "--set phases.1.factors.lambda_min=0.7")
    train.add_argument("--label", metavar="TEXT", default="", type=_one_line, help="a name of your own for the run")
    train.add_argument("--detach", action="store_true", help=DETACH)
    add_net(train)
    if first == "train":
        _describe_presets(train)
    experiment = command(
        "experiment", _experiment, "run one of the memorization experiments, or a sweep of lambda_min; or go on"
    )
    compare = command("compare", _compare, "train the methods of the article's table, and put them side by side")
    if first == "experiment":  # the registry takes longer to load than most commands take
        _experiment_arguments(experiment)
    if first == "compare":
        _compare_arguments(compare)
    work = command("work", _work, "work on a run directory: start or resume it")
    work.add_argument("directory", type=Path, metavar="DIR", help="e.g. runs/2026-01-31_101500_ab12")
    add_net(work)
    work.add_argument("--if-queued", action="store_true", help="only if it still waits; then what else waits")


def add_set(command: argparse.ArgumentParser, example: str) -> None:
    """The option that changes settings, as every command has it."""
    command.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help=f"e.g. {example}")


def add_net(command: argparse.ArgumentParser) -> None:
    """The option that names a network known nowhere here."""
    command.add_argument(
        "--net",
        metavar="FILE.py:FUNCTION",
        help="a network of your own: runs the code of FILE.py, whose FUNCTION gives a torch.nn.Module for a number of"
        " classes; it takes images in [0, 1]",
    )


def _describe_presets(train: argparse.ArgumentParser) -> None:
    from dpls.recipe import preset_names, preset_title

    presets = "\n".join(f"  {name:<22}{preset_title(name)}" for name in preset_names())
    train.formatter_class = argparse.RawDescriptionHelpFormatter
    train.epilog = f"presets:\n{presets}\n\nall settings of a preset: {SETTINGS} PRESET"


def _experiment_arguments(experiment: argparse.ArgumentParser) -> None:
    from dpls.experiments.kinds import KINDS, PRESETS

    experiment.epilog = f"settings of a kind: {SETTINGS} KIND; of its base: {SETTINGS} PRESET"
    experiment.add_argument("kind", choices=[*KINDS], help="what is compared")
    experiment.add_argument("preset", metavar="PRESET", help=f"{', '.join(PRESETS)}; or what train takes, as the base")
    add_set(experiment, "--set seeds=1 --set base.net.width=16")
    _how_to_start(experiment)


def _how_to_start(experiment: argparse.ArgumentParser) -> None:
    experiment.add_argument("--plan", action="store_true", help="say what it would run and cost, and start nothing")
    experiment.add_argument("--detach", action="store_true", help=DETACH)


def _compare_arguments(compare: argparse.ArgumentParser) -> None:
    from dpls.difficulty.measures import MEASURES
    from dpls.experiments.kinds import PRESETS
    from dpls.experiments.kinds.methods import METHODS

    compare.epilog = f"the same as `experiment methods`, once for each eps; its settings: {SETTINGS} methods"
    compare.add_argument("preset", metavar="PRESET", help=f"{', '.join(PRESETS)}; or what train takes")
    compare.add_argument("--methods", metavar="A,B", help=f"beside hard labels: {', '.join(METHODS)} (default: all)")
    compare.add_argument("--measures", metavar="A,B", help=f"DPLS by these, too: {', '.join(MEASURES)}")
    compare.add_argument("--scores", metavar="A,B", help="DPLS by these scores, too: taken in, or made by cscore")
    compare.add_argument("--eps", metavar="E,F", help="attack radii, each trained for: 2/255,4/255 (default: PRESET's)")
    compare.add_argument("--seeds", metavar="N", help="seeds of each method (default: 5)")
    compare.add_argument("--to", type=Path, metavar="FILE", help="the table of all eps as .csv or .md")
    add_set(compare, "--set judge=a3 --set lambda_min=0.3")
    _how_to_start(compare)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _say_found(data: "Data") -> None:
    """What lies where the images come from, before any of it is read."""
    found = data.source.found()
    say(found.lines() if found else ())


def say(sentences: Iterable[str]) -> None:
    """Each on a line, at once."""
    for sentence in sentences:
        print(sentence, flush=True)


def _train(args: argparse.Namespace) -> int:
    from dpls.data.cache import said
    from dpls.jobs.launchers import launcher
    from dpls.jobs.submission import submit
    from dpls.recipe import make_config, settings_for

    remarks: list[str] = []
    config = make_config(settings_for(args.config, args.set, say=remarks.append))
    _say_found(config.data)
    say(remarks)
    run = submit(config, args.runs, args.label)
    say(said(data_root(args.runs), run.config()["fingerprint"]))
    parent = run.config()["parent"]
    if parent:
        which = "epoch is that" if parent["epoch"] == 1 else f"{parent['epoch']} epochs are those"
        print(f"the first {which} of run {parent['run']}", flush=True)
    if args.detach:
        launcher().submit(run)
        print(run.id)
        return 0
    return work_on(run)


def _experiment(args: argparse.Namespace) -> int:
    from dpls.experiments.kinds import read_experiment

    return _conduct(read_experiment(args.kind, args.preset, args.set, say=print), args)


def _compare(args: argparse.Namespace) -> int:
    from dpls.experiments.conduct import settled
    from dpls.experiments.kinds import read_experiment
    from dpls.experiments.kinds.methods import as_text
    from dpls.experiments.stored import Stored, identify

    if args.to and (args.to.suffix not in (".csv", ".md") or not args.to.parent.is_dir()):
        raise UserError(f"--to {str(args.to)!r}: tables are written as .csv or .md into a folder that is there")
    lists = {name: given for name in ("methods", "measures", "scores") if (given := getattr(args, name)) is not None}
    asked = [f"{name}={json.dumps([part for part in given.split(',') if part])}" for name, given in lists.items()]
    asked += [f"seeds={args.seeds}"] if args.seeds else []
    radii = [[f"base.eps={eps}"] for eps in args.eps.split(",")] if args.eps else [[]]
    given = [read_experiment("methods", args.preset, [*asked, *radius, *args.set], say=print) for radius in radii]
    experiments = [settled(experiment, args.runs) for experiment in given]
    for experiment in experiments:
        if status := _conduct(experiment, args):
            return status
    if args.to and not args.plan and not args.detach:
        finished = [Stored(args.runs / "experiments" / identify(experiment)) for experiment in experiments]
        tables = {stored.experiment.base.eps: stored.result().tables for stored in finished}
        write_whole(args.to, as_text(tables, args.to.suffix == ".csv").encode())
    return 0


def _conduct(experiment: "Experiment", args: argparse.Namespace) -> int:
    from dpls.experiments.conduct import start, submit_all
    from dpls.experiments.cost import check_room_for, cost, said_of_ties
    from dpls.experiments.foreground import work_through
    from dpls.jobs.launchers import launcher

    price = cost(experiment, args.runs)
    if price.new:  # else nothing is read, and the images may be gone
        _say_found(experiment.base.data)
        say(experiment.base.data(data_root(args.runs))[0].said)
    print(price.in_words, flush=True)
    if args.plan:
        for planned in experiment.plan():
            print(f"  {planned.role}" + (f"  (from epoch {experiment.border} on)" if planned.after else ""))
        for line in said_of_ties(experiment, args.runs):
            print(line)
        return 0
    check_room_for(experiment, args.runs)
    if args.detach:
        print(start(experiment, args.runs, launcher()).id)
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
    return _work_through(Run(path)) if args.if_queued else work_on(Run(path))


def _work_through(run: Run) -> int:
    """Works on a run that waits, then on what else waits in its folder: loading torch takes longer than many a run."""
    from dpls.experiments.conduct import conclude
    from dpls.jobs import worker
    from dpls.jobs.queue import next_ready

    tried: set[str] = set()
    waiting = next_ready(run.path.parent, first=[run])
    while waiting:
        try:  # one that went well waits again only if somebody has asked for an evaluation since
            worker.work(waiting, if_queued=True)
            conclude(waiting)
        except worker.Stopped as stopped:
            tried.add(waiting.id)
            if not stopped.asked:
                return 1
        except UserError as error:
            tried.add(waiting.id)
            print(f"dpls: {error}", file=sys.stderr)
        waiting = next_ready(run.path.parent, tried)
    return 0


def work_on(run: Run) -> int:
    """Works on a run in this process, to its report and its id; the exit code."""
    from dpls.experiments.conduct import conclude
    from dpls.jobs import worker
    from dpls.jobs.queue import hindrance

    with run.lock():  # refused before the start where another worker holds it
        pass
    if hindered := hindrance(run):
        raise UserError(f"run {run.id} cannot start yet: {hindered[1]}")
    try:
        with worker.shown_log():
            worker.work(run)
        conclude(run)
    except worker.Stopped:
        return 1
    except UserError as error:
        print(f"dpls: {error}", file=sys.stderr)
        return 1
    from dpls.runs.report import report

    print(report(run))
    print(run.id)
    return 0
