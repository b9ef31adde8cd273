"""Scores computed elsewhere: matched by content, id or order; refused where they belong to other images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.runs import scores
from dpls.runs.directory import Run
from dpls.runs.sidecar import by_hash
from tests.made_runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("scores") / "runs", train=60, others=10)


@pytest.fixture
def mine(run: Run) -> pd.DataFrame:
    """Scores of the training images, shuffled, with everything a file may say of them."""
    table = run.examples().query("split == 'train'")[["id", "hash", "label", "class"]]
    return table.assign(score=np.random.default_rng(0).normal(size=len(table))).sample(frac=1, random_state=1)


def write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **{str(n): np.array(c.tolist()) for n, c in table.items()})
    else:
        table.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
@pytest.mark.parametrize("key", ["hash", "id"])
def test_found_by_content_or_id_whatever_the_order(
    run: Run, mine: pd.DataFrame, tmp_path: Path, suffix: str, key: str
) -> None:
    found, _ = scores.read_scores(write(mine[[key, "score"]], tmp_path / f"mine{suffix}"), run.examples())
    expected = mine.sort_values("id")["score"].to_numpy()
    np.testing.assert_allclose(found[:60], expected, rtol=1e-12)
    assert np.isnan(found[60:]).all()


@pytest.mark.parametrize("key", ["hash", "id", "HASH", "Id"])
def test_found_by_an_index_and_by_any_spelling(run: Run, mine: pd.DataFrame, tmp_path: Path, key: str) -> None:
    named = mine.rename(columns={key.lower(): key})[[key, "score"]]
    expected = mine.sort_values("id")["score"].to_numpy()
    for table in (named, named.set_index(key)):
        table.to_parquet(tmp_path / "mine.parquet")
        found, _ = scores.read_scores(tmp_path / "mine.parquet", run.examples())
        np.testing.assert_array_equal(found[:60], expected)


def test_equal_images_are_told_apart_by_id(run: Run, mine: pd.DataFrame, tmp_path: Path) -> None:
    """Trap: a planted twin has the pixels of its original and another label."""
    examples = run.examples().assign(hash=lambda t: [name if i else t["hash"][1] for i, name in enumerate(t["hash"])])
    said = mine.drop(columns="hash").merge(examples[["id", "hash"]], on="id")
    found, _ = scores.read_scores(write(said, tmp_path / "twins.csv"), examples)
    np.testing.assert_allclose(found[:60], mine.sort_values("id")["score"], rtol=1e-12)


def test_more_images_than_this_run_has_are_left_out(run: Run, mine: pd.DataFrame, tmp_path: Path) -> None:
    others = mine.head(9).assign(hash=[f"{i:032x}" for i in range(9)])
    both = pd.concat([others, mine])[["hash", "score"]]
    found, _ = scores.read_scores(write(both, tmp_path / "both.npz"), run.examples())
    np.testing.assert_array_equal(found[:60], mine.sort_values("id")["score"])


@pytest.mark.parametrize("text", ["0.5\n" * 61, "score\n" + "1,2\n" * 60, ""])
def test_a_csv_whose_columns_cannot_be_told_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(UserError, match="cannot be read"):
        scores.read_scores(tmp_path / "c.csv", run.examples())


def test_in_order_of_the_training_images_where_nothing_else_is_said(run: Run, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=60)
    np.save(tmp_path / "c.npy", values)
    found, said = scores.read_scores(tmp_path / "c.npy", run.examples(), lower_is_harder=True)
    np.testing.assert_array_equal(found[:60], -values)
    assert "by position, for no column names the images: the rows are taken to be the training images" in said
    assert said.endswith("60 of 60 training images, 0 of 10 validation images, 0 of 10 test images")


def test_labels_in_the_file_must_be_those_of_the_images(run: Run, mine: pd.DataFrame, tmp_path: Path) -> None:
    """Trap: scores in another order are other images' scores, and nobody sees it."""
    ordered = mine.sort_values("id")
    for label in ("label", "class"):
        said = ordered[["score"]].assign(label=ordered[label])
        scores.read_scores(write(said, tmp_path / "right.csv"), run.examples())
        turned = said.assign(score=said["score"].to_numpy()[::-1], label=said["label"].to_numpy()[::-1])
        with pytest.raises(UserError, match=r"labels in 'turned\.csv' are not those"):
            scores.read_scores(write(turned, tmp_path / "turned.csv"), run.examples())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[["hash"]].assign(score="many"), "does not hold numbers"),
        (lambda t: t[["hash"]].assign(score=1.0), "go from 1 to 1; they tell no image from another"),
        (lambda t: t[["hash"]].assign(score=[1.7e308, -1.7e308] * 30), "their difference is no number"),
        (lambda t: t[["hash"]].assign(score=pd.Timestamp("2026-01-01")), "does not hold numbers"),
        (lambda t: t[["hash", "score"]].assign(label=t["label"].to_numpy()[::-1]), "labels in .* are not those"),
        (lambda t: t[["hash"]].assign(score=np.inf), "infinite"),
        (lambda t: t[["score"]].assign(hash="0" * 32), "no score for any training image"),
        (lambda t: t[["score"]].head(7), "7 rows and neither path, hash nor id; .* 60, .* 70, .* or 80"),
        (lambda t: t[["score"]].assign(id=3), "an id twice: 3"),
        (lambda t: t[["score"]].assign(id=t["id"] + 40), "ids go from 0 to 79"),
        (lambda t: t[["id"]].assign(a=1.0, b=2.0), "no column 'score', but 2 others"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    run: Run, mine: pd.DataFrame, tmp_path: Path, change: object, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        scores.read_scores(write(change(mine), tmp_path / "bad.parquet"), run.examples())  # type: ignore[operator]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".npy", ".txt"])
def test_a_file_that_is_none_is_refused(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    with pytest.raises(UserError, match="there is no file"):
        scores.read_scores(path, run.examples())
    for content in (b"\x00\xff\n,,,\n", b"", b"score\n" + b"9" * 400 + b"\n"):
        path.write_bytes(content)
        with pytest.raises(UserError):
            scores.read_scores(path, run.examples())


@given(st.lists(st.integers(0, 5), max_size=20), st.lists(st.integers(0, 5), max_size=20))
def test_by_hash_gives_each_image_a_value_of_its_own_hash(known: list[int], wanted: list[int]) -> None:
    values = np.arange(len(known), dtype=float)
    found = by_hash(map(str, known), values, map(str, wanted))
    assert len(found) == len(wanted)
    for name, value in zip(wanted, found, strict=True):
        assert np.isnan(value) if name not in known else known[int(value)] == name
    if known == wanted:
        np.testing.assert_array_equal(found, values)


def test_what_export_writes_comes_back_and_names_are_safe(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, file = str(run.path.parent), str(tmp_path / "out.csv")
    assert main(["export", run.id, "--factors", "--to", file, "--runs", runs]) == 0
    assert main(["scores", run.id, file, "--name", "mine", "--runs", runs]) == 0
    fingerprint = run.config()["fingerprint"]
    assert scores.names(run.path.parent, fingerprint) == ["mine"]
    kept = scores.load(scores.file_of(run.path.parent, fingerprint, "mine"))
    np.testing.assert_allclose(kept[:60], run.examples()["difficulty"][:60], rtol=1e-12)
    for name in ("../out", ".x", "", "a/b", "x" * 41, "zero_one", " "):
        assert main(["scores", run.id, file, "--name", name or "/", "--runs", runs]) == 2
    assert "scores cannot be called" in capsys.readouterr().err


def test_ids_from_1_with_gaps_are_not_those_from_0(run: Run, tmp_path: Path) -> None:
    """Trap: each score would go onto the neighbour. A row for id 0, or labels, say which count is meant."""
    ids = np.setdiff1d(np.arange(60), [17, 44])[:-1]
    table = pd.DataFrame({"id": ids + 1, "score": np.random.default_rng(0).normal(size=len(ids))})
    file = tmp_path / "gaps.csv"
    with pytest.raises(UserError, match=r"counted from 0 .* counted from 1, .* start at 1, .* add a row for id 0"):
        scores.read_scores(write(table, file), run.examples())
    labelled = table.assign(label=run.examples()["label"].to_numpy()[table["id"]])
    for said in (pd.concat([table, pd.DataFrame({"id": [0], "score": [np.nan]})]), labelled):
        found, _ = scores.read_scores(write(said, file), run.examples())
        np.testing.assert_allclose(found[ids + 1], table["score"])
