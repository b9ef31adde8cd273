"""RunConfig: what decides a run's numbers, and who may share a beginning with whom."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_jsonable_python

from dpls.attacks import PGD
from dpls.component import Component, canonical
from dpls.errors import UserError
from dpls.nets.networks import SmallCNN
from dpls.recipe import (
    ENGINE,
    Optimiser,
    RunConfig,
    Schedule,
    assignments,
    fitting,
    hash_at,
    make_config,
    override,
    preset_names,
    read_settings,
    same_run,
    settings_for,
    sized,
)
from dpls.recipe.identity import NOT_SHARED
from dpls.recipe.listing import settings_of

PAPER = read_settings("paper-cifar10")
GOLDEN_90 = "3e2d8e3cd919d979a8dc"
GOLDEN_110 = "3bec964736a529cda7cc"
GOLDEN_LOSSES = [1.209657, 1.153112]


def paper(*assignments: str) -> RunConfig:
    return make_config(override(PAPER, list(assignments)))


def test_golden_hashes_of_the_engine() -> None:
    """Fails when the meaning of a configuration changes. If results change with it, raise ENGINE; then set these anew."""
    assert ENGINE == 3
    assert hash_at(paper(), 90, "data") == GOLDEN_90
    assert hash_at(paper(), 110, "data") == GOLDEN_110


def test_golden_numbers_of_the_engine(tiny) -> None:
    """Fails when the same configuration gives other numbers. If that is meant, raise ENGINE and set these anew."""
    from dpls.data import TRAIN
    from dpls.difficulty.record import Epoch
    from dpls.training.loop import build, train_epoch

    class Silent:
        def images(self, count): ...

        def epoch(self, row): ...

    settings = {
        "net": {"kind": "small_cnn", "width": 4},
        "phases": [{"until": 3}],
        "augmentation": {"pad": 1, "flip": True},
    }
    config = make_config(
        settings | {"optimiser": {"lr": 0.05, "batch_size": 16}, "device": "cpu", "precision": "float32"}
    ).resolved()
    dataset = tiny()
    parts = build(config, dataset)
    count = len(dataset.ids(TRAIN))
    losses = []
    for epoch in (1, 2):
        record = Epoch(len(dataset.labels), parts.device)
        keep = torch.arange(count)
        losses.append(train_epoch(parts, epoch, config.phases[0], torch.ones(count), keep, record, Silent()))
    assert ENGINE == 3
    assert losses == pytest.approx(GOLDEN_LOSSES, rel=2e-3)


def test_branches_share_what_lies_before_the_border() -> None:
    base, branch = paper(), paper("phases.1.factors.lambda_min=0.7")
    assert hash_at(base, 90, "data") == hash_at(branch, 90, "data")
    assert hash_at(base, 91, "data") != hash_at(branch, 91, "data")


def test_one_phase_of_hard_labels_shares_the_beginning_with_two() -> None:
    one = paper('phases=[{"until":110}]')
    assert hash_at(one, 90, "data") == hash_at(paper(), 90, "data")
    two = paper('phases=[{"until":90},{"until":110}]')
    assert hash_at(two, 110, "data") == hash_at(one, 110, "data"), "neighbouring phases that say the same are one"


def test_a_later_border_is_another_dpls() -> None:
    """T decides which epochs are counted, so two DPLS phases in a row are not one."""
    split = paper(
        'phases=[{"until":90},{"until":100,"factors":{"kind":"dpls"}},{"until":110,"factors":{"kind":"dpls"}}]'
    )
    whole = paper('phases=[{"until":90},{"until":110,"factors":{"kind":"dpls"}}]')
    assert hash_at(split, 100, "data") == hash_at(whole, 100, "data")
    assert hash_at(split, 110, "data") != hash_at(whole, 110, "data")


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "eps=4/255",
        "net.width=9",
        "augmentation.pad=3",
        "observing=sweep",
        "optimiser.lr=0.2",
        "objective.attack.steps=7",
        "schedule.decays=[50,105]",
        "selection.every=2",
    ],
)
def test_everything_that_changes_phase_1_changes_its_hash(change: str) -> None:
    assert hash_at(paper(change), 90, "data") != hash_at(paper(), 90, "data")


def test_warmups_shorter_than_half_an_epoch_are_told_apart() -> None:
    assert hash_at(paper("schedule.warmup=0.1"), 90, "data") != hash_at(paper("schedule.warmup=0.5"), 90, "data")


@pytest.mark.parametrize(
    "change", ["device=cpu", "evaluations=[]", "difficulty.measure=aum", "schedule.decays=[100,107]"]
)
def test_what_does_not_change_phase_1_keeps_its_hash(change: str) -> None:
    assert hash_at(paper(change), 90, "data") == hash_at(paper(), 90, "data")


def test_the_measure_of_difficulty_changes_phase_2() -> None:
    assert hash_at(paper("difficulty.measure=aum"), 110, "data") != hash_at(paper(), 110, "data")


def test_other_images_are_another_recipe() -> None:
    assert hash_at(paper(), 90, "data") != hash_at(paper(), 90, "other")


def test_defect_20_eps_is_said_once_and_the_step_follows() -> None:
    config = paper("eps=4/255").resolved()
    attacks = [config.objective.attack, config.phases[0].objective.attack, config.selection.attack, *config.evaluations]
    assert all(attack.radius == 4 / 255 for attack in attacks)
    assert [attack.step_length for attack in attacks if isinstance(attack, PGD)] == [1 / 255] * 4
    own = paper('evaluations=[{"kind":"pgd","steps":20,"eps":"2/255"}]').resolved()
    assert own.evaluations[0].radius == 2 / 255


def test_paper_preset_is_the_articles_recipe() -> None:
    config = paper().resolved()
    assert (config.net.depth, config.net.width, config.epochs) == (28, 10, 110)
    assert (config.phases[0].until, config.counted_epochs, config.schedule.decays) == (90, 90, (100, 105))
    o = config.optimiser
    assert (o.batch_size, o.lr, o.momentum, o.weight_decay) == (128, 0.1, 0.9, 5e-4)
    assert config.objective.attack == PGD(steps=10, eps=8 / 255)
    assert config.objective.attack.step_length == pytest.approx(2 / 255)
    assert config.phases[1].factors.lambda_min == 0.5


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("paper-cifar100", {"data"}),
        ("paper-svhn", {"data", "augmentation", "optimiser"}),
        ("paper-stl10", {"data", "augmentation"}),
        ("cifar10-quick", {"data", "net", "objective", "selection", "schedule", "phases"}),
    ],
)
def test_the_recipe_for_another_set_is_the_articles_but_for_what_it_says(name: str, differs: set[str]) -> None:
    config, article = make_config(read_settings(name)), paper()
    assert {
        field for field in type(config).model_fields if getattr(config, field) != getattr(article, field)
    } == differs
    assert config.augmentation.flip == (name != "paper-svhn"), "a digit mirrored is none"
    assert config.phases[-1].factors == article.phases[-1].factors
    ends = (config.counted_epochs, *config.schedule.decays)
    assert [end / config.epochs for end in ends] == pytest.approx([90 / 110, 100 / 110, 105 / 110], abs=0.02)


def test_learning_rate_steps_down_after_the_decay_epochs() -> None:
    schedule = Schedule(decays=(100, 105))
    assert [schedule.scale(e, 110) for e in (0, 99.99, 100, 104.5, 105, 109)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


@given(st.floats(0, 1), st.integers(2, 50), st.integers(0, 3))
def test_annealing_rises_then_falls_to_zero(part: float, epochs: int, warmup: int) -> None:
    schedule = Schedule(warmup=min(warmup, epochs - 1), anneal=True)
    assert 0 <= schedule.scale(part * epochs, epochs) <= 1
    assert schedule.scale(epochs, epochs) == 0


def test_setting_a_kind_replaces_the_component() -> None:
    config = make_config(override(PAPER, ["net.kind=small_cnn", "net.width=8"]))
    assert config.net == SmallCNN(width=8)


# path=value


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("evaluations.0.steps=2", ("evaluations", 0, "steps"), 2),
        ("evaluations.2.kind=pgd", ("evaluations", 2, "steps"), 10),
        ('evaluations.1={"kind":"pgd","steps":50}', ("evaluations", 1, "steps"), 50),
        ("schedule.decays.0=3", ("schedule", "decays", 0), 3),
        ("selection.attack.starts=2", ("selection", "attack", "steps"), 10),
        ("data.probes.7.kind=blur", ("data", "probes", 7, "kind"), "blur"),
        ('phases.1.subset={"which":"random","share":0.1}', ("phases", 1, "subset", "share"), 0.1),
        ("phases.1.objective.kind=trades", ("phases", 1, "objective", "attack", "start"), "gaussian"),
    ],
)
def test_a_path_goes_through_what_is_not_written_down(assignment: str, path: tuple, value: object) -> None:
    """Defaults of the field, lists that get one entry more, components that were missing."""
    found = make_config(override(read_settings("demo"), [assignment])).model_dump()
    for step in path:
        found = found[step]
    assert found == value


def test_what_is_set_inside_a_default_keeps_the_rest_of_it() -> None:
    """TRADES' own attack starts from Gaussian noise, whichever of its settings is named."""
    config = make_config(override(read_settings("demo"), ["objective.kind=trades", "objective.attack.steps=3"]))
    assert config.objective.attack == PGD(steps=3, start="gaussian")


