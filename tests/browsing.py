"""The app in headless Chromium, for tests: a server of its own, a page, and when the page is whole."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dpls.experiments.stored import Stored
from tests.conftest import Hold
from tests.made_runs import make_run

ROOT = Path(__file__).parent.parent
SLOW = 30_000  # milliseconds: machines that test are busy
expect.set_options(timeout=SLOW)
PROBING = re.compile(r"/_stcore/(health|host-config)$")
"""Streamlit's page looks for its server below a deep link first; the browser logs these two misses."""


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


class Server:
    """The app on a port of its own, with folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.hold = Hold(folder / "hold")
        self.environment = {
            **os.environ,
            **self.hold.variables,
            "DPLS_RUNS": str(folder / "runs"),
            "DPLS_DATA": str(folder / "data"),
            "DPLS_SLOTS": str(folder / "slots"),
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "dpls", "app", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the app never became healthy")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it waits for a page that is still open
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium was found; install one to run the browser tests")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("app"))
    make_run(found.runs, number=7, label="made", train=300)
    yield found
    found.stop()


class Talk:
    """Whether the app has answered what a page said last; nothing on the page shows that at once."""

    def __init__(self) -> None:
        self.begun = self.answered = False

    def listen(self, line: WebSocket) -> None:
        self.begun = self.answered = False
        line.on("framesent", self._said)
        line.on("framereceived", self._heard)

    def _said(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes) and BackMsg.FromString(frame).HasField("rerun_script"):
            self.begun = self.answered = False

    def _heard(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            message = ForwardMsg.FromString(frame)
            ended = message.HasField("script_finished")
            self.begun |= message.HasField("new_session")
            self.answered |= self.begun and ended and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(SLOW)
    opened = context.new_page()
    opened.talk = Talk()  # type: ignore[attr-defined]
    opened.on("websocket", opened.talk.listen)  # type: ignore[attr-defined]
    opened.troubles = []  # type: ignore[attr-defined]
    opened.on("pageerror", lambda e: opened.troubles.append(str(e)))  # type: ignore[attr-defined]
    opened.on(
        "console",
        lambda m: (
            opened.troubles.append(f"{m.text} {m.location['url']}")  # type: ignore[attr-defined]
            if m.type == "error" and not PROBING.search(m.location["url"])
            else None
        ),
    )
    yield opened
    if "server" in request.fixturenames:  # a test that fails holds up no run of the next
        request.getfixturevalue("server").hold.let_go()
    assert not opened.troubles, opened.troubles  # type: ignore[attr-defined]
    context.close()


def wait_for(what: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def finished(stored: Stored) -> None:
    """However long it takes, as long as it gets on."""

    def reached() -> list[tuple[str, int]]:
        return [(run.state(), len(run.metrics())) for run in stored.runs().values()]

    while stored.states()["done"] < stored.states().total():
        before = reached()
        wait_for(lambda known=before: reached() != known or stored.states()["done"] == stored.states().total())


def drawn(page: Page) -> None:
    """Until the script has ended and the pictures are decoded."""
    expect(page.locator("h1")).to_be_visible()
    wait_for(lambda: page.evaluate("true") and page.talk.answered)  # type: ignore[attr-defined]
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
