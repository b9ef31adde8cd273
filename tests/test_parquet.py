"""Parquet files of images as Hugging Face publishes them: every layout is read, whatever is wrong is a plain word."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dpls.data import PARTS, TEST, Data, Dataset, Folder, Parquet
from dpls.data.own import columns, gathering, parquet
from dpls.errors import UserError

SIZE = 8
PIXELS = 4 * SIZE
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["cat", "dog", "owl"]


def encoded(number: int, form: str = "PNG", shape: tuple[int, int] = (SIZE, SIZE), **save: object) -> bytes:
    """A grey ramp of its own for each number, which is its first pixel."""
    pixels = np.linspace(0, 255, shape[0] * shape[1]).astype(np.uint8).reshape(shape)
    pixels[0, 0] = number
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **save)
    return file.getvalue()


def published(names: Sequence[str] | None = NAMES, label: str = "label", image: str = "image") -> dict[str, str]:
    """What the library ``datasets`` writes beside the schema."""
    kind = {"names": [*names], "_type": "ClassLabel"} if names else {"dtype": "int64", "_type": "Value"}
    return {"huggingface": json.dumps({"info": {"features": {image: {"_type": "Image"}, label: kind}}})}


def table(
    numbers: Sequence[int],
    labels: Sequence[object],
    plain: bool = False,
    metadata: Mapping[str, str] | None = None,
    names: tuple[str, str] = ("image", "label"),
    kind: pa.DataType | None = None,
    **more: Sequence[object],
) -> pa.Table:
    files = [encoded(number) for number in numbers]
    images = pa.array(files) if plain else pa.array([{"bytes": f, "path": None} for f in files], STRUCT)
    content = {names[0]: images, names[1]: pa.array(labels, kind), **{key: pa.array(v) for key, v in more.items()}}
    return pa.table(content).replace_schema_metadata(metadata)


def write(path: Path, content: pa.Table, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, **how)
    return path


def content_of(data: Dataset) -> set[tuple[str, str, int]]:
    rows = zip(data.part, data.labels, data.images[:, 0, 0, 0].tolist(), strict=True)
    return {(PARTS[part], data.classes[label], number) for part, label, number in rows}


def read(path: Path, **settings: object) -> Parquet:
    return Parquet(path=str(path), **{"size": SIZE, **settings})


def words(source: Parquet) -> str:
    found = source.found()
    assert found
    return " ".join(found.lines())


def refusal(source: Parquet) -> str:
    with pytest.raises(UserError) as caught:
        source()
    text = str(caught.value)
    assert "\n" not in text and not re.search(r"[.!?] [A-Z]", text) and len(text) < 1000, text
    return text


TRAINED = ([1, 2, 3, 4], [0, 0, 1, 1])
TAKEN = {("train", "cat", 1), ("train", "cat", 2), ("train", "dog", 3), ("train", "dog", 4)}
TESTED = {("test", "cat", 5), ("test", "dog", 6)}
VALIDATED = {("validation", "cat", 7), ("validation", "dog", 8)}


def lay(root: Path, *files: str) -> Path:
    """Training files hold two images each, others the same two of their part."""
    training = [name for name in files if "test" not in name.lower() and "val" not in name]
    for name in files:
        if name in training:
            place = 2 * training.index(name)
            numbers, labels = TRAINED[0][place : place + 2], TRAINED[1][place : place + 2]
        else:
            numbers, labels = ([5, 6] if "test" in name.lower() else [7, 8]), [0, 1]
        write(root / name, table(numbers, labels, metadata=published()))
    return root


TWO = ("train-00000-of-00002-0a1b.parquet", "train-00001-of-00002-2c3d.parquet")
LAYOUTS = {
    "two files": (TWO, TAKEN, "Found 4 images in train (cat 2, dog 2)."),
    "all parts": ((*TWO, "test-00000-of-00001.parquet", "validation-00000-of-00001.parquet"), TAKEN | TESTED | VALIDATED, "2 images in validation (cat 1, dog 1); 2 images in test"),
    "in data": (tuple(f"data/{name}" for name in (*TWO, "test-00000-of-00001.parquet")), TAKEN | TESTED, "Looked in data/."),
    "folders of parts": (("default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"), TAKEN | TESTED, "Looked in default/."),
    "no parts": (("a.parquet", "b.parquet"), TAKEN, "Images for validation and test are taken from these"),
    "capitals": (("TRAIN.parquet", "Training_2.PARQUET", "Test.parquet"), TAKEN | TESTED, "2 images in test"),
    "other files": ((*TWO, "extra-00000-of-00001.parquet", "more/train.parquet", ".cache/train.parquet"), TAKEN, "Left out, files that name no part: 1, namely extra-00000-of-00001.parquet. Left out, files in another folder: 1, namely more/train.parquet."),
    "one is missing": ((TWO[0].replace("00002", "00003"), TWO[1].replace("00002", "00003")), TAKEN, "Of 3 files train-*-of-00003 only 2 files lie there."),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_its_images_labels_and_parts_and_is_described(layout: str, tmp_path: Path) -> None:
    files, taken, sentence = LAYOUTS[layout]
    source = read(lay(tmp_path, *files))
    assert sentence in words(source)
    assert content_of(source()) == taken


def test_one_file_is_trained_on_whatever_its_name_and_every_image_knows_its_row(tmp_path: Path) -> None:
    file = write(tmp_path / "test.parquet", table(*TRAINED, metadata=published()), row_group_size=3)
    data = read(file)()
    assert content_of(data) == TAKEN and data.images.shape == (4, 1, SIZE, SIZE)
    assert data.files.tolist() == [f"test.parquet row {row}" for row in range(4)]
    assert data.classes == ("cat", "dog"), "no owl has an image"
    assert "Classes without a training image are left out: owl." in words(read(file))


COLUMNS: dict[str, tuple[dict[str, object], dict[str, object], set[str]]] = {
    "plain bytes": ({"plain": True}, {}, {"0", "1"}),
    "other names": ({"names": ("img", "target")}, {}, {"0", "1"}),
    "names that say nothing": ({"names": ("a", "b")}, {}, {"0", "1"}),
    "text": ({"labels": ["zebra", "zebra", "ant", "ant"]}, {}, {"ant", "zebra"}),
    "categories": ({"labels": ["zebra", "zebra", "ant", "ant"], "kind": pa.dictionary(pa.int8(), pa.string())}, {}, {"ant", "zebra"}),
    "numbers as text": ({"labels": ["10", "10", "9", "9"]}, {}, {"9", "10"}),
    "small numbers": ({"kind": pa.uint8()}, {}, {"0", "1"}),
    "truth": ({"labels": [False, False, True, True]}, {}, {"0", "1"}),
    "names of digits": ({"labels": [1, 1, 2, 2], "metadata": published(["1", "2", "3"])}, {}, {"2", "3"}),
    "an index and an id": ({"__index_level_0__": [0, 1, 2, 3], "id": [7, 8, 9, 10]}, {}, {"0", "1"}),
    "two of each": ({"thumb": [b"x"] * 4, "coarse": [0, 0, 0, 1]}, {"image": "image", "label": "coarse"}, {"0", "1"}),
    "what the file says": ({"thumb": [b"x"] * 4, "label_2": [0, 0, 0, 1], "names": ("x", "kind"), "metadata": published(label="kind", image="x")}, {}, {"cat", "dog"}),
    "senseless metadata": ({"metadata": {"huggingface": "[" * 99_999}}, {}, {"0", "1"}),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_are_found_where_they_are_plain_or_named(case: str, tmp_path: Path) -> None:
    made, asked, classes = COLUMNS[case]
    made = {"numbers": TRAINED[0], "labels": TRAINED[1], **made}
    data = read(write(tmp_path / "x.parquet", table(**made)), **asked)()
    assert set(data.classes) == classes
    assert data.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    if "coarse" not in made:
        assert data.labels[0] == data.labels[1] != data.labels[2] == data.labels[3]
    assert list(data.classes) == sorted(classes, key=lambda name: name.zfill(2))


def _of_images(made: dict[str, object]) -> pa.Table:
    return table(**{"numbers": TRAINED[0], "labels": TRAINED[1], **made})


WRONG: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "no such column": ({}, {"label": "lable"}, "x.parquet has no column 'lable' of labels; data.source.label can be label"),
    "not of images": ({}, {"image": "label"}, "x.parquet has no column 'label' of encoded images; data.source.image can be image"),
    "no images": ({"drop": "image"}, {}, "x.parquet has no column of encoded images; it has label (int64)"),
    "no labels": ({"drop": "label"}, {}, "x.parquet has no column of labels; it has image (struct<bytes: binary, path: string>)"),
    "labels of a wrong type": ({"labels": [0.5, 0.5, 1.5, 1.5]}, {}, "no column of labels; it has image (struct<bytes: binary, path: string>), label (double)"),
    "two of images": ({"names": ("a", "label"), "b": [b"x"] * 4}, {}, "several columns that may hold encoded images; set data.source.image to one of a, b"),
    "two of labels": ({"names": ("image", "fine"), "coarse": [0, 0, 0, 1]}, {}, "several columns that may hold labels; set data.source.label to one of fine, coarse"),
    "one class": ({"labels": [3, 3, 3, 3]}, {}, "column 'label' of train has 1 class; at least 2 classes are needed"),
    "no label at all": ({"labels": [-1, None, -1, -1]}, {}, "column 'label' of train has 0 classes"),
    "a label beyond the names": ({"labels": [0, 1, 2, 9], "metadata": published()}, {}, "holds the label 9, but the file names 3 classes, counted from 0"),
    "names twice": ({"metadata": published(["cat", "cat"])}, {}, "two classes have the name 'cat'"),
    "captions": ({"labels": ["a long story " * 99] * 4}, {}, "holds text of 1,287 characters, and a label has at most 100; set data.source.label to another"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_columns_and_labels_are_one_sentence_with_the_choices(case: str, tmp_path: Path) -> None:
    made, asked, words = WRONG[case]
    drop = made.pop("drop", None) if "drop" in made else None
    made = {"numbers": TRAINED[0], "labels": TRAINED[1], **made}
    content = table(**made)
    assert words in refusal(read(write(tmp_path / "x.parquet", content.drop([drop]) if drop else content), **asked))


def test_files_of_different_data_sets_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "a" / "train.parquet", table(*TRAINED, metadata=published()))
    write(tmp_path / "a" / "test.parquet", table(*TRAINED, metadata=published(["dog", "cat"])))
    assert "test.parquet has other names of classes than train.parquet" in refusal(read(tmp_path / "a"))
    write(tmp_path / "b" / "train.parquet", table(*TRAINED))
    write(tmp_path / "b" / "test.parquet", table(*TRAINED, names=("img", "label")))
    assert "test.parquet has other columns of images and labels than train.parquet" in refusal(read(tmp_path / "b"))
    write(tmp_path / "c" / "train.parquet", table(*TRAINED))
    write(tmp_path / "c" / "test.parquet", table([5], [7]))
    assert "column 'label' of test holds the label 7, which column 'label' of train does not (0, 1)" in refusal(
        read(tmp_path / "c")
    )


def test_rows_without_a_label_are_left_out_and_a_part_of_nothing_else_is_taken_from_training(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", table([1, 9, 2, 3, 9, 4], [0, -1, 0, 1, None, 1], metadata=published()))
    write(tmp_path / "test.parquet", table([5, 6], [-1, -1], metadata=published()))
    source = read(tmp_path)
    assert "Images for validation and test are taken from these" in words(source)
    assert "Left out, without a label: 4 images." in words(source)
    data = source()
    assert content_of(data) == TAKEN and data.files[1] == "train.parquet row 2"


def test_images_are_decoded_as_those_of_a_folder(tmp_path: Path) -> None:
    """Turned, cropped, resized, of 16 bits, with transparency, of several frames: pixel by pixel the same."""
    folder = tmp_path / "folder"
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
    deep = Image.fromarray(np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20))
    made = {
        "turned.jpg": photo,
        "large.png": photo,
        "alpha.png": photo.convert("RGBA"),
        "deep.png": deep,
        "g.gif": photo,
    }
    images = []
    for number, (name, image) in enumerate(made.items()):
        file = folder / "ab"[number % 2] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, **({"exif": turned} if name.endswith("jpg") else {}))
        images.append((file.parent.name, file.name, file.read_bytes()))
    images.sort()
    content = pa.table({"image": [file for _, _, file in images], "label": [label for label, _, _ in images]})
    ours, theirs = read(write(tmp_path / "x.parquet", content))(), Folder(path=str(folder), size=SIZE)()
    assert ours.images.shape == (5, 3, SIZE, SIZE)
    assert (ours.images == theirs.images).all() and (ours.labels == theirs.labels).all()
    assert ours.said == theirs.said


def test_broken_images_are_left_out_counted_and_named(tmp_path: Path) -> None:
    content = table([1, 2, 3, 4, 5, 6, 7, 8], [0] * 4 + [1] * 4)
    files = content.column("image").to_pylist()
    files[1] = {"bytes": files[1]["bytes"][:60], "path": None}
    files[4] = {"bytes": None, "path": "elsewhere.png"}
    files[5] = None
    broken = content.set_column(0, "image", pa.array(files, STRUCT))
    data = read(write(tmp_path / "x.parquet", broken))()
    assert data.images[:, 0, 0, 0].tolist() == [1, 3, 4, 7, 8] and data.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.files[-1] == "x.parquet row 7"
    (said,) = (one for one in data.said if "cannot be read" in one)
    assert said.startswith("Left out, cannot be read as an image: 3 files, namely x.parquet row 1 (")
    assert "x.parquet row 4 (no image inside), x.parquet row 5 (no image inside)" in said
    files = [None] * 5 + files[5:]
    nothing = content.set_column(0, "image", pa.array(files, STRUCT))
    assert "6 of 8 files in" in refusal(read(write(tmp_path / "y.parquet", nothing)))


def test_many_windows_and_threads_keep_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [*range(100)]
    file = write(tmp_path / "x.parquet", table(numbers, [n % 2 for n in numbers]), row_group_size=17)
    monkeypatch.setattr(parquet, "TOGETHER", 1000)
    monkeypatch.setattr(gathering, "SMALL_FILE", 0)
    monkeypatch.setattr(gathering, "CHUNK", 3)
    assert read(file)().images[:, 0, 0, 0].tolist() == numbers


# Damaged and hostile files


def test_damaged_files_are_named_with_a_remedy(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.parquet", table(*TRAINED)).read_bytes()
    place = whole.index(encoded(3)[:8], 200)
    for number, wrong in enumerate(
        [whole[: len(whole) // 2], b"", b"PAR1", b"no parquet at all", whole[:-30] + b"\xff" * 22 + whole[-8:], b"PAR1" + whole[-40:]]
    ):  # fmt: skip
        file = tmp_path / f"{number}.parquet"
        file.write_bytes(wrong)
        text = refusal(read(file))
        assert text.startswith(f"{file.name} cannot be read as parquet (") and "download it again, or remove it" in text
    (tmp_path / "z.parquet").write_bytes(whole[: place - 60] + bytes(120) + whole[place + 60 :])
    assert "z.parquet" in refusal(read(tmp_path / "z.parquet"))


@pytest.mark.parametrize("seed", range(40))
def test_changed_bytes_never_give_a_trace(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(write(tmp_path / "x.parquet", table(*TRAINED, metadata=published())).read_bytes())
    for place in rng.integers(4, len(content), 3):
        content[place] = rng.integers(256)
    (tmp_path / "x.parquet").write_bytes(content)
    try:
        data = read(tmp_path / "x.parquet")()
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(data.images) == len(data.labels) == len(data.files) <= 4


def test_what_a_few_bytes_unpack_to_is_never_in_memory_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image that stands once in the file and is meant by thousands of rows."""
    image = encoded(7, "BMP", (200, 200))
    rows = 4_000
    pictures = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([image]))
    content = pa.table({"image": pictures.cast(pa.binary()), "label": [0, 1] * (rows // 2)})
    file = write(tmp_path / "x.parquet", content, row_group_size=rows, compression="zstd")
    assert file.stat().st_size < len(image) < rows * len(image) / 1000
    monkeypatch.setattr(columns, "ROOM", 2**20)
    sizes = []
    for batch in columns.batches(file, "image", 256):
        assert batch.nbytes < 2**21
        sizes.append(len(batch))
    assert sum(sizes) == rows and max(sizes) > 1


def test_too_much_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "x.parquet", table(*TRAINED))
    for module, name, most, words in [
        (parquet, "MOST_ROWS", 3, "has 4 rows, and at most 3 are read; give fewer files"),
        (parquet, "MOST_ARRAYS", 700, "4 images of 8 pixels have 768 bytes, and at most 700 bytes are read; lower data.source.size"),
        (columns, "MOST_GROUP", 50, "a row group has"),
    ]:  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(module, name, most)
            assert words in refusal(read(file))
    assert len(read(file)().images) == 4


def test_missing_files_say_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    lay(tmp_path / "several", "a/train.parquet", "b/train.parquet")
    lay(tmp_path / "tests", "test.parquet")
    for path, expected in [
        ("none", "there is no file or folder"),
        ("empty", "holds no .parquet file; give the path of a .parquet file, or a folder with train-*.parquet"),
        ("several", "holds .parquet files in several folders (a/, b/); give the path of one of them"),
        ("tests", "holds no file to train on (it holds test.parquet); expected is"),
    ]:
        assert expected in refusal(read(tmp_path / path))
    assert "data.source.path is empty" in refusal(Parquet(path=" "))


# In a run


def test_it_is_split_as_any_source_and_a_changed_file_is_noticed(tmp_path: Path) -> None:
    numbers = [*range(40)]
    file = write(tmp_path / "d" / "train.parquet", table(numbers, [n % 2 for n in numbers], metadata=published()))
    data = Data(source=read(tmp_path / "d"))
    images, first = data(tmp_path / "cache")
    assert [len(images.ids(part)) for part in range(len(PARTS))] == [29, 3, 8]
    assert images.labels[images.part == TEST].mean() == 0.5
    assert data(tmp_path / "cache")[1] == first
    write(file, table(numbers[::-1], [n % 2 for n in numbers], metadata=published()))
    assert data(tmp_path / "cache")[1] != first
