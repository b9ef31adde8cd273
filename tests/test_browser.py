"""The app as a person meets it, in headless Chromium: real server, real clicks, real runs (tiny ones)."""

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
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, WebSocket, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dpls.experiments.conduct import submit_all
from dpls.experiments.stored import Stored, list_experiments
from dpls.jobs.submission import submit
from dpls.methods.labels import smoothing_factors
from dpls.runs import report
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs
from dpls.ui import manage
from tests.conftest import Hold
from tests.made_runs import make_run
from tests.test_experiments import experiment, finish_all
from tests.test_run import config, finish

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent
PAGES = {
    "": "DPLS Lab",
    "train": "Train",
    "difficulty": "Difficulty",
    "images": "Images",
    "experiments": "Experiments",
    "smoothing": "Smoothing",
}
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
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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


@pytest.fixture(autouse=True)
def _let_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails holds up no run of the next."""
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").hold.let_go()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
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
    assert not opened.troubles  # type: ignore[attr-defined]
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


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_by_deep_link_on_a_fresh_server(
    path: str, browser: Browser, page: Page, tmp_path: Path
) -> None:
    """The trap of a folder named pages: the first deep link would be drawn without its frame."""
    server = Server(tmp_path)
    try:
        page.goto(f"{server.url}/{path}")
        expect(page.locator("h1")).to_have_text(PAGES[path])
        for name in ("Overview", "Train", "Difficulty", "Images", "Experiments", "Smoothing"):
            expect(page.get_by_role("link", name=name, exact=True).first).to_be_visible()
        assert page.get_by_test_id("stAlert").count() == 0
        assert page.title() == "DPLS Lab" or PAGES[path] in page.title()
    finally:
        server.stop()


@pytest.mark.parametrize("path", PAGES)
def test_pages_stand_still_while_they_load(path: str, server: Server, page: Page) -> None:
    """Layout-shift score under 0.1, as the browser measures it."""
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(e => {"
        " if (!e.hadRecentInput) window.shift += e.value })).observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto(f"{server.url}/{path}?run={list_runs(RECORDED)[0].id}")
    drawn(page)
    page.wait_for_timeout(1500)
    assert page.evaluate("window.shift") < 0.1


def test_start_reload_and_see_it_finish(server: Server, page: Page) -> None:
    """Trap: work dies on refresh."""
    base = submit(config("data.source.train=200"), server.runs, "base")
    base.write_status(state="cancelled")
    page.goto(f"{server.url}/train?from={base.id}&lambda=0.7")
    drawn(page)
    expect(page.get_by_text("lambda_min = 0.7")).to_be_visible()
    page.get_by_label("Label", exact=True).fill("from the form")
    page.get_by_label("Label", exact=True).press("Tab")
    server.hold.at(500)
    page.get_by_test_id("stBaseButton-primary").click()
    run = None

    def started() -> bool:
        nonlocal run
        run = next((r for r in list_runs(server.runs) if r.label() == "from the form"), None)
        return run is not None and len(run.metrics()) >= 2

    wait_for(started)
    assert run is not None
    page.reload()
    drawn(page)
    expect(page.get_by_text("Epoch 3 of 6", exact=False).first).to_be_visible()
    assert run.state() == "running"
    page.get_by_role("button", name="Stop training").click()
    expect(page.get_by_text("It was stopped after epoch 2 of 6")).to_be_visible()
    server.hold.let_go()
    page.get_by_role("button", name="Resume").click()
    wait_for(lambda: run.state() == "done")
    expect(page.get_by_text("Test accuracy", exact=False).first).to_be_visible()
    assert run.config()["config"]["phases"][1]["factors"]["lambda_min"] == 0.7


@pytest.mark.parametrize("kind", ["pruning", "subsets", "membership"])
def test_an_experiment_from_form_to_verdict(kind: str, server: Server, page: Page) -> None:
    """On the smallest preset; the first is stopped and resumed on the way. They share a run."""
    page.goto(f"{server.url}/experiments?kind={kind}")
    drawn(page)
    page.get_by_text("Start one", exact=True).click()
    preset = page.get_by_label("Preset", exact=True)
    expect(page.get_by_text(re.compile("runs? to train|runs are there"))).to_be_visible(timeout=2 * SLOW)
    preset.click()
    page.get_by_role("option", name="classroom", exact=True).click()
    expect(page.get_by_text("runs to train", exact=False)).to_be_visible(timeout=2 * SLOW)
    if kind == "pruning":
        server.hold.at(0)
    page.get_by_role("button", name="Start", exact=True).click()

    def mine() -> Stored | None:
        return next((e for e in list_experiments(server.runs) if e.kind == kind), None)

    wait_for(lambda: mine() is not None and mine().states()["missing"] == 0)  # type: ignore[union-attr]
    found = mine()
    assert found is not None
    expect(page.get_by_text(" runs", exact=False).first).to_be_visible()
    if kind == "pruning":
        wait_for(lambda: found.states()["running"] > 0)
        page.get_by_role("button", name="Stop training").click()
        wait_for(lambda: not found.is_worked_on() and not found.states()["queued"])
        server.hold.let_go()
        assert found.states()["done"] < found.states().total()
        page.get_by_role("button", name="Resume", exact=True).click(timeout=2 * SLOW)
    finished(found)
    expect(page.get_by_role("button", name="Stop training")).to_have_count(0, timeout=2 * SLOW)
    expect(page.get_by_text("One seed says nothing about other seeds", exact=False).first).to_be_visible()
    expect(page.get_by_text("The article", exact=True).first).to_be_visible()
    expect(page.get_by_role("button", name="Report").first).to_be_visible()
    with page.expect_download() as asked:
        page.get_by_role("button", name="Report").first.click()
    assert "The article: " in asked.value.path().read_text() and asked.value.suggested_filename == f"{found.id}.md"
    assert f"experiment={found.id}" in page.url


HOLD = """
const add = WebSocket.prototype.addEventListener
window.held = null
WebSocket.prototype.addEventListener = function (type, listener, ...more) {
  add.call(this, type, type !== "message" ? listener : event => held ? held.push([event, listener]) : listener(event), ...more)
}
"""
"""What the app says is kept back while ``held`` is a list, as by a slow line."""


def test_a_click_during_the_last_redraw_of_an_experiment_is_not_lost(page: Page, tmp_path: Path) -> None:
    """Trap: the app has drawn the result and forgotten what the page, still the old one, asks for."""
    stored = submit_all(experiment("membership", "share=0.2", "dpls=false"), tmp_path / "runs")
    finish_all(stored)
    last = list(stored.runs().values())[-1]
    server = Server(tmp_path)
    try:
        with last.lock():
            last.write_status(state="running")
            page.add_init_script(HOLD)
            page.goto(f"{server.url}/experiments?kind=membership")
            expect(page.get_by_text("4 of 5 runs", exact=False)).to_be_visible()
            report = page.get_by_role("button", name="Report")
            expect(report).to_be_visible()
            drawn(page)
            before = report.element_handle()
            page.evaluate("held = []")
            last.write_status(state="done")

        def redrawn() -> bool:
            said = page.evaluate(
                "held.map(h => h[0].data).filter(d => d.byteLength < 200).map(d => [...new Uint8Array(d)])"
            )
            ends = [m for m in map(ForwardMsg.FromString, map(bytes, said)) if m.HasField("script_finished")]
            return any(m.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY for m in ends)

        wait_for(redrawn)
        with page.expect_download() as asked:
            report.click()
            page.evaluate("const late = held; held = null; late.forEach(([event, listener]) => listener(event))")
        assert "The article: " in asked.value.path().read_text()
        expect(page.get_by_role("button", name="Stop training")).to_have_count(0)
        assert before.evaluate("button => button.isConnected"), "another button stands in its place"
        with page.expect_download() as asked:
            page.get_by_role("button", name="Numbers").click()
        assert asked.value.suggested_filename == f"{stored.id}.csv"
    finally:
        server.stop()


def test_a_killed_app_loses_nothing(page: Page, tmp_path: Path, browser: Browser) -> None:
    server = Server(tmp_path)
    base = submit(config(), server.runs, "goes on")
    base.write_status(state="cancelled")
    server.hold.at(100)
    page.goto(f"{server.url}/train?watched={base.id}")
    drawn(page)
    page.get_by_role("button", name="Resume").click()
    wait_for(lambda: len(base.metrics()) >= 1)
    server.stop(signal.SIGKILL)
    server.hold.at(180)
    wait_for(lambda: len(base.metrics()) == 2)
    server.start()
    server.hold.let_go()
    try:
        page.goto(f"{server.url}/train?watched={base.id}")
        drawn(page)
        wait_for(lambda: base.state() == "done")
        expect(page.get_by_text("Test accuracy", exact=False).first).to_be_visible()
        page.troubles[:] = [t for t in page.troubles if "disconnected from server" not in t]  # type: ignore[attr-defined]
    finally:
        server.stop()


def test_brushing_the_histogram_filters_every_page(server: Server, page: Page) -> None:
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    page.goto(f"{server.url}/difficulty?run={run.id}")
    drawn(page)
    plot = page.locator(".st-key-histogram .nsewdrag").first
    plot.scroll_into_view_if_needed()
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], middle, steps=8)
    page.mouse.move(box["x"] + 0.98 * box["width"], middle, steps=8)
    page.mouse.up()
    page.wait_for_url(re.compile("range="))
    low, high = (float(x) for x in re.findall(r"range=([\d.]+)", page.url))
    assert low == pytest.approx(0.5, abs=0.05)
    assert high > 0.9
    difficulty = run.examples().query("split == 'train'")["difficulty"]
    count = int(((difficulty >= low) & (difficulty <= high)).sum())
    assert 0 < count < 300
    expect(page.get_by_text(f"Hardest of the {count:,} selected")).to_be_visible()
    page.get_by_role("link", name="Images", exact=True).first.click()
    expect(page.get_by_text(f"{count:,} images, hardest first", exact=False)).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(page.get_by_text("300 images, hardest first", exact=False)).to_be_visible()


def test_an_image_is_opened_and_the_next_one(server: Server, page: Page) -> None:
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    table = (
        run.examples()
        .query("split == 'train'")
        .sort_values(["difficulty", "cross_entropy", "id"], ascending=[False, False, True])
    )
    hardest = table["id"].tolist()
    page.goto(f"{server.url}/images?run={run.id}")
    drawn(page)
    tiles = page.locator("[data-ready] button")
    expect(tiles).to_have_count(60)
    shown = [int(tile.get_attribute("data-id") or -1) for tile in tiles.all()]
    assert shown == hardest[:60]
    tiles.nth(3).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(f"image {hardest[3]}", exact=False).first).to_be_visible()
    page.wait_for_url(re.compile(f"id={hardest[3]}"))
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_text(f"image {hardest[4]}", exact=False).first).to_be_visible()
    page.wait_for_url(re.compile(f"id={hardest[4]}"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_way_back_leads_back(server: Server, page: Page) -> None:
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    page.goto(f"{server.url}/images?run={run.id}&class=pear")
    drawn(page)
    page.locator("[data-ready] button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.wait_for_url(re.compile("id="))
    page.go_back()
    expect(dialog).to_have_count(0)
    assert "id=" not in page.url
    assert "class=pear" in page.url


def test_the_way_back_is_one_press_a_step(server: Server, page: Page) -> None:
    """Trap: a change of page made two entries of the history, a first page two, and a way back to defaults none."""
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    page.goto(f"{server.url}/?run={run.id}&image=277")
    drawn(page)
    expect(page.get_by_text("The link asks for image = 277", exact=False)).to_be_visible()
    expect(page).to_have_url(f"{server.url}/?run={run.id}")
    began = page.evaluate("history.length")
    steps = []

    def step(*shown: str) -> None:
        page.wait_for_url(re.compile(".*".join(map(re.escape, shown))))
        drawn(page)
        steps.append(page.url)
        assert page.evaluate("history.length") == began + len(steps), "one entry a step"

    page.get_by_role("link", name="Images", exact=True).first.click()
    step("images?", run.id)
    page.get_by_role("radio", name="easiest").click(force=True)
    step("first=easiest")
    page.get_by_role("button", name="Page 2").or_(page.get_by_role("button", name="2", exact=True)).first.click()
    step("page=2")
    page.get_by_role("link", name="Train", exact=True).first.click()
    step("/train")
    page.get_by_label("Start from", exact=True).click()
    page.get_by_role("option", name="preset classroom", exact=True).click()
    step("from=classroom")
    page.get_by_label("Label", exact=True).fill("mine")
    page.get_by_label("Label", exact=True).press("Tab")
    step("label=mine")
    for url in [*steps[-2::-1], f"{server.url}/?run={run.id}"]:
        page.go_back()
        expect(page).to_have_url(url)
        drawn(page)
        expect(page).to_have_url(url)
        if url.endswith("/train"):
            expect(page.get_by_label("Start from", exact=True)).to_have_value("preset demo")
            expect(page.get_by_label("Label", exact=True)).to_have_value("")
        if url == steps[0]:
            expect(page.get_by_role("radio", name="hardest")).to_be_checked()


def test_own_images_from_a_typed_path_to_the_hardest(server: Server, page: Page, tmp_path: Path) -> None:
    """Trap: the path, the label and the changed settings were lost by a reload and by going to another page."""
    draw = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 120)):
        (tmp_path / "mine" / "train" / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(low, low + 130, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / "train" / name / f"{number}.png")
    short = [
        "phases.0.until=1",
        "phases.1.until=2",
        "attack_warmup=0",
        "schedule.warmup=0",
        "evaluations=[]",
        "net.width=4",
    ]
    page.goto(f"{server.url}/train?{urlencode({'from': 'your-images', 'set': short}, doseq=True)}")
    drawn(page)
    start = page.get_by_role("button", name="Start", exact=True)
    expect(page.get_by_text("First type the path", exact=False)).to_be_visible()
    expect(start).to_be_disabled()
    assert page.get_by_test_id("stAlert").count() == 0
    path, label = page.get_by_label("Path of your folder (path)", exact=True), page.get_by_label("Label", exact=True)
    for field, text in ((path, str(tmp_path / "mine")), (label, "own images")):
        field.fill(text)
        field.press("Tab")
        page.wait_for_url(re.compile(re.escape(urlencode({"": text})[1:])))
        drawn(page)

    def is_there() -> None:
        expect(path).to_have_value(str(tmp_path / "mine"))
        expect(label).to_have_value("own images")
        expect(start).to_be_enabled()
        bottom = start.bounding_box()
        assert bottom and bottom["y"] + bottom["height"] < 900, "in sight, with all settings open"

    is_there()
    page.reload()
    drawn(page)
    is_there()
    page.get_by_role("link", name="Images", exact=True).first.click()
    expect(page.locator("h1")).to_have_text("Images")
    page.get_by_role("link", name="Train", exact=True).first.click()
    expect(page.locator("h1")).to_have_text("Train")
    drawn(page)
    is_there()
    start.click()
    run = None

    def started() -> bool:
        nonlocal run
        run = next((r for r in list_runs(server.runs) if r.label() == "own images"), None)
        return run is not None and run.state() == "done"

    wait_for(started)
    assert run is not None
    expect(label).to_have_value("")
    expect(path).to_have_value(str(tmp_path / "mine"))
    page.get_by_role("link", name="Its hardest images").click()
    expect(page.locator("h1")).to_have_text("Images")
    tiles = page.locator("[data-ready] button")
    trained = run.examples().query("split == 'train'")
    expect(tiles).to_have_count(len(trained))
    assert run.recipe().epochs == 2
    tiles.first.click()
    expect(page.get_by_role("dialog").get_by_text(".png", exact=False).first).to_be_visible()


def test_a_tile_shows_the_pixels_of_its_own_example(server: Server, page: Page) -> None:
    """Trap: a wrong picture after filtering. A made image spells its id in its first pixels."""
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    page.goto(f"{server.url}/images?run={run.id}&class=pear&first=easiest")
    drawn(page)
    tiles = page.locator("[data-ready] button")
    expect(tiles.first).to_be_visible()
    found = page.evaluate(
        """async () => {
          const root = [...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)
            .map(r => r.querySelector('[data-ready]')).find(Boolean) || document.querySelector('[data-ready]')
          const url = root.style.getPropertyValue('--sprite').slice(4, -1).replaceAll('"', '')
          const image = new Image(); image.src = url; await image.decode()
          const canvas = new OffscreenCanvas(image.width, image.height), paper = canvas.getContext('2d')
          paper.drawImage(image, 0, 0)
          const tile = parseFloat(root.style.getPropertyValue('--tile'))
          return [...root.querySelectorAll('button')].map(button => {
            const [x, y] = button.querySelector('.pixels').style.backgroundPosition.split(' ').map(parseFloat)
            const p = paper.getImageData(-x / tile * 8, -y / tile * 8, 1, 1).data
            return [Number(button.dataset.id), p[0] + 256 * p[1]]
          })
        }"""
    )
    assert len(found) > 20
    assert all(shown == spelled for shown, spelled in found)


def test_moving_the_slider_changes_the_factors(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/smoothing?run={list_runs(RECORDED)[0].id}")
    drawn(page)
    metric = page.get_by_test_id("stMetricValue").first
    before = metric.inner_text()
    thumb = page.locator(".st-key-lambda_min input[type=range]")
    thumb.focus()
    for _ in range(5):
        thumb.press("ArrowRight")
    expect(metric).not_to_have_text(before)
    chosen = thumb.input_value()
    assert 0.5 < float(chosen) <= 0.525
    page.wait_for_url(re.compile(rf"lambda_min={chosen}\b"))
    page.reload()
    drawn(page)
    expect(page.locator(".st-key-lambda_min input[type=range]")).to_have_value(chosen)


def test_the_cockpit_from_slider_to_branches(server: Server, page: Page) -> None:
    """The mean shown is numpy's; what cannot be reached is refused; branches store the factors that were shown."""
    run = finish(server.runs)
    train = run.examples().query("split == 'train'")
    page.goto(f"{server.url}/smoothing?run={run.id}&lambda_min=0.5")
    drawn(page)
    expect(page.get_by_text("Every example's difficulty")).to_be_visible()  # the last thing on the page
    drawn(page)
    thumb = page.locator(".st-key-lambda_min input[type=range]")
    thumb.focus()
    thumb.press("ArrowRight")
    page.wait_for_url(re.compile(r"lambda_min=0\.505"))
    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipHoverTarget").hover()
    shown = page.get_by_text(re.compile(r"Exactly \d\.\d+"))
    expect(shown).to_be_visible()
    (mean,) = re.findall(r"Exactly (\d\.\d{8})", shown.inner_text())
    assert float(mean) == pytest.approx(1 - 0.495 * train["difficulty"].mean(), abs=1e-6)
    wished = page.get_by_label("or the mean factor wished", exact=True)
    wished.fill("0.01")
    wished.press("Enter")
    expect(page.get_by_text("No lambda_min gives a mean factor of 0.01", exact=False)).to_be_visible()
    page.get_by_text("Test these", exact=True).click()
    values = page.get_by_label("Values of lambda_min", exact=True)
    expect(values).to_be_visible(timeout=2 * SLOW)
    for label, text in (("Values of lambda_min", "0.3, 0.505, 0.9"), ("Controls match", ""), ("Seeds", "1")):
        page.get_by_label(label, exact=True).fill(text)
        page.get_by_label(label, exact=True).press("Tab")
    expect(page.get_by_text("4 runs to train", exact=False)).to_be_visible(timeout=2 * SLOW)
    page.get_by_role("button", name="Start", exact=True).click()
    wait_for(lambda: any(e.kind == "smoothing" for e in list_experiments(server.runs)))
    found = next(e for e in list_experiments(server.runs) if e.kind == "smoothing")
    finished(found)
    assert found.states()["done"] == 4
    expect(page.get_by_role("button", name="Stop training")).to_have_count(0, timeout=2 * SLOW)
    expect(page.get_by_text("Attacked, by lambda_min", exact=True).first).to_be_visible()
    branch = Stored(found.path).runs()["seed 0: DPLS 0.505"]
    assert branch.config()["parent"]["epoch"] == 4, "from one state"
    stored = branch.examples().query("split == 'train'")["factor"].to_numpy()
    np.testing.assert_allclose(stored, smoothing_factors(train["difficulty"].to_numpy(), 0.505), atol=1e-12)


