"""The attacks of AutoAttack, and the ladders that are made of them. No torch.

Croce and Hein, 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", https://arxiv.org/abs/2003.01690
"""

from typing import Literal, NamedTuple, get_args

Stage = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]
STAGES: tuple[Stage, ...] = get_args(Stage)
CLASSES_NEEDED: dict[Stage, int] = {"apgd-dlr": 3, "apgd-t": 4}
"""Their losses, DLR and targeted DLR, compare so many of the largest logits."""


class Ladder(NamedTuple):
    """Attacks in turn, each on the examples that those before it left.

    steps: of each attack with gradients. targets: classes that apgd-t and fab-t aim at, one after the other. queries:
    of Square. restarts: of APGD and FAB without targets. averaged: gradients that a step of APGD is the mean of.
    """

    stages: tuple[Stage, ...]
    steps: int = 100
    targets: int = 9
    queries: int = 5000
    restarts: int = 1
    averaged: int = 1

    def for_classes(self, classes: int) -> "Ladder":
        """What works with so many classes: no more targets than other classes, no loss that needs more logits."""
        stages = tuple(stage for stage in self.stages if classes >= CLASSES_NEEDED.get(stage, 2))
        return self._replace(stages=stages, targets=min(self.targets, classes - 1))

    def passes(self, classes: int = 10) -> int:
        """Forward passes' worth of an image that nothing breaks; one back to it costs as much."""
        gradients = 2 * (self.steps + 1)
        untargeted = 1 + self.restarts * self.averaged * gradients
        costs: dict[Stage, int] = {
            "apgd-ce": untargeted,
            "apgd-dlr": untargeted,
            "apgd-t": 1 + self.targets * (1 + gradients),
            "fab": 1 + self.restarts * (2 + self.steps * (2 + classes)),
            "fab-t": 1 + self.targets * (3 + self.steps * 3),
            "square": 3 + self.queries,
        }
        return sum(costs[stage] for stage in self.stages)

    def __str__(self) -> str:
        """e.g. ``APGD-CE 50 steps, APGD-T 3 targets x 50 steps, Square 500 queries``."""
        return ", ".join(self._in_words(stage) for stage in self.stages)

    def _in_words(self, stage: Stage) -> str:
        if stage == "square":
            return f"{called(stage)} {self.queries:,} queries"
        times = self.targets if stage in ("apgd-t", "fab-t") else self.restarts
        what = "targets" if stage in ("apgd-t", "fab-t") else "restarts"
        return f"{called(stage)} {f'{times} {what} x ' if times > 1 else ''}{self.steps} steps"


PUBLISHED = {
    "standard": Ladder(("apgd-ce", "apgd-t", "fab-t", "square")),
    "plus": Ladder(("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"), restarts=5),
    "rand": Ladder(("apgd-ce", "apgd-dlr"), averaged=20),
}
SINGLE = {str(stage): Ladder((stage,)) for stage in STAGES}
LADDERS = {
    **PUBLISHED,
    "light": Ladder(("apgd-ce", "apgd-t", "square"), steps=50, targets=3, queries=500),
    **SINGLE,
}


def called(stage: Stage) -> str:
    """As papers write it: APGD-CE, Square."""
    return "Square" if stage == "square" else stage.upper()
