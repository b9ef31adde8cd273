"""What every component with settings shares: a frozen, strict pydantic model; its family, the fraction type."""

from fractions import Fraction
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue


class Component(BaseModel):
    """Settings and behaviour in one frozen object: its fields are its JSON, its validation and its form."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def members(family: Any) -> tuple[Any, ...]:
    """The classes of a family: of ``Annotated[A | B, ...]``, of ``A | B``, or of A alone."""
    if get_origin(family) is Annotated:
        family = get_args(family)[0]
    return get_args(family) or (family,)


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


def article(value: str) -> dict[str, JsonValue]:
    """For ``json_schema_extra``: what the article on DPLS uses, shown beside a field's default."""
    return {"article": value}


Fractional = Annotated[float, BeforeValidator(parse_fraction)]
