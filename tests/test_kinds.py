"""What every kind of experiment promises: settings, words, runs, and a result of whatever has finished.

A new kind is tested here by its name in the list alone.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples_of
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dpls.cli.main import main
from dpls.errors import UserError
from dpls.experiments import kinds
from dpls.experiments.base import Experiment
from dpls.experiments.kinds import KINDS, PRESETS, make_experiment, read_experiment
from dpls.experiments.outcomes import ALL, COLUMNS, Outcomes
from dpls.experiments.stored import NAME, Stored, list_experiments
from dpls.recipe import preset_names
from tests.made_outcomes import World, of_kind, of_plan, only, shown

every_kind = pytest.mark.parametrize("kind", KINDS)
SMALL = World(train=60, test=40, classes=3, planted=6, validation=30)
MORE: dict[str, dict[str, Any]] = {
    "pruning": {"sweep": [0.4], "doses": [0.5], "equal_steps": True, "standard": True},
    "subsets": {"standard": True},
    "membership": {"dpls": True, "answers": 2, "standard": True},
}
"""What is switched on beside the smallest preset; a kind needs no entry."""
EXPERIMENTS = {kind: of_kind(kind, seeds=3, **MORE.get(kind, {})) for kind in KINDS}
WHOLE = {kind: SMALL.outcomes(of_plan(experiment)) for kind, experiment in EXPERIMENTS.items()}


# One file, one name


def test_every_file_is_a_kind_that_the_list_names() -> None:
    files = [path.stem for path in Path(kinds.__file__).parent.glob("*.py") if path.stem != "__init__"]
    for file in files:
        module = import_module(f"dpls.experiments.kinds.{file}")
        own = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Experiment)]
        own = [c for c in own if c.__module__ == module.__name__]
        assert [KINDS.get(kind.name()) for kind in own] == own and own, file
    assert len(files) == len(KINDS)


@every_kind
def test_a_kind_has_words_for_page_form_and_folder(kind: str) -> None:
    model = KINDS[kind]
    assert NAME.fullmatch(f"{kind}-0123456789") and model.name() == kind
    assert model.__doc__ and model.question.endswith((".", "?"))
    assert isinstance(model.on_own_page, bool) and isinstance(model.tells_best_from_last, bool)
    fields = model.model_fields.keys() - {"kind", "base"}
    assert model.asked_first and set(model.asked_first) <= fields
    assert len(set(model.asked_first)) == len(model.asked_first)
    for name in fields:
        assert model.model_fields[name].title and model.model_fields[name].description, name
    words = EXPERIMENTS[kind].in_words
    assert words.startswith("digits") and words.endswith(", 3 seeds") and "\n" not in words
    assert EXPERIMENTS[kind].counted_in.startswith("in ")


@every_kind
def test_presets_of_experiments_are_good_for_every_kind(kind: str) -> None:
    assert set(PRESETS.values()) <= set(preset_names())
    assert KINDS[kind].presets.keys() <= PRESETS.keys()
    for preset in PRESETS:
        experiment = read_experiment(kind, preset, [])
        for name, value in KINDS[kind].presets.get(preset, {}).items():
            assert experiment.model_dump(mode="json")[name] == value


@every_kind
def test_settings_go_through_json(kind: str) -> None:
    experiment = EXPERIMENTS[kind]
    assert make_experiment(json.loads(experiment.model_dump_json())) == experiment
    with pytest.raises(UserError, match=f"{kind} has no setting 'colour'"):
        make_experiment(experiment.model_dump(mode="json") | {"colour": 1})


@every_kind
def test_runs_are_planned_once_and_after_those_they_need(kind: str) -> None:
    plan = EXPERIMENTS[kind].plan()
    roles = [planned.role for planned in plan]
    assert len(set(roles)) == len(roles) and {p.seed for p in plan if p.arm == ALL} == {0, 1, 2}
    for number, planned in enumerate(plan):
        assert {*planned.scores, *([planned.after] if planned.after else [])} <= set(roles[:number])
    for seed in (0, 1, 2):
        assert set(EXPERIMENTS[kind].judges_of(seed)) <= set(roles)


def test_the_command_line_lists_every_kind_and_preset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["experiment", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*KINDS, *PRESETS))


@every_kind
def test_an_untouched_form_asks_for_the_preset(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpls.ui import experiment_form

    asked: list[Experiment] = []
    monkeypatch.setattr(experiment_form, "_cost_and_start", asked.append)
    monkeypatch.setenv("DPLS_RUNS", str(tmp_path / "runs"))
    code = f"""
