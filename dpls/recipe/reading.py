"""From a preset or a file to a checked configuration."""

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dpls.errors import UserError
from dpls.recipe.config import RunConfig
from dpls.recipe.parsing import from_json, from_toml
from dpls.recipe.sentences import sentence, shown


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
    settings: dict[str, Any] = {}
    read: list[str] = []
    base: Any = preset_or_file
    while base is not None:
        if not isinstance(base, str) or base in read:
            why = "takes itself over" if base in read else "is not the name of a preset or a file"
            raise UserError(f"{read[-1]}: base = {shown(base)} {why}; choose from {', '.join(preset_names())}")
        read.append(base)
        found = _read(base)
        base = found.pop("base", None)
        settings = found | settings
    return settings


def _read(preset_or_file: str) -> dict[str, Any]:
    if preset_or_file in preset_names():
        return from_toml((resources.files("dpls.recipe.presets") / f"{preset_or_file}.toml").read_text())
    path = Path(preset_or_file)
    choices = f"choose a preset ({', '.join(preset_names())}) or give a .toml or .json file that exists"
    if preset_or_file and path.is_dir():
        raise UserError(f"{preset_or_file!r} is a folder; {choices}")
    if path.suffix not in (".toml", ".json"):
        kind = "file, which is neither .toml nor .json," if path.is_file() else "preset"
        raise UserError(f"unknown {kind} {preset_or_file!r}; {choices}")
    try:
        text = path.read_text(encoding="utf-8")
        settings = from_json(text) if path.suffix == ".json" else from_toml(text)
    except FileNotFoundError:
        raise UserError(f"there is no file {preset_or_file!r}; {choices}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as {path.suffix[1:].upper()}: {error}") from None
    run_config = settings.get("config", settings) if isinstance(settings, dict) else settings
    if not isinstance(run_config, dict):
        where = "config" if isinstance(settings, dict) else "all of it"
        raise UserError(f"{path} must hold a table of settings, but {where} is {shown(run_config)}")
    return run_config


def make_config(settings: dict[str, Any]) -> RunConfig:
    """Checked settings; a UserError in one sentence where they are wrong."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        raise UserError(sentence(error, RunConfig)) from None
