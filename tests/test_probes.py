"""Probes: what is planted is exactly what was asked for, and nothing else moves."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpls.data import TRAIN, VALIDATION, Data, Dataset, Digits, Photos
from dpls.data.probes import Blend, Blur, Flip, Noise, Occlusion, Probe, Rare, Twin, plant
from dpls.errors import UserError

PROBES = [probe() for probe in get_args(get_args(Probe)[0])]
KINDS = [probe.kind for probe in PROBES]


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return Photos(train=200, validation=50, test=50)()


@pytest.fixture(scope="module")
def planted(clean: Dataset) -> Dataset:
    return plant(clean, PROBES, seed=0)


def rows(dataset: Dataset, kind: str) -> np.ndarray:
    return np.flatnonzero(dataset.cause == kind)


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_exact_and_in_the_training_part(planted: Dataset, kind: str) -> None:
    assert len(rows(planted, kind)) == round(0.05 * 200)
    assert (planted.part[rows(planted, kind)] == TRAIN).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_changes_labels_or_images_never_both(clean: Dataset, planted: Dataset, kind: str) -> None:
    mine = rows(planted, kind)
    images_changed = (planted.images[mine] != clean.images[mine]).any(axis=(1, 2, 3))
    labels_changed = planted.labels[mine] != clean.labels[mine]
    assert labels_changed.all() == (kind == "flip") == (not images_changed.any())


def test_what_carries_no_probe_is_untouched(clean: Dataset, planted: Dataset) -> None:
    rest = planted.cause == ""
    assert rest[clean.part != TRAIN].all()
    assert (planted.images[rest] == clean.images[rest]).all() and (planted.labels[rest] == clean.labels[rest]).all()
    assert (planted.true_labels == clean.labels).all() and (clean.cause == "").all()


def test_planting_is_deterministic_and_follows_the_seed(clean: Dataset, planted: Dataset) -> None:
    again, other = plant(clean, PROBES, seed=0), plant(clean, PROBES, seed=1)
    assert (again.images == planted.images).all() and (again.cause == planted.cause).all()
    assert (other.cause != planted.cause).any()


def test_a_later_probe_leaves_an_earlier_one_where_it_was(clean: Dataset) -> None:
    alone, both = plant(clean, [Flip()], 0), plant(clean, [Flip(), Noise()], 0)
    assert (rows(alone, "flip") == rows(both, "flip")).all() and (alone.labels == both.labels).all()


def test_images_are_not_copied_where_only_labels_change(clean: Dataset) -> None:
    assert plant(clean, [Flip()], 0).images is clean.images
    assert plant(clean, [], 0).labels is clean.labels


def test_flips_reach_every_other_class_alike() -> None:
    labels = np.zeros(60_000, dtype=np.int64)
    labels[:3] = (1, 2, 3)
    images = np.zeros((60_000, 1, 8, 8), dtype=np.uint8)
    data = Dataset.of(images, labels, np.zeros(60_000, dtype=np.uint8), tuple("abcd"))
    flipped = plant(data, [Flip(share=0.5)], 0)
    counts = np.bincount(flipped.labels[(flipped.cause == "flip") & (labels == 0)], minlength=4)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / counts.sum(), 1 / 3, atol=4 * (2 / 9 / 30_000) ** 0.5)


@given(classes=st.integers(2, 5), share=st.floats(0, 0.5), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_flip_is_always_wrong(classes: int, share: float, seed: int) -> None:
    labels = np.arange(41) % classes
    part = (np.arange(41) % 3).astype(np.uint8)
    data = Dataset.of(np.zeros((41, 1, 8, 8), dtype=np.uint8), labels, part, tuple("abcde"[:classes]))
    flipped = plant(data, [Flip(share=share)], seed)
    assert ((flipped.labels != labels) == (flipped.cause == "flip")).all()
    assert (flipped.cause == "flip").sum() == round(share * (part == TRAIN).sum())
    if classes == 2:
        assert (flipped.labels[flipped.cause == "flip"] == 1 - labels[flipped.cause == "flip"]).all()


def test_a_twin_shares_its_image_with_an_unplanted_one_of_another_label(planted: Dataset) -> None:
    free = np.flatnonzero((planted.cause == "") & (planted.part == TRAIN))
    for row in rows(planted, "twin"):
        same = free[(planted.images[free] == planted.images[row]).all(axis=(1, 2, 3))]
        assert len(same) and (planted.labels[same] != planted.labels[row]).all()


def test_a_blend_is_the_mean_with_an_unplanted_one_of_another_label(clean: Dataset) -> None:
    mixed = plant(clean, [Blend(share=0.1)], 0)
    free = np.flatnonzero((mixed.cause == "") & (mixed.part == TRAIN))
    for row in rows(mixed, "blend"):
        halves = np.rint(clean.images[row] * 0.5 + clean.images[free] * 0.5)
        match = free[(halves == mixed.images[row]).all(axis=(1, 2, 3))]
        assert len(match) and (clean.labels[match] != clean.labels[row]).all()


def test_noise_has_the_spread_it_says(clean: Dataset) -> None:
    grey = Dataset.of(np.full_like(clean.images, 128), clean.labels, clean.part, clean.classes)
    noisy = plant(grey, [Noise(share=0.5, std=0.05)], 0)
    difference = noisy.images[rows(noisy, "noise")].astype(float) - 128
    assert abs(difference.std() / 255 - 0.05) < 0.001 and abs(difference.mean()) < 0.2


def test_occlusion_hides_one_grey_square_of_the_area(clean: Dataset) -> None:
    black = Dataset.of(np.zeros_like(clean.images), clean.labels, clean.part, clean.classes)
    hidden = plant(black, [Occlusion(share=0.5, area=0.25)], 0)
    for image in hidden.images[rows(hidden, "occlusion")]:
        assert (image[0] == 128).sum() == 0.25 * 32 * 32
        ys, xs = np.nonzero(image[0])
        assert np.ptp(ys) == np.ptp(xs) == 15
    assert (plant(black, [Occlusion(area=1)], 0).images.max(axis=(1, 2, 3)) == 128).sum() == 10


def test_blur_keeps_brightness_and_loses_detail(clean: Dataset) -> None:
    blurred = plant(clean, [Blur(share=0.5)], 0)
    mine = rows(blurred, "blur")
    before, after = (images[mine].astype(float) for images in (clean.images, blurred.images))
    assert abs(after.mean() - before.mean()) < 2
    assert np.abs(np.diff(after)).mean() < 0.5 * np.abs(np.diff(before)).mean()


def test_rare_ones_are_negatives(clean: Dataset) -> None:
    negative = plant(clean, [Rare(share=0.1)], 0)
    mine = rows(negative, "rare")
    assert (negative.images[mine].astype(int) + clean.images[mine] == 255).all()


@pytest.mark.parametrize("probe", PROBES, ids=KINDS)
def test_every_probe_works_on_grey_images_and_describes_its_fields(probe: Probe) -> None:
    planted = plant(Digits()(), [probe], 0)
    assert len(rows(planted, probe.kind)) == round(0.05 * 1797) and planted.images.dtype == np.uint8
    assert all(field.description for name, field in type(probe).model_fields.items() if name != "kind")


def test_shares_above_the_whole_are_refused(clean: Dataset) -> None:
    with pytest.raises(UserError, match=r"sum to 1\.2"):
        plant(clean, [Flip(share=0.5), Noise(share=0.5), Rare(share=0.2)], 0)


def test_shares_of_the_whole_are_planted_in_every_example(clean: Dataset) -> None:
    full = plant(clean, [Flip(share=0.5), Rare(share=0.5)], 0)
    assert (full.cause[full.part == TRAIN] != "").all()


def test_no_partner_left_is_explained(clean: Dataset) -> None:
    with pytest.raises(UserError, match="no unplanted image of a class other than"):
        plant(clean, [Twin(share=0.5), Rare(share=0.5)], 0)


def test_two_probes_of_a_kind_are_planted_apart(clean: Dataset) -> None:
    both = plant(clean, [Noise(share=0.1, std=0.01), Noise(share=0.1, std=0.5)], 0)
    assert len(rows(both, "noise")) == 40


def test_validation_and_test_are_the_same_with_and_without_probes(tmp_path: Path) -> None:
    without, _ = Data(source=Digits(), limit=500)(tmp_path)
    with_probes, _ = Data(source=Digits(), limit=500, probes=PROBES)(tmp_path)
    assert (without.part == with_probes.part).all()
    held_out = without.part != TRAIN
    assert (without.images[held_out] == with_probes.images[held_out]).all()
    assert (without.labels[held_out] == with_probes.labels[held_out]).all()
    assert len(without.ids(VALIDATION)) and (with_probes.cause[held_out] == "").all()
