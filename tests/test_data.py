"""Sources and the split: real images, small."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from dpls.component import members
from dpls.data import PARTS, TEST, TRAIN, VALIDATION, Data, Digits, Folder, Npz, Photos, Source, apportion
from dpls.data.own.decoding import decode
from dpls.data.photos import PHOTOS, tiles
from dpls.errors import UserError

SMALL = Photos(train=60, validation=20, test=30)


def one_sentence(text: str) -> bool:
    return "\n" not in text and not re.search(r"[.!?] [A-Z]", text)


def save_patches(folder: Path, count: int, suffix: str, mode: str = "RGB", size: int = 64, seed: int = 0) -> None:
    """Real patches of a photograph as image files, some wider, some taller than they should be."""
    folder.mkdir(parents=True, exist_ok=True)
    images = Photos(train=max(10, count), validation=10, test=10, size=size, seed=seed)().images[:count]
    for i, image in enumerate(images):
        shape = (size + 7 * (i % 3), size + 5 * (i % 2))
        Image.fromarray(image.transpose(1, 2, 0)).convert(mode).resize(shape).save(folder / f"{i:03}{suffix}")


# Photographs


def test_no_pixel_of_a_photograph_is_seen_by_two_parts() -> None:
    source = Photos(train=3000, validation=3000, test=3000, seed=3)
    seen = [np.zeros((len(PARTS), 1500, 1500), dtype=bool) for _ in PHOTOS]
    for part in range(len(PARTS)):
        for label, left, top, right, bottom in source.patches(part):
            seen[label][part, top:bottom, left:right] = True
    for photo, mask in zip(PHOTOS, seen, strict=True):
        assert mask.sum(axis=0).max() == 1
        left, top, right, bottom = photo.frame
        assert mask.any(axis=0).sum() == mask.any(axis=0)[top:bottom, left:right].sum()


def test_parts_take_four_one_and_two_tiles_of_seven() -> None:
    counts = np.array([[len(tiles(photo, part)) for part in range(3)] for photo in PHOTOS])
    assert counts.min() >= 3
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), [[4 / 7, 1 / 7, 2 / 7]] * 10, atol=0.06)


def test_more_patches_extend_fewer() -> None:
    few, many = SMALL(), Photos(train=100, validation=40, test=50)()
    for part in range(3):
        a, b = few.ids(part), many.ids(part)[: len(few.ids(part))]
        assert (few.images[a] == many.images[b]).all() and (few.labels[a] == many.labels[b]).all()


def test_patches_are_balanced_and_follow_the_seed() -> None:
    data = SMALL()
    assert (np.bincount(data.labels[data.part == TRAIN]) == 6).all()
    assert (data.images == SMALL().images).all()
    assert (data.images != Photos(train=60, validation=20, test=30, seed=1)().images).any(axis=(1, 2, 3)).mean() > 0.9


def test_every_photograph_says_whom_to_thank() -> None:
    assert len(PHOTOS) == len({photo.name for photo in PHOTOS}) == 10
    assert all(photo.author and photo.licence for photo in PHOTOS)


# Digits


def test_digits_span_the_range_of_pixels() -> None:
    data = Digits()()
    assert data.images.shape == (1797, 1, 8, 8) and data.images.dtype == np.uint8
    assert len(np.unique(data.images)) == 17 and data.images.min() == 0 and data.images.max() == 255


def test_a_source_of_one_part_is_split_by_class(tmp_path: Path) -> None:
    data, _ = Data(source=Digits(), test=0.2, validation="1/8")(tmp_path)
    counts = [len(data.ids(part)) for part in range(3)]
    assert counts[TEST] == round(0.2 * 1797) and counts[VALIDATION] == round((1797 - counts[TEST]) / 8)
    shares = np.bincount(data.labels[data.part == TEST]) / np.bincount(data.labels)
    np.testing.assert_allclose(shares, 0.2, atol=0.01)


def test_the_split_follows_its_seed(tmp_path: Path) -> None:
    parts = [Data(source=Digits(), seed=seed)(tmp_path)[0].part for seed in (0, 0, 1)]
    assert (parts[0] == parts[1]).all() and (parts[0] != parts[2]).any()


# Limits


def test_a_limit_keeps_order_balance_and_the_other_parts(tmp_path: Path) -> None:
    whole, _ = Data(source=SMALL)(tmp_path)
    cut, _ = Data(source=SMALL, limit=20, test_limit=10)(tmp_path)
    assert (np.bincount(cut.labels[cut.part == TRAIN]) == 2).all()
    assert (np.bincount(cut.labels[cut.part == TEST]) == 1).all()
    assert (cut.images[cut.ids(VALIDATION)] == whole.images[whole.ids(VALIDATION)]).all()
    rows = [next(i for i in range(len(whole.images)) if (whole.images[i] == image).all()) for image in cut.images]
    assert rows == sorted(rows)


def test_a_limit_above_what_there_is_changes_nothing(tmp_path: Path) -> None:
    assert Data(source=SMALL)(tmp_path)[1] == Data(source=SMALL, limit=10_000)(tmp_path)[1]


def test_a_class_that_vanishes_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is left for train") as caught:
        Data(source=SMALL, limit=5)(tmp_path)
    assert one_sentence(str(caught.value))


@given(st.lists(st.integers(1, 50), min_size=2, max_size=12), st.floats(0, 1))
def test_apportion_is_exact_bounded_and_leaves_no_class_out(sizes: list[int], share: float) -> None:
    total = max(len(sizes), round(share * sum(sizes)))
    counts = apportion(sizes, total)
    assert counts.sum() == total and (counts >= 1).all() and (counts <= sizes).all()
    exact = np.array(sizes) * total / sum(sizes)
    if exact.min() >= 1:
        assert (np.abs(counts - exact) < 1 + 1e-9).all()


# Folders


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Three unbalanced classes of 64-128 px: colour PNG, grey PNG and colour JPEG, with files to be left out."""
    root = tmp_path / "mixed"
    save_patches(root / "train" / "b", 12, ".png", size=64)
    save_patches(root / "train" / "a", 20, ".JPG", size=96)
    save_patches(root / "train" / "c", 9, ".png", mode="L", size=96, seed=1)
    for name in "abc":
        save_patches(root / "val" / name, 3, ".jpeg", size=80, seed=2)
    (root / "train" / "a" / "notes.txt").write_text("not an image")
    (root / "train" / "a" / ".hidden.png").write_text("not an image")
    (root / "train" / ".hidden").mkdir()
    return root


