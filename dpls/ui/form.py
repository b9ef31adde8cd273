"""Widgets generated from the fields of a component: what ``--set`` can set in a terminal, a form can set here.

A form returns plain settings, unchecked; ``make_config`` says in one sentence what is wrong with them. Numbers that
are not whole are typed as text, so that 8/255 and 5e-4 can be written as people write them.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from dpls.component import Component, members, parse_fraction
from dpls.fields import as_text, choices, plain, without_none
from dpls.recipe.assigning import as_value
from dpls.ui.frame import escape
from dpls.ui.words import kind_in_words, label_of

NOTHING, SOMETHING = "none", "as below"
MOST_ENTRIES = 12
SIMPLE, NESTED, LIST = "value", "component", "components"


class Form:
    """One form on one page. ``prefix`` begins the key of every widget: another prefix, another form, fresh values."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def fields(self, model: type[Component], names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
        """Draws some fields of a model at the top level; their settings."""
        return self._fields(model, names, values, "")

    def _fields(
        self, model: type[Component], names: Sequence[str], values: Mapping[str, Any], path: str
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for shape, group in groupby(names, lambda name: _shape(model.model_fields[name].annotation)):
            some = list(group)
            columns, width = (2, 200) if shape == SIMPLE else (min(2, len(some)), 280)
            grid = st.grid(
                columns, min_column_width=width, gap="small", vertical_alignment="bottom" if shape == SIMPLE else "top"
            )
            for name in some:
                field = model.model_fields[name]
                long = shape == LIST or field.annotation is str  # a path
                with grid.cell(column_span="all" if long else 1):
                    if shape == SIMPLE:
                        found[name] = self._simple(model, name, values.get(name), path)
                    else:
                        label, help = label_of(model, name), _help(field, path + name)
                        found[name] = self._nested(label, field.annotation, values.get(name), f"{path}{name}", help)
        return found

    def _component(self, model: type[Component], values: Mapping[str, Any], path: str) -> dict[str, Any]:
        names = [name for name in model.model_fields if name != "kind"]
        found = self._fields(model, names, values, path)
        return {"kind": model.model_fields["kind"].default, **found} if "kind" in model.model_fields else found

    def _simple(self, model: type[Component], name: str, value: Any, path: str) -> Any:
        field = model.model_fields[name]
        annotation, optional = without_none(field.annotation)
        rivals = [other for other in model.one_of if name in model.one_of and other != name]
        key, label, help = self._key(model, path, name), label_of(model, name), _help(field, path + name, rivals)
        if get_origin(annotation) is Literal:
            options = [*([NOTHING] if optional else []), *get_args(annotation)]
            chosen = options.index(NOTHING if value is None else value)
            said = st.selectbox(label, options, chosen, format_func=str, key=key, help=help, persist_state="session")
            return None if optional and said == NOTHING else said
        if annotation is bool:
            return st.toggle(label, bool(value), key=key, help=help, persist_state="session")
        if annotation is int:
            low, high = _bounds(field.metadata)
            return st.number_input(
                label, low, high, value, 1, key=key, help=help, placeholder=NOTHING, persist_state="session"
            )
        text = st.text_input(
            label,
            as_text(value),
            key=key,
            help=help,
            placeholder=NOTHING if optional else "",
            on_change=_give_up,
            args=(key, [self._key(model, path, other) for other in rivals]),
            persist_state="session",
        )
        return _from_text(text or "", annotation, optional)

    def _key(self, model: type[Component], path: str, name: str) -> str:
        """Of a setting's widget: what has the same name in another kind is another setting, with a value of its own."""
        kind = f"{_kind_of(model)}:" if path and "kind" in model.model_fields else ""
        return f"{self._prefix}{path}{kind}{name}"

    def _nested(self, label: str, annotation: Any, value: Any, path: str, help: str) -> Any:
        annotation, optional = without_none(annotation)
        entry = _entry(annotation)
        if entry is not None:
            return self._entries(label, entry, value or [], path, help)
        if (known := _unchosen(annotation, value)) is not None:
            with st.container(border=True):
                st.markdown(f"**{label}**: {escape(known)}", help="This stands: it says of what was made elsewhere.")
            return dict(value)
        with st.container(border=True):
            model = self._kind(label, choices(annotation), optional, value, path, help)
            if model is None:
                return None
            return self._component(model, _values_for(model, value), f"{path}.")

    def _kind(
        self, label: str, models: Sequence[type[Component]], optional: bool, value: Any, path: str, help: str
    ) -> type[Component] | None:
        """Which component it is; a choice where there is one."""
        kinds = {_kind_of(model): model for model in models}
        if len(kinds) == 1 and not optional:
            st.markdown(f"**{label}**", help=help)
            return models[0]
        options = [*([NOTHING] if optional else []), *kinds]
        now = NOTHING if value is None else value.get("kind", SOMETHING)
        chosen = st.selectbox(
            label,
            options,
            options.index(now) if now in options else 0,
            format_func=kind_in_words,
            key=f"{self._prefix}{path}.kind",
            help=help,
            persist_state="session",
        )
        return kinds.get(chosen)

    def _entries(self, label: str, annotation: Any, values: Sequence[Any], path: str, help: str) -> list[Any]:
        """A list of components: how many, then each."""
        count = st.number_input(
            f"{label}: how many",
            0,
            max(MOST_ENTRIES, len(values)),
            len(values),
            key=f"{self._prefix}{path}#",
            help=help,
            width=300,
            persist_state="session",
        )
        found = []
        grid = st.grid(min(3, max(1, int(count or 0))), min_column_width=280, gap="small")
        for place in range(int(count or 0)):
            value = values[min(place, len(values) - 1)] if values else None
            with grid.cell():
                found.append(
                    self._nested(f"{_singular(label)} {place + 1}", annotation, value, f"{path}.{place}", help)
                )
        return found


def _unchosen(annotation: Any, value: Any) -> str | None:
    """What a component says of itself that nobody chooses here; None of all others."""
    said = value.get("kind") if isinstance(value, Mapping) else None
    model = next((m for m in members(annotation) if not m.is_chosen and _kind_of(m) == said), None) if said else None
    return None if model is None else str(getattr(model.model_validate(value), "title", said))


def _give_up(key: str, rivals: Sequence[str]) -> None:
    """Empties what cannot be given beside what was just typed."""
    if st.session_state[key].strip() not in ("", NOTHING):
        for other in rivals:
            st.session_state[other] = ""


def _singular(label: str) -> str:
    return label.partition(" (")[0].removesuffix("s")


def _help(field: FieldInfo, path: str, rivals: Sequence[str] = ()) -> str:
    """What it means, its unit and default, what it drops, what the article uses, and how a terminal says it."""
    extra = field.json_schema_extra
    unit = f", in {extra['unit']}" if isinstance(extra, dict) and "unit" in extra else ""
    meaning = f"{(field.description or path.rsplit('.', 1)[-1].replace('_', ' ')).rstrip('.')}{unit}."
    default = field.get_default(call_default_factory=False)
    simple = isinstance(default, int | float | str | bool) and not field.is_required()
    shown = f" Default: {as_text(default)}." if simple else ""
    source = f" The article: {extra['article']}." if isinstance(extra, dict) and "article" in extra else ""
    drops = f" Given, it takes the place of {' and '.join(rivals)}." if rivals else ""
    return f"{meaning[:1].upper()}{meaning[1:]}{shown}{drops}{source}  \n`--set {path}=…`"


def _entry(annotation: Any) -> Any:
    """X of ``tuple[X, ...]`` where X is a component; else None."""
    if get_origin(annotation) is tuple and choices(get_args(annotation)[0]):
        return get_args(annotation)[0]
    return None


def _shape(annotation: Any) -> str:
    """Whether a setting is a value, a component, or a list of components."""
    annotation, _ = without_none(annotation)
    if _entry(annotation):
        return LIST
    return NESTED if get_origin(annotation) is not tuple and choices(annotation) else SIMPLE


def _kind_of(model: type[Component]) -> str:
    field = model.model_fields.get("kind")
    return str(field.default) if field else SOMETHING


def _values_for(model: type[Component], value: Any) -> dict[str, Any]:
    """The settings a component starts with: those given if they are of its kind, else its defaults."""
    defaults = {
        name: plain(field.get_default(call_default_factory=False))
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    same = isinstance(value, Mapping) and value.get("kind") == defaults.get("kind")
    return defaults | (dict(value) if same else {})


def _bounds(metadata: Sequence[Any]) -> tuple[int | None, int | None]:
    """Smallest and largest whole number allowed."""
    low: int | None = None
    high: int | None = None
    for constraint in metadata:
        low = constraint.ge if hasattr(constraint, "ge") else constraint.gt + 1 if hasattr(constraint, "gt") else low
        high = constraint.le if hasattr(constraint, "le") else constraint.lt - 1 if hasattr(constraint, "lt") else high
    return low, high


def _from_text(text: str, annotation: Any, optional: bool) -> Any:
    """What was typed, as a setting; what is no number is left for the check to name."""
    text = text.strip()
    if optional and text in ("", NOTHING):
        return None
    if get_origin(annotation) is tuple:
        return [as_value(part) for part in text.split(",") if part.strip()]
    return parse_fraction(text) if annotation is float else text
