"""Factors of a run on a folder of images come back to whoever decodes these files: by path, by bytes, by pixels."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from dpls import read_factors
from dpls.cli.main import main
from dpls.errors import UserError
from dpls.runs.directory import Run
from tests.test_run import finish

SIZE = 12


def photograph(seed: int) -> Image.Image:
    """Smooth and larger than wanted, so that every way to make it smaller gives other pixels."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((40 + seed % 9, 56), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 64 files in two classes: PNG, JPEG, one turned by its EXIF."""
    root = tmp_path_factory.mktemp("images")
    for number in range(64):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(exist_ok=True)
        turned = Image.Exif()
        turned[0x0112] = 6
        if number % 3:
            photograph(number).save(folder / f"{number:02d}.png")
        else:
            photograph(number).save(folder / f"{number:02d}.jpg", exif=turned if number == 9 else Image.Exif())
    return root


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    source = f'data.source={{"kind": "folder", "path": "{images}", "size": {SIZE}}}'
    short = 'phases=[{"until": 3}, {"until": 4, "factors": {"kind": "dpls"}}]'
    quick = ("objective.kind=standard", "selection.by=clean", "evaluations=[]", "schedule.decays=[]", short)
    return finish(tmp_path_factory.mktemp("by file") / "runs", source, "data.probes=[]", *quick)


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("factors") / "factors.parquet"
    assert main(["export", run.id, "--runs", str(run.path.parent), "--factors", "--to", str(file)]) == 0
    return file


def training(run: Run) -> pd.DataFrame:
    return run.examples().query("split == 'train'")


def decoded(file: Path, resampling: Image.Resampling) -> np.ndarray:
    """uint8 (3, SIZE, SIZE), as README says: draft, turn, crop the centred square and resize it in one step."""
    with Image.open(file) as image:
        image.draft(None, (2 * SIZE, 2 * SIZE))
        image = ImageOps.exif_transpose(image).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    small = image.resize((SIZE, SIZE), resampling, box=(left, top, left + side, top + side))
    return np.asarray(small).transpose(2, 0, 1)


def test_the_file_names_paths_and_bytes(exported: Path) -> None:
    table = pd.read_parquet(exported)
    assert list(table) == ["id", "hash", "path", "file_hash", "difficulty", "factor"]
    assert table["file_hash"].str.fullmatch("[0-9a-f]{16}").all()


def test_the_resampling_is_the_one_that_readme_names(run: Run, images: Path, exported: Path) -> None:
    table = training(run)
    same = np.stack([decoded(images / path, Image.Resampling.LANCZOS) for path in table["path"]])
    np.testing.assert_array_equal(read_factors(exported, same), table["factor"])
    other = np.stack([decoded(images / path, Image.Resampling.BILINEAR) for path in table["path"]])
    count = len(table)
    with pytest.raises(UserError, match=rf"^{count} of {count} images are not in .* give files=, their paths$"):
        read_factors(exported, other)
    files = [images / path for path in table["path"]]
    np.testing.assert_array_equal(read_factors(exported, other, files), table["factor"])


@pytest.mark.parametrize("how", ["whole", "relative", "in another folder", "without endings"])
def test_found_by_path_however_the_folder_is_called(
    run: Run, images: Path, exported: Path, how: str, tmp_path: Path
) -> None:
    table = training(run).sample(frac=1, random_state=0)
    paths = {
        "whole": [images / path for path in table["path"]],
        "relative": table["path"].tolist(),
        "in another folder": [f"D:\\mine\\{path}".replace("/", "\\") for path in table["path"]],
        "without endings": [path.rpartition(".")[0] for path in table["path"]],
    }[how]
    np.testing.assert_array_equal(read_factors(exported, files=paths), table["factor"])


