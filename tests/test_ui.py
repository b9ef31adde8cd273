"""The pieces pages share: the address, the sprite, what is escaped."""

import ast
import io
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dpls.component import Component
from dpls.recipe import Optimiser, RunConfig
from dpls.runs.directory import Run
from dpls.ui import address, manage, store, words
from dpls.ui.frame import escape
from dpls.ui.gallery import sprite
from tests.made_runs import make_run

SCRIPT = """
import streamlit as st
from dpls.ui import address
address.adopt(st.session_state.get("page name", "one"))
address.bind("T", 30, lambda t: 1 <= t <= 36, "1 to 36")
address.bind("measure", "zero_one", lambda m: m in ("zero_one", "aum"), "zero_one, aum")
address.bind("class", [], lambda names: set(names) <= {"cat", "dog"}, "cat, dog")
address.bind("range", (0.0, 1.0), lambda r: 0 <= r[0] <= r[1] <= 1, "from 0 to 1")
address.bind("id", None, lambda i: i is None or 0 <= i < 100, "0 to 99")
st.slider("T", 1, 36, key="T")
st.selectbox("m", ["zero_one", "aum"], key="measure")
st.multiselect("c", ["cat", "dog"], key="class")
st.slider("r", 0.0, 1.0, step=0.01, key="range")
st.number_input("i", 0, 99, key="id")
for sentence in address.remarks():
    st.warning(sentence)
address.publish()
"""


def opened(**query: str | list[str]) -> AppTest:
    app = AppTest.from_string(SCRIPT)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def test_an_address_is_taken_and_written_back() -> None:
    app = opened(T="12", measure="aum", **{"class": ["cat", "dog"], "range": ["0.2", "0.6"], "id": "7"})
    assert app.slider(key="T").value == 12
    assert app.selectbox(key="measure").value == "aum"
    assert app.multiselect(key="class").value == ["cat", "dog"]
    assert app.slider(key="range").value == (0.2, 0.6)
    assert app.number_input(key="id").value == 7
    assert app.query_params == {"T": "12", "measure": "aum", "class": ["cat", "dog"], "range": ["0.2", "0.6"], "id": "7"}  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        {"T": "abc"},
        {"T": "-1"},
        {"T": "1e999"},
        {"T": "9" * 400},
        {"range": "0.5"},
        {"range": ["nan", "2"]},
        {"range": ["0.9", "0.1"]},
        {"id": "-5"},
        {"id": "100"},
        {"class": ["<script>"]},
        {"measure": "../../etc"},
        {"nonsense": "x"},
        {"image": "277"},
    ],
)
def test_a_bad_address_is_the_default_and_that_is_said_once(query: dict[str, str | list[str]]) -> None:
    app = opened(**query)
    assert app.slider(key="T").value == 30
    assert app.slider(key="range").value == (0.0, 1.0)
    assert app.number_input(key="id").value is None
    ((name, value),) = query.items()
    (said,) = [warning.value for warning in app.warning]
    shown = value if isinstance(value, str) else ", ".join(value)
    assert said.startswith(f"The link asks for {name} = {shown[:60]}") and len(said) < 300
    app.run()
    assert app.query_params == {}
    assert not app.warning


def test_what_a_person_changes_is_written_and_defaults_are_not() -> None:
    app = opened()
    assert app.query_params == {}
    app.slider(key="T").set_value(5).run()
    assert app.query_params == {"T": "5"}
    app.slider(key="T").set_value(30).run()
    assert app.query_params == {}


def test_values_go_along_to_another_page_and_a_link_wins() -> None:
    app = opened(T="12")
    app.session_state["page name"] = "two"
    app.run()
    assert app.slider(key="T").value == 12
    app.query_params["T"] = "20"
    app.run()
    assert app.slider(key="T").value == 20


def test_a_link_from_page_to_page_changes_what_it_names_and_nothing_else() -> None:
    """Trap: a click on an image opened it by another measure and another T."""
    app = opened(T="12", measure="aum")
    app.session_state["page name"] = "two"
    app.query_params.clear()
    app.query_params["id"] = "7"
    app.run()
    assert (app.slider(key="T").value, app.selectbox(key="measure").value, app.number_input(key="id").value) == (
        12,
        "aum",
        7,
    )
    assert app.query_params == {"T": "12", "measure": "aum", "id": "7"}
    del app.query_params["measure"]
    app.run()
    assert app.selectbox(key="measure").value == "zero_one", "on one page the address is all there is to say"


