"""Widgets generated from the fields of a component: what ``--set`` can set in a terminal, a form can set here.

A form returns plain settings, unchecked; ``make_config`` says in one sentence what is wrong with them. Numbers that
are not whole are typed as text, so that 8/255 and 5e-4 can be written as people write them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from dpls.component import Component, parse_fraction
from dpls.fields import as_text, choices, plain, without_none

NOTHING = "none"
MOST_ENTRIES = 12


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
        simple = [name for name in names if not _is_nested(model.model_fields[name].annotation)]
        if simple:
            grid = st.grid("auto", min_column_width=170, gap="small")
            for name in simple:
                field = model.model_fields[name]
                with grid.cell(column_span="all" if field.annotation is str else 1):  # a path is long
                    rivals = [other for other in model.one_of if name in model.one_of and other != name]
                    found[name] = self._simple(name, field, values.get(name), path, rivals)
        nested = [name for name in names if name not in simple]
        lists = [name for name in nested if _entry(without_none(model.model_fields[name].annotation)[0]) is not None]
        columns = min(3, max(1, len(nested) - len(lists)))
        grid = st.grid(columns, min_column_width=280, gap="small")
        for name in nested:
            field = model.model_fields[name]
            with grid.cell(column_span="all" if name in lists else 1):
                found[name] = self._nested(
                    name, field.annotation, values.get(name), f"{path}{name}", _help(field, path + name)
                )
        return found

    def _component(self, model: type[Component], values: Mapping[str, Any], path: str) -> dict[str, Any]:
        names = [name for name in model.model_fields if name != "kind"]
        found = self._fields(model, names, values, path)
        return {"kind": model.model_fields["kind"].default, **found} if "kind" in model.model_fields else found

    def _simple(self, name: str, field: FieldInfo, value: Any, path: str, rivals: Sequence[str]) -> Any:
        """``rivals``: settings that are given up where this one is given."""
        annotation, optional = without_none(field.annotation)
        key, label, help = (
            f"{self._prefix}{path}{name}",
            field.title or name.replace("_", " "),
            _help(field, path + name, rivals),
        )
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
            args=(key, [f"{self._prefix}{path}{other}" for other in rivals]),
            persist_state="session",
        )
        return _from_text(text or "", annotation, optional)

    def _nested(self, name: str, annotation: Any, value: Any, path: str, help: str) -> Any:
        annotation, optional = without_none(annotation)
        entry = _entry(annotation)
        if entry is not None:
            return self._entries(name, entry, value or [], path, help)
        with st.container(border=True):
            model = self._kind(name, choices(annotation), optional, value, path, help)
            if model is None:
                return None
            return self._component(model, _values_for(model, value), f"{path}.")

    def _kind(
        self, name: str, models: Sequence[type[Component]], optional: bool, value: Any, path: str, help: str
    ) -> type[Component] | None:
        """Which component it is; a choice where there is one."""
        label = name.replace("_", " ")
        kinds = {_kind_of(model, label): model for model in models}
        if len(kinds) == 1 and not optional:
            st.markdown(f"**{label}**", help=help)
            return models[0]
        options = [*([NOTHING] if optional else []), *kinds]
        now = NOTHING if value is None else value.get("kind", label)
        chosen = st.selectbox(
            label,
            options,
            options.index(now) if now in options else 0,
            key=f"{self._prefix}{path}.kind",
            help=help,
            persist_state="session",
        )
        return kinds.get(chosen)

    def _entries(self, name: str, annotation: Any, values: Sequence[Any], path: str, help: str) -> list[Any]:
        """A list of components: how many, then each."""
        count = st.number_input(
            f"how many {name}",
            0,
            MOST_ENTRIES,
            len(values),
            key=f"{self._prefix}{path}#",
            help=help,
            width=170,
            persist_state="session",
        )
        found = []
        grid = st.grid(min(3, max(1, int(count or 0))), min_column_width=280, gap="small")
        for place in range(int(count or 0)):
            value = values[min(place, len(values) - 1)] if values else None
            with grid.cell():
                found.append(
                    self._nested(f"{name.removesuffix('s')} {place + 1}", annotation, value, f"{path}.{place}", help)
                )
        return found


def _give_up(key: str, rivals: Sequence[str]) -> None:
    """Empties what cannot be given beside what was just typed."""
    if st.session_state[key].strip() not in ("", NOTHING):
        for other in rivals:
            st.session_state[other] = ""


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


def _is_nested(annotation: Any) -> bool:
    annotation, _ = without_none(annotation)
    return bool(_entry(annotation)) or (get_origin(annotation) is not tuple and bool(choices(annotation)))


def _kind_of(model: type[Component], otherwise: str) -> str:
    field = model.model_fields.get("kind")
    return str(field.default) if field else otherwise


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
    if get_origin(annotation) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if optional and text in ("", NOTHING):
        return None
    return parse_fraction(text) if annotation is float else text
