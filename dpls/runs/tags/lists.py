"""What was decided, as tables that go along: the tagged images, and the list of images as it should be. No torch."""

import pandas as pd

from dpls.runs.tags.kept import DROP, RELABEL, Tag


def table_of(examples: pd.DataFrame, tags: dict[int, Tag]) -> pd.DataFrame:
    """The tagged examples of a per-example table: id, hash, path, split, class, tag, relabel (the class it should
    have) and difficulty, in order of ids."""
    found = examples[examples["id"].isin([*tags])]
    named = [tags[example] for example in found["id"]]
    return pd.DataFrame(
        {
            **{name: found[name] for name in ("id", "hash", "path", "split", "class")},
            "tag": [tag.tag for tag in named],
            "relabel": [tag.label for tag in named],
            "difficulty": found["difficulty"],
        }
    ).reset_index(drop=True)


def cleaned(examples: pd.DataFrame, tags: dict[int, Tag]) -> pd.DataFrame:
    """Every example but the dropped ones, with the class it should have: id, hash, path, split, class, was (the class
    it had, where it has another now)."""
    kept = examples[~examples["id"].isin([i for i, tag in tags.items() if tag.tag == DROP])]
    new = kept["id"].map({i: tag.label for i, tag in tags.items() if tag.tag == RELABEL})
    changed = new.notna() & (new != kept["class"])
    return pd.DataFrame(
        {
            **{name: kept[name] for name in ("id", "hash", "path", "split")},
            "class": new.where(changed, kept["class"]),
            "was": kept["class"].where(changed, ""),
        }
    ).reset_index(drop=True)
