"""The command settings: everything that --set can change, with its value and what else it could be."""

import argparse
import json
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from dpls.cli.making import Command

if TYPE_CHECKING:
    from dpls.recipe.listing import Setting

LEAST = 100
"""Characters of a line at least: a terminal folds what is longer, a file does not mind."""
HEAD = ("setting", "value", "default", "allowed", "meaning")


def add(command: Command) -> None:
    settings = command("settings", _settings, "list every setting of a preset: value, default, choices, meaning")
    settings.add_argument(
        "config", metavar="PRESET-OR-FILE", nargs="?", default="demo", help="or a kind of experiment (default: demo)"
    )
    settings.add_argument("--json", action="store_true", help="the same for programs")


def _settings(args: argparse.Namespace) -> int:
    from dpls.experiments.kinds import KINDS, PRESETS, read_experiment
    from dpls.recipe import make_config, preset_names, preset_title, read_settings
    from dpls.recipe.listing import settings_of

    if args.config in KINDS:
        rows = settings_of(read_experiment(args.config, next(iter(PRESETS)), []), but=frozenset({"base"}))
        title = f"{args.config}, a kind of experiment; its base is a preset, set as base.eps=4/255."
    else:
        rows = settings_of(make_config(read_settings(args.config)))
        title = f"{args.config}: {preset_title(args.config)}" if args.config in preset_names() else f"{args.config}."
    if args.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return 0
    print(
        f"{title}\nChange any by --set SETTING=VALUE. Indented: what could stand instead, with settings of its own.\n"
    )
    print(_table([HEAD, *map(_cells, rows)]))
    return 0


def _cells(row: "Setting") -> tuple[str, ...]:
    indent = "" if row.chosen else "  "
    default = _text(row.default) if row.chosen else ""
    return indent + row.path, _text(row.value), default, row.allowed, row.meaning


def _text(value: Any) -> str:
    """As --set takes it, short."""
    from dpls.fields import as_text

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{as_text(value)}]"
    return "none" if value is None else as_text(value)


def _table(rows: list[tuple[str, ...]]) -> str:
    """In columns; what a setting means stands below it."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)][:-1]
    wide = max(shutil.get_terminal_size().columns, LEAST)
    lines = []
    for *cells, meaning in rows:
        lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
        lines += textwrap.wrap(meaning, wide, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
