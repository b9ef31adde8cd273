"""Settings as text, JSON or TOML: no deeper than settings go, and no number becomes another in silence."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

DEEPEST = 32
"""Tables and lists inside each other; those of an experiment go to nine."""


def from_json(text: str) -> Any:
    """Raises ValueError where it is none, or too deep."""
    return _parsed(lambda: json.loads(text, parse_float=_number))


def from_toml(text: str) -> dict[str, Any]:
    """Raises ValueError where it is none, or too deep."""
    return dict(_parsed(lambda: tomllib.loads(text, parse_float=_number)))


def _parsed(parse: Callable[[], Any]) -> Any:
    too_deep = f"tables and lists lie inside each other, more than {DEEPEST} deep"
    try:
        value = parse()
    except RecursionError:
        raise ValueError(too_deep) from None
    level, depth = [value], 0
    while level := [inner for entry in level for inner in _inside(entry)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(too_deep)
    return value


def _inside(entry: Any) -> list[Any]:
    return list(entry.values()) if isinstance(entry, dict) else entry if isinstance(entry, list) else []


def _number(text: str) -> float | str:
    """What is too small to be told from 0 stays text, which the setting then refuses."""
    number = float(text)
    return text if number == 0 and any(digit in text.lower().partition("e")[0] for digit in "123456789") else number