PHASES = """phases has no entry '7': it holds 0 (until 30), 1 (until 36); one more is added by --set 'phases.2={"until": "..."}'"""
REFUSED = {
    "phases.7.until=3": PHASES,
    "phases.2.until=50": PHASES.replace("7", "2", 1),
    "evaluations.2.steps=3": "it holds 0 (margins), 1 (pgd); one more is added by --set evaluations.2.kind=pgd",
    "schedule.decays.1=3": "schedule.decays has no entry '1': it is empty; one more is added by --set schedule.decays.0=VALUE",
    "data.probes.8.share=0.1": "6 (rare); one more is added by --set data.probes.7.kind=flip, or another of flip, noise, blur",
    "evaluations=pgd20": "evaluations = 'pgd20' is not a list; write all of it as JSON, e.g. 'evaluations=[{\"kind\": \"pgd\"}]'",
    "schedule.decays=100": "schedule.decays = 100 is not a list; write all of it as JSON, e.g. 'schedule.decays=[1, 2]'",
    "phases=[]": "phases = [] is too short: it needs at least 1",
    "phases.1=5": "it has settings inside; set one of them: phases.1.average, phases.1.factors",
    "data.source=digits": "data.source = 'digits' is not allowed: it has settings inside; set data.source.kind=cifar10 or cifar100 or digits",
    "net=null": "net = null is not allowed: it has settings inside; set net.kind=preact_resnet18 or small_cnn",
    "net.depth=10": "net has no setting 'depth'; choose from kind, normalise, pixel_mean, pixel_std, width; or set net.kind=wide_resnet first",
    "phases.1.factors.how=permuted": "or set phases.1.factors.kind=control first, which has it",
    "phases.1.objective.attack.steps=3": "does not say what it is; set phases.1.objective.kind first: awp, fgsm_rs, mart",
    "phases.1.subset.share=0.1": "phases.1.subset.which is missing; it must be given",
    "data.limit.x=3": "data.limit is a value, null, and has no settings inside it",
    "seed.x=3": "seed is a value, 0, and has no settings inside it",
    "device=tpu": "device = 'tpu' is not allowed; choose from auto (CUDA if there is one), cpu, cuda or cuda:N",
    ".=3": "not of the form path=value",
}


