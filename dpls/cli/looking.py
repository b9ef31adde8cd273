"""Commands that look at runs and take along what is there: runs, export, tags, scores."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpls.cli.making import RUN, Command
from dpls.errors import UserError
from dpls.runs.directory import Run
from dpls.runs.files import data_root, write_whole
from dpls.runs.folder import find_run, list_runs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


TABLES = ".csv, .parquet or .npz"
FILES = ".csv, .parquet, .npz or .html"
"""What an export may be; as a table alone, and all."""


def add(command: Command) -> None:
    runs = command("runs", _runs, "list the runs, or report on one")
    runs.add_argument("run", metavar="RUN", nargs="?", help=RUN)
    runs.add_argument("--json", action="store_true", help="everything, for programs")
    runs.add_argument("--trust", action="store_true", help="of one: what speaks for and against its robust accuracies")
    export = command("export", _export, "write a run's per-example table, or all of it as a report of one file")
    export.add_argument("run", metavar="RUN", help=RUN)
    export.add_argument("--factors", action="store_true", help="training images alone: whose, difficulty, factor")
    export.add_argument("--to", type=Path, required=True, metavar="FILE", help=f"a {FILES} file; .html: the report")
    tags = command("tags", _tags, "what was decided about a run's images: keep, relabel, drop, smooth more")
    tags.add_argument("run", metavar="RUN", help=RUN)
    tags.add_argument("--cleaned", action="store_true", help="all images but the dropped, as they should be labelled")
    tags.add_argument("--to", type=Path, metavar="FILE", help=f"a {TABLES} file")
    scores = command("scores", _scores, "show scores computed elsewhere like a measure, in all runs on these images")
    scores.add_argument("run", metavar="RUN", help=RUN)
    scores.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="scores by path, hash, id or order: csv, tsv, json, jsonl, parquet, npz, npy",
    )
    scores.add_argument("--name", metavar="TEXT", help="what to call them (default: the file's name)")
    scores.add_argument("--lower-is-harder", action="store_true", help="in the file; else higher is harder")


def _runs(args: argparse.Namespace) -> int:
    from dpls.runs.report import cards, report, row

    if args.run:
        run = find_run(args.runs, args.run)
        if args.json:
            trusted = {name: card.as_dict() for name, card in cards(run).items()}
            print(json.dumps(row(run) | {"trust": trusted}, indent=1))
        elif args.trust:
            print("\n\n".join(card.text() for card in cards(run).values()) or "it was not evaluated under attack")
        else:
            print(report(run))
        return 0
    if args.trust:
        raise UserError("--trust goes with one run; name it")
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
        epochs = f"{r['epoch']}/{r['epochs']}" if r["epochs"] is not None else str(r["epoch"])
        said = [*([r["method"]] if r["elsewhere"] else []), *accuracies, r["label"]]
        print(f"{r['id']}  {r['state']:<11} {epochs:>9}  {'  '.join(said)}".rstrip())
    return 0


def _eps(evaluation: dict[str, Any]) -> str:
    from dpls.component import show_fraction

    eps = evaluation["settings"].get("eps")
    return "" if eps is None else f" {show_fraction(eps)}"


def _export(args: argparse.Namespace) -> int:
    _check_place(args.to, FILES)
    run = find_run(args.runs, args.run)
    if args.to.suffix == ".html":
        return _write_report(run, args)
    table = run.examples()
    if args.factors:
        from dpls.runs.sidecar import file_hashes, sidecar

        if (origin := run.recipe().elsewhere) and table["factor"].isna().all():
            raise UserError(
                f"run {run.id} was {origin.title}, and its factors are not known here; choose a lambda_min on the page"
                " Smoothing and take these along, or compute them: dpls.smoothing_factors(difficulty, lambda_min)"
            )
        table = sidecar(table, file_hashes(run))
    return _write(table, args.to, FILES)


def _write_report(run: Run, args: argparse.Namespace) -> int:
    if args.factors:
        raise UserError(f"--factors writes a table; choose a {TABLES} file")
    from dpls.reports import document

    text = document(run, data_root(args.runs))
    write_whole(args.to, text)
    print(f"{args.to}: {len(text.encode()) / 1000:,.0f} kB, opens in any browser, offline")
    return 0


def _tags(args: argparse.Namespace) -> int:
    from dpls.runs.tags.kept import TAGS, file_of, tags_in
    from dpls.runs.tags.lists import cleaned, table_of

    run = find_run(args.runs, args.run)
    tags = tags_in(file_of(args.runs, run.config()["fingerprint"]))
    if args.cleaned and not args.to:
        raise UserError("--cleaned goes with --to; say which file to write")
    if args.to:
        _check_place(args.to, TABLES)
        return _write((cleaned if args.cleaned else table_of)(run.examples(), tags), args.to, TABLES)
    named = [tag.tag for tag in tags.values()]
    counts = ", ".join(f"{named.count(name):,} {name}" for name in TAGS if name in named)
    print(f"{len(tags):,} images tagged" + (f": {counts}" if counts else ""))
    return 0


def _check_place(to: Path, choices: str) -> None:
    """Refuses where no file can be written; ``choices``: the endings it may have."""
    if to.is_dir() or not to.parent.is_dir():
        reason = "is a folder" if to.is_dir() else f"lies in {str(to.parent)!r}, which is no folder"
        raise UserError(f"cannot export to {str(to)!r}: it {reason}; choose a {choices} file")


def _write(table: "pd.DataFrame", to: Path, choices: str) -> int:
    """In the form that the ending names; ``choices``: those there are."""
    import numpy as np

    match to.suffix:
        case ".csv":
            table.to_csv(to, index=False)
        case ".parquet":
            table.to_parquet(to, index=False)
        case ".npz":
            np.savez_compressed(to, allow_pickle=False, **{str(n): _plain(c) for n, c in table.items()})
        case suffix:
            raise UserError(f"cannot export to {suffix or 'a file without an ending'}; choose a {choices} file")
    print(f"{len(table):,} examples written to {to}")
    return 0


def _plain(column: "pd.Series") -> "np.ndarray":
    """As an array that numpy reads back without pickle: text as unicode, outcomes as 0, 1 and NaN."""
    if column.dtype == "boolean":
        return column.astype("float32").to_numpy()
    return column.to_numpy(dtype="U") if column.dtype.kind not in "iuf" else column.to_numpy()


def _scores(args: argparse.Namespace) -> int:
    from dpls.runs import scores

    run = find_run(args.runs, args.run)
    brought = scores.read_scores(args.file, run.examples(), lower_is_harder=args.lower_is_harder)
    name = args.name or args.file.stem
    scores.keep(args.runs, run.config()["fingerprint"], name, brought.values)
    print(f"{name}: {brought.said}; choose them as a measure on the pages")
    return 0
