"""The app as a person meets it, in headless Chromium: real server, real clicks."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from dpls.runs import report
from dpls.runs.files import RECORDED
from dpls.runs.folder import list_runs
from dpls.ui import manage
from tests.browsing import Server, browser, drawn, page, server, wait_for
from tests.made_runs import make_run
from tests.test_run import finish

pytestmark = pytest.mark.browser

PAGES = {
    "": "DPLS Lab",
    "train": "Train",
    "difficulty": "Difficulty",
    "images": "Images",
    "experiments": "Experiments",
    "smoothing": "Smoothing",
    "robustness": "Robustness",
}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_by_deep_link_on_a_fresh_server(
    path: str, browser: Browser, page: Page, tmp_path: Path
) -> None:
    """The trap of a folder named pages: the first deep link would be drawn without its frame."""
    server = Server(tmp_path)
    try:
        page.goto(f"{server.url}/{path}")
        expect(page.locator("h1")).to_have_text(PAGES[path])
        for name in ("Overview", "Train", "Difficulty", "Images", "Experiments", "Smoothing", "Robustness"):
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


def test_images_are_picked_tagged_by_key_and_taken_along(server: Server, page: Page) -> None:
    run = make_run(server.runs, label="tagged", number=47)
    page.goto(f"{server.url}/images?run={run.id}")
    drawn(page)
    tiles = page.locator("[data-ready] button")
    expect(tiles).to_have_count(60)
    shown = [int(tile.get_attribute("data-id") or -1) for tile in tiles.all()]
    tiles.nth(2).click(modifiers=["Control"])
    expect(page.get_by_text("Tag 1 picked")).to_be_visible()
    tiles.nth(5).click(modifiers=["Shift"])
    page.get_by_text("Tag 4 picked").click()
    page.get_by_role("button", name="Drop").click()
    expect(tiles.nth(5).locator(".mark")).to_contain_text("drop")
    page.keyboard.press("Escape")
    tiles.nth(0).click()
    dialog = page.get_by_role("dialog")
    for place, key in ((0, "k"), (1, "s"), (2, "ArrowLeft"), (1, "u")):
        expect(dialog.get_by_text(f"image {shown[place]} ", exact=False).first).to_be_visible()
        page.keyboard.press(key)
    expect(dialog.get_by_text("Not tagged.")).to_be_visible()
    page.wait_for_url(re.compile(f"id={shown[1]}"))
    page.keyboard.press("Escape")
    expect(tiles.nth(0).locator(".mark")).to_contain_text("keep")
    page.get_by_text("Take along").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="The 5 tagged, csv").click()
    taken = pd.read_csv(download.value.path()).set_index("id")
    assert taken["tag"].to_dict() == {shown[0]: "keep", **dict.fromkeys(shown[2:6], "drop")}
    assert taken["hash"].tolist() == run.examples()["hash"][taken.index].tolist()


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