@pytest.mark.parametrize("assignment", REFUSED)
def test_a_path_that_leads_nowhere_is_refused_with_the_way(assignment: str) -> None:
    with pytest.raises(UserError) as refused:
        make_config(override(read_settings("demo"), [assignment]))
    assert REFUSED[assignment] in str(refused.value)
    assert "tuple" not in str(refused.value) and "dictionary" not in str(refused.value)


def test_setting_one_of_two_drops_the_other_and_says_so() -> None:
    said: list[str] = []
    mean = override(read_settings("demo"), ["phases.1.factors.mean=0.85"], say=said.append)
    assert said == ["phases.1.factors.mean = 0.85 takes the place of lambda_min = 0.5"]
    factors = make_config(mean).phases[1].factors
    assert (factors.mean, factors.lambda_min) == (0.85, None)
    back = make_config(override(mean, ["phases.1.factors.lambda_min=0.7"], say=said.append)).phases[1].factors
    assert (back.mean, back.lambda_min, len(said)) == (None, 0.7, 2)
    nothing = override(mean, ["phases.1.factors.lambda_min=null"], say=said.append)
    assert make_config(nothing).phases[1].factors.mean == 0.85 and len(said) == 2
    both = ["phases.1.factors.lambda_min=0.7", "phases.1.factors.mean=0.85"]
    with pytest.raises(UserError, match="give either lambda_min or mean, not both"):
        make_config(override(read_settings("demo"), both))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("net.width=8", "net.kind=wide_resnet"),
        ("phases.0.until=3", 'phases=[{"until":5}]'),
        ("optimiser.lr=1", "optimiser={}"),
    ],
)
def test_what_a_person_has_set_is_not_undone_in_silence(first: str, second: str) -> None:
    paths = [assignment.partition("=")[0] for assignment in (first, second)]
    with pytest.raises(UserError, match=f"--set {paths[1]} would undo --set {paths[0]}, .* put {paths[1]} first"):
        override(read_settings("demo"), [first, second])
    override(read_settings("demo"), [second, *([first] if "width" in first else [])])