def test_the_selection_goes_along_and_lives_in_the_address(server: Server, page: Page) -> None:
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    page.goto(f"{server.url}/difficulty?run={run.id}&measure=aum&T=5&class=pear")
    drawn(page)
    page.get_by_role("link", name="Images", exact=True).first.click()
    expect(page.locator("h1")).to_have_text("Images")
    page.wait_for_url(re.compile("measure=aum"))
    for part in (f"run={run.id}", "T=5", "class=pear"):
        assert part in page.url, page.url
    expect(page.locator("[data-ready] button").first).to_be_visible()
    assert all("pear" in (t.get_attribute("title") or "") for t in page.locator("[data-ready] button").all())


def test_after_fast_changes_the_address_says_what_the_page_shows(server: Server, page: Page) -> None:
    """Trap: an address of two changes ago stayed, and the next click brought its values back."""
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    page.goto(f"{server.url}/difficulty?run={run.id}&measure=el2n&scale=rank")
    drawn(page)
    expect(page.get_by_text("Does it find what was planted?")).to_be_visible()
    scales = page.get_by_role("radiogroup", name="Scale")
    for gap in (60, 150, 250):
        for name in ("min-max", "rank", "min-max"):
            scales.get_by_role("radio", name=name).click(force=True)
            page.wait_for_timeout(gap)  # so fast, not until something is there
        expect(page).to_have_url(re.compile(rf"\?run={run.id}&measure=el2n$"))
        drawn(page)
        expect(page).to_have_url(re.compile(rf"\?run={run.id}&measure=el2n$"))
        expect(scales.get_by_role("radio", name="min-max")).to_be_checked()
    page.locator("[data-ready] button").first.click()
    expect(page.locator("h1")).to_have_text("Images")
    page.wait_for_url(re.compile(rf"run={run.id}&measure=el2n&id="))


