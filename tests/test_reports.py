"""The report of a run: it says what the run's files say, opens without a network, and shows names literally."""

import base64
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dpls import Recorder, charts
from dpls.charts.static import svg
from dpls.cli.main import main
from dpls.data.cache import folder_of, open_dataset
from dpls.errors import UserError
from dpls.intervals import Estimate
from dpls.recipe.differing import flat, known
from dpls.reports import document
from dpls.runs import report
from dpls.runs.directory import Run
from dpls.runs.files import RECORDED, data_root, write_json
from dpls.runs.folder import list_runs
from tests.made_runs import make_run

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = ('<script>alert("x")</script>', '"><img src=x onerror=alert(1)>', "a\u202eb & 'c' &lt; </svg></style>")
SIZE = 400_000  # bytes of a report: the recorded runs' have a third


class Opened(HTMLParser):
    """A file as a browser reads it: elements, attributes, text; refuses what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"closes {tag} out of order"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def pictures(self) -> list[np.ndarray]:
        """uint8 (H, W, 3) each."""
        found = [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
        encoded = [base64.b64decode(source.removeprefix("data:image/webp;base64,")) for source in found]
        return [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in encoded]


def opened(run: Run, root: Path) -> Opened:
    """Its report, after a look that nothing in it is loaded from elsewhere or runs."""
    text = document(run, root)
    found = Opened(text)
    for tag, attributes in found.elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"):
                assert (value or "").startswith("data:image/webp;base64,"), (tag, name, value)
    assert not re.search(r"url\(|@import|https?:", text)
    (policy,) = [a["content"] or "" for tag, a in found.elements if tag == "meta" and "http-equiv" in a]
    assert "default-src 'none'" in policy and "script" not in policy
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("run", list_runs(RECORDED), ids=lambda run: run.label())
def test_a_recorded_run(run: Run, root: Path) -> None:
    found, examples = opened(run, root), run.examples()
    assert len(document(run, root).encode()) < SIZE
    text = re.sub(r"\s+", " ", found.text)
    verdict = report.verdict_on(run, examples)
    assert verdict.sentence in text
    assert all(check.sentence in text for check in verdict.checks)
    for name, said in report.accuracies(run).items():
        assert f"{said['accuracy']:.1%} {100 * said['low']:.1f} to {100 * said['high']:.1f} {said['n']:,}" in text, name
    for card in report.cards(run).values():
        assert f"{card.colour} {card.attack}, {card.checkpoint} checkpoint. " in text
        assert all(line.sentence.replace("`", "").split(";")[0] in text for line in card.lines)
    factors = report.scored(examples)["factor"]
    assert f"mean factor {factors.mean():.4f}, smallest {factors.min():.4f}" in text
    settings = flat(known(run.recipe()))
    assert all(f"{path} {value}".strip() in text for path, value in settings.items())
    assert run.manifest()["packages"]["torch"] in text and run.config()["fingerprint"] in text
    hardest = report.hardest(examples, 36)
    images = open_dataset(root, run.config()["fingerprint"]).images
    for shown, example in zip(found.pictures(), hardest["id"], strict=True):
        np.testing.assert_array_equal(shown.transpose(2, 0, 1), images[example])


def test_names_from_outside_are_shown_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", classes=HOSTILE, label=HOSTILE[0])
    table = run.examples()
    table["path"], table["cause"] = HOSTILE[1], np.where(table["cause"] == "", "", HOSTILE[2])
    table["predicted"] = HOSTILE[1]
    table.to_parquet(run.examples_file, index=False)
    said = run.evaluation("pgd20_8-255_best")
    write_json(run.evaluations / "pgd20_8-255_best.json", said | {"attack": HOSTILE[0], "warnings": [HOSTILE[1]]})
    found = opened(run, data_root(tmp_path / "runs"))
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[2].replace("\u202e", "\\u202e")):
        assert name in found.text
    everything = found.text + str(found.elements)
    assert "\u202e" not in everything, "what turns the direction of text is written out"
    assert len(found.pictures()) == 36


def test_without_images_numbers_and_file_names_stand_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    table = run.examples()
    table["path"] = [f"cat/{number}.png" for number in table["id"]]
    table.to_parquet(run.examples_file, index=False)
    folder = folder_of(data_root(tmp_path / "runs"), run.config()["fingerprint"])
    folder.rename(tmp_path / "gone")
    found = opened(run, data_root(tmp_path / "runs"))
    assert not found.pictures()
    assert "The images are not at hand" in found.text
    for row in report.hardest(run.examples(), 36).itertuples():
        assert f"{row.difficulty:.3f}" in found.text and f"cat/{row.id}.png" in found.texts


@pytest.mark.parametrize("with_images", [True, False])
def test_of_a_run_recorded_elsewhere_nothing_is_said_that_is_not_known(tmp_path: Path, with_images: bool) -> None:
    images = np.random.default_rng(0).integers(0, 255, (30, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(30) % 3
    with Recorder(
        tmp_path / "runs", images=images if with_images else None, labels=labels, classes=["a", "b", "c"]
    ) as recorder:
        for shift in range(4):
            recorder.batch(np.arange(30), np.eye(3, dtype=np.float32)[(labels + (np.arange(30) < shift)) % 3], labels)
            recorder.epoch()
    found = opened(Run(recorder.path), tmp_path / "data")
    assert len(found.pictures()) == (30 if with_images else 0)
    assert "recorded elsewhere: its factors are not known" in found.text
    assert not re.search(r"\bnan\b|green line|optimiser|schedule", found.text)


@pytest.mark.parametrize(("state", "epochs"), [("cancelled", 4), ("failed", 0), ("queued", 0)])
def test_an_unfinished_run_says_so(tmp_path: Path, state: str, epochs: int) -> None:
    run = make_run(tmp_path / "runs", state=state)
    run.write_status(epoch=epochs)
    run.keep_metrics(run.metrics()[:epochs])
    run.examples_file.unlink()
    for file in run.evaluations.iterdir():
        file.unlink()
    found = opened(run, data_root(tmp_path / "runs"))
    assert f"This run is not finished: it is {state}, after {epochs} of 10 epochs." in found.text
    assert ("Training" in found.texts) == (epochs > 0)
    assert "How it was made" in found.texts
    done = opened(make_run(tmp_path / "other"), data_root(tmp_path / "other"))
    assert "not finished" not in done.text


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    run.examples_file.write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match=r"examples\.parquet"):
        document(run, data_root(tmp_path / "runs"))


def test_hard_labels_and_no_difficulty_are_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    table = run.examples()
    train = table["split"] == "train"
    table.loc[train, "factor"] = 1.0
    table["difficulty"] = np.nan
    table.to_parquet(run.examples_file, index=False)
    found = opened(run, data_root(tmp_path / "runs"))
    assert "unseen, factor 1.00" in found.text and "nan" not in found.texts
    assert "Every label was hard" in found.text and "No training image has a difficulty." in found.text


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = make_run(tmp_path / "runs"), tmp_path / "report.html"
    command = ["export", run.id, "--runs", str(tmp_path / "runs"), "--to", str(file)]
    assert main(command) == 0
    assert file.read_text(encoding="utf-8") == document(run, data_root(tmp_path / "runs"))
    assert capsys.readouterr().out == f"{file}: {file.stat().st_size / 1000:,.0f} kB, opens in any browser, offline\n"
    assert main([*command, "--factors"]) == 2


def test_the_page_hands_it_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs")
    monkeypatch.setenv("DPLS_RUNS", str(tmp_path / "runs"))
    code = f"""
