"""From a preset, a file or ``path=value`` to a checked configuration."""

import copy
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dpls.errors import UserError
from dpls.recipe.config import RunConfig
from dpls.recipe.sentences import sentence


def preset_names() -> list[str]:
    """Names of the configurations that come with the package."""
    files = resources.files("dpls.recipe.presets").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def preset_title(name: str) -> str:
    """The first line of a preset's file, which says what it is."""
    text = (resources.files("dpls.recipe.presets") / f"{name}.toml").read_text(encoding="utf-8")
    return text.split("\n", 1)[0].lstrip("# ")


def read_settings(preset_or_file: str) -> dict[str, Any]:
    """The settings of a preset by name, or of a .toml or .json file by path, unchecked.

    ``base = "demo"`` takes over what the file itself does not set. A run's own config.json is as good as a file.
    """
    if preset_or_file in preset_names():
        settings = tomllib.loads((resources.files("dpls.recipe.presets") / f"{preset_or_file}.toml").read_text())
    else:
        settings = _read_file(Path(preset_or_file))
    base = settings.pop("base", None)
    return settings if base is None else read_settings(base) | settings


def _read_file(path: Path) -> dict[str, Any]:
    choices = f"choose a preset ({', '.join(preset_names())}) or give a .toml or .json file that exists"
    if path.suffix not in (".toml", ".json"):
        raise UserError(f"unknown preset {str(path)!r}; {choices}")
    try:
        text = path.read_text(encoding="utf-8")
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UserError(f"there is no file {str(path)!r}; {choices}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as {path.suffix[1:].upper()}: {error}") from None
    if not isinstance(settings, dict):
        raise UserError(f"{path} must hold a table of settings, got a {type(settings).__name__}")
    run_config: dict[str, Any] = settings.get("config", settings)
    return run_config


def override(settings: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Applies 'path=value', e.g. 'phases.1.factors.lambda_min=0.7'. Setting ``x.kind`` replaces component x."""
    settings = copy.deepcopy(settings)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise UserError(f"--set {assignment!r} is not of the form path=value, for example --set optimiser.lr=0.05")
        *parents, name = path.strip().split(".")
        node: Any = settings
        for parent in parents:
            node = _step_into(node, parent, path)
        if isinstance(node, list):
            node[_position(node, name, path)] = _value(text)
        elif name == "kind" and node.get("kind") != _value(text):
            node.clear()
            node["kind"] = _value(text)
        else:
            node[name] = _value(text)
    return settings


def _step_into(node: Any, name: str, path: str) -> Any:
    child = node[_position(node, name, path)] if isinstance(node, list) else node.setdefault(name, {})
    if not isinstance(child, dict | list):
        raise UserError(f"--set {path}: {name!r} is a value, {child!r}, and has no settings inside it")
    return child


def _position(node: list[Any], name: str, path: str) -> int:
    if not name.isdecimal() or int(name) >= len(node):
        raise UserError(
            f"--set {path}: {name!r} is not one of the {len(node)} entries; count from 0 to {len(node) - 1}"
        )
    return int(name)


def _value(text: str) -> Any:
    """JSON where it parses, else the text itself: 0.5, true, null, [100, 105], 8/255, cpu."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


def make_config(settings: dict[str, Any]) -> RunConfig:
    """Checked settings; a UserError in one sentence where they are wrong."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, RunConfig)) from None
