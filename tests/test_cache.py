"""The image cache: built once, found by content, whole or absent."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dpls.data import Data, Digits, Photos
from dpls.data.cache import fingerprint_of, image_hashes, open_dataset, open_hashes
from dpls.data.probes import Flip, Rare
from dpls.errors import UserError

SOURCE = Photos(train=30, validation=10, test=10)
DATA = Data(source=SOURCE)


def forbid(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError(f"{method} was called")

    monkeypatch.setattr(Photos, method, refuse)


def test_a_second_load_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, fingerprint = DATA(tmp_path)
    forbid(monkeypatch, "__call__")
    second, again = DATA(tmp_path)
    assert fingerprint == again and (first.images == second.images).all()


def test_other_settings_share_the_decoded_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DATA(tmp_path)
    forbid(monkeypatch, "__call__")
    _, fingerprint = Data(source=SOURCE, probes=(Flip(),), limit=20)(tmp_path)
    assert fingerprint != DATA(tmp_path)[1]


def test_equal_content_has_one_fingerprint(tmp_path: Path) -> None:
    first, fingerprint = DATA(tmp_path / "a")
    assert fingerprint == Data(source=SOURCE, seed=5)(tmp_path / "b")[1] == fingerprint_of(first)
    assert len(fingerprint) >= 16 and int(fingerprint, 16)


@pytest.mark.parametrize("probe", [Flip(), Rare()], ids=lambda p: p.kind)
def test_any_change_of_content_changes_the_fingerprint(tmp_path: Path, probe: Flip | Rare) -> None:
    assert Data(source=SOURCE, probes=(probe,))(tmp_path)[1] != DATA(tmp_path)[1]


def test_images_are_linked_where_nothing_was_planted_or_left_out(tmp_path: Path) -> None:
    def shared(data: Data) -> bool:
        images = tmp_path / data(tmp_path)[1] / "images.npy"
        return any(images.samefile(path) for path in (tmp_path / "sources").glob("*/images.npy"))

    assert shared(DATA) and shared(Data(source=Digits()))
    assert not shared(Data(source=SOURCE, probes=(Rare(),))) and not shared(Data(source=SOURCE, limit=20))


def test_an_opened_data_set_is_read_only_and_complete(tmp_path: Path) -> None:
    built, fingerprint = Data(source=SOURCE, probes=(Flip(share=0.2),))(tmp_path)
    opened = open_dataset(tmp_path, fingerprint)
    assert isinstance(opened.images, np.memmap) and not opened.images.flags.writeable
    assert opened.classes == built.classes and (opened.cause == "flip").sum() == 6
    assert ((opened.labels != opened.true_labels) == (opened.cause == "flip")).all()
    meta = json.loads((tmp_path / fingerprint / "meta.json").read_text())
    assert meta["counts"] == {"train": 30, "validation": 10, "test": 10}
    assert Data(**meta["data"])(tmp_path)[1] == fingerprint


def test_hashes_name_the_content_of_an_image(tmp_path: Path) -> None:
    data, fingerprint = DATA(tmp_path)
    hashes = open_hashes(tmp_path, fingerprint)
    assert hashes.dtype == "S16" and len(set(hashes.tolist())) == len(data.images)
    assert hashes[3] == hashlib.sha256(b"3x32x32" + data.images[3].tobytes()).hexdigest()[:16].encode()
    assert image_hashes(np.zeros((1, 1, 8, 32), np.uint8)) != image_hashes(np.zeros((1, 1, 16, 16), np.uint8))


def test_a_missing_data_set_says_how_to_bring_it_back(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0123456789abcdef0123 are not in .* same data settings"):
        open_dataset(tmp_path, "0123456789abcdef0123")


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "hashes.npy", "meta.json"])
@pytest.mark.parametrize("torn", [False, True])
def test_a_damaged_data_set_is_named_and_repaired_by_building(tmp_path: Path, name: str, torn: bool) -> None:
    before, fingerprint = DATA(tmp_path)
    images = np.array(before.images)
    broken = tmp_path / fingerprint / name
    content = broken.read_bytes()
    broken.unlink()  # and not truncated: the images are linked to the source's
    if torn:
        broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"is damaged .* delete it"):
        open_dataset(tmp_path, fingerprint)
    after, again = DATA(tmp_path)
    assert again == fingerprint and (after.images == images).all()


def test_a_data_set_that_was_deleted_is_built_again(tmp_path: Path) -> None:
    _, fingerprint = DATA(tmp_path)
    (tmp_path / fingerprint).rename(tmp_path.parent / f"{tmp_path.name}-gone")
    assert DATA(tmp_path)[1] == fingerprint and open_dataset(tmp_path, fingerprint)


def test_builders_may_race_and_leave_nothing_aside(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: DATA(tmp_path), range(4)))
    assert len({fingerprint for _, fingerprint in built}) == 1
    assert (built[0][0].images == built[3][0].images).all()
    assert not list(tmp_path.rglob(".*"))


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        forbid(patch, "__call__")
        with pytest.raises(AssertionError):
            DATA(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name != "sources"]


def test_no_torch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dpls.data import Data, Photos, Digits;"
        "Data(source=Photos(train=10, validation=10, test=10))(Path(sys.argv[1]));"
        "assert not {'torch', 'sklearn', 'skimage', 'scipy'} & set(sys.modules);"
        "Data(source=Digits())(Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
