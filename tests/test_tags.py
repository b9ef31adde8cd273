"""What people decide about images: kept whatever happens, read as it was written, taken along."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.runs.tags.kept import DROP, KEEP, RELABEL, SMOOTH, Tag, decide, file_of, standing, tags_in, undo
from dpls.runs.tags.lists import cleaned, table_of
from tests.made_runs import make_run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_of(tmp_path, "0" * 20)


def test_the_last_decision_on_an_image_counts_and_undo_takes_back_one_at_a_time(file: Path) -> None:
    assert tags_in(file) == {} and undo(file) == ()
    decide(file, [1, 2, 3], Tag(DROP))
    decide(file, [2], Tag(RELABEL, "pear"))
    decide(file, [3], None)
    assert tags_in(file) == {1: Tag(DROP), 2: Tag(RELABEL, "pear")}
    assert undo(file) == (3,)
    assert tags_in(file) == {1: Tag(DROP), 2: Tag(RELABEL, "pear"), 3: Tag(DROP)}
    assert undo(file) == (2,) and undo(file) == (1, 2, 3) and undo(file) == ()
    assert tags_in(file) == {}
    decide(file, [7], Tag(KEEP))
    assert tags_in(file) == {7: Tag(KEEP)}, "what was taken back does not come again"


def test_a_line_torn_by_a_crash_is_none_and_what_follows_counts(file: Path) -> None:
    decide(file, [1], Tag(KEEP))
    with file.open("ab") as opened:
        opened.write(b'{"ids": [2], "ta')
    assert tags_in(file) == {1: Tag(KEEP)}
    decide(file, [3], Tag(SMOOTH))
    assert tags_in(file) == {1: Tag(KEEP), 3: Tag(SMOOTH)}


@pytest.mark.parametrize(
    "line",
    ["[1]", '{"ids": [1], "tag": "lose"}', '{"ids": ["a"], "tag": "keep"}', '{"tag": "keep"}', '{"ids": [true]}'],
)
def test_a_line_that_is_no_decision_is_one_sentence_with_the_file(file: Path, line: str) -> None:
    decide(file, [1], Tag(KEEP))
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(UserError, match=rf"{file.name}.*delete that line"):
        standing(file)


@pytest.mark.parametrize("tag", [Tag("lose"), Tag(RELABEL), Tag(DROP, "pear")])
def test_what_is_no_tag_is_refused_and_leaves_nothing(file: Path, tag: Tag) -> None:
    with pytest.raises(UserError, match="is no tag"):
        decide(file, [1], tag)
    assert not file.exists()


def test_the_tables_hold_exactly_what_was_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path)
    examples, file = run.examples(), file_of(tmp_path, run.config()["fingerprint"])
    classes = examples["class"].tolist()
    other = next(name for name in classes if name != classes[2])
    for ids, tag in (
        ([0, 1], Tag(DROP)),
        ([2], Tag(RELABEL, other)),
        ([3], Tag(RELABEL, classes[3])),
        ([4], Tag(KEEP)),
    ):
        decide(file, ids, tag)
    tags = tags_in(file)
    tagged = table_of(examples, tags)
    assert tagged["id"].tolist() == [0, 1, 2, 3, 4] and tagged["tag"].tolist() == [DROP, DROP, RELABEL, RELABEL, KEEP]
    assert tagged["hash"].tolist() == examples["hash"].tolist()[:5]
    clean = cleaned(examples, tags)
    assert clean["id"].tolist() == examples["id"].tolist()[2:], "all but the dropped"
    assert clean["class"].tolist() == [other, *classes[3:]]
    assert clean["was"].tolist() == [classes[2], *[""] * (len(clean) - 1)], "a new label that is the old one is none"

    for flags, expected in (([], tagged), (["--cleaned"], clean)):
        to = tmp_path / "taken.csv"
        assert main(["tags", run.id, "--runs", str(tmp_path), "--to", str(to), *flags]) == 0
        pd.testing.assert_frame_equal(pd.read_csv(to, keep_default_na=False), expected, check_dtype=False)
    assert main(["tags", run.id, "--runs", str(tmp_path), "--to", str(tmp_path / "taken.html")]) == 2
    assert capsys.readouterr().err.endswith("choose a .csv, .parquet or .npz file\n"), "what it can write, and no more"
    main(["tags", run.id, "--runs", str(tmp_path)])
    assert capsys.readouterr().out == "5 images tagged: 1 keep, 2 relabel, 2 drop\n"


def test_each_line_says_when(file: Path) -> None:
    decide(file, [1], Tag(KEEP))
    assert pd.Timestamp(json.loads(file.read_text())["time"]).tz is not None
