"""What others can put where this app looks: paths for fingerprints, links, open folders, runs from the future."""

import asyncio
import getpass
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from streamlit import config
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_routes import create_upload_routes

from dpls.cli.main import main
from dpls.data import cache
from dpls.data.own.folder import Folder
from dpls.errors import UserError
from dpls.jobs import slots
from dpls.runs import scores
from dpls.runs.directory import Run
from dpls.runs.files import write_json
from dpls.runs.folder import find_run
from tests.made_runs import make_run

ROOT = Path(__file__).parent.parent


# A fingerprint becomes a path


@pytest.mark.parametrize("kind", ["absolute", "up", "a number", "null", "too long", "capitals"])
def test_scores_never_leave_the_folder_of_runs(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    run = make_run(runs, train=20, others=10)
    fingerprint = {
        "absolute": str(tmp_path / "elsewhere"),
        "up": "../../elsewhere",
        "a number": 7,
        "null": None,
        "too long": "a" * 21,
        "capitals": "A" * 20,
    }[kind]
    write_json(run.config_file, run.config() | {"fingerprint": fingerprint})
    np.savez(tmp_path / "mine.npz", id=np.arange(20), score=np.arange(20.0))
    before = sorted(tmp_path.rglob("*"))
    assert main(["scores", run.id, str(tmp_path / "mine.npz"), "--runs", str(runs)]) == 2
    assert "config.json is damaged (fingerprint cannot be " in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("fingerprint", ["/etc", "..", "", None, 3, "0" * 19])
def test_every_path_with_a_fingerprint_is_checked(fingerprint: Any, tmp_path: Path) -> None:
    for use in (cache.open_dataset, cache.open_hashes, scores.names):
        with pytest.raises(UserError, match="is no fingerprint of images"):
            use(tmp_path, fingerprint)
    with pytest.raises(UserError, match="is no fingerprint of images"):
        scores.file_of(tmp_path, fingerprint, "mine")
    assert cache.said(tmp_path, fingerprint) == ()


# The folder of slots


@pytest.mark.parametrize(
    ("planted", "expected"),
    [("link", "is a link or a file"), ("nowhere", "is a link or a file"), ("file", "is a link or a file"), ("open", "chmod 700")],
)  # fmt: skip
def test_a_planted_folder_of_slots_is_refused(
    planted: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, victim = tmp_path / "slots", tmp_path / "victim"
    victim.mkdir()
    if planted in ("link", "nowhere"):
        folder.symlink_to(victim if planted == "link" else tmp_path / "gone")
    elif planted == "file":
        folder.write_text("")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    monkeypatch.setenv("DPLS_SLOTS", str(folder))
    with pytest.raises(UserError, match=expected) as error, slots.slot("cpu", "2026-01-01_000000_0000"):
        pass
    assert "DPLS_SLOTS" in str(error.value)
    assert not list(victim.iterdir()) and not (tmp_path / "gone").exists()


def test_a_folder_of_slots_that_a_group_shares_is_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots").chmod(0o775)
    monkeypatch.setenv("DPLS_SLOTS", str(tmp_path / "slots"))
    assert slots.busy() == []


def test_a_user_without_a_name_has_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ``docker run --user 54321``."""

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("DPLS_SLOTS", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    with slots.slot("cpu", "2026-01-01_000000_0000"):
        assert slots.busy() == ["cpu"]
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"dpls-slots-{os.getuid()}" and folder.stat().st_mode & 0o777 == 0o700


# A clock that went wrong


def test_latest_passes_over_runs_from_the_future(tmp_path: Path) -> None:
    def named(run: Run, ident: str) -> str:
        run.path.rename(run.path.with_name(ident))
        return ident

    future = [named(make_run(tmp_path, train=20, others=10), f"{year}-01-01_000000_0000") for year in (2131, 2132)]
    assert find_run(tmp_path, "latest").id == future[-1], "there is no other"
    made = make_run(tmp_path, train=20, others=10, number=2)
    assert find_run(tmp_path, "latest").id == made.id
    assert find_run(tmp_path, "2131").id == future[0]


# Links in a folder of images


def picture(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), level).save(path)


def test_links_that_leave_the_folder_are_followed_counted_and_said(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for number in range(2):
        picture(inside / "a" / f"{number}.png", 10 + number)
        picture(outside / "b" / f"{number}.png", 90 + number)
    picture(outside / "loose.png", 200)
    (inside / "b").symlink_to(outside / "b")
    (inside / "a" / "far.png").symlink_to(outside / "loose.png")
    (inside / "a" / "near.png").symlink_to(inside / "a" / "0.png")
    (inside / "a" / "whole").symlink_to(tmp_path)
    source = Folder(path=str(inside), size=8)
    said = " ".join(source.found().lines())
    assert "Links that lead out of the folder, 2, were followed: a/far.png, b." in said
    assert "Left out, cannot be opened: 1, namely a/whole." in said, "it leads to a folder around this one"
    assert sorted(source().images[:, 0, 0, 0].tolist()) == [10, 10, 11, 90, 91, 200]


def test_a_folder_that_is_a_link_itself_has_no_links_that_leave_it(tmp_path: Path) -> None:
    for name in "ab":
        for number in range(2):
            picture(tmp_path / "in" / name / f"{number}.png", number)
    (tmp_path / "in" / "a" / "2.png").symlink_to("1.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert "Links" not in " ".join(Folder(path=str(tmp_path / "link"), size=8).found().lines())


# Uploads


@pytest.fixture
def _settings() -> Iterator[None]:
    names = ("server.maxUploadSize", "server.enableXsrfProtection")
    before = {name: config.get_option(name) for name in names}
    config.set_option("server.enableXsrfProtection", False)
    yield
    for name, value in before.items():
        config.set_option(name, value)


def upload(size: int) -> tuple[int, int]:
    """Sends a file to the server's address for uploads, as anybody can: the answer, and bytes that are kept."""
    kept = MemoryUploadedFileManager("/upload")
    runtime: Any = SimpleNamespace(is_active_session=lambda _: True)
    route = next(r for r in create_upload_routes(runtime, kept, "") if "PUT" in (r.methods or ()))
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.npz"\r\n\r\n'
    body = part + bytes(size) + b"\r\n--x--\r\n"

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"%d" % len(body))],
        "path_params": {"session_id": "s", "file_id": "f"},
    }
    try:
        status = asyncio.run(route.endpoint(Request(scope, receive))).status_code
    except HTTPException as refused:
        status = refused.status_code
    return status, sum(len(file.data) for files in kept.file_storage.values() for file in files.values())


@pytest.mark.usefixtures("_settings")
@pytest.mark.parametrize("read_only", [True, False])
def test_a_read_only_app_takes_and_keeps_no_upload(
    read_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "runs", train=20, others=10)
    monkeypatch.setenv("DPLS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DPLS_READONLY", "1" if read_only else "")
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("dpls.ui.frame._begin", lambda _: None)
    config.set_option("server.maxUploadSize", 50)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/difficulty.py").run()
    assert not app.exception and not app.error
    assert any(e.label == "Scores computed elsewhere" for e in app.expander) is not read_only
    assert upload(2**20) == ((413, 0) if read_only else (204, 2**20))