# The list of settings


@pytest.mark.parametrize("preset", preset_names())
def test_the_list_of_settings_holds_every_one_by_the_path_that_sets_it(preset: str) -> None:
    config = make_config(read_settings(preset))
    rows = settings_of(config)
    chosen = {row.path: row.value for row in rows if row.chosen}
    assert len(chosen) == sum(row.chosen for row in rows), "each once"
    for path, value in chosen.items():
        found = config.model_dump(mode="json")
        for step in path.split("."):
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found == value
    again = override(read_settings(preset), [f"{path}={json.dumps(value)}" for path, value in chosen.items()])
    assert make_config(again) == config
    assert all(row.meaning for row in rows), "each with a word on what it means"
    assert sum(row.path == "phases.0.factors.how" for row in rows) == 1, "kinds that could stand instead"


def test_the_list_says_default_and_bounds() -> None:
    rows = {row.path: row for row in settings_of(make_config(read_settings("demo"))) if row.chosen}
    assert rows["eps"][1:4] == (8 / 255, 8 / 255, "from 0, up to 1")
    assert rows["net.width"][1:4] == (16, 32, "whole, from 4, up to 256")
    assert rows["phases.1.factors.kind"][1:4] == ("dpls", "hard", "hard, uniform, dpls, control")
    assert rows["evaluations.1.steps"].default == 20, "that of the field, not of the kind"
    assert rows["data.limit"][1:4] == (None, None, "whole, from 2, or none")
    assert (
        "pixels" in rows["augmentation.pad"].meaning and "article: 0.5" in rows["phases.1.factors.lambda_min"].meaning
    )


def test_override_leaves_its_input_alone() -> None:
    before = read_settings("demo")
    override(before, ["eps=0.5", "phases.0.until=3"])
    assert before == read_settings("demo")


def test_the_standard_twin_differs_in_objective_and_selection_only() -> None:
    demo, twin = (make_config(read_settings(name)).model_dump() for name in ("demo", "demo-standard"))
    assert {name for name in demo if demo[name] != twin[name]} == {"objective", "selection"}


def test_presets_are_named() -> None:
    assert {"classroom", "demo", "demo-standard", "paper-cifar10"} <= set(preset_names())


def test_errors_say_how_many_more() -> None:
    with pytest.raises(UserError, match=r"\(and 1 more\)"):
        paper("eps=300", "seed=-1")


# Identity


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_keeps_its_identity_through_json(preset: str, tmp_path) -> None:
    """Whether a run is started from the preset, from its config.json or from a form that returns plain values."""
    config = make_config(read_settings(preset))
    again = make_config(json.loads(config.model_dump_json()))
    assert again == config
    assert same_run(again) == same_run(config)
    assert hash_at(again, again.epochs, "data") == hash_at(config, config.epochs, "data")
    assert again.data._key("") == config.data._key("")


