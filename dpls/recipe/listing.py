"""All settings of a component, one below the other: path, value, default, what is allowed, what it means."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from dpls.component import Component
from dpls.fields import allowed, article_of, choices, default_of, kind_of, listed, model_of, unit_of

Values = dict[str, Any]


class Setting(NamedTuple):
    """A row; value and default are plain JSON, ``required`` stands for a default that there is none of."""

    path: str
    value: Any
    default: Any
    allowed: str
    meaning: str
    chosen: bool
    """Whether it is a setting now; False for those of kinds that could be chosen instead."""


REQUIRED = "(required)"


def settings_of(component: Component, but: frozenset[str] = frozenset()) -> list[Setting]:
    """Every setting of a checked component by the path that ``--set`` takes, without the fields named in ``but``.

    Behind what has a choice stand the other kinds with their own settings; once for each family.
    """
    model, values = type(component), component.model_dump(mode="json")
    kept = {name: value for name, value in values.items() if name not in but}
    return list(_Listing().fields(_Place("", True), model, kept, _defaults(model)))


class _Place(NamedTuple):
    path: str
    chosen: bool

    def at(self, name: object) -> "_Place":
        return self._replace(path=f"{self.path}.{name}" if self.path else str(name))


class _Listing:
    """Goes through settings and remembers of which families it has told all kinds."""

    def __init__(self) -> None:
        self._told: set[tuple[type[Component], ...]] = set()

    def fields(self, place: _Place, model: type[Component], values: Values, defaults: Values) -> Iterator[Setting]:
        """The settings of a component, with those inside them."""
        for name, field in model.model_fields.items():
            if name == "kind" or name not in values:
                continue
            if choices(field.annotation):
                yield from self._inside(place.at(name), field, values[name], defaults[name])
            else:
                yield _row(place.at(name), field, values[name], defaults[name], allowed(field))

    def _inside(self, place: _Place, field: FieldInfo, value: Any, default: Any) -> Iterator[Setting]:
        """A component, one that may be missing, or a list of them; then what else it could be."""
        models, is_list = choices(field.annotation), listed(field.annotation) is not None
        if value in (None, [], REQUIRED):
            yield _row(place, field, value, default, _ways(models))
        entries = list(value) if is_list else [value]
        usual = default if isinstance(default, list) else [default]
        there = [model_of(field.annotation, entry) for entry in entries]
        for number, (entry, model) in enumerate(zip(entries, there, strict=True)):
            if model and isinstance(entry, dict):
                same = usual[number] if number < len(usual) else None
                yield from self._component(place.at(number) if is_list else place, model, models, entry, same)
        if tuple(models) not in self._told:
            self._told.add(tuple(models))
            other = (place.at(len(entries)) if is_list else place)._replace(chosen=False)
            for model in models:
                if model not in there or value is None:
                    yield from self._component(other, model, models, _defaults(model), None)

    def _component(
        self, place: _Place, model: type[Component], models: list[type[Component]], values: Values, usual: Any
    ) -> Iterator[Setting]:
        """Which kind it is, and its own settings. ``usual``: what stands there by default."""
        said = usual if isinstance(usual, dict) else {"kind": kind_of(model)}
        if kind := kind_of(model):
            what = (model.__doc__ or "").split("\n")[0]
            yield Setting(
                place.at("kind").path, kind, said.get("kind"), _ways(models) if place.chosen else "", what, place.chosen
            )
        same = said.get("kind") == kind
        yield from self.fields(place, model, values, _defaults(model) | (said if same else {}))


def _defaults(model: type[Component]) -> Values:
    return {name: REQUIRED if f.is_required() else default_of(f) for name, f in model.model_fields.items()}


def _row(place: _Place, field: FieldInfo, value: Any, default: Any, ways: str) -> Setting:
    return Setting(place.path, value, default, ways, _meaning(field), place.chosen)


def _ways(models: list[type[Component]]) -> str:
    return ", ".join(kind for model in models if (kind := kind_of(model)))


def _meaning(field: FieldInfo) -> str:
    unit, article = unit_of(field), article_of(field)
    text = (field.description or "").rstrip(".")
    return text + (f", in {unit}" if unit and unit not in text else "") + (f" (article: {article})" if article else "")
