"""Settings as the ``path=value`` that lead to them, the way back of ``assigning.override``; and those of a link."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from dpls.errors import UserError
from dpls.recipe.assigning import as_value, override
from dpls.recipe.config import RunConfig
from dpls.recipe.sentences import each


def assignments(base: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What ``--set`` would have to say so that ``base`` becomes ``settings``; nothing where they are the same."""
    return list(_of_component(base, settings, ""))


def _of_component(base: Mapping[str, Any], now: Mapping[str, Any], path: str) -> Iterator[str]:
    if base.get("kind") != now.get("kind"):
        yield f"{path}kind={now['kind']}"
        base = {}
    names = sorted((name for name in now if name != "kind"), key=lambda name: now[name] is not None)
    for name in names:  # what is none first: of two settings of which one is given, setting one may unset the other
        known = base.get(name, {} if isinstance(now[name], Mapping) and not base else None)
        if name not in base or now[name] != known:
            yield from _of_value(known, now[name], f"{path}{name}")


def _of_value(base: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(base, Mapping) and isinstance(now, Mapping):
        yield from _of_component(base, now, f"{path}.")
    elif _are_components(base) and _are_components(now) and len(base) == len(now):
        for place, (before, after) in enumerate(zip(base, now, strict=True)):
            yield from _of_component(before, after, f"{path}.{place}.")
    else:
        yield f"{path}={_text(now)}"


def _are_components(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value)


def _text(value: Any) -> str:
    """What ``as_value`` reads as this value; no 8/255, for not every number may be written so."""
    return value if isinstance(value, str) and as_value(value) == value else json.dumps(value)


def fitting(settings: dict[str, Any], asked: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Settings with those assignments that mean something for them, and a sentence for each of the others.

    A setting that is missing still, or does not go with another, is no reason to refuse one: a form can ask for it.
    """
    kept: list[str] = []
    refused: list[str] = []
    for assignment in asked:
        try:
            override(settings, [*kept, assignment])
            kept.append(assignment)
        except UserError as error:
            refused.append(str(error))
    while True:
        found = override(settings, kept)
        wrong = [(path, words) for path, kind, words in _errors(found) if kind not in ("missing", "value_error")]
        blamed = {a: words for path, words in wrong for a in kept if _says(a, path)}
        if not blamed:
            return found, refused
        kept = [a for a in kept if a not in blamed]
        refused += blamed.values()


def _errors(settings: dict[str, Any]) -> list[tuple[str, str, str]]:
    try:
        RunConfig.model_validate(settings)
    except ValidationError as error:
        return each(error, RunConfig)
    return []


def _says(assignment: str, path: str) -> bool:
    """Whether an assignment is what says something wrong at a path."""
    own = assignment.partition("=")[0].strip()
    return path in (own, own.removesuffix(".kind")) or path.startswith(f"{own}.")
