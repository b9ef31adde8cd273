"""What lies where a source looks, in sentences for a person who has just typed where. Nothing is decoded for it."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from dpls.data.dataset import PARTS

MOST_CLASSES, MOST_NAMES, MOST_PLACES = 12, 3, 4


def first(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, noun: str) -> str:
    """e.g. ``1 image``, ``2,000 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('ss') else 's'}"


@dataclass(frozen=True)
class Found:
    """What a source will take, what it leaves out and why.

    taken: images by class, by the name of their part, training first.
    skipped: names of what is left out, by the reason.
    notes: what else there is to know of it; warnings: what a person should mend first.
    """

    taken: Mapping[str, Mapping[str, int]]
    skipped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def training(self) -> int:
        """Images of the training part, before others are taken from it."""
        return sum(next(iter(self.taken.values()), {}).values())

    def sentences(self) -> list[str]:
        """What is taken, and how it was understood."""
        parts = [
            f"{counted(sum(classes.values()), 'image')} in {_of(part, classes)}" for part, classes in self.taken.items()
        ]
        return [f"Found {'; '.join(parts)}.", *self.notes]

    def left_out(self) -> list[str]:
        """What is not taken, a sentence a reason."""
        return [_skipped(reason, names) for reason, names in self.skipped.items() if names]

    def lines(self) -> list[str]:
        """All of it."""
        return [*self.sentences(), *self.left_out(), *self.warnings]


def _of(part: str, classes: Mapping[str, int]) -> str:
    named = [f"{name} {count:,}" for name, count in classes.items()]
    more = f" and {len(named) - MOST_CLASSES} more classes" if len(named) > MOST_CLASSES else ""
    return f"{part} ({', '.join(named[:MOST_CLASSES])}{more})"


def _skipped(reason: str, names: Sequence[str]) -> str:
    """e.g. ``Left out, no image: 3 (train/a 2, train/b 1), train/a/x.txt, ...``."""
    places: dict[str, int] = {}
    for name in names:
        place = name.rpartition("/")[0] or "the folder itself"
        places[place] = places.get(place, 0) + 1
    where = [f"{place} {count:,}" for place, count in places.items()]
    spread = f" ({first(where, MOST_PLACES)})" if len(where) > 1 else ""
    return f"Left out, {reason}: {len(names):,}{spread}, namely {first(names)}."


def needed(parts: Container[int]) -> int:
    """Training images a class needs where a source has these parts: one for each that is taken from them, too."""
    return sum(part == 0 or part not in parts for part in range(len(PARTS)))


def missing(parts: Container[int]) -> tuple[str, ...]:
    """What becomes of the parts that a source does not have, in a sentence; nothing where it has all."""
    names = [name for part, name in enumerate(PARTS) if part not in parts]
    return (f"Images for {' and '.join(names)} are taken from these, the same share of every class.",) if names else ()


def too_few(counts: Mapping[str, int], least: int) -> str:
    """The classes with fewer training images than they need, in words, and what helps; '' where there are none."""
    small = [f"{name} ({count})" for name, count in counts.items() if count < least]
    if not small:
        return ""
    return (
        f"{counted(len(small), 'class')} with fewer than {least} training images cannot be in every part:"
        f" {first(small, 8)}; leave them out (of a folder with data.source.smallest_class={least}), merge them with"
        " other classes, or add images"
    )
