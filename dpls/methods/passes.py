"""What a training step costs, in passes of one image through the net: a table of whole numbers."""

from pydantic import TypeAdapter

from dpls.component import members
from dpls.methods import AnyObjective
from dpls.methods.awp import AWP
from dpls.methods.objective import Objective, Passes
from dpls.methods.objectives import Plain


def passes_table() -> str:
    """Markdown, a row an objective as it comes: forward and backward, to craft and to train, alone and inside AWP."""
    lines = [
        "| objective | crafting, forward | back | training, forward | back | all | all, with AWP |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in members(Plain):
        objective: Objective = TypeAdapter(AnyObjective).validate_python({"kind": kind.model_fields["kind"].default})
        inside = AWP.model_validate({"inner": objective})
        attack = f", {objective.attack.name}" if hasattr(objective, "attack") else ""
        counts = (*objective.crafting, *objective.training, _all(objective), _all(inside))
        lines.append(f"| {objective.title}{attack} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def _all(objective: Objective) -> str:
    both = zip(objective.crafting, objective.training, strict=True)
    forward, backward = Passes(*(a + b for a, b in both))
    return f"{forward} + {backward}"