from dpls.experiments.kinds import KINDS
from dpls.ui import experiment_form
experiment_form.offer(KINDS[{kind!r}])
"""
    app = AppTest.from_string(code, default_timeout=60).run()
    assert not app.exception and not app.error
    for preset in PRESETS:
        app.selectbox(key=f"base {kind}").set_value(preset).run()
        assert not app.exception and asked[-1] == read_experiment(kind, preset, [])


# Folders


def folder(tmp_path: Path, name: str, content: str) -> Stored:
    path = tmp_path / "runs" / "experiments" / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "experiment.json").write_text(content)
    return Stored(path)


def content_of(settings: Any) -> str:
    return json.dumps(
        {"created": "now", "settings": settings, "fingerprint": None, "arms": {}, "judges": {}, "runs": {}}
    )


@every_kind
def test_a_folder_gives_its_settings_back_and_a_damaged_one_is_told_and_not_listed(kind: str, tmp_path: Path) -> None:
    settings, name = EXPERIMENTS[kind].model_dump(mode="json"), f"{kind}-0123456789"
    stored = folder(tmp_path, name, content_of(settings))
    assert stored.experiment == EXPERIMENTS[kind] and stored.kind == kind
    assert [e.id for e in list_experiments(tmp_path / "runs")] == [name]
    damages = [
        None,
        [],
        {},
        {"kind": []},
        settings | {"kind": "none"},
        settings | {"seeds": 0},
        settings | {"base": {}},
    ]
    for damaged in (*map(content_of, damages), "{}", "[]", "{"):
        stored = folder(tmp_path, name, damaged)
        assert list_experiments(tmp_path / "runs") == []
        with pytest.raises(UserError, match="is damaged") as told:
            _ = stored.experiment
        assert name in str(told.value) and "\n" not in str(told.value)
    folder(tmp_path, name, content_of(settings).replace('"judges"', '"judge"'))
    assert list_experiments(tmp_path / "runs") == []


# Results of what is there so far


@every_kind
def test_everything_there(kind: str) -> None:
    result = shown(EXPERIMENTS[kind], WHOLE[kind])
    assert result.lines and result.claims and "Seeds: 3." in result.text()
    assert "Attacked means PGD-20 within 8/255" in result.text()


@every_kind
@examples_of(max_examples=8)
@given(data=st.data())
def test_whatever_has_finished_can_be_shown(kind: str, data: st.DataObject) -> None:
    runs = [(name, seed) for name in WHOLE[kind].arms for seed in SMALL.seeds]
    shown(EXPERIMENTS[kind], only(WHOLE[kind], data.draw(st.sets(st.sampled_from(runs), min_size=1))))


@every_kind
def test_an_arm_alone_can_be_shown(kind: str) -> None:
    for name in WHOLE[kind].arms:
        result = shown(EXPERIMENTS[kind], only(WHOLE[kind], [(name, seed) for seed in SMALL.seeds]))
        assert not any(line.difference for line in result.lines)


@every_kind
def test_one_seed_speaks_of_itself_alone(kind: str) -> None:
    seed = SMALL.seeds[1]
    result = shown(EXPERIMENTS[kind], only(WHOLE[kind], [(name, seed) for name in WHOLE[kind].arms], [seed]))
    assert result.lines and all(line.estimate.seeds == 1 for line in result.lines)
    assert "1 of 3 seeds so far. One seed says nothing about other seeds." in result.text()


@every_kind
def test_runs_without_an_attack_at_the_end_are_judged_clean_alone(kind: str) -> None:
    o = WHOLE[kind]
    o = Outcomes(o.outcomes.assign(**{c: np.nan for c in COLUMNS if not c.startswith("clean")}), o.scores)
    result = shown(EXPERIMENTS[kind], o)
    assert result.lines and all(line.quantity.startswith("clean") for line in result.lines)


@every_kind
def test_a_seed_whose_scores_do_not_differ_has_no_hard_examples(kind: str) -> None:
    """A run that learnt nothing has no difficulty; the runs that it chooses for never start."""
    o, seed = WHOLE[kind], SMALL.seeds[0]
    scores = o.scores.assign(difficulty=o.scores["difficulty"].where(o.scores["seed"] != seed))
    there = [(ALL, seed)] + [(name, s) for name in o.arms for s in SMALL.seeds[1:]]
    assert shown(EXPERIMENTS[kind], Outcomes(only(o, there).outcomes, scores)).lines
    first = only(o, [(ALL, seed)]).outcomes
    assert shown(EXPERIMENTS[kind], Outcomes(first, scores[scores["seed"] == seed]))


@every_kind
def test_images_without_a_planted_cause_are_not_said_to_have_one(kind: str) -> None:
    o = WHOLE[kind]
    natural = Outcomes(o.outcomes, o.scores.assign(cause=""))
    natural.outcomes.attrs["attack"] = o.attack
    assert "planted" not in shown(EXPERIMENTS[kind], natural).text()


@every_kind
def test_the_order_of_rows_changes_nothing(kind: str) -> None:
    o = WHOLE[kind]
    turned = Outcomes(*(table.iloc[::-1].reset_index(drop=True) for table in (o.outcomes, o.scores)))
    found, expected = (shown(EXPERIMENTS[kind], some) for some in (turned, o))
    pd.testing.assert_frame_equal(found.table(), expected.table())
