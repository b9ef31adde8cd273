"""Every page on runs that somebody's own loop recorded, with pictures and without: nothing is invented, nothing offered
that cannot be done."""

from pathlib import Path

import pytest

from dpls import Recorder
from dpls.runs.directory import Run
from tests.made_runs import make_run
from tests.test_pages import HOSTILE, RESULT_PAGES, embedded, open_page, runs, words  # noqa: F401 - fixtures are asked for by name
from tests.test_recorder import COUNT, GIVEN, TESTED, batches, go_through, make

PATHS = [f"insects/{number:02}.png" for number in range(COUNT)]
SAID = "a net of mine, FGSM"


@pytest.fixture(params=["with pictures", "without"])
def run(request: pytest.FixtureRequest, runs: Path) -> Run:  # noqa: F811
    changes = {} if request.param == "with pictures" else {"images": None, "paths": PATHS}
    return make(runs, said=SAID, label="mine", data="insects", **changes)


def has_pictures(run: Run) -> bool:
    return not run.examples()["path"].any()


def test_result_pages_show_it_and_say_that_it_was_recorded_elsewhere(run: Run) -> None:
    for name in RESULT_PAGES:
        app = open_page(name, run=run.id)
        text = words(app)
        assert not app.error and app.session_state["run"] == run.id, name
        assert "**Recorded elsewhere**" in text and "a net of mine, FGSM" in text, name
        assert "8/255" not in text and "nan" not in text and "best checkpoint" not in text, name
        tables = [table.value for table in app.dataframe if "file" in table.value]
        if name in ("overview", "difficulty", "images", "smoothing"):
            assert bool(tables) != has_pictures(run), name
            assert ("No pictures were handed over" in text) == (
                not has_pictures(run) and name in ("overview", "images")
            )
    assert "no attack can look at it" in text, "the last is robustness"
    app = open_page("overview", run=run.id)
    (mine,) = (row for _, row in app.dataframe[-1].value.iterrows() if row["id"] == run.id[-4:])
    assert mine["method"] == f"recorded elsewhere: {SAID}" and mine["data"] == "insects"
    assert mine["state"] == "done" and not mine["clean"] and not mine["attacked"]
    assert not open_page("experiments", run=run.id).error


def test_the_inspector_shows_what_was_recorded_and_says_what_is_not_known(run: Run) -> None:
    table = run.examples()
    hardest = int(table[table["split"] == "train"].sort_values("difficulty")["id"].iloc[-1])
    app = open_page("images", run=run.id, id=hardest)
    text = words(app)
    assert not app.error and f"image {hardest}" in text
    assert "How its label was smoothed is not known" in text and "its weights are not here" in text
    assert "factor" not in text.replace("lambda", "")
    measures = next(table.value for table in app.dataframe if "measure" in table.value)
    assert measures["clean"][0] == pytest.approx(table["zero_one"][hardest])
    assert "attacked" in measures, "the loop recorded attacked images, too"
    if not has_pictures(run):
        assert PATHS[hardest] in text.replace("\\", "")
    app.get_by_key("seen").set_value("attacked").run()
    assert not app.error
    app.get_by_key("seen").set_value("clean").run()
    app.get_by_key("images").set_value("test").run()
    assert not app.error and f"{TESTED} images, hardest first" in words(app)


def test_nothing_is_offered_that_cannot_be_done(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.delenv("DPLS_READONLY")
    ours, recorder = make_run(runs, label="ours"), Recorder(runs, **GIVEN, label="mine")
    go_through(recorder)
    run = Run(recorder.path)
    app = open_page("train", watched=run.id)
    assert "Its loop is at work: 4 epochs so far" in words(app) and not app.error
    assert {button.label for button in app.button} == {"Start"}, "neither stop nor resume"
    base = next(box for box in app.selectbox if box.label == "Start from")
    assert not [name for name in base.options if "mine" in name] and [name for name in base.options if "ours" in name]
    del recorder
    app = open_page("train", watched=run.id)
    assert "Its loop ended after epoch 4 without closing" in words(app).replace("\\", "")
    assert {button.label for button in app.button} == {"Start"}
    app = open_page("smoothing", run=run.id)
    assert "its own loop goes on with these factors" in words(app)
    assert not [e for e in app.expander if e.label == "Test these"]
    assert [e for e in open_page("smoothing", run=ours.id).expander if e.label == "Test these"]


def test_what_its_owner_says_is_shown_as_text_and_attacked_images_alone_are_enough(runs: Path) -> None:  # noqa: F811
    with Recorder(runs, **GIVEN, said=HOSTILE[0] + "\n" + HOSTILE[1], data=HOSTILE[2], label=HOSTILE[1]) as recorder:
        for epoch in (1, 2, 3):
            for ids, logits, y in batches(epoch):
                recorder.batch(ids, logits, y, attacked=True)
            recorder.epoch()
    run = Run(recorder.path)
    for name in RESULT_PAGES:
        app = open_page(name, run=run.id, **{"id": 1} if name == "images" else {})
        assert not app.error, (name, [error.value for error in app.error])
        shown = words(app)
        assert "**Recorded elsewhere**" in shown and not any(text in shown for text in HOSTILE), name
        if name in ("difficulty", "images", "smoothing"):
            assert app.session_state["seen"] == "attacked", name
