"""Scores from elsewhere in every layout people have them in: each image gets its own score, or the file is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.runs.scores import read_scores
from tests.made_runs import make_run

PARTS = np.array(["train", "train", "validation", "train", "train"] * 12 + ["test"] * 12)
"""Validation is taken from among the training images, as CIFAR's is; the test images come last."""


def made(folder: str = "train/{kind}/{id:04d}.png") -> pd.DataFrame:
    """72 images and the true score of each; six share their content with another, two of them its label, too."""
    rng = np.random.default_rng(0)
    ids = np.arange(len(PARTS))
    labels = rng.integers(0, 3, len(ids))
    labels[[5, 6, 10, 11]], labels[[15, 16]] = [0, 1, 1, 0], 2
    hashes = np.array([f"{i * 7919 + 2**60:016x}" for i in ids])
    hashes[[6, 11, 16]] = hashes[[5, 10, 15]]
    kinds = np.array(["cat", "dog", "gnu"])[labels]
    paths = [folder.format(kind=kind, id=i) for i, kind in zip(ids, kinds, strict=True)]
    table = pd.DataFrame({"id": ids, "hash": hashes, "split": PARTS, "label": labels, "class": kinds, "path": paths})
    return table.assign(score=rng.normal(size=len(ids)).round(6))


TWINS = [5, 6, 10, 11, 15, 16]
Layout = Callable[[pd.DataFrame], pd.DataFrame]


def named(column: str, values: Callable[[pd.DataFrame], object], *more: str) -> Layout:
    return lambda t: pd.DataFrame({column: values(t), **{name: t[name] for name in more}, "score": t["score"]})


def under(folder: str) -> Callable[[pd.DataFrame], object]:
    return lambda t: folder + t["path"]


READ: dict[str, Layout] = {
    "path": named("path", under("")),
    "path and class": named("path", under(""), "class"),
    "path and id": named("path", under(""), "id"),
    "absolute": named("filepath", under("/mnt/disk/photos/")),
    "dotted": named("File", under("./")),
    "with backslashes": named("filename", lambda t: "C:\\photos\\" + t["path"].str.replace("/", "\\")),
    "class and file": named("image_path", lambda t: t["path"].str.split("/").str[1:].str.join("/")),
    "file alone": named("guid", lambda t: t["path"].str.split("/").str[-1]),
    "without ending": named("bild", lambda t: t["path"].str.removesuffix(".png")),
    "id": named("id", lambda t: t["id"]),
    "id and label": named("id", lambda t: t["id"], "label"),
    "id and hash": named("id", lambda t: t["id"], "hash"),
    "hash and path": named("hash", lambda t: t["hash"], "path"),
    "a foreign id and path": named("id", lambda t: [f"6a{i:022x}" for i in t["id"]], "path"),
    "a foreign key and hash": named("uuid", lambda t: [f"u{i}" for i in t["id"]], "hash", "id"),
    "an index and path": named("Unnamed: 0", lambda t: t["id"], "path"),
}
"""Every image has its score."""
BY_CONTENT: dict[str, Layout] = {
    "hash": named("hash", lambda t: t["hash"]),
    "hash in capitals": named("Hash", lambda t: t["hash"].str.upper()),
    "hash called otherwise": named("sha", lambda t: t["hash"]),
    "hash and class": named("hash", lambda t: t["hash"], "class"),
    "hash and ids from 1": (lambda t: pd.DataFrame({"id": t["id"] + 1, "hash": t["hash"], "score": t["score"]})),
}
"""Every image has its score but some of those that share their content with another."""
REFUSED: dict[str, Layout] = {
    "ids from 1": named("id", lambda t: t["id"] + 1),
    "numbers in order of the scores": named("id", lambda t: np.arange(1, len(t) + 1)),
    "index": named("index", lambda t: t["id"]),
    "an unnamed index": named("Unnamed: 0", lambda t: t["id"]),
    "guid": named("guid", lambda t: [f"g{i}" for i in t["id"]]),
    "url": named("url", lambda t: [f"http://x/{i}.jpg" for i in t["id"]]),
    "any name": named("what", lambda t: [f"k{i}" for i in t["id"]]),
    "any number": named("number", lambda t: t["id"] * 3),
    "other files": named("path", lambda t: [f"elsewhere/{i}.bmp" for i in t["id"]]),
    "other files and id": named("path", lambda t: [f"elsewhere/{i}.bmp" for i in t["id"]], "id"),
}
"""Nothing tells whose score is whose."""


