"""The trust card: what speaks for and against a robust accuracy, a line and a colour each. No torch."""

from typing import Any, Literal, NamedTuple, TypeAlias

from dpls.evaluations.accuracy import Accuracy
from dpls.text import display

Colour: TypeAlias = Literal["green", "amber", "red"]
COLOURS: tuple[Colour, ...] = ("green", "amber", "red")
"""From the best to the worst."""


class Line(NamedTuple):
    """What was looked at, how it came out, and one sentence with the numbers."""

    title: str
    colour: Colour
    sentence: str


class Card(NamedTuple):
    """Of one evaluation under attack.

    accuracy: what it says. report: what is to be reported in its place, the worst case: the share of the images that
    all ``attacks`` judged which withstood each of them.
    """

    attack: str
    checkpoint: str
    accuracy: Accuracy
    report: Accuracy
    attacks: int
    lines: tuple[Line, ...]

    @property
    def colour(self) -> Colour:
        """The worst of all lines."""
        return max((line.colour for line in self.lines), key=COLOURS.index, default="amber")

    @property
    def doubts(self) -> list[Line]:
        """Lines that are not green, the worst first."""
        return sorted((line for line in self.lines if line.colour != "green"), key=lambda x: -COLOURS.index(x.colour))

    @property
    def sentence(self) -> str:
        """All lines together."""
        return {
            "green": "This robust accuracy may be believed.",
            "amber": "Believe this robust accuracy with care.",
            "red": "This robust accuracy should not be believed.",
        }[self.colour]

    @property
    def reason(self) -> str:
        """The sentence that decides its colour; that of all lines where it is green."""
        return self.doubts[0].sentence if self.doubts else self.sentence

    @property
    def advice(self) -> str:
        """Which number to report; where it is red, what is known of the true one."""
        said = f"{'It is at most' if self.colour == 'red' else 'Report'} {self.report}"
        if self.attacks == 1:
            return f"{said}."
        return f"{said}: who withstood all {self.attacks} attacks that judged these images."

    def text(self) -> str:
        """For terminals."""
        what = display(f"{self.attack}, {self.checkpoint} checkpoint")
        lines = [f"Trust card of {what}: {self.colour}. {self.sentence}", f"  {self.advice}"]
        wide = max((len(line.title) for line in self.lines), default=0)
        lines += [f"  {line.colour:<5}  {line.title:<{wide}}  {display(line.sentence)}" for line in self.lines]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "attack": self.attack,
            "checkpoint": self.checkpoint,
            "colour": self.colour,
            "sentence": self.sentence,
            "accuracy": self.accuracy._asdict(),
            "report": self.report._asdict(),
            "attacks": self.attacks,
            "lines": [line._asdict() for line in self.lines],
        }


def graded(value: float, amber: float, red: float) -> Colour:
    """By how far a number lies above two limits."""
    return "red" if value > red else "amber" if value > amber else "green"
