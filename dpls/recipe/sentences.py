"""A validation error as one sentence: which setting, the value, and the choices."""

import json
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import ValidationError

from dpls.component import Component
from dpls.errors import short
from dpls.fields import choices, kind_of, listed, without_none

LONGEST = 80
"""Characters of a value that are shown."""
NAMES = {"RunConfig": "a run"}
"""How people call what has no kind."""


def shown(value: Any) -> str:
    """A value as a terminal takes it; of a long one the beginning."""
    try:
        text = repr(value) if isinstance(value, str | float) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def sentence(error: ValidationError, model: type[Component]) -> str:
    """The first thing wrong, in words; how many more there are behind it."""
    errors = error.errors(include_url=False)
    text = _describe(errors[0], model)
    return text if len(errors) == 1 else f"{text} (and {len(errors) - 1} more)"


def each(error: ValidationError, model: type[Component]) -> list[tuple[str, str, str]]:
    """(path, pydantic's type of error, sentence) for everything wrong."""
    errors = error.errors(include_url=False)
    return [(".".join(_Way(e["loc"], model).path), e["type"], short(_describe(e, model))) for e in errors]


def _describe(error: Any, model: type[Component]) -> str:
    way = _Way(error["loc"], model)
    name, value, context = ".".join(way.path), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return way.no_such_setting()
        case "missing":
            return f"{name} is missing; it must be given"
        case "union_tag_not_found":
            return f"{name} = {shown(value)} does not say what it is; set {name}.kind first: {way.kinds}"
        case "union_tag_invalid":
            return f"{name}.kind {context['tag']!r} is unknown; choose from {way.kinds}"
        case "value_error":
            return f"{name}: {context['error']}" if name else str(context["error"])
        case "literal_error":
            return f"{name} = {shown(value)} is unknown; choose from {context['expected'].replace(chr(39), '')}"
        case "tuple_type" | "list_type":
            return f"{name} = {shown(value)} is not a list; write all of it as JSON, {way.example}"
        case "too_short":
            return f"{name} = {shown(value)} is too short: it needs at least {context['min_length']}, {way.example}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{name} = {shown(value)} is not allowed: it has settings inside; {way.inside}"
        case "string_pattern_mismatch":
            return f"{name} = {shown(value)} is not allowed; choose from {way.pattern(context['pattern'])}"
        case _:
            return f"{name} = {shown(value)} is not allowed: {error['msg'][0].lower()}{error['msg'][1:]}"


class _Way:
    """The path of an error as a person writes it (union tags left out), and the components along it."""

    def __init__(self, location: Iterable[str | int], model: type[Component]) -> None:
        self.path: list[str] = []
        self._here = self._parents = self._family = [model]
        self._top = model
        self._field: Any = None
        family = self._here
        for place, step in enumerate(location):
            if place and isinstance(step, str) and (tagged := [c for c in self._here if kind_of(c) == step]):
                self._here = tagged
                continue
            self.path.append(str(step))
            if isinstance(step, str):
                self._parents, self._family = self._here, family
                fields = [c.model_fields[step] for c in self._here if step in c.model_fields]
                self._field = fields[0] if fields else None
                self._here = family = [c for field in fields for c in choices(field.annotation)]

    @property
    def kinds(self) -> str:
        return ", ".join(sorted(kind for c in self._here if (kind := kind_of(c))))

    @property
    def inside(self) -> str:
        """How to set a component that was given as a value."""
        name = ".".join(self.path)
        if self.kinds:
            return f"set {name}.kind={self.kinds.replace(', ', ' or ')}"
        return f"set one of them: {', '.join(f'{name}.{field}' for field in _fields(self._here))}"

    @property
    def example(self) -> str:
        """A list that could be meant."""
        name, models = ".".join(self.path), self._here
        if not models:
            inner: Any = without_none(listed(self._field.annotation))[0] if self._field else str
            some = {int: [1, 2], float: [0.1, 0.2]}.get(inner, list(get_args(inner))[:1] or ["..."])
            return f"e.g. '{name}={json.dumps(some)}'"
        kind = kind_of(models[0])
        entry = {"kind": kind} if kind else {n: "..." for n, f in models[0].model_fields.items() if f.is_required()}
        return f"e.g. '{name}={json.dumps([entry])}'"

    def pattern(self, expression: str) -> str:
        """What the setting says of itself, for nobody reads patterns."""
        return str((self._field and self._field.description) or expression)

    def no_such_setting(self) -> str:
        """Which there are; and which other kind has it."""
        *parents, name = self.path
        there = ".".join(parents) or kind_of(self._top) or NAMES.get(self._top.__name__, self._top.__name__.lower())
        text = f"{there} has no setting {name!r}; choose from {', '.join(_fields(self._parents))}"
        others = [kind for c in self._family if name in c.model_fields and (kind := kind_of(c))]
        return f"{text}; or set {'.'.join(parents)}.kind={' or '.join(others)} first, which has it" if others else text


def _fields(components: Iterable[type[Component]]) -> list[str]:
    return sorted({name for c in components for name in c.model_fields})
