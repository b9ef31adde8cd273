"""AutoAttack: its ladders and what they say, against the reference run directly, stopped and resumed, on few classes."""

import copy
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyautoattack
import pytest
import torch
from conftest import candidate_of
from torch import Tensor, nn

from dpls.component import show_fraction
from dpls.data.split import Split
from dpls.errors import UserError
from dpls.evaluations import AutoAttack, named
from dpls.evaluations.conduct import evaluate, evaluation_name
from dpls.evaluations.judge import correct
from dpls.evaluations.procedures import reference
from dpls.evaluations.procedures.stages import LADDERS, PUBLISHED, STAGES
from dpls.evaluations.store import Store
from dpls.jobs.submission import submit
from dpls.jobs.worker import Stopped
from dpls.nets.frozen import frozen_eval
from dpls.randomness import generator
from dpls.recipe import make_config, override
from tests.test_run import config

EPS = 0.06
SHORT = {"steps": 8, "targets": 2, "queries": 30}


def net_of(classes: int, channels: int = 1) -> nn.Module:
    """A convolution and a linear layer with random weights."""
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))
    g = generator(classes, "weights")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * 0.2)
    return net


def split_of(net: nn.Module, count: int = 24, wrong: int = 3, channels: int = 1) -> Split:
    """Random 8x8 images with the labels that the net gives them, but for the first few; ids are no rows."""
    images = torch.randint(0, 256, (count, channels, 8, 8), generator=generator(1), dtype=torch.uint8)
    logits = net(images / 255)
    labels = logits.argmax(1)
    labels[:wrong] = logits[:wrong].argmin(1)
    return Split(images, labels, torch.arange(count) * 3 + 5, torch.device("cpu"))