def test_a_click_before_the_page_is_whole_loses_nothing(server: Server, page: Page) -> None:
    """Trap: widgets load late, and one that missed the answer with its value would show and send its default."""

    late: list[Route] = []
    clicked = False

    def keep(route: Route) -> None:
        route.continue_() if clicked else late.append(route)

    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    finish(server.runs)  # a newer one, which is the default
    asked = {"run": run.id, "measure": "aum", "scale": "rank", "T": "5", "class": "pear"}
    page.route(re.compile("js/(Selectbox|ButtonGroup|Slider|Multiselect)[.]"), keep)
    page.goto(f"{server.url}/difficulty?{urlencode(asked)}")
    form = page.get_by_text("Scores computed elsewhere", exact=True)
    form.click()
    expect(page.get_by_test_id("stFileUploader")).to_be_visible()
    assert late
    clicked = True
    for route in late:
        route.continue_()
    expect(page.get_by_label("Run", exact=True)).to_have_value(manage.store.name_of(run))
    form.click()
    expect(page.get_by_test_id("stFileUploader")).to_have_count(0)
    drawn(page)
    assert dict(parse_qsl(urlsplit(page.url).query)) == asked


def test_a_link_to_a_deleted_run_says_so(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/images?run=2020-01-01_000000_dead")
    drawn(page)
    expect(page.get_by_text("There is no run 2020", exact=False)).to_be_visible()
    expect(page.locator("[data-ready] button").first).to_be_visible()


def test_label_and_delete(server: Server, page: Page) -> None:
    run = make_run(server.runs, number=9, label="to delete")
    page.goto(f"{server.url}/?run={list_runs(RECORDED)[0].id}")
    drawn(page)
    grid = page.locator("[class*=st-key-runs] canvas").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box
    listed = [r for r in list_runs(server.runs)[::-1] if not r.config().get("experiment")]
    order = [listed[place].id for family in manage.families([report.row(r) for r in listed]) for place in family]
    row = order.index(run.id)
    page.mouse.click(box["x"] + 16, box["y"] + 36 + 35 * row + 17)
    expect(page.get_by_label("Label", exact=True)).to_have_value("to delete")
    page.get_by_label("Label", exact=True).fill("renamed")
    page.get_by_label("Label", exact=True).press("Enter")
    wait_for(lambda: run.label() == "renamed")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    wait_for(lambda: not run.path.exists())


def test_scores_from_a_file_become_a_measure(server: Server, page: Page, tmp_path: Path) -> None:
    """They order the images and give factors; a file of other images is refused in a sentence."""
    run = next(r for r in list_runs(server.runs) if r.label() == "made")
    train = run.examples().query("split == 'train'")
    scores = np.random.default_rng(3).permutation(len(train)).astype(float)
    train[["hash"]].assign(score=scores).to_csv(tmp_path / "mine.csv", index=False)
    train[["hash"]].assign(hash="f" * 32, score=scores).to_csv(tmp_path / "foreign.csv", index=False)
    page.goto(f"{server.url}/difficulty?run={run.id}")
    drawn(page)
    page.get_by_text("Scores computed elsewhere", exact=True).click()
    for name in ("foreign", "mine"):
        page.locator("input[type=file]").set_input_files(tmp_path / f"{name}.csv")
        expect(page.locator(f"input[aria-label=Name][value={name}]")).to_have_count(1)
        page.get_by_role("button", name="Bring").click()
        if name == "foreign":
            expect(page.get_by_text("has no score for any training image", exact=False)).to_be_visible()
    expect(page.get_by_text("mine (imported): higher is harder", exact=False)).to_be_visible()
    matched = f"matched by hash (column 'hash'). Scores of {len(train)} of {len(train)} training images, 0 of"
    expect(page.get_by_text(matched, exact=False)).to_be_visible()
    page.wait_for_url(re.compile("measure=mine"))
    page.get_by_role("link", name="Images", exact=True).first.click()
    expect(page.locator("h1")).to_have_text("Images")
    hardest = int(train["id"].to_numpy()[scores.argmax()])
    tile = page.locator("[data-ready] button").first
    expect(tile).to_have_attribute("title", re.compile(rf"\b{hardest}\b"))
    page.get_by_role("link", name="Smoothing", exact=True).first.click()
    expect(page.locator("h1")).to_have_text("Smoothing")
    expect(page.get_by_text("Mean factor", exact=True)).to_be_visible()
    page.goto(f"{server.url}/difficulty?run={run.id}&measure=mine")
    drawn(page)
    page.get_by_text("Scores computed elsewhere", exact=True).click()
    page.locator(".st-key-bring").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("mine (imported)", exact=False)).to_have_count(0)
