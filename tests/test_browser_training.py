"""Training from the pages, in headless Chromium: real clicks, real runs (tiny ones)."""

import re
import signal
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dpls.data import TRAIN
from dpls.data.photos import Photos
from dpls.experiments.conduct import submit_all
from dpls.experiments.stored import Stored, list_experiments
from dpls.jobs.submission import submit
from dpls.jobs.wanted import wanted
from dpls.methods.labels import smoothing_factors
from dpls.runs.folder import list_runs
from tests.browsing import SLOW, Server, browser, drawn, finished, page, server, wait_for
from tests.test_experiments import experiment, finish_all
from tests.test_run import config, finish

pytestmark = pytest.mark.browser


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
    page.goto("about:blank")
    page.troubles.clear()  # type: ignore[attr-defined]  # what a page says whose server is gone
    server.start()
    server.hold.let_go()
    try:
        page.goto(f"{server.url}/train?watched={base.id}")
        drawn(page)
        wait_for(lambda: base.state() == "done")
        expect(page.get_by_text("Test accuracy", exact=False).first).to_be_visible()
    finally:
        server.stop()


def test_own_images_from_a_typed_path_to_the_hardest(server: Server, page: Page, tmp_path: Path) -> None:
    """Trap: the path, the label and the changed settings were lost by a reload and by going to another page."""
    photos = Photos(train=600, validation=10, test=10, size=48)()
    for example in photos.ids(TRAIN):
        folder = tmp_path / "mine" / photos.classes[photos.labels[example]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photos.images[example].transpose(1, 2, 0)).save(folder / f"{example}.png")
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
    assert 400 < len(trained) < 600 and len(run.examples()) == 600
    expect(tiles).to_have_count(60)
    assert run.recipe().epochs == 2
    tiles.first.click()
    expect(page.get_by_role("dialog").get_by_text(".png", exact=False).first).to_be_visible()


def test_an_evaluation_from_form_to_ladder(server: Server, page: Page) -> None:
    """Started on the page, watched through a reload, and seen where it belongs, with its card."""
    run = finish(server.runs)
    page.goto(f"{server.url}/robustness?run={run.id}")
    drawn(page)
    expect(page.get_by_text("Only PGD3 has looked", exact=False)).to_be_visible()
    page.get_by_text("Start an evaluation", exact=True).click()
    expect(page.get_by_text("for the best checkpoint", exact=False)).to_be_visible(timeout=2 * SLOW)
    page.get_by_label("Attack", exact=True).first.click()
    page.get_by_role("option", name=re.compile("^PGD-20")).click()
    drawn(page)
    page.get_by_role("button", name="Start", exact=True).click()
    wait_for(lambda: bool(wanted(run)) or "pgd20_8-255_best" in run.evaluation_names())
    page.reload()
    wait_for(lambda: "pgd20_8-255_best" in run.evaluation_names() and not wanted(run))
    expect(page.get_by_text("Worst case over 2 attacks", exact=False)).to_be_visible(timeout=2 * SLOW)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    said = run.evaluation("pgd20_8-255_best")
    assert (said["n"], said["checkpoint"], said["settings"]["steps"]) == (20, "best", 20)
    expect(page.get_by_text("No stronger attack has looked", exact=False).first).to_be_visible()
    assert run.state() == "done"


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
