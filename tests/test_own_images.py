"""A stranger's images: every layout of folders and files gives the images, labels and parts it should, or a plain word."""

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpls.cli.main import main
from dpls.component import canonical
from dpls.data import PARTS, TEST, TRAIN, VALIDATION, Data, Dataset, Folder, Npz
from dpls.data.cache import said
from dpls.errors import UserError
from dpls.text import display

SIZE = 8


def picture(number: int) -> Image.Image:
    """An image of its own for each number: a ramp of 0 to 255 whose first pixel is the number."""
    pixels = np.linspace(0, 255, SIZE * SIZE).astype(np.uint8).reshape(SIZE, SIZE)
    pixels[0, 0] = number
    return Image.fromarray(pixels)


def lay(root: Path, files: Mapping[str, int | bytes | str]) -> Path:
    """Files by path: the picture of a number, or these bytes, or this text."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            picture(content).save(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def content(data: Dataset) -> set[tuple[str, str, int]]:
    """(part, class, number of the picture) of every example."""
    numbers = data.images[:, 0, 0, 0].tolist()
    rows = zip(data.part, data.labels, numbers, strict=True)
    return {(PARTS[part], data.classes[label], number) for part, label, number in rows}


def folder(root: Path, **settings: object) -> Folder:
    return Folder(path=str(root), size=SIZE, **settings)


def words(source: Folder | Npz) -> str:
    found = source.found()
    assert found
    return " ".join(found.lines())


TWO = {"a/1.png": 1, "a/2.png": 2, "b/3.png": 3, "b/4.png": 4}
TAKEN = {("train", "a", 1), ("train", "a", 2), ("train", "b", 3), ("train", "b", 4)}


def within(prefix: str, files: Mapping[str, int | bytes | str] = TWO) -> dict[str, int | bytes | str]:
    return {f"{prefix}/{name}": value for name, value in files.items()}


VALID = {"a/5.png": 5, "b/6.png": 6}
VALIDATED = {("validation", "a", 5), ("validation", "b", 6)}
LAYOUTS: dict[str, tuple[dict[str, int | bytes | str], set[tuple[str, str, int]], str]] = {
    "train alone": (within("train"), TAKEN, "Found 4 images in train/ (a 2, b 2). Images for validation and test are taken"),
    "no train": (dict(TWO), TAKEN, "Found 4 images in ./ (a 2, b 2). Images for validation and test are taken"),
    "val": (within("train") | within("val", VALID), TAKEN | VALIDATED, "2 images in val/ (a 1, b 1)"),
    "valid": (within("train") | within("valid", VALID), TAKEN | VALIDATED, "2 images in valid/"),
    "validation": (within("train") | within("validation", VALID), TAKEN | VALIDATED, "2 images in validation/"),
    "capitals": (
        within("Training") | within("Testing", VALID),
        TAKEN | {("test", "a", 5), ("test", "b", 6)},
        "2 images in Testing/",
    ),
    "a flat test": (
        within("train") | {"test/9.png": 9, "test/8.png": 8},
        TAKEN,
        "Left out, images without labels (no class folders): 2, namely test/8.png, test/9.png.",
    ),
    "a flat test beside classes": (dict(TWO) | {"test/9.png": 9}, TAKEN, "without labels (no class folders): 1, namely test/9.png"),
    "a class of trains": ({"train/1.png": 1, "train/2.png": 2, "bus/3.png": 3}, {("train", "train", 1), ("train", "train", 2), ("train", "bus", 3)}, "(bus 1, train 2)"),
    "one folder around": (within("all/train") | {"readme.txt": "hello"}, TAKEN, "Looked in all/, the one folder around everything."),
    "two folders around": (within("x/y"), TAKEN, "Looked in x/y/"),
    "folders of other things": (within("images") | {"labels/1.txt": "cat"}, TAKEN, "Looked in images/"),
    "one folder inside train": (within("train/images"), TAKEN, "4 images in train/images/"),
    "nested": (
        {"a/x/1.png": 1, "a/x/y/2.png": 2, "b/3.png": 3, "b/4.png": 4},
        TAKEN,
        "Images in folders inside a class folder are of that class: a/x.",
    ),
    "loose images": (within("train") | {"7.png": 7, "train/8.png": 8}, TAKEN, "Left out, images in no class folder: 2 (the folder itself 1, train 1), namely 7.png, train/8.png."),
    "a folder beside": (within("train") | within("more"), TAKEN, "Left out, images in a folder beside train/: 4 (more/a 2, more/b 2), namely more/a/1.png, more/a/2.png, more/b/3.png and 1 more."),
    "no image": (dict(TWO) | {"a/x.txt": "hello", "b/x.svg": "hello", "c/x.csv": "1"}, TAKEN, "Left out, no image, or of a type that is not read: 3 (a 1, b 1, c 1), namely a/x.txt, b/x.svg, c/x.csv. Left out, class folders without an image: 1, namely c."),
    "empty files": (dict(TWO) | {"a/0.png": b""}, TAKEN, "Left out, empty files: 1, namely a/0.png."),
    "junk": (
        dict(TWO) | dict.fromkeys(("a/Thumbs.db", "a/._1.png", ".DS_Store", "b/desktop.ini", "b/@eaDir/3.png", "__MACOSX/a/1.png", "a/.ipynb_checkpoints/1.png"), "junk"),
        TAKEN,
        "Left out, hidden or made by the system: 7 (the folder itself 2, a 3, b 2)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_its_images_labels_and_parts_and_is_described(layout: str, tmp_path: Path) -> None:
    files, taken, sentence = LAYOUTS[layout]
    source = folder(lay(tmp_path, files))
    assert sentence in words(source)
    assert content(source()) == taken


def test_folders_that_cannot_be_understood_are_explained_in_one_sentence(tmp_path: Path) -> None:
    for number, (files, expected) in enumerate(
        [
            ({"train/1.png": 1, "test/2.png": 2}, "holds no class folders"),
            ({"1.png": 1, "2.png": 2}, "it holds no folders and 2 images in no folder"),
            (within("val") | within("test"), "no folder train/ with some (it holds test/, val/)"),
            (within("train") | within("val") | within("valid"), "holds both val/ and valid/"),
        ]
    ):
        with pytest.raises(UserError) as caught:
            folder(lay(tmp_path / str(number), files)).stamp()
        assert expected in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is a file and no folder; unpack it first"):
        folder(lay(tmp_path, {"x.zip": "zip"}) / "x.zip").stamp()


def test_every_type_of_file_is_read_and_of_several_frames_the_first(tmp_path: Path) -> None:
    kinds = ("png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "PNG")
    for name in "ab":
        (tmp_path / name).mkdir()
        for kind in kinds:
            ramp = Image.fromarray(np.tile(np.linspace(0, 255, SIZE).astype(np.uint8), (SIZE, 1)))
            more = [picture(9)] if kind in ("gif", "tif") else []
            extra = {"save_all": True, "append_images": more} if more else {}
            ramp.save(tmp_path / name / f"of_{kind}.{kind}", **extra)
    data = folder(tmp_path)()
    assert len(data.images) == 2 * len(kinds)
    np.testing.assert_allclose(data.images[:, 0, :, -1], 255, atol=12)
    np.testing.assert_allclose(data.images[:, 0, :, 0], 0, atol=12)
    assert data.said == ("4 files with several frames or pages: the first was taken.",)


def test_names_of_numbers_are_classes_in_the_order_of_numbers(tmp_path: Path) -> None:
    names = ["0", "1", "2", "10", "11", "100"]
    assert folder(lay(tmp_path / "n", {f"{n}/1.png": int(n) for n in names}))().classes == tuple(names)
    mixed = folder(lay(tmp_path / "m", {f"{n}/1.png": 1 for n in ("2", "10", "x")}))
    assert mixed().classes == ("10", "2", "x"), "names are sorted as names"


def test_names_that_are_no_utf8_load_and_can_be_shown(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"th\xe9"):
        for number in range(4):
            directory = os.fsencode(tmp_path / "in") + b"/" + name
            Path(os.fsdecode(directory)).mkdir(parents=True, exist_ok=True)
            picture(number).save(os.fsdecode(directory + b"/\xff%d.png" % number))
    source = folder(tmp_path / "in")
    assert r"caf\xe9 4, th\xe9 4" in words(source)
    data, _ = Data(source=source, test=0.25, validation=0.25)(tmp_path / "cache")
    assert data.classes == (r"caf\xe9", r"th\xe9") and data.files[0] == r"caf\xe9/\xff0.png"
    "".join([*data.files, *data.classes]).encode()  # tables and pages hold it
    with pytest.raises(UserError, match=r"in\\xe9 is not UTF-8 text"):
        folder(Path(os.fsdecode(b"in\xe9"))).stamp()
    assert display("two\nlines") == r"two\nlines" and display("straße") == "straße"


def test_links_that_lead_nowhere_or_back_are_left_out(tmp_path: Path) -> None:
    lay(tmp_path, TWO)
    (tmp_path / "a" / "0.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    source = folder(tmp_path)
    assert "Left out, cannot be opened: 2 (a 1, b 1), namely a/0.png, b/up." in words(source)
    assert content(source()) == TAKEN


def test_a_few_broken_files_are_left_out_and_all_are_named_in_one_list(tmp_path: Path) -> None:
    lay(tmp_path / "in", {f"{name}/{n}.png": n for name in "ab" for n in range(10)})
    whole = (tmp_path / "in/a/3.png").read_bytes()
    lay(tmp_path / "in", {"a/3.png": whole[:60], "b/0.png": "<html>404</html>"})
    data, fingerprint = Data(source=folder(tmp_path / "in"))(tmp_path / "cache")
    assert len(data.images) == 18 and not {"a/3.png", "b/0.png"} & set(data.files.tolist())
    assert data.images.std(axis=(1, 2, 3)).min() > 0, "no row of a broken file is left, black"
    (sentence,) = (s for s in data.said if "cannot be read" in s)
    assert "2 files, namely a/3.png (" in sentence and "b/0.png (no image inside)." in sentence
    assert Data(source=folder(tmp_path / "in"))(tmp_path / "cache")[0].said == data.said, "a cached one says the same"
    assert Data(source=folder(tmp_path / "in"), seed=1)(tmp_path / "cache")[0].said[0] == sentence
    assert said(tmp_path / "cache", fingerprint) == data.said


def test_mostly_broken_files_are_refused_with_all_of_their_names(tmp_path: Path) -> None:
    files = {f"{name}/{n}.png": "no image" for name in "ab" for n in range(3)} | {"a/8.png": 8, "b/9.png": 9}
    with pytest.raises(UserError, match=r"6 of 8 files .* cannot be read as images: a/0.png") as caught:
        folder(lay(tmp_path, files))()
    assert all(f"{name}/{n}.png" in str(caught.value) for name in "ab" for n in range(3))


def test_a_class_too_small_to_split_is_named_and_a_setting_leaves_it_out(tmp_path: Path) -> None:
    files = {f"{name}/{n}.png": n for name in "ab" for n in range(6)} | {
        "rare/1.png": 100,
        "few/1.png": 101,
        "few/2.png": 102,
    }
    source = folder(lay(tmp_path / "in", files))
    advice = (
        r"2 classes with fewer than 3 training images cannot be in every part: few \(2\), rare \(1\); leave them out"
    )
    found = source.found()
    assert found and len(found.warnings) == 1
    with pytest.raises(UserError, match=advice) as caught:
        Data(source=source)(tmp_path / "cache")
    assert "smallest_class=3), merge them" in str(caught.value) and str(caught.value) in found.warnings[0].replace(
        "2 C", "2 c"
    )
    kept = folder(tmp_path / "in", smallest_class=3)
    data, _ = Data(source=kept)(tmp_path / "cache")
    assert data.classes == ("a", "b") and len(data.images) == 12
    assert "Left out, images of classes with fewer than 3 training images: 3 (few 2, rare 1)" in words(kept)
    assert "smallest_class" not in canonical(source), "a run that never heard of it keeps its identity"
    with pytest.raises(UserError, match="0 class folders of 99 or more images"):
        folder(tmp_path / "in", smallest_class=99).stamp()


# Levels


def levels(root: Path, top: int, save: Callable[[Image.Image, Path], None], suffix: str = ".png") -> Dataset:
    """Four 16-bit images that rise from 0 to a level."""
    for name in "ab":
        for number in range(2):
            (root / name).mkdir(parents=True, exist_ok=True)
            ramp = np.linspace(0, top, SIZE * SIZE).astype(np.uint16).reshape(SIZE, SIZE)
            save(Image.fromarray(ramp[:: 1 - 2 * number]), root / name / f"{number}{suffix}")
    return folder(root)()


def plain(image: Image.Image, path: Path) -> None:
    image.save(path)


def significant(image: Image.Image, path: Path) -> None:
    """A PNG that says it holds 12 bits."""
    image.save(path)
    whole = path.read_bytes()
    chunk = b"sBIT" + bytes([12])
    chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(whole[:33] + chunk + whole[33:])


def highest(image: Image.Image, path: Path) -> None:
    """A TIFF that says it ends at 4,095."""
    image.save(path, tiffinfo={281: 4095})


RAMP = np.rint(np.linspace(0, 4095, SIZE * SIZE).astype(np.uint16) * (255 / 4095)).reshape(SIZE, SIZE)


@pytest.mark.parametrize(("save", "suffix"), [(significant, ".png"), (highest, ".tif")])
def test_twelve_bits_in_sixteen_are_stretched_where_the_file_says_so(
    tmp_path: Path, save: Callable[[Image.Image, Path], None], suffix: str
) -> None:
    data = levels(tmp_path, 4095, save, suffix)
    assert (data.images[0, 0] == RAMP).all() and data.images.max() == 255
    assert data.said == ("The files of the 16-bit images say that 4,095 is white, not 65,535: so it was taken.",)


def test_sixteen_bits_that_were_stretched_already_stay(tmp_path: Path) -> None:
    assert levels(tmp_path, 65535, significant).images.max() == 255


def test_twelve_bits_that_nothing_tells_of_are_warned_of_with_their_range(tmp_path: Path) -> None:
    data = levels(tmp_path, 4095, plain)
    assert data.images.max() == 16
    assert data.said[0].startswith("All pixels of the 16-bit images lie between 0 and 4,095 of 65,535, nearly black")


def masks(root: Path, values: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    for name in "ab":
        for number in range(3):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values[rng.integers(0, len(values), (40, 40))]).save(root / name / f"{number}.png")
    return root


def test_masks_of_0_and_1_are_stretched_as_a_whole_data_set(tmp_path: Path) -> None:
    ones = folder(masks(tmp_path / "one", np.array([0, 1], np.uint8)))()
    full = folder(masks(tmp_path / "full", np.array([0, 255], np.uint8)))()
    assert (ones.images == full.images).all() and not full.said, "resized in full range, not after rounding"
    assert ones.said == ("All pixels of the 8-bit images are 0 or 1: 1 was made white.",)
    lay(tmp_path / "one", {"a/9.png": 9})
    mixed = folder(tmp_path / "one")()
    assert (mixed.images[mixed.files != "a/9.png"] <= 1).all(), "one image of more levels decides for all"


def test_nearly_black_images_are_warned_of_with_their_range(tmp_path: Path) -> None:
    data = folder(masks(tmp_path, np.array([0, 15], np.uint8)))()
    assert data.said[0].startswith("All pixels of the 8-bit images lie between 0 and 15 of 255, nearly black")


@pytest.mark.parametrize(("top", "white"), [(1.0, 1.0), (255.0, 255.0), (1 / 255, 1 / 255)])
def test_floating_point_files_are_read_by_their_range(tmp_path: Path, top: float, white: float) -> None:
    for name in "ab":
        ramp = np.linspace(0, top, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
        (tmp_path / name).mkdir()
        Image.fromarray(ramp).save(tmp_path / name / "1.tif")
    data = folder(tmp_path)()
    np.testing.assert_allclose(data.images[0, 0], np.rint(ramp / white * 255), atol=1)
    assert bool(data.said) == (white != 1)


# Images of one content


def test_images_that_are_there_twice_are_counted_by_part_and_by_label(tmp_path: Path) -> None:
    files = {f"train/{name}/{n}.png": n + 20 * (name == "b") for name in "ab" for n in range(5)}
    files |= {f"val/{name}/{n}.png": n + 100 + 20 * (name == "b") for name in "ab" for n in range(2)}
    files |= {f"test/{name}/{n}.png": n + 200 + 20 * (name == "b") for name in "ab" for n in range(2)}
    unique = Data(source=folder(lay(tmp_path / "in", files)))(tmp_path / "cache")[0]
    assert unique.said == ()
    lay(tmp_path / "in", {"test/a/again.bmp": 3, "val/b/again.png": 21, "train/b/wrong.png": 4, "train/b/same.png": 22})
    data, _ = Data(source=folder(tmp_path / "in"))(tmp_path / "cache")
    assert len(data.images) == len(unique.images) + 4, "nothing is removed"
    shared, validated, torn = data.said
    assert shared.startswith("1 test image of 5 ") and "test/a/again.bmp is train/a/3.png" in shared
    assert validated.startswith("1 validation image of 5 ")
    assert (
        torn.startswith("2 images of 1 content stand under two labels")
        and "train/a/4.png as a and train/b/wrong.png as b" in torn
    )
    planted = Data(source=folder(tmp_path / "in"), probes=[{"kind": "twin", "share": 0.5}])(tmp_path / "cache")[0]
    assert len([s for s in planted.said if "two labels" in s]) <= 1, "what was planted is not found again"


# Arrays


def samples(count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 3, 12, 12), dtype=np.uint8), np.arange(count) % classes


X, Y = samples(30)
NAMES = np.array(["ant", "bee", "cat"])
PAIRS = {
    "numpy": {"x_train": X, "y_train": Y},
    "capitals": {"X_train": X, "Y_train": Y},
    "medmnist": {"train_images": X.transpose(0, 2, 3, 1), "train_labels": Y[:, None]},
    "alone": {"x": X, "y": Y},
    "alone in words": {"images": X, "labels": Y},
    "in order": {"arr_0": X, "arr_1": Y},
    "int64": {"x_train": X.astype(np.int64), "y_train": Y},
    "uint16 of 8 bits": {"x_train": X.astype(np.uint16), "y_train": Y},
    "floats": {"x_train": X / 255, "y_train": Y},
    "floats of levels": {"x_train": X.astype(np.float32), "y_train": Y},
    "16 bits": {"x_train": X.astype(np.uint16) * 257, "y_train": Y},
    "one-hot": {"x_train": X, "y_train": np.eye(3)[Y]},
    "float labels": {"x_train": X, "y_train": Y.astype(float)},
    "opaque": {"x_train": np.concatenate([X, np.full_like(X[:, :1], 255)], 1), "y_train": Y},
}


def npz(path: Path, **arrays: np.ndarray) -> Npz:
    np.savez(path / "a.npz", **arrays)
    return Npz(path=str(path / "a.npz"))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_ways_to_save_arrays_agree(pair: str, tmp_path: Path) -> None:
    source = npz(tmp_path, **PAIRS[pair])
    data = source()
    assert (data.images == X).all() and (data.labels == Y).all() and data.classes == ("0", "1", "2")
    assert (data.part == TRAIN).all(), "validation and test are taken from these"
    assert "Found 30 images in " in words(source) and "(0 10, 1 10, 2 10)" in words(source)


def test_the_parts_of_medmnist_are_told_apart(tmp_path: Path) -> None:
    arrays = {
        f"{part}_{what}": a for part in ("train", "val", "test") for what, a in (("images", X), ("labels", Y[:, None]))
    }
    source = npz(tmp_path, **arrays, notes=np.zeros(3))
    assert [len(source().ids(part)) for part in (TRAIN, VALIDATION, TEST)] == [30, 30, 30]
    assert "Left out, arrays that are none of a part: 1, namely notes." in words(source)


LABELLED = {
    "names": ({"y_train": NAMES[Y]}, ("ant", "bee", "cat"), "Labels of y_train are ant, bee, cat."),
    "bytes": ({"y_train": NAMES[Y].astype("S")}, ("ant", "bee", "cat"), "Labels of y_train are ant, bee, cat."),
    "names in an order": ({"y_train": NAMES[::-1][Y], "classes": NAMES[::-1]}, ("cat", "bee", "ant"), "Labels of y_train are cat, bee, ant."),
    "from 0, named": ({"y_train": Y, "classes": NAMES}, ("ant", "bee", "cat"), ""),
    "from 1, named": ({"y_train": Y + 1, "classes": NAMES}, ("ant", "bee", "cat"), "Labels of y_train are 1 is ant, 2 is bee, 3 is cat."),
    "from 1": ({"y_train": Y + 1}, ("1", "2", "3"), "Labels of y_train are 1, 2, 3."),
    "with gaps": ({"y_train": Y * 5}, ("0", "5", "10"), "Labels of y_train are 0, 5, 10."),
    "with gaps, listed": ({"y_train": Y * 5, "classes": np.array([0, 5, 10])}, ("0", "5", "10"), "Labels of y_train are 0, 5, 10."),
    "with gaps, named": ({"y_train": Y * 2, "classes": np.array(list("abcde"))}, ("a", "c", "e"), "left out: b, d."),
    "numbers as text": ({"y_train": np.array(["2", "10", "1"])[Y]}, ("1", "2", "10"), "are 1, 2, 10."),
    "one-hot, named": ({"y_train": np.eye(3, dtype=bool)[Y], "classes": NAMES}, ("ant", "bee", "cat"), "Labels of y_train are one-hot"),
}  # fmt: skip


@pytest.mark.parametrize("case", LABELLED)
def test_labels_mean_what_values_and_names_say(case: str, tmp_path: Path) -> None:
    arrays, classes, sentence = LABELLED[case]
    source = npz(tmp_path, x_train=X, **arrays)
    data = source()
    assert data.classes == classes and sentence in words(source)
    order = {"names in an order": Y, "numbers as text": np.array([1, 2, 0])[Y]}.get(case, Y)
    assert (data.labels == order).all()


def test_arrays_of_other_shapes_are_resized_by_the_rule_of_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (4, 100, 130, 3), dtype=np.uint8)
    data = npz(tmp_path, x=wide, y=np.arange(4) % 2)()
    for number, image in enumerate(wide):
        lay(tmp_path / "files", {f"{number % 2}/{number}.txt": ""})
        Image.fromarray(image).save(tmp_path / "files" / f"{number % 2}" / f"{number}.png")
    files = Folder(path=str(tmp_path / "files"))()
    assert (data.images[np.argsort(data.labels, kind="stable")] == files.images).all()
    assert data.said == ("Of images of 130 by 100 pixels the centred square was resized to 32 (data.source.size).",)
    assert Npz(path=str(tmp_path / "a.npz"), size=16)().images.shape == (4, 3, 16, 16)
    assert npz(tmp_path, x=X, y=Y)().images.shape == X.shape, "square ones of 8 to 96 stay"
    assert npz(tmp_path, x_train=X, y_train=Y, x_test=X[:, :, :9], y_test=Y)().images.shape == (60, 3, 32, 32)


def test_transparent_arrays_lie_over_white(tmp_path: Path) -> None:
    clear = np.concatenate([X, np.zeros_like(X[:, :1])], 1)
    data = npz(tmp_path, x=clear, y=Y)()
    assert (data.images == 255).all() and data.said[0] == "Transparency was laid over white."


@pytest.mark.parametrize("mask", [np.uint8, np.int64, bool, np.float32])
def test_arrays_of_0_and_1_are_black_and_white(tmp_path: Path, mask: type) -> None:
    binary = (X > 100).astype(mask)
    data = npz(tmp_path, x=binary, y=Y)()
    assert (data.images == 255 * (X > 100)).all()
    assert bool(data.said) == (mask in (np.uint8, np.int64))


def test_dark_arrays_are_warned_of_and_those_divided_twice_are_mended(tmp_path: Path) -> None:
    assert "lie between 0 and 15 of 255, nearly black" in npz(tmp_path, x=X // 16 % 16, y=Y)().said[0]
    data = npz(tmp_path, x=X / 255 / 255, y=Y)()
    assert (data.images == X).all() and "divided by 255 twice" in data.said[0]


def test_a_test_array_is_scaled_as_the_training_array_is(tmp_path: Path) -> None:
    data = npz(tmp_path, x_train=X.astype(np.uint16) * 257, y_train=Y, x_test=X.astype(np.uint16), y_test=Y)()
    assert (data.images[data.part == TEST] <= 1).all(), "its own values alone would pass for 8 bits"


# What the terminal says


def test_the_terminal_reports_before_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(tmp_path / "in", {f"{name}/{n}.png": n + 30 * (name == "b") for name in "ab" for n in range(12)})
    lay(tmp_path / "in", {"a/Thumbs.db": "x", "b/0.png": "broken", "a/twin.png": 31})
    path, runs = f"data.source.path={tmp_path / 'in'}", ["--runs", str(tmp_path / "runs")]
    small = [
        "data.source.size=8",
        "phases.0.until=1",
        "phases.1.until=2",
        "net.width=4",
        "schedule.warmup=0",
        "evaluations=[]",
        path,
    ]
    command = ["train", "your-images", *(f"--set={setting}" for setting in small), *runs]
    for _ in range(2):  # the second run finds the images cached
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "Found 25 images in ./ (a 13, b 12)."
        assert any(line.startswith("Left out, hidden or made by the system: 1") for line in lines)
        assert any(line.startswith("Left out, cannot be read as an image: 1 file, namely b/0.png") for line in lines)
        assert any(line.startswith("2 images of 1 content stand under two labels") for line in lines)