def to_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def to_npz(table: pd.DataFrame, path: Path) -> None:
    np.savez(path, allow_pickle=False, **{str(n): np.array(c.tolist())[:, None] for n, c in table.items()})


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "a.csv": to_csv,
    "b.csv": lambda t, p: t.to_csv(p, index=False, sep=";", decimal=","),
    "c.csv": lambda t, p: t.to_csv(p, index=False, encoding="utf-16"),
    "d.csv": lambda t, p: t.to_csv(p, index=False, encoding="utf-8-sig", sep="\t"),
    "e.tsv": lambda t, p: t.to_csv(p, index=False, sep="\t"),
    "f.txt": lambda t, p: t.to_csv(p, index=False, sep="|"),
    "g.jsonl": lambda t, p: t.to_json(p, orient="records", lines=True),
    "h.json": lambda t, p: t.to_json(p, orient="records"),
    "i.json": lambda t, p: t.to_json(p, orient="columns"),
    "j.parquet": lambda t, p: t.to_parquet(p, index=False),
    "k.parquet": lambda t, p: t.set_index(str(t.columns[0])).to_parquet(p),
    "l.npz": to_npz,
}


def which(t: pd.DataFrame, part: str) -> pd.DataFrame:
    return {
        "training": t[t["split"] == "train"],
        "training and validation": t[t["split"] != "test"],
        "all": t,
        "some of training": t[t["split"] == "train"].iloc[::3],
    }[part]


