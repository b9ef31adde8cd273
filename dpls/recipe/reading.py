"""From a preset or a file to a checked configuration."""

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


def make_config(settings: dict[str, Any]) -> RunConfig:
    """Checked settings; a UserError in one sentence where they are wrong."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, RunConfig)) from None