def test_a_mixed_folder(mixed: Path, tmp_path: Path) -> None:
    data, _ = Data(source=Folder(path=str(mixed)))(tmp_path / "cache")
    assert data.classes == ("a", "b", "c") and data.images.shape == (50, 3, 32, 32)
    assert np.bincount(data.labels[data.part != VALIDATION]).tolist() == [20, 12, 9]
    assert len(data.ids(VALIDATION)) == 9 and len(data.ids(TEST)) == round(0.2 * 41)
    grey = data.images[(data.labels == 2) & (data.part != VALIDATION)]
    assert (grey[:, 0] == grey[:, 1]).all() and (grey[:, 1] == grey[:, 2]).all()


def test_decoding_in_threads_keeps_the_order(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpls.data.own.gathering.SMALL_FILE", 0)
    monkeypatch.setattr("dpls.data.own.gathering.CHUNK", 4)
    data = Folder(path=str(mixed), size=24)()
    paths = [path for name in "abc" for path in sorted((mixed / "train" / name).glob("0*"))]
    for image, path in zip(data.images, paths, strict=False):
        assert (image == np.asarray(decode(path, 24).image.convert("RGB")).transpose(2, 0, 1)).all()


def test_a_grey_folder_has_one_channel(tmp_path: Path) -> None:
    for name in "ab":
        save_patches(tmp_path / "train" / name, 5, ".png", mode="L")
    assert Folder(path=str(tmp_path))().images.shape == (10, 1, 32, 32)
    assert Folder(path=str(tmp_path), channels=3)().images.shape == (10, 3, 32, 32)


def test_colour_can_be_made_grey(mixed: Path) -> None:
    assert Folder(path=str(mixed), channels=1)().images.shape == (50, 1, 32, 32)


def test_the_short_side_is_resized_and_the_centre_kept(tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:, 40:80] = (10, 200, 30)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    centre = np.asarray(decode(tmp_path / "wide.png", 16).image)
    assert (centre[:, 3:-3] == (10, 200, 30)).all() and (centre[:, [0, -1]] > (5, 150, 15)).all()


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same(tmp_path: Path) -> None:
    photo = Image.fromarray(Photos(train=10, validation=10, test=10, size=96)().images[0].transpose(1, 2, 0)).resize(
        (512, 600)
    )
    photo.save(tmp_path / "large.jpg", quality=95)
    photo.save(tmp_path / "large.png")
    jpeg, png = (np.asarray(decode(tmp_path / f"large.{end}", 32).image).astype(float) for end in ("jpg", "png"))
    assert np.abs(jpeg - png).mean() < 2


def test_sixteen_bits_transparency_palettes_and_rotation(tmp_path: Path) -> None:
    ramp = (np.arange(1024, dtype=np.uint16) * 64).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert (np.asarray(decode(tmp_path / "deep.png", 32).image) == np.rint(ramp / 257)).all()
    Image.new("RGBA", (32, 32), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (np.asarray(decode(tmp_path / "clear.png", 32).image) == 255).all()
    Image.new("RGB", (32, 32), (9, 8, 7)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert (np.asarray(decode(tmp_path / "palette.png", 32).image) == (9, 8, 7)).all()
    halves = np.zeros((32, 32), dtype=np.uint8)
    halves[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise: the bright upper half becomes the right half
    Image.fromarray(halves).save(tmp_path / "turned.jpg", exif=exif)
    turned = np.asarray(decode(tmp_path / "turned.jpg", 32).image)
    assert turned[:, 20:].min() > 200 and turned[:, :12].max() < 50


def _no_folder(root: Path) -> None:
    root.rmdir()


def _no_train(root: Path) -> None:
    save_patches(root / "cats", 1, ".png")


def _one_class(root: Path) -> None:
    save_patches(root / "train" / "a", 2, ".png")


def _empty_class(root: Path) -> None:
    _one_class(root)
    (root / "train" / "b").mkdir()


def _unknown_class(root: Path) -> None:
    for name in ("train/a", "train/b", "test/z"):
        save_patches(root / name, 2, ".png")


def _two_validations(root: Path) -> None:
    for name in ("train/a", "train/b", "val/a", "validation/a"):
        save_patches(root / name, 2, ".png")


def _corrupt(root: Path) -> None:
    for name in "ab":
        save_patches(root / "train" / name, 2, ".png")
    for path in sorted(root.rglob("*.png"))[1:]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_folder, "there is no folder"),
        (_no_train, "1 class folder"),
        (_one_class, "1 class folder"),
        (_empty_class, "1 class folder"),
        (_unknown_class, "class 'z' that train/ does not"),
        (_two_validations, "both val/ and validation/"),
        (_corrupt, "3 of 4 files"),
    ],
)
def test_a_bad_folder_is_explained_in_one_sentence(tmp_path: Path, spoil, words: str) -> None:
    root = tmp_path / "images"
    root.mkdir()
    spoil(root)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        Data(source=Folder(path=str(root)))(tmp_path / "cache")
    assert one_sentence(str(caught.value))


# Arrays


def arrays() -> dict[str, np.ndarray]:
    data = SMALL()
    train, test = data.ids(TRAIN), data.ids(TEST)
    return {
        "x_train": data.images[train],
        "y_train": data.labels[train],
        "x_test": data.images[test],
        "y_test": data.labels[test],
    }


def npz(path: Path, **content: np.ndarray) -> Npz:
    np.savez(path, **content)
    return Npz(path=str(path))


def test_the_layouts_of_arrays_agree(tmp_path: Path) -> None:
    a = arrays()
    last = {k: v.transpose(0, 2, 3, 1) if k[0] == "x" else v for k, v in a.items()}
    floats = {k: (v / 255).astype(np.float32) if k[0] == "x" else v for k, v in a.items()}
    found = [npz(tmp_path / f"{i}.npz", **content)() for i, content in enumerate((a, last, floats))]
    assert all((d.images == found[0].images).all() for d in found[1:])
    assert len(found[0].ids(TRAIN)) == 60 and len(found[0].ids(VALIDATION)) == 0 and len(found[0].ids(TEST)) == 30


def test_flat_images_and_class_names(tmp_path: Path) -> None:
    a = arrays()
    flat = {k: v[:, 0] if k[0] == "x" else v for k, v in a.items()}
    data = npz(tmp_path / "flat.npz", **flat, classes=np.array(list("abcdefghij")))()
    assert data.images.shape == (90, 1, 32, 32) and data.classes == tuple("abcdefghij")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y_train": None}, "no y_train"),
        ({"x_train": np.zeros((60, 5, 32, 32), np.uint8)}, "has shape"),
        ({"x_train": np.full((60, 3, 32, 32), 256, np.int64)}, "int64 values from 0 to 256; scale them"),
        ({"x_train": np.full((60, 3, 32, 32), "a")}, "has type"),
        ({"x_train": np.full((60, 3, 32, 32), 2.0)}, "scale them"),
        ({"x_train": np.full((60, 3, 32, 32), np.nan)}, "scale them"),
        ({"y_train": np.zeros(59, np.int64)}, "one label for each"),
        ({"y_train": np.full(60, 0.5)}, "labels are integers"),
        ({"y_train": np.full(60, -1)}, "the label -1"),
        ({"y_train": np.arange(60) % 3 * 2}, "the label 9, which y_train does not"),
        ({"y_train": np.zeros(60, np.int64)}, "1 class"),
        ({"y_train": np.ones((60, 10), np.int64)}, "one-hot rows with a single 1"),
        ({"y_test": np.full(30, 12)}, "the label 12"),
        ({"classes": np.array(list("abc"))}, "the label 9, but the 3 classes are a, b, c"),
        ({"train_labels": np.zeros(60)}, "both y_train and train_labels"),
    ],
)
def test_bad_arrays_are_explained_in_one_sentence(tmp_path: Path, change: dict, words: str) -> None:
    content = {k: v for k, v in {**arrays(), **change}.items() if v is not None}
    with pytest.raises(UserError, match=words) as caught:
        npz(tmp_path / "bad.npz", **content)()
    assert one_sentence(str(caught.value))


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.npz"
    with pytest.raises(UserError, match="there is no file"):
        Npz(path=str(path)).stamp()
    path.write_text("hello")
    with pytest.raises(UserError, match="cannot be read"):
        Npz(path=str(path))()
    np.savez(path, x_train=np.zeros((1, 8, 8)), y_train=np.array(["a"], dtype=object))
    with pytest.raises(UserError, match="Python objects"):
        Npz(path=str(path))()