def test_widgets_of_the_address_keep_their_value_in_the_session() -> None:
    """Trap: a widget whose code comes late, after a first click, would show and send its default."""
    root, seen = Path(address.__file__).parents[2], set()
    for path in (*root.glob("dpls/ui/*.py"), *root.glob("pages/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
                if given.get("key") in address.PARSERS:
                    seen.add(given["key"])
                    assert given.get("persist_state") == "session", f"{path.name}, line {node.lineno}"
    seen |= {"watched", "experiment"}  # of which the app makes other widgets, by ``chosen_in``
    assert seen == address.PARSERS.keys() - {"lambda", "set"}, "all but these two, which no widget shows"


@pytest.mark.parametrize(("channels", "count", "columns"), [(3, 7, 4), (1, 5, 5), (3, 1, 1)])
def test_a_sprite_holds_every_image_in_its_place(channels: int, count: int, columns: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, channels, 6, 5), dtype=np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(sprite(images, columns))).convert("RGB"))
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        found = sheet[row * 6 : row * 6 + 6, column * 5 : column * 5 + 5]
        np.testing.assert_array_equal(found, np.broadcast_to(image.transpose(1, 2, 0), (6, 5, 3)))


def test_escaped_text_has_no_markup_left() -> None:
    text = "<b>*x*</b> [y](z) `c` $m$ :red[r] a_b ~s~ | # - 1. ^up^ \\"
    escaped = escape(text)
    for character in "<>*[]()`$:_~|#^":
        assert f"\\{character}" in escaped
        assert escaped.count(character) == escaped.count(f"\\{character}")


def test_the_icon_is_there() -> None:
    from dpls.ui.frame import ICON

    assert Path(ICON).exists()


def test_a_row_of_the_list_is_never_stale(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", label="first")
    assert store.row(run)["label"] == "first"
    run.write_label("second")
    assert store.row(run)["label"] == "second"
    run.write_status(state="running", epoch=3)
    with run.lock():
        assert store.row(run)["state"] == "running"
        assert store.row(run)["epoch"] == 3
    assert store.row(run)["state"] == "interrupted", "no file changed, but the lock is free"
    (run.path / "status.json").write_text("{")
    assert store.row(run)["state"] == "damaged"


def rows_of(*runs: tuple[str, str | None, int]) -> list[dict[str, Any]]:
    return [{"id": i, "parent": {"run": parent, "epoch": epoch} if parent else None} for i, parent, epoch in runs]


def test_runs_that_share_their_first_epochs_are_listed_together_as_equals() -> None:
    rows = rows_of(("c", "a", 8), ("d", "gone", 5), ("b", "a", 8), ("e", "c", 9), ("a", None, 0), ("f", "gone", 4))
    assert [[rows[place]["id"] for place in family] for family in manage.families(rows)] == [list("cbea"), list("df")]
    assert dict(zip("cdbeaf", manage.shared_epochs(rows), strict=True)) == {
        "c": 9,
        "d": 4,
        "b": 8,
        "e": 9,
        "a": 8,
        "f": 4,
    }
    assert manage.shared_epochs(rows_of(("d", "gone", 5), ("a", None, 0))) == [0, 0]


def test_a_run_that_names_itself_as_parent_is_listed_still() -> None:
    rows = rows_of(("a", "b", 1), ("b", "a", 1), ("c", None, 0), ("d", "d", 1))
    assert sorted(place for family in manage.families(rows) for place in family) == [0, 1, 2, 3]
    assert len(manage.shared_epochs(rows)) == 4


def test_every_setting_has_a_word_and_no_word_is_left_over() -> None:
    """Beside the name that files and the command line use, where that is another."""
    seen, kinds = set(), set()
    for model in components(RunConfig):
        for name in model.model_fields:
            if name == "kind":
                kinds.add(model.model_fields[name].default)
                continue
            seen |= {name, f"{model.__name__}.{name}"}
            label = words.label_of(model, name)
            assert name in label or label.lower() == name.replace("_", " ")
    assert words.WORDS.keys() <= seen
    assert words.KINDS.keys() <= kinds
    assert words.label_of(Optimiser, "lr") == "Learning rate (lr)"


def components(model: type[Component]) -> set[type[Component]]:
    """A component and all that can be set in it."""
    todo, found = [field.annotation for field in model.model_fields.values()], {model}
    while todo:
        part = todo.pop()
        todo += get_args(part)
        if isinstance(part, type) and issubclass(part, Component):
            found |= components(part)
    return found


def test_a_run_that_ends_between_two_looks_is_never_called_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State and status are of one moment: no "waiting" or "stopped" beside an epoch it has left behind."""
    run = make_run(tmp_path / "runs")
    run.write_status(state="running", epoch=9)
    assert run.reading() == ("interrupted", run.status())
    look = Run.is_locked

    def ends_meanwhile(self: Run) -> bool:
        self.write_status(state="done", epoch=10)
        return look(self)

    monkeypatch.setattr(Run, "is_locked", ends_meanwhile)
    state, status = run.reading()
    assert (state, status["epoch"]) == ("done", 10)
    run.write_status(state="running", epoch=9)
    assert (store.row(run)["state"], store.row(run)["epoch"]) == ("done", 10)
