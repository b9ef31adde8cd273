"""A validation error as one sentence: which setting, the value, and the choices."""

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import ValidationError

from dpls.component import Component


def sentence(error: ValidationError, model: type[Component]) -> str:
    """The first thing wrong, in words; how many more there are behind it."""
    errors = error.errors(include_url=False)
    text = _describe(errors[0], model)
    return text if len(errors) == 1 else f"{text} (and {len(errors) - 1} more)"


def _describe(error: Any, model: type[Component]) -> str:
    path, components = _walk(error["loc"], model)
    name, value, context = ".".join(path), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            parent = ".".join(path[:-1]) or _kind(model) or "a run"
            return f"{parent} has no setting {path[-1]!r}; choose from {', '.join(_fields(components))}"
        case "missing":
            return f"{name} is missing; it must be given"
        case "union_tag_invalid" | "union_tag_not_found":
            kinds = sorted(kind for c in components if (kind := _kind(c)))
            return f"{name}.kind {context.get('tag', 'missing')!r} is unknown; choose from {', '.join(kinds)}"
        case "value_error":
            return f"{name}: {context['error']}" if name else str(context["error"])
        case "literal_error":
            return f"{name} = {value!r} is unknown; choose from {context['expected']}"
        case _:
            return f"{name} = {value!r} is not allowed: {error['msg'][0].lower()}{error['msg'][1:]}"


def _walk(location: Iterable[str | int], model: type[Component]) -> tuple[list[str], list[type[Component]]]:
    """The path as a person writes it (union tags left out), and the components its last parent can be."""
    path: list[str] = []
    here = parents = [model]
    for step in location:
        if isinstance(step, str) and (tagged := [c for c in here if _kind(c) == step]):
            here = parents = tagged
            continue
        path.append(str(step))
        if isinstance(step, str):
            parents = here
            fields = [c.model_fields[step].annotation for c in here if step in c.model_fields]
            here = [c for annotation in fields for c in _components(annotation)]
    return path, here or parents


def _kind(component: type[Component]) -> str | None:
    field = component.model_fields.get("kind")
    return field.default if field else None


def _fields(components: Iterable[type[Component]]) -> list[str]:
    return sorted({name for c in components for name in c.model_fields})


def _components(annotation: Any) -> Iterator[type[Component]]:
    if isinstance(annotation, type) and issubclass(annotation, Component):
        yield annotation
    for part in get_args(annotation):
        yield from _components(part)