# Settings


def test_settings_survive_json() -> None:
    data = Data(source={"kind": "photos", "train": 50}, probes=[{"kind": "flip", "share": "1/10"}], limit=20)
    assert Data.model_validate_json(data.model_dump_json()) == data
    assert data.probes[0].share == 0.1
    with pytest.raises(ValidationError, match="photos"):
        Data(source={"kind": "imagenet"})


def test_every_field_of_a_source_is_described() -> None:
    for model in (Data, *members(Source)):
        assert all(field.description for name, field in model.model_fields.items() if name != "kind")


def test_a_file_added_to_a_folder_is_noticed(mixed: Path) -> None:
    before = Folder(path=str(mixed)).stamp()
    assert Folder(path=str(mixed)).stamp() == before
    os.utime(mixed / "train" / "a" / "000.JPG", ns=(1, 1))
    assert Folder(path=str(mixed)).stamp() != before


def test_one_configuration_sees_files_that_change(mixed: Path, tmp_path: Path) -> None:
    """Trap: a listing that outlives its look stores new pixels under an old stamp."""
    data, root = Data(source=Folder(path=str(mixed))), tmp_path / "cache"
    _, fingerprint = data(root)
    victim = next(path for path in sorted((mixed / "train" / "b").glob("[!.]*.png")) if path.stat().st_size)
    kept, times = victim.read_bytes(), victim.stat()
    Image.new("RGB", (40, 40), "red").save(victim)
    _, changed = data(root)
    assert changed != fingerprint
    victim.write_bytes(kept)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert data(root)[1] == fingerprint
    assert Data(source=Folder(path=str(mixed)))(root)[1] == fingerprint