def assert_own(found: np.ndarray, t: pd.DataFrame, part: str, missing: list[int] | None = None) -> None:
    """No image has another's score, and those of the file have one, but for ``missing``, who may have none."""
    known = ~np.isnan(found)
    np.testing.assert_allclose(found[known], t["score"].to_numpy()[known], rtol=1e-12)
    expected = set(which(t, part)["id"])
    assert set(np.flatnonzero(known)) <= expected
    assert expected - set(np.flatnonzero(known)) <= set(missing or [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layouts")


parts = st.sampled_from(["training", "training and validation", "all", "some of training"])
orders = st.one_of(st.just("sorted"), st.just("falling"), st.integers(0, 2**31))


def ordered(t: pd.DataFrame, order: str | int) -> pd.DataFrame:
    if isinstance(order, str):
        return t.sort_values("score", ascending=order == "sorted").reset_index(drop=True)
    return t.sample(frac=1, random_state=order).reset_index(drop=True)


@pytest.mark.parametrize("layout", READ)
@settings(max_examples=4)
@given(writer=st.sampled_from([*WRITERS]), part=parts, order=orders)
def test_every_image_gets_its_own_score(folder: Path, layout: str, writer: str, part: str, order: str | int) -> None:
    t = made()
    WRITERS[writer](READ[layout](ordered(which(t, part), order)), folder / writer)
    found, said = read_scores(folder / writer, t)
    assert_own(found, t, part)
    counts = [f"{(which(t, part)['split'] == name).sum()} of {(name == PARTS).sum()}" for name in pd.unique(PARTS)]
    assert said.endswith("{} training images, {} validation images, {} test images".format(*counts))


@pytest.mark.parametrize("layout", BY_CONTENT)
@settings(max_examples=8)
@given(writer=st.sampled_from([*WRITERS]), part=parts, order=orders)
def test_images_of_one_content_get_their_own_score_or_none(
    folder: Path, layout: str, writer: str, part: str, order: str | int
) -> None:
    t = made()
    WRITERS[writer](BY_CONTENT[layout](ordered(which(t, part), order)), folder / writer)
    found, said = read_scores(folder / writer, t)
    assert_own(found, t, part, TWINS[-2:] if layout == "hash and class" else TWINS)
    lost = len(which(t, part)) - int((~np.isnan(found)).sum())
    assert ("images got no score, for others have the same content" in said) == bool(lost)


@pytest.mark.parametrize("layout", REFUSED)
@settings(max_examples=4)
@given(writer=st.sampled_from([*WRITERS]), part=parts, order=orders)
def test_what_does_not_say_whose_a_score_is_is_refused(
    folder: Path, layout: str, writer: str, part: str, order: str | int
) -> None:
    if layout == "ids from 1" and part == "some of training":
        part = "training"  # some ids in no order say nothing of where they count from
    t = made()
    table = REFUSED[layout](ordered(which(t, part), order))
    WRITERS[writer](table, folder / writer)
    with pytest.raises(UserError) as refusal:
        read_scores(folder / writer, t)
    column = str(table.columns[0])
    assert "the ids in" in str(refusal.value) if column == "id" else repr(column.lower()) in str(refusal.value)


def refused(table: pd.DataFrame, folder: Path, t: pd.DataFrame) -> str:
    to_csv(table, folder / "mine.csv")
    with pytest.raises(UserError) as refusal:
        read_scores(folder / "mine.csv", t)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("part", "whose"),
    [
        ("training", "the training images"),
        ("training and validation", "the training and validation images"),
        ("all", "all images"),
    ],
)
@pytest.mark.parametrize("counted", [False, True])
def test_rows_in_the_order_of_the_source(folder: Path, part: str, whose: str, counted: bool) -> None:
    """As CIFAR's 50,000 C-scores, while a tenth of the images is held out for validation."""
    t = made()
    table = which(t, part)[["label", "score"]].reset_index(drop=True)
    table.to_csv(folder / "mine.csv", index=counted)
    found, said = read_scores(folder / "mine.csv", t)
    assert_own(found, t, part)
    assert f"by position, for no column names the images: the rows are taken to be {whose}, in their order" in said
    assert ("column 'unnamed: 0' only counts the rows" in said) == counted


@pytest.mark.parametrize("by", [["score"], ["label", "score"]])
def test_rows_sorted_by_score_are_in_no_order(folder: Path, by: list[str]) -> None:
    t = made().sort_values("label", kind="stable", ignore_index=True)
    t = t.assign(id=np.arange(len(t)))
    assert "sorted by score" in refused(t.sort_values(by)[["score"]], folder, t)
    some = t.assign(score=t["score"].where(t["id"] % 9 > 0)).sort_values(by)
    np.save(folder / "mine.npy", some["score"])
    with pytest.raises(UserError, match="sorted by score"):
        read_scores(folder / "mine.npy", t)


def test_a_parquet_index_in_another_order_is_no_position(folder: Path) -> None:
    t = made()
    t.sort_values("score")[["score"]].to_parquet(folder / "mine.parquet")
    with pytest.raises(UserError, match="'index'"):
        read_scores(folder / "mine.parquet", t)


@pytest.mark.parametrize("part", ["training", "training and validation", "all"])
def test_both_readings_of_ids_are_named(folder: Path, part: str) -> None:
    t = made()
    said = refused(which(t, part).assign(id=lambda x: x["id"] + 1)[["id", "score"]], folder, t)
    assert "counted from 0" in said
    assert "counted from 1" in said
    numbers = which(t, "training").assign(id=np.arange(48))[["id", "score"]]
    for some in (numbers, numbers.head(30)):
        said = refused(some, folder, t)
        assert "numbers of the 48 training images" in said
        assert "validation image 2 would have one" in said


def test_labels_decide_between_readings_of_ids(folder: Path) -> None:
    """A training image is missing and a validation image is not: right, if the labels say so."""
    t = made()
    some = t.sample(40, random_state=0)
    assert "may be read as" in refused(some[["id", "score"]], folder, t)
    to_csv(some[["id", "label", "score"]], folder / "mine.csv")
    found, _ = read_scores(folder / "mine.csv", t)
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(found)), np.sort(some["id"]))
    np.testing.assert_array_equal(found[some["id"]], some["score"])


def test_ids_that_are_also_names_of_files_are_refused(folder: Path) -> None:
    """1.png, 10.png, 100.png: sorted by name, the file 2 is not the image 2."""
    t = made("train/{id}.png")
    t = t.assign(path=sorted(t["path"]))
    names = t["path"].str.extract(r"(\d+)")[0]
    assert "names of this run's files" in refused(pd.DataFrame({"id": names, "score": t["score"]}), folder, t)


def test_a_path_cut_short_that_may_be_two_images_is_refused(folder: Path) -> None:
    t = made("train/{kind}/{id}.png")
    t.loc[t["split"] == "test", "path"] = [p.replace("train", "test") for p in t["path"][:12]]
    train = t[t["split"] != "test"]
    short = train["path"].str.removeprefix("train/")
    to_csv(pd.DataFrame({"path": short, "score": train["score"]}), folder / "mine.csv")
    assert_own(read_scores(folder / "mine.csv", t)[0], t, "training and validation")  # only train/ has them all
    first = pd.DataFrame({"path": short, "score": train["score"]}).head(12)
    assert "may mean several images" in refused(first, folder, t)
    names = pd.DataFrame({"path": t["path"].str.split("/").str[-1], "score": t["score"]})
    assert "may mean several images" in refused(names, folder, t)


