"""What every component with settings shares: a frozen, strict pydantic model, its identity, its family; fractions."""

import hashlib
import json
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, model_validator

ENGINE = 2
"""Raised whenever the same settings start to give other numbers, or a default changes; part of every identity."""


class Component(BaseModel):
    """Settings and behaviour in one frozen object: its fields are its JSON, its validation and its form."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    one_of: ClassVar[tuple[str, ...]] = ()
    """Settings of which one is given at most; the others are None."""

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        given = [name for name in self.one_of if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give either {' or '.join(given)}, not both")
        return self


C = TypeVar("C", bound=Component)


def validated(component: C) -> C:
    """The same after a check of every value: a whole number in a field of fractions is a fraction then."""
    return type(component).model_validate(component.model_dump())


def canonical(component: Component) -> dict[str, Any]:
    """What tells a checked component from others: its kind, and what is not at its default, as plain JSON.

    So a field that is added later, with a default, changes no identity that is made of this.
    """
    fields = type(component).model_fields
    values = {name: getattr(component, name) for name in fields}
    return {
        name: _canonical(value)
        for name, value in values.items()
        if name == "kind" or fields[name].is_required() or value != fields[name].default
    }


def _canonical(value: Any) -> Any:
    if isinstance(value, Component):
        return canonical(value)
    return [_canonical(v) for v in value] if isinstance(value, tuple) else value


def digest(*parts: Any) -> str:
    """20 hex digits for anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def members(family: Any) -> tuple[Any, ...]:
    """The classes of a family: of ``Annotated[A | B, ...]``, of ``A | B``, of A alone; of families in one, all."""
    if get_origin(family) is Annotated:
        return members(get_args(family)[0])
    return tuple(c for part in get_args(family) for c in members(part)) or (family,)


def parse_fraction(value: Any) -> Any:
    """'8/255' -> 0.0313...; numbers and anything unreadable pass through to pydantic's own check."""
    if isinstance(value, str):
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError, OverflowError):
            return value
    return value


def show_fraction(value: float) -> str:
    """0.0313... -> '8/255' where it is a whole number of 255ths, else the shortest decimal."""
    levels = round(value * 255)
    return f"{levels}/255" if levels and abs(value * 255 - levels) < 1e-6 else f"{value:g}"


def show_exactly(value: float) -> str:
    """The shortest text that ``parse_fraction`` reads as the very same number: 0.02, 8/255, 0.123456789."""
    short = (f"{value:g}", show_fraction(value))
    return next((text for text in short if parse_fraction(text) == value), repr(value))


def article(value: str) -> dict[str, JsonValue]:
    """For ``json_schema_extra``: what the article on DPLS uses, shown beside a field's default."""
    return {"article": value}


Fractional = Annotated[float, BeforeValidator(parse_fraction)]
