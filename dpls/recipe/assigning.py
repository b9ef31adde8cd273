"""``path=value``: changing one setting in a tree of unchecked settings, wherever it stands.

What is not written down is at its default, and a path goes through a default as through what is written.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from dpls.component import Component
from dpls.errors import UserError
from dpls.fields import choices, default_of, kind_of, listed, model_of
from dpls.recipe.config import RunConfig
from dpls.recipe.parsing import DEEPEST, from_json
from dpls.recipe.sentences import shown


def override(
    settings: dict[str, Any],
    assignments: list[str],
    model: type[Component] = RunConfig,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Settings of a ``model`` after 'path=value', e.g. 'phases.1.factors.lambda_min=0.7', each; unchecked.

    Setting ``x.kind`` replaces component x. Of settings of which one is given at most, the one that is set drops the
    other, and ``say`` is told so in a line. A list takes one entry more: whole, or by its kind.
    """
    settings = copy.deepcopy(settings)
    given: list[str] = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip(" ."):
            raise UserError(f"--set {assignment!r} is not of the form path=value, for example --set optimiser.lr=0.05")
        *parents, name = path.strip().split(".")
        if len(parents) > DEEPEST:
            raise UserError(f"--set {path!r} leads {len(parents)} deep; settings go no deeper than {DEEPEST}")
        place = _Place(settings, model, "")
        for depth, parent in enumerate(parents, 1):
            place = place.inside(parent, adding=depth == len(parents) and name == "kind")
        value = as_value(text)
        _refuse_to_undo(place, name, value, given)
        for line in place.put(name, value, given):
            say(line)
        given.append(path.strip())
    return settings


@dataclass(frozen=True)
class _Place:
    """A dict or a list among the settings, what the field that holds it allows, and its path."""

    node: Any
    annotation: Any
    path: str

    def of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def field(self, name: str) -> FieldInfo | None:
        """What is known of a setting inside; None where there is no such setting."""
        model = model_of(self.annotation, self.node)
        return model.model_fields.get(name) if model else None

    def inside(self, name: str, adding: bool) -> "_Place":
        """One step along the path. ``adding``: a list may get one entry more, for its kind is said next."""
        if isinstance(self.node, list):
            position = self._position(name, adding)
            if position == len(self.node):
                self.node.append({})
            annotation, child = listed(self.annotation), self.node[position]
        else:
            field = self.field(name)
            annotation, child = field and field.annotation, self.node.get(name)
            if child is None:
                child = default_of(field) if field else {}
            if child is None and choices(annotation):
                child = {}
            self.node[name] = child
        if not isinstance(child, dict | list):
            raise UserError(f"{self.of(name)} is a value, {shown(child)}, and has no settings inside it")
        return _Place(child, annotation, self.of(name))

    def put(self, name: str, value: Any, given: list[str]) -> list[str]:
        """Sets one setting; what it takes the place of, in words."""
        if isinstance(self.node, list):
            position = self._position(name, adding=True)
            self.node[position : position + 1] = [value]
            return []
        if name == "kind" and self.node.get("kind") != value:
            self.node.clear()
        self.node[name] = value
        others = self._given_up_for(name, given) if value is not None else []
        return [f"{self.of(name)} = {shown(value)} takes the place of {o} = {shown(self.node.pop(o))}" for o in others]

    def _given_up_for(self, name: str, given: list[str]) -> list[str]:
        """What cannot be given beside this setting, unless the same person gives both: that is refused later."""
        model = model_of(self.annotation, self.node)
        rivals = model.one_of if model and name in model.one_of else ()
        return [r for r in rivals if r != name and self.node.get(r) is not None and self.of(r) not in given]

    def _position(self, name: str, adding: bool) -> int:
        count = len(self.node)
        if re.fullmatch("[0-9]{1,9}", name) and (int(name) < count or (adding and int(name) == count)):
            return int(name)
        there = ", ".join(f"{place} ({_gist(entry)})" for place, entry in enumerate(self.node))
        holds = f"it holds {there}" if there else "it is empty"
        raise UserError(f"{self.path} has no entry {name!r}: {holds}; one more is added by {self._how_to_add(count)}")

    def _how_to_add(self, count: int) -> str:
        models = choices(self.annotation)
        kinds = [kind for model in models if (kind := kind_of(model))]
        if kinds:
            which = f", or another of {', '.join(kinds)}" if len(kinds) > 1 else ""
            return f"--set {self.path}.{count}.kind={kinds[0]}{which}"
        needed = {n: "..." for model in models for n, field in model.model_fields.items() if field.is_required()}
        return f"--set '{self.path}.{count}={shown(needed)}'" if models else f"--set {self.path}.{count}=VALUE"


def _gist(entry: Any) -> str:
    """An entry of a list, short: its kind, or its first setting."""
    if not isinstance(entry, dict):
        return shown(entry)
    name, value = next(((n, entry[n]) for n in ("kind", *entry) if n in entry), ("nothing", ""))
    return str(value) if name == "kind" else f"{name} {value}".strip()


def _refuse_to_undo(place: _Place, name: str, value: Any, given: list[str]) -> None:
    """Nothing a person has set is lost without a word: what replaces the whole has to come before its parts."""
    path = place.of(name)
    if name == "kind" and isinstance(place.node, dict):
        whole = path.removesuffix(".kind") if place.node.get("kind") != value else path
    else:
        whole = path
    if lost := [other for other in given if other.startswith(f"{whole}.") and other != path]:
        raise UserError(f"--set {path} would undo --set {lost[0]}, which stands before it; put {path} first")


def as_value(text: str) -> Any:
    """JSON where it parses, else the text itself: 0.5, true, null, [100, 105], 8/255, cpu."""
    try:
        return from_json(text)
    except ValueError:
        return text.strip()