def test_found_by_bytes_where_files_were_renamed(run: Run, images: Path, exported: Path, tmp_path: Path) -> None:
    table = training(run)
    renamed = [tmp_path / f"{number}.bin" for number in range(len(table))]
    for file, path in zip(renamed, table["path"], strict=True):
        shutil.copy(images / path, file)
    np.testing.assert_array_equal(read_factors(exported, files=renamed), table["factor"])


def made(tmp_path: Path, **columns: list) -> Path:
    file = tmp_path / "factors.csv"
    pd.DataFrame(columns).to_csv(file, index=False)
    return file


def test_what_is_ambiguous_missing_or_contradicts_is_counted_in_one_sentence(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
        hashes.append(hashlib.sha256(name.encode()).hexdigest()[:16])
    here = [tmp_path / f"{name}.png" for name in "abc"]
    several = made(tmp_path, path=["x/a.png", "y/a.png", "x/b.png", "y/b.png"], factor=[0.5, 0.6, 0.7, 1])
    with pytest.raises(UserError) as raised:
        read_factors(several, files=["a.png", "b.png", "gone.png"])
    assert str(raised.value) == (
        f"1 of 3 images are not in {str(several)!r}, the first 'gone.png'; 2 of 3 images may be several of"
        f" {str(several)!r}, with different factors, the first 'a.png': the file was made for other images, or these"
        " were renamed and changed"
    )
    torn = made(
        tmp_path, path=["a.png", "b.png", "c.png"], file_hash=[hashes[1], hashes[0], hashes[2]], factor=[1, 0.5, 1]
    )
    with pytest.raises(UserError, match=r"^2 of 3 images have the path of one image of .* and the bytes of another"):
        read_factors(torn, files=here)
    by_bytes = made(
        tmp_path, path=["p.png", "q.png", "r.png"], file_hash=[hashes[1], hashes[0], hashes[2]], factor=[1, 0.5, 0.7]
    )
    np.testing.assert_array_equal(read_factors(by_bytes, files=here), [0.5, 1, 0.7])
    with pytest.raises(UserError, match="by images=, by files=, or by both"):
        read_factors(by_bytes)
    twice = made(
        tmp_path, path=["p.png", "q.png", "r.png"], file_hash=[hashes[0], hashes[0], hashes[1]], factor=[1, 0.5, 1]
    )
    with pytest.raises(UserError, match=r"^1 of 3 images are not in .* 1 of 3 images may be several of"):
        read_factors(twice, files=here)
    alike = made(
        tmp_path, path=["p.png", "q.png", "r.png"], file_hash=[hashes[0], hashes[0], hashes[1]], factor=[0.5, 0.5, 1]
    )
    np.testing.assert_array_equal(read_factors(alike, files=here[:2]), [0.5, 1])


def test_a_file_without_paths_is_still_read_by_pixels_and_says_what_it_lacks(
    run: Run, images: Path, exported: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.parquet"
    pd.read_parquet(exported)[["id", "hash", "difficulty", "factor"]].to_parquet(old)
    table = training(run)
    same = np.stack([decoded(images / path, Image.Resampling.LANCZOS) for path in table["path"]])
    np.testing.assert_array_equal(read_factors(old, same), table["factor"])
    with pytest.raises(UserError, match="there are 1 images and 2 files"):
        read_factors(exported, same[:1], ["a.png", "b.png"])
    with pytest.raises(UserError, match="has no column 'path'; it needs path or file_hash, and factor"):
        read_factors(old, files=table["path"].tolist())


def test_bytes_of_files_that_changed_since_are_not_taken_along(run: Run, images: Path, tmp_path: Path) -> None:
    file, changed = tmp_path / "factors.parquet", images / "dog" / "00.jpg"
    before = changed.read_bytes()
    try:
        photograph(99).save(changed)
        assert main(["export", run.id, "--runs", str(run.path.parent), "--factors", "--to", str(file)]) == 0
    finally:
        changed.write_bytes(before)
    table = pd.read_parquet(file)
    assert (table["file_hash"] == "").all()
    np.testing.assert_array_equal(read_factors(file, files=table["path"].tolist()), table["factor"])