def made(folder: Path, net: nn.Module, split: Split, attack: AutoAttack) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Table and content; without the time it took."""
    evaluate(folder, candidate_of(net), split, attack)
    store = Store(folder, evaluation_name(attack, "best"), {})
    return pd.read_parquet(store._table_file), (store.whole() or {}) | {"seconds": 0}


def attack_of(version: str, **settings: Any) -> AutoAttack:
    return AutoAttack.model_validate({"version": version, "eps": EPS} | SHORT | settings)


# The ladder


def test_each_attack_lowers_the_accuracy_of_those_before(tmp_path: Path) -> None:
    net = net_of(10)
    split = split_of(net, count=60)
    table, content = made(tmp_path, net, split, attack_of("plus", steps=4))
    assert table["correct"].equals(table["broken_by"].isna()) and content["accuracy"] == table["correct"].mean()
    broken = table["broken_by"].value_counts()
    assert broken["clean"] == 3 == (~correct(net, split)).sum()
    assert set(broken.index) <= {"clean", *STAGES} and len(broken) >= 3
    left = 60 - broken.reindex(["clean", *PUBLISHED["plus"].stages], fill_value=0).cumsum()
    assert left.is_monotonic_decreasing and left.iloc[-1] == table["correct"].sum() > 0


def test_the_first_attack_breaks_in_a_ladder_what_it_breaks_alone(tmp_path: Path) -> None:
    net = net_of(10)
    split = split_of(net)
    ladder, _ = made(tmp_path, net, split, attack_of("light"))
    alone, _ = made(tmp_path, net, split, attack_of("apgd-ce"))
    assert alone["correct"].tolist() == (~ladder["broken_by"].isin(["clean", "apgd-ce"])).tolist()
    assert 0 < alone["correct"].sum() < 21


def test_a_ball_without_radius_leaves_the_clean_accuracy(tmp_path: Path) -> None:
    net = net_of(10)
    split = split_of(net)
    table, content = made(tmp_path, net, split, AutoAttack(eps=0))
    assert table["correct"].tolist() == correct(net, split).tolist()
    assert set(table["broken_by"].dropna()) == {"clean"} and content["backward_passes"] == 0


@pytest.mark.parametrize("version", ["apgd-dlr", "apgd-t"])
def test_the_scale_of_logits_means_nothing_to_dlr(tmp_path: Path, version: str) -> None:
    net, split = net_of(5), split_of(net_of(5))
    loud = copy.deepcopy(net)
    with torch.no_grad():
        loud[-1].weight.mul_(10)
        loud[-1].bias.mul_(10)
    first, _ = made(tmp_path, net, split, attack_of(version, steps=20))
    second, _ = made(tmp_path, loud, split, attack_of(version, steps=20))
    pd.testing.assert_frame_equal(first, second)
    assert 0 < first["correct"].sum() < 21


@pytest.mark.parametrize(
    ("classes", "channels", "left_out"), [(2, 1, ["APGD-DLR", "APGD-T"]), (3, 3, ["APGD-T"]), (4, 1, []), (10, 3, [])]
)
def test_few_classes(tmp_path: Path, classes: int, channels: int, left_out: list[str]) -> None:
    net = net_of(classes, channels)
    table, content = made(tmp_path, net, split_of(net, 12, 1, channels), attack_of("plus", targets=9, steps=4))
    said = [warning.split()[2] for warning in content["warnings"] if warning.startswith("left out: ")]
    assert said == left_out
    assert not {stage.lower() for stage in left_out} & set(table["broken_by"].dropna())


@pytest.mark.parametrize(("version", "classes"), [("apgd-t", 3), ("apgd-dlr", 2)])
def test_an_attack_alone_that_has_too_few_classes_is_refused(tmp_path: Path, version: str, classes: int) -> None:
    net = net_of(classes)
    with pytest.raises(UserError, match=rf"{version.upper()} needs {classes + 1} classes or more, and there are"):
        made(tmp_path, net, split_of(net), attack_of(version))
    assert not list(tmp_path.iterdir())


# The reference


@pytest.mark.parametrize(("version", "classes"), [("standard", 5), ("plus", 4)])
def test_it_breaks_what_the_reference_breaks(
    tmp_path: Path, version: Any, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeded alike, on one batch: the reference's own loop comes to the same images."""
    monkeypatch.setattr(reference, "mix", lambda *what: 7)
    net = net_of(classes)
    split = split_of(net, count=12)
    (batch,) = split.batches(100)
    theirs = pyautoattack.AutoAttack(frozen_eval(net), eps=EPS, version=version, seed=7)
    theirs.apgd_targeted.n_target_classes = theirs.fab.n_target_classes = min(classes - 1, 9)
    theirs.square.n_queries, theirs.fab.n_iter = 50, 20
    for theirs_apgd in (theirs.apgd, theirs.apgd_targeted):  # as their constructor sets them for 20 steps
        theirs_apgd.n_iter, theirs_apgd.n_iter_2, theirs_apgd.n_iter_min, theirs_apgd.size_decr = 20, 4, 1, 1
    trace = sys.gettrace()
    with torch.random.fork_rng(devices=[]):
        x_adv, _ = theirs.run_standard_evaluation(batch.x.contiguous(), batch.y)
    sys.settrace(trace)  # the reference ends it
    expected = frozen_eval(net)(x_adv).argmax(1) == batch.y
    table, _ = made(tmp_path, net, split, AutoAttack(eps=EPS, version=version, steps=20, queries=50))
    assert table["correct"].tolist() == expected.tolist()
    assert 0 < expected.sum() < 9


def test_versions_are_those_of_the_reference() -> None:
    for version, ladder in PUBLISHED.items():
        theirs = pyautoattack.AutoAttack(nn.Identity(), eps=EPS, version=version)  # type: ignore[arg-type]
        assert list(ladder.stages) == theirs.attacks_to_run
        assert ladder.restarts == theirs.apgd.n_restarts and ladder.averaged == theirs.apgd.eot_iter
        assert ladder.steps == theirs.apgd.n_iter == theirs.apgd_targeted.n_iter == theirs.fab.n_iter
        if version != "rand":
            assert ladder.targets == theirs.apgd_targeted.n_target_classes == theirs.fab.n_target_classes
            assert ladder.queries == theirs.square.n_queries and ladder.restarts == theirs.fab.n_restarts