from pathlib import Path
from dpls.runs.directory import Run
from dpls.ui import manage
manage.actions(Run(Path({str(run.path)!r})))
"""
    app = AppTest.from_string(code, default_timeout=60).run()
    (button,) = [button for button in app.button if "Report" in button.label]
    app = button.click().run()
    made = app.session_state["made file"]
    assert made["file"] == f"{run.id}.html"
    assert made["text"] == document(run, data_root(tmp_path / "runs"))


def drawn(text: str) -> ET.Element:
    return ET.fromstring(text)


def test_bars_are_as_high_as_their_counts() -> None:
    groups = {"a": np.array([0.1] * 30 + [0.9] * 10), "b": np.array([0.9] * 20)}
    bars = drawn(svg(charts.histogram(groups, np.linspace(0, 1, 11), 0, 1, "x"), "")).findall("rect")
    heights = [float(bar.attrib["height"]) for bar in bars]
    np.testing.assert_allclose(np.array(heights) / heights[0], [1, 1 / 3, 2 / 3], atol=0.002)
    under, over = bars[1].attrib, bars[2].attrib
    assert under["x"] == over["x"], "stacked, not side by side"
    assert float(over["y"]) + float(over["height"]) == pytest.approx(float(under["y"]), abs=0.11)


def test_intervals_and_dots_lie_where_the_axis_says() -> None:
    found = [Estimate(0.8, 0.75, 0.84, 100), Estimate(0.4, 0.3, 0.5, 100)]
    picture = drawn(svg(charts.ladder(["clean", "PGD"], found, None), ""))
    dots = [float(dot.attrib["cx"]) for dot in picture.findall("circle")]
    ticks = {text.text: float(text.attrib["x"]) for text in picture.findall("text") if (text.text or "").isdigit()}
    pixel = (ticks["100"] - ticks["0"]) / 100
    np.testing.assert_allclose([(dot - ticks["0"]) / pixel for dot in dots], [80, 40], atol=0.1)
    ends = [line.attrib for line in picture.findall("line") if "stroke" in line.attrib]
    spans = [((float(e["x1"]) - ticks["0"]) / pixel, (float(e["x2"]) - ticks["0"]) / pixel) for e in ends]
    np.testing.assert_allclose(spans, [(75, 84), (30, 50)], atol=0.1)


def test_curves_break_nowhere_and_names_are_cut(tmp_path: Path) -> None:
    rows = make_run(tmp_path / "runs").metrics()
    picture = drawn(svg(charts.accuracies(rows, 8, [5], 10), "Accuracy"))
    assert [len(line.attrib["points"].split()) for line in picture.findall("polyline")] == [10] * 4
    assert "last phase" in [text.text for text in picture.findall("text")]
    long = "x" * 500
    named = drawn(
        svg(charts.by_class([long, "y"], np.array([0, 1, 1]), np.array([0.1, 0.5, 1]), np.linspace(0, 1, 11)), "")
    )
    width = float(named.attrib["width"])
    assert all(0 <= float(cell.attrib["x"]) < width for cell in named.findall("rect"))
    assert max(len(text.text or "") for text in named.findall("text")) < 40