def test_one_image_twice_is_refused(folder: Path) -> None:
    t = made()
    twice = pd.concat([t, t.head(1).assign(score=9.0)])[["path", "score"]]
    assert "two rows of 'mine.csv' are about the image 'train/" in refused(twice, folder, t)


@pytest.mark.parametrize("labels", ["label", "class"])
@pytest.mark.parametrize("writer", ["a.csv", "g.jsonl", "j.parquet"])
def test_a_missing_label_is_no_other_label(folder: Path, labels: str, writer: str) -> None:
    t = made()
    table = which(t, "training")[["path", labels, "score"]].reset_index(drop=True)
    table[labels] = table[labels].astype(object).where(table.index % 5 > 0, None)
    WRITERS[writer](table, folder / writer)
    assert_own(read_scores(folder / writer, t)[0], t, "training")
    wrong = table.assign(**{labels: np.roll(table[labels].to_numpy(), 1)})
    WRITERS[writer](wrong, folder / writer)
    with pytest.raises(UserError, match="are not those of this run's images"):
        read_scores(folder / writer, t)


@pytest.mark.parametrize("writer", ["a.csv", "b.csv", "g.jsonl", "j.parquet", "l.npz"])
def test_booleans_and_missing_scores(folder: Path, writer: str) -> None:
    t = made()
    for truth in (t["score"] > 0, t["score"].where(t["id"] % 4 > 0)):
        WRITERS[writer](t.assign(score=truth)[["path", "score"]], folder / writer)
        found, said = read_scores(folder / writer, t)
        np.testing.assert_allclose(found, truth.to_numpy(float), rtol=1e-12)
        known = (truth.notna() & (t["split"] == "train")).sum()
        assert f"{known} of 48 training images" in said


@pytest.mark.parametrize("array", [np.ones((48, 2)), np.ones((48, 1, 1)), np.array(3.0), np.ones(48, dtype=complex)])
def test_arrays_of_another_shape_are_named(folder: Path, array: np.ndarray) -> None:
    np.savez(folder / "mine.npz", score=array)
    np.save(folder / "mine.npy", array)
    for file in ("mine.npz", "mine.npy"):
        with pytest.raises(UserError, match=r"shape|does not hold numbers"):
            read_scores(folder / file, made())