def test_a_whole_number_and_its_fraction_are_one_setting() -> None:
    """Trap: a default that was never checked, 0, and what JSON reads back, 0.0."""
    assert isinstance(Schedule().warmup, float)
    config = paper()
    careless = config.model_copy(update={"schedule": config.schedule.model_copy(update={"warmup": 0}), "eps": 0})
    careful = config.model_copy(update={"schedule": config.schedule.model_copy(update={"warmup": 0.0}), "eps": 0.0})
    assert same_run(careless) == same_run(careful)
    assert hash_at(careless, 110, "data") == hash_at(careful, 110, "data")


class LaterOptimiser(Optimiser):
    dampening: float = 0


class Later(RunConfig):
    """A version of the program with two settings more."""

    optimiser: LaterOptimiser = LaterOptimiser()
    clipping: float | None = None


@pytest.mark.parametrize("preset", preset_names())
def test_a_new_field_with_a_default_orphans_nothing(preset: str) -> None:
    settings = read_settings(preset)
    config, later = RunConfig.model_validate(settings), Later.model_validate(settings)
    assert same_run(later) == same_run(config)
    assert [hash_at(later, e, "data") for e in later.borders] == [hash_at(config, e, "data") for e in config.borders]
    for change in ({"clipping": 1.0}, {"optimiser": settings.get("optimiser", {}) | {"dampening": 0.1}}):
        other = Later.model_validate(settings | change)
        assert same_run(other) != same_run(config)
        assert hash_at(other, 1, "data") != hash_at(config, 1, "data")


def test_every_setting_of_a_run_is_hashed_or_said_not_to_be() -> None:
    assert set(RunConfig.model_fields) >= NOT_SHARED
    shared = set(RunConfig.model_fields) - NOT_SHARED
    assert shared == {
        "attack_warmup",
        "augmentation",
        "net",
        "optimiser",
        "observing",
        "selection",
        "seed",
        "precision",
    }


def test_where_a_run_computes_does_not_matter() -> None:
    assert same_run(paper("device=cuda:1")) == same_run(paper("device=cpu"))


def test_no_default_has_changed_its_meaning() -> None:
    """What is at its default is not hashed: a default that changes needs another ENGINE, and then this list anew."""
    known = json.loads((Path(__file__).parent / "defaults.json").read_text())
    assert known["engine"] == ENGINE
    found = defaults()
    assert {name: found.get(name) for name in known["defaults"]} == known["defaults"]


def defaults() -> dict[str, object]:
    """Every setting with a default of every component there is, as JSON, by class and name."""
    import dpls.experiments.kinds  # noqa: F401  # so that these are known, too

    found, todo = {}, [Component]
    while todo:
        model = todo.pop()
        todo += model.__subclasses__()
        if model.__module__.startswith("dpls."):
            for name, field in model.model_fields.items():
                if not field.is_required():
                    found[f"{model.__name__}.{name}"] = _said(field.default)
    return found


def _said(default: object) -> object:
    """Without what its parts have at their own defaults: a setting that is added to a part changes nothing."""
    if isinstance(default, Component):
        return canonical(default)
    return [_said(part) for part in default] if isinstance(default, tuple) else to_jsonable_python(default)


# -- path=value from settings

CHANGES = (
    ["data.source.path=/a b/ü=1"],
    ["data.source.path=12"],
    ["optimiser.lr=0.123456789", "eps=4/255", "optimiser.nesterov=true"],
    ["objective.kind=trades", "objective.beta=3", "net.kind=wide_resnet", "net.depth=10"],
    ["phases.1.factors.lambda_min=null", "phases.1.factors.mean=0.85"],
    ["phases.1.factors.kind=control", "phases.1.factors.how=permuted"],
    ['data.probes=[{"kind": "flip", "share": 0.1}]', "schedule.decays=[3, 5]", 'evaluate_also=["train"]'],
    ['phases.1.subset={"which": "hardest", "share": 0.1}', "data.limit=50"],
    [],
)


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("preset", ["demo", "your-images"])
def test_what_differs_from_a_preset_leads_back_to_it(preset: str, changes: list[str]) -> None:
    """In the words of --set, no more of them than needed, and whatever the values look like."""
    base = make_config(read_settings(preset)).model_dump(mode="json")
    if any("source.path" in change for change in changes) and preset == "demo":
        changes = ["data.source.kind=folder", *changes]
    settings = override(base, [c.replace("=12", '="12"') for c in changes])
    said = assignments(base, make_config(settings).model_dump(mode="json"))
    assert make_config(override(base, said)) == make_config(settings)
    assert bool(said) == bool(changes)
    if not any("kind" in change for change in changes):
        assert len(said) == len(changes)
    assert assignments(settings, settings) == []