def test_only_what_lies_in_the_ball_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of(10)
    split = split_of(net)
    real, seen = AutoAttack.project, []

    def project(self: AutoAttack, x_adv: Tensor, x: Tensor) -> Tensor:
        found = real(self, x_adv, x)
        seen.append((found, x))
        return found

    monkeypatch.setattr(AutoAttack, "project", project)
    made(tmp_path, net, split, attack_of("standard"))
    far = lambda *some: lambda x, y: x.flip(2, 3) * 5 - 2  # noqa: E731
    monkeypatch.setattr(reference, "_perturb", far)
    table, _ = made(tmp_path, net, split, attack_of("square"))
    assert len(seen) == 5 and table["correct"].any()
    for found, x in seen:
        assert (found - x).abs().max() <= EPS + 1e-6 and found.min() >= 0 and found.max() <= 1


# What is left as it was


def test_net_and_random_numbers_are_left_as_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = net_of(4).train()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    made(tmp_path, net, split_of(net), attack_of("plus"))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]  # noqa: NPY002
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters()) and torch.equal(net[0].weight.grad, torch.ones(4, 1, 3, 3))
    assert net[0].bias.grad is None and capfd.readouterr() == ("", "")


def test_stopped_and_resumed_equals_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AutoAttack, "images_a_chunk", 10)
    net, attack = net_of(4), attack_of("standard")
    split, whole, resumed = split_of(net, count=35), tmp_path / "whole", tmp_path / "resumed"
    whole.mkdir()
    resumed.mkdir()
    expected, content = made(whole, net, split, attack)
    real, heard = reference._perturb, []

    def perturb(stage: str, *rest: Any) -> Any:
        if heard.count("apgd-ce") == 3 and stage == "fab-t":
            raise Stopped
        heard.append(stage)
        return real(stage, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(reference, "_perturb", perturb)
        made(resumed, net, split, attack)
    again_from: list[int] = []
    one = reference._chunk
    monkeypatch.setattr(reference, "_chunk", lambda *some: again_from.append(int(some[-1].rows[0])) or one(*some))
    torch.rand(5)  # moves the global random state
    table, again = made(resumed, net, split, attack)
    assert again_from == [20, 30], "what was stopped in its midst, and the rest"
    pd.testing.assert_frame_equal(table, expected)
    assert again == content and content["images_a_chunk"] == 10 and content["forward_passes"] > 35


@pytest.mark.parametrize("version", ["standard", "plus", "rand", "light"])
def test_passes_of_an_image_that_nothing_breaks(tmp_path: Path, version: str) -> None:
    """Beside the attacks: one clean, four that look for randomness, one to judge what each attack returned."""
    net = net_of(10)
    with torch.no_grad():
        net[-1].bias[0] = 1000
    attack = attack_of(version, steps=2, queries=5)
    table, content = made(tmp_path, net, split_of(net, 4, 0), attack)
    assert table["correct"].all()
    counted = content["forward_passes"] + content["backward_passes"]
    assert counted == 4 * (attack.passes + 5 + len(attack.ladder.stages))


def test_the_published_cost() -> None:
    assert AutoAttack().passes == 7_852 + 1_910


# What it says


@pytest.mark.parametrize("name", AutoAttack.examples.split(", "))
def test_short_names_titles_and_doubts(name: str) -> None:
    found = named(name)
    assert isinstance(found, AutoAttack) and found.name == name
    attack = found.model_copy(update={"eps": 8 / 255})
    assert attack.title.endswith("eps 8/255")
    if found.version in ("standard", "plus"):
        assert not attack.doubts and attack.title == f"AutoAttack {found.version}, eps 8/255"
    else:
        assert len(attack.doubts) == 1
    changed = attack.model_copy(update={"steps": 7, "queries": 70})
    assert changed.name == f"{name}-steps-7-queries-70" and changed.title != attack.title
    assert "not to be reported as AutoAttack" in changed.doubts[0]
    same = attack.model_copy(update={"steps": attack.ladder.steps})
    assert (same.name, same.title, same.doubts) == (attack.name, attack.title, attack.doubts)


def test_other_names_mean_nothing_of_it() -> None:
    names = ("autoattack-apgd-ce", "standard", "light", "autoattack-", "autoattack_plus", "aa")
    assert [AutoAttack.named(name) for name in names] == [None] * 6
    assert named("autoattack-standard") == named("AutoAttack") == AutoAttack()


def test_the_light_ladder_says_that_it_is_lighter() -> None:
    light = AutoAttack(version="light", eps=8 / 255)
    ladder = "APGD-CE 50 steps, APGD-T 3 targets x 50 steps, Square 500 queries"
    assert light.title == f"AutoAttack light ({ladder}), eps 8/255"
    assert light.doubts == [
        f"a lighter ladder than AutoAttack standard, for CPUs: {ladder}; not to be reported as AutoAttack"
    ]
    assert light.reported["queries"] == 500 and light.reported["reference"].startswith("pyautoattack ")


@pytest.mark.parametrize("wrong", [{"version": "fast"}, {"steps": 0}, {"targets": 0}, {"queries": 2.5}, {"norm": "L2"}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        AutoAttack.model_validate(wrong)


@pytest.mark.parametrize("path", ["objective.attack", "selection.attack"])
def test_training_and_selection_cannot_use_it(path: str) -> None:
    with pytest.raises(UserError, match="autoattack"):
        make_config(override(config().model_dump(mode="json"), [f"{path}.kind=autoattack"]))


def test_a_recipe_can_ask_for_it() -> None:
    asked = make_config(override(config().model_dump(mode="json"), ["evaluations.1.kind=autoattack", "eps=0.1"]))
    assert asked.resolved().evaluations[1] == AutoAttack(eps=0.1)


class Answers(nn.Module):
    """What becomes of the logits of a net."""

    def __init__(self, net: nn.Module, how: str) -> None:
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        if self.how == "random":
            return logits + torch.rand_like(logits)
        return logits.softmax(1) if self.how == "shares" else logits.round()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [("random", reference.RANDOM), ("shares", reference.SHARES), ("flat", reference.NO_GRADIENT)],
)
def test_what_the_reference_would_warn_of(tmp_path: Path, how: str, sentence: str) -> None:
    net = net_of(5)
    for name, expected in (("plain", False), (how, True)):
        (tmp_path / name).mkdir()
        judged = Answers(net, name) if expected else net
        _, content = made(tmp_path / name, judged, split_of(net), attack_of("apgd-t", steps=2))
        assert (sentence in content["warnings"]) is expected


def test_square_after_gradients_is_a_reason_to_doubt() -> None:
    table = pd.DataFrame({"broken_by": pd.array(["square"] * 3 + [None] * 997, dtype="string")})
    (said,) = AutoAttack().warnings(table)
    assert said.startswith("Square, which needs no gradients, broke 0.3% of the images")
    assert AutoAttack().warnings(table[2:]) == [] and AutoAttack(version="square").warnings(table) == []


def test_without_the_package_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    net, sentence = net_of(4), r"need the package pyautoattack, which is not installed; .*pip install pyautoattack"
    with pytest.raises(UserError, match=sentence):
        made(tmp_path, net, split_of(net), attack_of("light"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=sentence):
        submit(config('evaluations=[{"kind":"autoattack"}]'), tmp_path / "runs")
    assert not (tmp_path / "runs").exists(), "refused before anything is made"


def test_titles_and_names_tell_all_versions_apart() -> None:
    attacks = [AutoAttack(version=version, eps=EPS) for version in LADDERS]  # type: ignore[arg-type]
    assert len({a.name for a in attacks}) == len({a.title for a in attacks}) == len(LADDERS)
    assert all(show_fraction(EPS) in a.title for a in attacks)
