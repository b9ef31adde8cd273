"""In what two configurations differ, setting by setting."""

from collections.abc import Mapping
from typing import Any

from dpls.recipe.config import RunConfig


def settings_that_differ(first: RunConfig, second: RunConfig) -> list[tuple[str, str, str]]:
    """(path, value of the first, value of the second), by path."""
    a, b = (flat(known(config)) for config in (first, second))
    return [(path, a.get(path, "-"), b.get(path, "-")) for path in sorted(a | b) if a.get(path) != b.get(path)]


def known(config: RunConfig) -> dict[str, Any]:
    """Its settings; of a run that was not trained here what is known of it: the others say nothing of it."""
    settings = config.model_dump(mode="json")
    if not config.elsewhere:
        return settings
    net = {"net": settings["net"]} if config.net.is_known else {}
    return net | {name: settings[name] for name in ("data", "objective", "seed", "difficulty")}


def flat(value: Any, path: str = "") -> dict[str, str]:
    """{path: value in words} of every setting inside; ``path``: where it stands itself."""
    if isinstance(value, Mapping) or (isinstance(value, list) and value):
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        found: dict[str, str] = {}
        for name, part in entries:
            found |= flat(part, f"{path}.{name}" if path else str(name))
        return found
    return {path: "none" if value is None else str(value)}
