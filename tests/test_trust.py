"""The rules of the trust card, by small tables: which colour, which numbers, the worst decides."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_outcomes import Truth, World, of_kind

from dpls.evaluations.trust import judged as trust
from dpls.evaluations.trust.budget import POINTS
from dpls.evaluations.trust.card import Card, Line
from dpls.evaluations.trust.judged import TOO_HIGH
from dpls.experiments.believed import believed
from dpls.experiments.outcomes import Outcomes
from dpls.experiments.outcomes import _kind_of as kind_of

N = 1000
EPS = 8 / 255
KINDS = {"PGD20": {"kind": "pgd", "steps": 20}, "AutoAttack standard": {"kind": "autoattack"}, "clean": {}}


def judged(attack: str, right: int, of: int = N, first: int = 0, **changes: Any) -> trust.Judged:
    """``right`` of ``of`` images, the first ones; ids from ``first`` on."""
    settings = changes.pop("settings", KINDS.get(attack, {"kind": "margins"}) | {"eps": EPS})
    content = {
        "attack": attack if attack == "clean" else f"{attack}, eps 8/255",
        "settings": settings,
        "split": "test",
        "n": of,
        "checkpoint": "best",
        "chosen_by": "validation accuracy, PGD10, eps 8/255, epochs 31-36",
        "proposed_in": "bfloat16",
        "judged_in": "float32",
        "weights": "abc",
        "warnings": [],
        **changes,
    }
    ids = np.arange(first, first + of)
    return trust.Judged(content, pd.DataFrame({"id": ids, "correct": np.arange(of) < right}))


def looked(of: int = 200, right: int = 120, **columns: Any) -> trust.Judged:
    """Checks of an honest net, but for these columns; of images 480 to 679, of which those below 600 withstood all."""
    found: dict[str, Any] = {
        "clean": True,
        "repeat": 0.0,
        "company": 1e-6,
        "probabilities": False,
        "zero_loss": 0.0,
        "zero_margin": 0.0,
        **{f"margin_{steps}": -5 + np.log1p(steps) for steps in POINTS},
        "gradients": np.arange(of) < right,
        "noise": True,
        "unlimited": False,
        "change": EPS,
        "inside": True,
    }
    found["queries"] = pd.array([True if g else None for g in found["gradients"]], dtype="boolean")
    base = judged("checks of the gradients", right, of, 480, settings={"kind": "checks", "eps": EPS})
    table = base.outcomes.assign(**found).assign(**columns)
    return trust.Judged(base.content, table)


def line(card: Card, title: str) -> Line:
    return next(line for line in card.lines if line.title == title)


def card_of(name: str, **others: trust.Judged) -> Card:
    return trust.card(name, others)


GREEN = {"pgd20": judged("PGD20", 600), "margins": judged("margins", 590), "checks": looked()}


def test_a_card_without_a_doubt_is_green() -> None:
    card = card_of("margins", **GREEN)
    assert card.colour == "green" and not card.doubts, card.text()
    assert card.reason == card.sentence == "This robust accuracy may be believed."
    assert str(card.report).startswith("59.0%") and card.report.n == N
    assert "PGD20 is 1.0 points above it" in line(card, "Strongest attack").sentence


@pytest.mark.parametrize("worst", ["green", "amber", "red"])
def test_the_worst_line_decides(worst: Any) -> None:
    card = card_of("margins", **GREEN)
    found = card._replace(lines=(*card.lines, Line("Another", worst, "It is so.")))
    assert found.colour == worst
    assert found.reason == (found.sentence if worst == "green" else "It is so.")


# Evaluations side by side


@pytest.mark.parametrize(("strong", "colour"), [(590, "green"), (560, "amber"), (480, "red")])
def test_an_accuracy_above_what_another_attack_leaves(strong: int, colour: str) -> None:
    card = card_of("pgd20", pgd20=judged("PGD20", 600), margins=judged("margins", strong), checks=looked())
    found = line(card, "Strongest attack")
    assert found.colour == colour
    assert f"{(600 - strong) / 10:.1f} points" in found.sentence
    assert card.report.value == strong / 1000
    assert (colour != "green") == ((600 - strong) / 1000 > TOO_HIGH)
    best = card_of("margins", pgd20=judged("PGD20", 600), margins=judged("margins", strong), checks=looked())
    assert best.colour == "green", "the lower number is not to be blamed"


def test_gaps_are_paired_on_the_images_both_have() -> None:
    """AutoAttack judged images 500 to 699, of which PGD-20 left 100, and AutoAttack 60 others."""
    pgd, sample = judged("PGD20", 600), judged("AutoAttack standard", 60, 200, first=500)
    card = card_of("pgd20", pgd20=pgd, autoattack=sample)
    assert "20.0 points too high here: AutoAttack standard broke" in line(card, "Strongest attack").sentence
    assert "200 images" in line(card, "Strongest attack").sentence
    assert (card.report.value, card.report.n) == (0.3, 200)
    best = card_of("autoattack", pgd20=pgd, autoattack=sample)
    assert "PGD20 is 20.0 points above it" in line(best, "Strongest attack").sentence


def test_the_worst_case_is_by_image() -> None:
    """Two attacks that leave 600 each, but other ones, leave 200 together."""
    other = judged("margins", 600)
    other = other._replace(outcomes=other.outcomes.assign(correct=np.arange(N) >= 400))
    card = card_of("pgd20", pgd20=judged("PGD20", 600), margins=other)
    assert (card.report.value, card.attacks) == (0.2, 2)
    assert card.report.low < 0.2 < card.report.high and "all 2 attacks" in card.advice
    assert line(card, "Strongest attack").colour == "red"
    assert "PGD20 is 40.0 points too high" in line(card, "Strongest attack").sentence


def test_a_worst_case_of_few_images_is_said_to_rest_on_few() -> None:
    card = card_of(
        "margins", margins=judged("margins", 600), a3=judged("A3", 30, 60, settings={"kind": "a3", "eps": EPS})
    )
    assert card.report.n == 60 and line(card, "Images").colour == "amber"
    assert "all attacks have judged 60 of these" in line(card, "Images").sentence
    assert line(card_of("margins", **GREEN), "Images").colour == "green"


def test_an_experiment_says_how_far_pgd_stands_above_its_judge() -> None:
    """PGD right on 4 more of 400 in one arm at the last epoch, on as many elsewhere."""
    o = World(train=20, test=400, seeds=2).outcomes({"all images": Truth(), "uniform 0.6": Truth()})
    o.outcomes.attrs |= {"attack": "Margins10x6, eps 0.1", "pgd": "PGD20, eps 0.1, step 0.025"}
    for end in ("best", "last"):
        o.outcomes[f"pgd_{end}"] = o.outcomes[f"attacked_{end}"]
    tested = (o.outcomes["arm"] == "uniform 0.6") & (o.outcomes["split"] == "test")
    wrong = o.outcomes[tested & (o.outcomes["attacked_last"] == 0)].groupby("seed").head(4).index
    o.outcomes.loc[wrong, "pgd_last"] = 1.0
    lines = {one.title: one for one in believed(of_kind("smoothing"), o)}
    said = "Margins10x6 decides; PGD20 stands 0.0 (all images, best) to 1.0 points (uniform 0.6, last) above it."
    assert lines["Strongest attack"].sentence == said and lines["Strongest attack"].colour == "green"
    assert lines["Images"].sentence == "400 test images, 2 seeds." and lines["Gradients"].colour == "amber"
    o = Outcomes(o.outcomes, o.scores)
    o.outcomes.attrs |= {"attack": "PGD20, eps 0.1, step 0.025", "pgd": ""}
    alone = next(one for one in believed(of_kind("smoothing"), o) if one.title == "Strongest attack")
    assert alone.colour == "amber" and alone.sentence.startswith("No stronger attack has looked")


def test_samples_that_share_no_image_are_not_mixed() -> None:
    card = card_of("pgd20", pgd20=judged("PGD20", 600), margins=judged("margins", 0, 100, first=5000))
    assert (card.report.value, card.report.n) == (0.6, N)


def test_pgd_alone_is_not_enough() -> None:
    card = card_of("pgd20", clean=judged("clean", 800), pgd20=judged("PGD20", 600))
    assert line(card, "Strongest attack").colour == "amber"
    assert line(card, "Strongest attack").sentence.startswith("No stronger attack has looked")
    rays = judged("RayS", 650, settings={"kind": "rays", "eps": EPS})
    assert line(card_of("pgd20", pgd20=judged("PGD20", 600), rays=rays), "Strongest attack").colour == "amber"
    assert line(card_of("pgd20", pgd20=judged("PGD20", 600), checks=looked()), "Strongest attack").colour == "green"
    assert line(card_of("m", m=judged("margins", 600)), "Strongest attack").colour == "green"


@pytest.mark.parametrize(
    "changes",
    [{"checkpoint": "last"}, {"split": "train"}, {"weights": "xyz"}, {"settings": {"kind": "margins", "eps": 4 / 255}}],
)
def test_what_is_of_something_else_has_no_say(changes: dict[str, Any]) -> None:
    card = card_of("pgd20", pgd20=judged("PGD20", 600), margins=judged("margins", 10, **changes))
    assert (card.report.value, card.attacks) == (0.6, 1)


def test_checks_and_clean_are_no_robust_accuracy() -> None:
    assert trust.cards({"clean": judged("clean", 800), **GREEN}).keys() == {"pgd20", "margins"}
    assert trust.is_checks(looked().content) and not trust.is_attacked(looked().content)


def test_what_is_not_checked_is_said_with_the_command() -> None:
    found = line(card_of("margins", margins=judged("margins", 590)), "Gradients")
    assert found.colour == "amber"
    assert "python -m dpls evaluate RUN --attack checks --set eps=8/255 --checkpoint best" in found.sentence


@pytest.mark.parametrize(
    ("title", "colour", "number", "changes"),
    [
        ("Images", "green", "1,000 test images", {}),
        ("Images", "amber", "18.9 points wide", {"of": 99, "right": 60}),
        ("Images", "red", "1,000 train images", {"split": "train"}),
        ("Images", "amber", "1,000 validation images", {"split": "validation"}),
        ("Precision", "green", "bfloat16; float32 decided", {}),
        ("Precision", "amber", "bfloat16 decided", {"judged_in": "bfloat16"}),
        ("Precision", "amber", "not written down", {"judged_in": None}),
        ("Checkpoint", "green", "PGD10, eps 8/255, epochs 31-36; no test image had a say", {}),
        ("Checkpoint", "green", "nothing was chosen", {"chosen_by": "last epoch"}),
        ("Checkpoint", "red", "test accuracy, PGD20", {"chosen_by": "test accuracy, PGD20"}),
        ("Checkpoint", "amber", "Named by hand", {"chosen_by": "named by hand"}),
        ("Checkpoint", "amber", "The latest", {"chosen_by": "the latest"}),
        ("Evaluation", "amber", "5 steps are few", {"warnings": ["the interval is 20% wide", "5 steps are few"]}),
    ],
)
def test_what_an_evaluation_says_of_itself(title: str, colour: str, number: str, changes: dict[str, Any]) -> None:
    one = judged("margins", changes.pop("right", 600), changes.pop("of", N), **changes)
    found = line(card_of("margins", margins=one), title)
    assert (found.colour, number in found.sentence) == (colour, True), found


# What the checks say


def first(count: int, value: Any, other: Any, of: int = 200) -> list[Any]:
    return [value] * count + [other] * (of - count)


@pytest.mark.parametrize(
    ("title", "colour", "number", "columns"),
    [
        ("Randomness", "red", "31% of the logits' range", {"repeat": first(1, 0.31, 0.0)}),
        ("Batch", "red", "120% of the logits' range", {"company": first(3, 1.2, 0.0)}),
        ("Batch", "amber", "random", {"company": 0.2, "repeat": 0.1}),
        ("Outputs", "amber", "look like probabilities", {"probabilities": True}),
        ("Outputs", "red", "7 of 200 images", {"repeat": first(7, None, 0.0)}),
        ("Gradients", "green", "1.0% of 200", {"zero_loss": first(2, 1.0, 0.0)}),
        ("Gradients", "green", "None of 200", {"zero_loss": 0.4, "zero_margin": 0.4}),
        ("Gradients", "amber", "5% of 200 images; logits", {"zero_loss": first(10, 1.0, 0.0)}),
        ("Gradients", "red", "leads by 90,000", {"zero_loss": 1.0, "margin_0": -90_000.0}),
        ("Gradients", "red", "100% of 200 images; that of the margin, too", {"zero_loss": 1.0, "zero_margin": 1.0}),
        ("Loss by steps", "green", "-5.00, -4.31, -3.21, -1.96, -1.07", {}),
        ("Loss by steps", "amber", "only 90% of 200", {"margin_20": first(20, -6.0, -1.0)}),
        ("Loss by steps", "red", "only 0% of 200", {f"margin_{steps}": -85_879.0 for steps in POINTS}),
        ("Loss by steps", "amber", "break 5.0 points more than 20", {"margin_50": first(10, 0.5, -1.0)}),
        ("Black box", "green", "broke 1 of the 120", {"noise": first(1, False, True)}),
        (
            "Black box",
            "amber",
            "broke 2 of the 120 images that gradients left: 1.0 points",
            {"noise": first(2, False, True)},
        ),
        (
            "Black box",
            "red",
            "broke 30 of the 120 images",
            {"queries": pd.array(first(30, False, None), dtype="boolean")},
        ),
        ("Black box", "green", "broke 0 of the 120", {"noise": [*first(150, True, False)]}),
        ("Unlimited", "green", "all of 200 images", {}),
        ("Unlimited", "amber", "5% of 200", {"unlimited": first(10, True, False)}),
        ("Unlimited", "red", "100% of 200", {"unlimited": True}),
        ("Range", "red", "0.04", {"change": 0.04}),
        ("Range", "red", "leave [0, 1]", {"inside": first(1, False, True)}),
        ("Range", "green", "eps 8/255", {}),
    ],
)
def test_what_the_checks_say(title: str, colour: str, number: str, columns: dict[str, Any]) -> None:
    card = card_of("margins", margins=judged("margins", 590), checks=looked(**columns))
    found = line(card, title)
    assert (found.colour, number in found.sentence) == (colour, True), found


def test_images_that_are_wrong_without_attack_are_not_counted() -> None:
    """Half of them, of which nothing is known."""
    unknown = {name: pd.array(first(100, None, 0.0), dtype="Float64") for name in ("zero_loss", "zero_margin")}
    card = card_of("m", m=judged("margins", 590), checks=looked(clean=first(100, False, True), **unknown))
    assert "None of 100 images" in line(card, "Gradients").sentence
    nothing = card_of("m", m=judged("margins", 590), checks=looked(clean=False))
    assert "None of 200 images is right" in line(nothing, "Gradients").sentence and nothing.colour == "amber"


def test_causes_are_named_before_what_they_lead_to() -> None:
    card = card_of("pgd20", pgd20=judged("PGD20", 600), margins=judged("margins", 200), checks=looked(repeat=0.5))
    assert card.advice.startswith("It is at most 20.0%")
    assert [line.title for line in card.doubts] == ["Randomness", "Batch", "Strongest attack"][::2]
    assert "answers at random" in card.reason


def test_an_experiment_does_not_take_the_checks_for_its_attack() -> None:
    config = {"eps": EPS, "evaluations": [{"kind": "checks"}, {"kind": "margins"}, {"kind": "pgd", "steps": 20}]}
    assert kind_of(judged("margins", 600).content, config) == "attacked"
    assert kind_of(judged("PGD20", 600).content, config) == "pgd"
    assert kind_of(judged("PGD20", 600).content | {"sample_of": 2000}, config) == "", "a sample of the images"
    assert kind_of(judged("clean", 800).content, config) == "clean"
    assert kind_of(looked().content, config) == ""


# Forms


def test_the_text_has_every_line_and_no_hidden_character() -> None:
    card = card_of("a", a=judged("margins\n\x1b[31m", 590, warnings=["a\u202eb"]), checks=looked())
    text = card.text()
    assert all(part.title in text and part.colour in text for part in card.lines)
    assert text.count("\n") == 1 + len(card.lines) and "\x1b" not in text and "\u202e" not in text
    assert "59.0%" in text and "amber" in text.splitlines()[0]


def test_as_plain_data() -> None:
    card = card_of("margins", **GREEN)
    found = json.loads(json.dumps(card.as_dict()))
    assert found["colour"] == "green" and found["report"]["value"] == 0.59 and found["attacks"] == 2
    assert [Line(**part) for part in found["lines"]] == list(card.lines)