def test_of_a_link_what_fits_is_taken_and_the_rest_is_named() -> None:
    base = make_config(read_settings("demo")).model_dump(mode="json")
    good = [
        "optimiser.batch_size=64",
        "data.source.kind=folder",
        "phases.0.until=40",
    ]  # incomplete, incoherent: to mend
    bad = ["precision=foo", "optimiser.foo=3", "phases.7.until=4", "nonsense", "net.kind=foo", "eps=300", "phases=3",
           "seed=x", "augmentation.flip=maybe"]  # fmt: skip
    settings, refused = fitting(base, [bad[0], *good, *bad[1:]])
    assert settings["optimiser"]["batch_size"] == 64
    assert settings["data"]["source"]["kind"] == "folder"
    assert settings["phases"][0]["until"] == 40
    assert settings["precision"] == "auto" and settings["net"] == base["net"] and settings["eps"] == base["eps"]
    assert len(refused) == len(bad)
    for word in (
        "precision",
        "'foo'",
        "no entry '7'",
        "nonsense",
        "net.kind",
        "eps = 300",
        "phases would undo",
        "seed",
        "flip",
    ):
        assert any(word in sentence and "\n" not in sentence for sentence in refused), word


# Cut to the images


@given(st.integers(1, 1_000_000))
def test_few_images_are_shown_often_and_many_seldom(images: int) -> None:
    config = make_config(sized(read_settings("your-images"), images))
    assert 12 <= config.epochs <= 100
    assert abs(images * config.epochs - 80_000) <= images / 2 or config.epochs in (12, 100)
    assert 0 < config.attack_warmup < config.counted_epochs < config.epochs
    more = make_config(sized(read_settings("your-images"), 2 * images))
    assert more.epochs <= config.epochs and more.optimiser.batch_size >= config.optimiser.batch_size


def test_only_the_preset_for_own_images_is_cut_to_them_and_what_a_person_sets_stands(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=np.zeros((400, 8, 8), np.uint8), y_train=np.arange(400) % 2)
    said: list[str] = []
    mine = ["data.source.kind=npz", f"data.source.path={tmp_path / 'x.npz'}", "phases.1.until=150"]
    config = make_config(settings_for("your-images", mine, said.append))
    assert (config.epochs, config.counted_epochs, config.optimiser.batch_size) == (150, 83, 32)
    assert said == [
        "For 400 images to train on, unless set: 100 epochs, the first 10 on clean images, T = 83, 32 images a step"
    ]
    short = [*mine[:2], "phases.0.until=3", "phases.1.until=4"]
    assert make_config(settings_for("your-images", short, said.append)).attack_warmup == 1
    assert make_config(settings_for("your-images", [*short, "attack_warmup=2"], said.append)).attack_warmup == 2
    for change, ends in (
        ("phases.0.until=30", (30, 100)),
        ("phases.1.until=40", (33, 40)),
        ("attack_warmup=30", (83, 100)),
    ):
        config = make_config(settings_for("your-images", [*mine[:2], change], said.append))
        assert tuple(phase.until for phase in config.phases) == ends
    assert settings_for("demo", mine, said.append) == override(read_settings("demo"), mine)


@pytest.mark.parametrize("path", ["optimiser.lr", "schedule.factor", "eps"])
@pytest.mark.parametrize("value", [8 / 255, 1 / 3, 0.1, 1e-5])
def test_a_number_leads_back_to_itself_whether_or_not_it_is_a_fraction(path: str, value: float) -> None:
    base = make_config(read_settings("demo")).model_dump(mode="json")
    changed = override(base, [f"{path}={value!r}"])
    assert make_config(override(base, assignments(base, changed))) == make_config(changed)
