"""Small files that claim or unpack to much: refused with both numbers, before anything is unpacked."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dpls.data import sizes
from dpls.data.own.decoding import Broken, decode
from dpls.data.own.folder import Folder
from dpls.data.own.npz import Npz
from dpls.errors import UserError
from dpls.runs.tables import read_table

MIB = 2**20


def header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """The beginning of a .npy file, which says what follows it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path: Path, **members: tuple[bytes, int]) -> Path:
    """A .npz whose members are some bytes and then so many zeros, which take a thousandth of their size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, (start, zeros) in members.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(start)
                for left in range(zeros, 0, -64 * MIB):
                    member.write(bytes(min(left, 64 * MIB)))
    return path


def lying(path: Path, size: int) -> Path:
    """A .npz with a few scores whose directory says that they unpack to so many bytes."""
    np.savez_compressed(path, score=np.arange(4.0))
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")  # in the directory, which is read first
    content[place + 24 : place + 28] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def refused(read: Callable[[], object]) -> str:
    """What it says, and that it took next to no memory."""
    tracemalloc.start()
    with pytest.raises(UserError) as error:
        read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MIB
    return str(error.value)


def test_scores_that_unpack_to_more_than_a_gibibyte_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(lambda: read_table(lying(tmp_path / "told.npz", 0x80000000)))
    assert "unpacked it has 2 GiB, and at most 1 GiB are read" in told
    monkeypatch.setattr(sizes, "MOST_SCORES", 32 * MIB)
    bomb = archive(tmp_path / "bomb.npz", score=(header((5 * MIB,)), 40 * MIB))
    assert bomb.stat().st_size < MIB
    assert "unpacked it has 40 MiB, and at most 32 MiB are read" in refused(lambda: read_table(bomb))


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("dtype", ["<f8", "<U0", "|b1"])
def test_a_header_that_claims_what_is_not_there_is_refused(tmp_path: Path, ending: str, dtype: str) -> None:
    path = tmp_path / f"claim{ending}"
    if ending == ".npy":
        path.write_bytes(header((2**43,), dtype) + bytes(64))
    else:
        archive(path, score=(header((2**43,), dtype), 64))
    said = refused(lambda: read_table(path))
    assert f"claims {64 if dtype == '<f8' else 8} TiB" in said and "bytes" in said


def test_a_shape_below_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(header((-4,)) + bytes(64))
    assert "claims the shape (-4,)" in refused(lambda: read_table(tmp_path / "a.npy"))


def test_arrays_of_ones_own_are_looked_at_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = archive(
        tmp_path / "claim.npz", x_train=(header((2**30, 64, 64), "|u1"), 64), y_train=(header((2**30,)), 64)
    )
    assert "the array 'x_train' claims 4 TiB" in refused(Npz(path=str(claim)).found)
    told = refused(Npz(path=str(lying(tmp_path / "told.npz", 0xFFFFFFF0))).found)
    assert "holds score and no x_train" in told, "4 GiB of images are read"
    monkeypatch.setattr("dpls.data.own.npz.MOST_ARRAYS", 2**30)
    told = refused(Npz(path=str(lying(tmp_path / "told.npz", 0xFFFFFFF0))).found)
    assert "unpacked it has 4 GiB, and at most 1 GiB are read" in told


@pytest.mark.parametrize("damage", ["compression", "encryption", "no header"])
def test_archives_that_nobody_can_unpack_are_a_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x_train=np.zeros((4, 8, 8), np.uint8), y_train=np.arange(4) % 2)
    content = bytearray(path.read_bytes())
    for start, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = content.index(start)
        if damage == "compression":
            content[place + method] = 77
        elif damage == "encryption":
            content[place + method - 2] |= 1
    if damage == "no header":
        content = content.replace(b"NUMPY", b"NUMBY")
    path.write_bytes(content)
    assert "cannot be read (" in refused(Npz(path=str(path)).found)
    assert "cannot be read (" in refused(lambda: read_table(path))


def test_large_tables_are_refused_by_their_size_or_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(sizes.MOST_FILE + 1)  # a file of holes
    assert "it has 256 MiB, and at most 256 MiB are read" in refused(lambda: read_table(tmp_path / "a.csv"))
    rows = pa.table({"score": pa.array(np.zeros(sizes.MOST_ROWS + 1, np.int8)).dictionary_encode()})
    pq.write_table(rows, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < MIB
    assert "it has 20,000,001 rows, and at most 20,000,000 are read" in refused(
        lambda: read_table(tmp_path / "a.parquet")
    )
    wide = pa.table({f"c{number}": pa.array(np.zeros(10**6, np.int8)) for number in range(140)})
    pq.write_table(wide, tmp_path / "wide.parquet")
    assert "unpacked it has 1.043 GiB" in refused(lambda: read_table(tmp_path / "wide.parquet"))
    bools = archive(tmp_path / "a.npz", score=(header((sizes.MOST_ROWS + 1,), "|b1"), sizes.MOST_ROWS + 1))
    assert "it has 20,000,001 rows" in refused(lambda: read_table(bools))


def large_png(path: Path, side: int) -> Path:
    """A picture of zeros whose rows are never in memory."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    pack = zlib.compressobj(1)
    rows = b"".join(pack.compress(bytes(side + 1)) for _ in range(side)) + pack.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_an_image_of_too_many_pixels_is_left_out_before_it_is_decoded(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (8, 8), 40 * number).save(tmp_path / name / f"{number}.png")
    large_png(tmp_path / "a" / "large.png", 13_000)
    tracemalloc.start()
    dataset = Folder(path=str(tmp_path), size=8)()
    assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    tracemalloc.stop()
    assert len(dataset.images) == 6
    assert "a/large.png (13,000 by 13,000 pixels; at most 50,000,000 are decoded)" in " ".join(dataset.said)


def test_a_large_jpeg_is_decoded_small(tmp_path: Path) -> None:
    Image.new("L", (9000, 6000), 80).save(tmp_path / "a.jpg")
    assert decode(tmp_path / "a.jpg", 32).image.size == (32, 32)
    Image.new("L", (9000, 6000), 80).save(tmp_path / "a.png", compress_level=1)
    with pytest.raises(Broken, match="9,000 by 6,000 pixels"):
        decode(tmp_path / "a.png", 32)


@pytest.mark.parametrize("names", [("Score", "score"), ("score ", "SCORE"), ("score", "score")])
def test_columns_that_differ_in_nothing_but_capitals_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    (tmp_path / "a.csv").write_text(f"id,{names[0]},{names[1]}\n0,1,2\n1,2,3\n")
    with pytest.raises(UserError, match="two columns are called '") as error:
        read_table(tmp_path / "a.csv")
    assert ("differ in nothing but capitals or spaces" in str(error.value)) == (names[0] != names[1])
    if names[0] != names[1]:
        pd.DataFrame({names[0]: [1.0], names[1]: [2.0]}).to_parquet(tmp_path / "a.parquet")
        np.savez(tmp_path / "a.npz", **{name: np.arange(3) for name in names})
        for ending in ("parquet", "npz"):
            with pytest.raises(UserError, match="differ in nothing but capitals"):
                read_table(tmp_path / f"a.{ending}")
