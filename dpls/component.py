"""What every component with settings shares: a frozen, strict pydantic model, its identity, its family; fractions."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, LiteralString, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

ENGINE = 3
"""Raised whenever the same settings start to give other numbers, or a default changes; part of every identity."""
_PLAIN = re.compile(r" *[-+]?(?P<digits>\d+\.?\d*|\.\d+)(e[-+]?\d+)?( */ *\d+)? *", re.ASCII | re.IGNORECASE)


class Component(BaseModel):
    """Settings and behaviour in one frozen object: its fields are its JSON, its validation and its form."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    one_of: ClassVar[tuple[str, ...]] = ()
    """Settings of which one is given at most; the others are None."""
    is_chosen: ClassVar[bool] = True
    """Whether people choose it. Else it says of what was made elsewhere what is known: no form or list offers it."""

    @model_validator(mode="before")
    @classmethod
    def _plain_numbers(cls, settings: Any) -> Any:
        """Pydantic would take true for 1, 1_000 for 1000 and 1e-400 for 0; here they are refused."""
        given = settings.items() if isinstance(settings, dict) else ()
        wrong = [
            InitErrorDetails(type=PydanticCustomError("plain_number", reason), loc=(name,), input=value)
            for name, value in given
            if name in cls.model_fields
            for reason in _no_numbers(value, _leaves(cls, name))
        ]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return settings

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


@cache
def _leaves(model: type[Component], name: str) -> frozenset[type]:
    """The types that a field allows, itself or in a list."""
    return frozenset(_types(model.model_fields[name].annotation))


def _types(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return {type(choice) for choice in get_args(annotation)}
    parts = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return {kind for part in parts for kind in _types(part)} if parts else {annotation}


def _no_numbers(value: Any, allowed: frozenset[type]) -> Iterator[LiteralString]:
    """Why what a field of numbers is given, alone or in a list, only looks like one."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(one, bool | str) or not allowed & {int, float} or type(one) in allowed:
            continue
        plain = None if isinstance(one, bool) else _PLAIN.fullmatch(one)
        if not plain:
            yield "Input should be a number, in plain digits as 1000"
        elif parse_fraction(one) == 0 and set(plain["digits"]) - set("0."):
            yield "Input is too small to be told from 0"


def parse_fraction(value: Any) -> Any:
    """'8/255' -> 0.0313...; numbers and anything unreadable pass through to pydantic's own check."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        above, slash, below = value.partition("/")
        number = float(above) / (float(below) or math.nan) if slash else float(above)
        return number if math.isfinite(number) else value
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