def test_a_column_of_an_array(folder: Path) -> None:
    t = made()
    np.save(folder / "mine.npy", which(t, "training")["score"].to_numpy()[:, None])
    assert_own(read_scores(folder / "mine.npy", t)[0], t, "training")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('score\n"0,5"\n', "does not hold numbers, but '0,5'"),
        ("id,score\n0,0,5\n1,0,7\n", "decimal commas need semicolons"),
        ("score\n1;2\n", "does not hold numbers, but '1;2'"),
        ("id,score,Score\n0,1,2\n", "two columns are called 'score'"),
        ("path;loss;margin\na;1;2\n", "no column 'score', but 2 others \\('loss', 'margin'\\)"),
        ("path\tloss\na\t2,934\nb\t871\n", "column 'loss' .*'2,934'"),
        ("path;score\na;-12,500\nb;1,250\n", "column 'score' .*'-12,500'"),
        ("path;name\na;b\n", "no column 'score', but no other numbers"),
        ("train/cat/1.png,0.5\ntrain/cat/2.png,0.7\n", "first row has no names"),
    ],
)
def test_what_was_seen_is_said(folder: Path, text: str, words: str) -> None:
    (folder / "mine.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_scores(folder / "mine.csv", made())


@pytest.mark.parametrize("encoding", ["utf-16-le", "latin-1"])
def test_an_encoding_that_cannot_be_told_is_refused(folder: Path, encoding: str) -> None:
    (folder / "mine.csv").write_text("path,score\ntrain/élan.png,1\n", encoding=encoding)
    with pytest.raises(UserError, match=r"UTF-16 without its mark|'utf-8' codec"):
        read_scores(folder / "mine.csv", made())


def test_nested_values_beside_the_path_do_no_harm(folder: Path) -> None:
    """As tools for labelling write them."""
    t = made()
    rows = [
        {"id": f"{i:024x}", "tags": [i], "truth": {"label": "cat"}, "filepath": f"/data/{p}", "score": s}
        for i, p, s in t[["id", "path", "score"]].sample(frac=1, random_state=0).itertuples(index=False)
    ]
    (folder / "mine.json").write_text(json.dumps(rows))
    assert_own(read_scores(folder / "mine.json", t)[0], t, "all")
    pd.DataFrame(rows).to_parquet(folder / "mine.parquet")
    assert_own(read_scores(folder / "mine.parquet", t)[0], t, "all")


def test_digits_alone_keep_their_zeros(folder: Path) -> None:
    """A hash of digits, a file 0007 and a class 01 are no numbers."""
    t = made().assign(hash=[f"{i:016d}" for i in range(72)], path="")
    t["class"] = ["01", "02", "03"] * 24
    to_csv(t[["hash", "class", "score"]].sample(frac=1, random_state=0), folder / "mine.csv")
    assert_own(read_scores(folder / "mine.csv", t)[0], t, "all")


def test_the_terminal_says_how_many_of_which_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs", train=60, others=10)
    rows = [{"hash": h.upper(), "difficulty": i % 7} for i, h in enumerate(run.examples()["hash"][:30])]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert main(["scores", run.id, str(file), "--runs", str(run.path.parent)]) == 0
    said = capsys.readouterr().out
    assert "mine: matched by hash (column 'hash')" in said
    assert "30 of 60 training images, 0 of 10 validation images, 0 of 10 test images" in said


@pytest.mark.parametrize(("right", "turned"), [("path", "hash"), ("path", "id"), ("hash", "id"), ("hash", "path")])
@pytest.mark.parametrize("part", ["training", "all", "some of training"])
def test_columns_that_contradict_each_other_are_refused(folder: Path, right: str, turned: str, part: str) -> None:
    """Rows whose images have one content do not contradict, if all that differs is which of them is meant."""
    t = made()
    table = which(t, part)[[right, turned, "score"]].reset_index(drop=True)
    swapped = table.assign(**{turned: table[turned].to_numpy()[[1, 0, *range(2, len(table))]]})
    said = refused(swapped, folder, t)
    assert "are about different images in 2 rows, first in row 0 (" in said
    assert repr(right) in said
    assert repr(turned) in said
    shuffled = table.assign(**{turned: table[turned].sample(frac=1, random_state=0).to_numpy()})
    assert "are about different images" in refused(shuffled, folder, t)


def test_three_decimals_after_a_comma_are_no_thousands_where_one_starts_with_0(folder: Path) -> None:
    t = made().round({"score": 3})
    to_text = t.assign(score=t["score"].map("{:.3f}".format).str.replace(".", ","))
    to_text[["path", "score"]].to_csv(folder / "mine.tsv", sep="\t", index=False)
    assert_own(read_scores(folder / "mine.tsv", t)[0], t, "all")


@pytest.mark.parametrize("name", ["target", "true_label", "true_class", "given_label", "y", "gt"])
@pytest.mark.parametrize("kind", ["label", "class"])
def test_true_labels_under_another_name_are_read(folder: Path, name: str, kind: str) -> None:
    t = made()
    table = t.assign(**{name: t[kind]})[[name, "score"]]
    to_csv(table, folder / "mine.csv")
    assert_own(read_scores(folder / "mine.csv", t)[0], t, "all")
    said = refused(table.sample(frac=1, random_state=0), folder, t)
    assert "are not those of this run's images" in said
    assert said.endswith(f"(read from {name!r})")


@pytest.mark.parametrize("dtype", ["int64", "datetime64[s]", "timedelta64[s]", "object", "complex128"])
def test_a_table_without_rows_is_refused_in_a_sentence(dtype: str, tmp_path: Path) -> None:
    """Trap: what has no rows has no words either."""
    empty = np.array([], dtype if dtype != "object" else "U3")
    np.savez(tmp_path / "a.npz", id=np.array([], "int64"), label=np.array([], "int64"), score=empty)
    with pytest.raises(UserError, match=r"a\.npz"):
        read_scores(tmp_path / "a.npz", make_run(tmp_path / "runs", train=20, others=5).examples())
