"""What a field of a component may hold, read from its annotation: for errors, forms, ``--set``, lists of settings."""

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from dpls.component import Component, show_exactly


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without its metadata and without None, and whether None was among its choices."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
        rest = [a for a in get_args(annotation) if a is not NoneType]
        inner, _ = without_none(rest[0] if len(rest) == 1 else Union[tuple(rest)])  # noqa: UP007
        return inner, True
    return annotation, False


def choices(annotation: Any) -> list[type[Component]]:
    """The components a person may choose where an annotation stands, or those of which it allows a list."""
    annotation, _ = without_none(annotation)
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Component) and annotation.is_chosen else []
    return [c for part in get_args(annotation) for c in choices(part)]


def listed(annotation: Any) -> Any:
    """X of ``tuple[X, ...]``; else None."""
    annotation, _ = without_none(annotation)
    return get_args(annotation)[0] if get_origin(annotation) is tuple else None


def kind_of(model: type[Component]) -> str | None:
    """What tells it from others of its family; None where it has none."""
    field = model.model_fields.get("kind")
    return str(field.default) if field else None


def model_of(annotation: Any, value: Any) -> type[Component] | None:
    """Which component the unchecked settings ``value`` are meant to be, if they say so or there is one only."""
    models = choices(annotation)
    if len(models) == 1:
        return models[0]
    said = value.get("kind") if isinstance(value, dict) else None
    return next((model for model in models if kind_of(model) == said), None)


def plain(value: Any) -> Any:
    """A value, or a default, as JSON has it."""
    if isinstance(value, Component):
        return value.model_dump(mode="json")
    return [plain(v) for v in value] if isinstance(value, tuple) else value


def as_text(value: Any) -> str:
    """A value as people type it, 8/255 too; '' for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return show_exactly(value)
    if isinstance(value, list | tuple):
        return ", ".join(as_text(v) for v in value)
    return str(value)


def default_of(field: FieldInfo) -> Any:
    """Its default as plain JSON; of one that must be given an empty list or None."""
    if field.is_required():
        return [] if listed(field.annotation) is not None else None
    return plain(field.get_default(call_default_factory=False))


def unit_of(field: FieldInfo) -> str:
    """e.g. ``pixels``; '' where it has none."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def article_of(field: FieldInfo) -> str:
    """What the article on DPLS uses; '' where it says nothing of it."""
    extra = field.json_schema_extra
    return str(extra.get("article", "")) if isinstance(extra, dict) else ""


def allowed(field: FieldInfo) -> str:
    """Choices or bounds in words, e.g. ``uniform, gaussian, clean`` or ``above 0, up to 1, or none``."""
    annotation, optional = without_none(field.annotation)
    inner = listed(annotation)
    known = without_none(annotation if inner is None else inner)[0]
    if get_origin(known) is Literal:
        words = [", ".join(str(choice) for choice in get_args(known))]
    elif known is bool:
        words = ["true, false"]
    else:
        words = ["whole"] if known is int else []
        words += _bounds([*_metadata(field.annotation), *field.metadata])
    words = ["a list"] * (inner is not None) + words + ["or none"] * optional
    return ", ".join(words)


def _metadata(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        if get_origin(annotation) is Annotated and part is not get_args(annotation)[0]:
            yield from getattr(part, "metadata", [part])
        elif get_origin(annotation) is not Literal:
            yield from _metadata(part)


def _bounds(metadata: Sequence[Any]) -> list[str]:
    names = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}
    found = {name: getattr(m, name) for name in names for m in metadata if getattr(m, name, None) is not None}
    return [f"{names[name]} {bound:,}" for name, bound in found.items()]
