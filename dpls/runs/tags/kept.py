"""What people decide about images: keep, relabel, drop, smooth more. A file a data set, for all runs on its images.

``runs/tags/<fingerprint>.jsonl`` holds a line a decision, oldest first: ``time``, ``ids``, ``tag`` and, where an image
is to be relabelled, ``label``. Of an image the last one counts; ``{"undo": true}`` takes back the last that stands.
Lines are only ever added, each at once, so several pages may write, and a torn line is none. No torch.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dpls.data.cache import folder_of
from dpls.errors import UserError
from dpls.runs import checked
from dpls.runs.files import now

KEEP, RELABEL, DROP, SMOOTH = TAGS = ("keep", "relabel", "drop", "smooth")
"""The image is right as it is; its label is wrong; it is no use; it is hard, and its label should be smoothed more."""


class Tag(NamedTuple):
    """label: the class it should have, of a tag ``relabel``; else empty."""

    tag: str
    label: str = ""

    @property
    def in_words(self) -> str:
        return f"{self.tag}: {self.label}" if self.label else self.tag


class Decision(NamedTuple):
    """One line: what was decided, of which images. A tag of None takes theirs away."""

    ids: tuple[int, ...]
    tag: Tag | None


def file_of(runs: Path, fingerprint: str) -> Path:
    folder = folder_of(runs / "tags", fingerprint)
    return folder.with_name(f"{folder.name}.jsonl")


def tags_in(file: Path) -> dict[int, Tag]:
    """By id, those that stand."""
    found: dict[int, Tag] = {}
    for decision in standing(file):
        for example in decision.ids:
            found.pop(example, None)
            if decision.tag:
                found[example] = decision.tag
    return found


def standing(file: Path) -> list[Decision]:
    """Decisions that were not taken back, oldest first."""
    found: list[Decision] = []
    try:
        lines = checked.readable(file, "restore it").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            content = checked.content_of(line)
        except ValueError:
            continue  # torn by a crash, then written behind
        if not isinstance(content, dict):
            raise checked.damaged(file, "a line is no decision", "delete that line")
        if content.get("undo"):
            found = found[:-1]
        else:
            found.append(_decision(content, file))
    return found


def _decision(content: dict[str, Any], file: Path) -> Decision:
    ids, tag, label = content.get("ids"), content.get("tag"), content.get("label", "")
    if not isinstance(ids, list) or not all(type(i) is int and i >= 0 for i in ids) or not isinstance(label, str):
        raise checked.damaged(file, "a line has no ids, or no label", "delete that line")
    if tag is not None and tag not in TAGS:
        raise checked.damaged(file, f"there is no tag {tag!r}; there are {', '.join(TAGS)}", "delete that line")
    return Decision(tuple(ids), Tag(tag, label) if tag else None)


def decide(file: Path, ids: Iterable[int], tag: Tag | None) -> None:
    """Commits a decision on these images; None takes their tags away."""
    if tag and (tag.tag not in TAGS or (tag.tag == RELABEL) != bool(tag.label)):
        raise UserError(f"{tag.in_words!r} is no tag; there are {', '.join(TAGS)}, and {RELABEL} alone has a label")
    content = {"time": now(), "ids": [int(i) for i in ids], "tag": tag.tag if tag else None}
    _append(file, content | ({"label": tag.label} if tag and tag.label else {}))


def undo(file: Path) -> tuple[int, ...]:
    """Takes back the last decision that stands; the ids it was about, none where there is none."""
    decisions = standing(file)
    if not decisions:
        return ()
    _append(file, {"undo": True})
    return decisions[-1].ids


def _append(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+") as opened:  # behind whatever a crash tore, on a line of its own
        if opened.tell():
            opened.seek(-1, os.SEEK_END)
        torn = opened.read() not in (b"", b"\n")
        opened.write((b"\n" if torn else b"") + json.dumps(content).encode() + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
