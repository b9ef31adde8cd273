"""The main path below the level of a run: pairing, permutation, agreement of the two ways to observe."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from dpls.data import TRAIN
from dpls.data.augmentation import Augmentation
from dpls.difficulty.measures import zero_one
from dpls.difficulty.record import Epoch
from dpls.errors import UserError
from dpls.randomness import Noise
from dpls.recipe import RunConfig, make_config, override, read_settings
from dpls.runs.files import data_root
from dpls.training.loop import Parts, build, sweep, train_epoch


class Silent:
    def images(self, count):
        pass

    def epoch(self, row):
        pass


def tiny_config(**changes) -> RunConfig:
    settings = {
        "net": {"kind": "small_cnn", "width": 4},
        "optimiser": {"batch_size": 16, "lr": 0.05},
        "objective": {"kind": "pgd_at", "attack": {"kind": "pgd", "steps": 2}},
        "augmentation": {"pad": 1, "flip": True},
        "phases": [{"until": 5}],
        "device": "cpu",
    }
    return make_config(settings | changes).resolved()


def run_epochs(parts: Parts, keep: torch.Tensor, epochs: int = 2) -> list[Epoch]:
    count = sum(len(split) for split in parts.splits)
    records = [Epoch(count, parts.device) for _ in range(epochs)]
    factors = torch.ones(len(parts.splits[TRAIN]), device=parts.device)
    for number, record in enumerate(records, start=1):
        train_epoch(parts, number, parts.config.phases[0], factors, keep, record, Silent())
        sweep(parts, record)
    return records


def test_permuting_the_data_set_permutes_the_scores(tiny) -> None:
    """Bit for bit: the record belongs to ids, and so do order, augmentation and attack noise."""
    plain, shuffled = (build(tiny_config(), tiny()) for _ in range(2))
    count = len(plain.splits[TRAIN])
    permutation = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    splits = (shuffled.splits[TRAIN].take(permutation), *shuffled.splits[1:])
    shuffled = replace(shuffled, splits=splits)
    for a, b in zip(run_epochs(plain, torch.arange(count)), run_epochs(shuffled, torch.arange(count)), strict=True):
        for name in a.rows:
            torch.testing.assert_close(a.rows[name], b.rows[name], rtol=0, atol=0, equal_nan=True)


def test_runs_on_subsets_stay_paired() -> None:
    """Whoever is left out, the others keep their order, their augmentation and their noise."""
    ids = torch.arange(1000)
    kept = ids[torch.rand(1000, generator=torch.Generator().manual_seed(0)) < 0.7]
    order = ids[Noise(5, ids).order()]
    assert torch.equal(kept[Noise(5, kept).order()], order[torch.isin(order, kept)])
    augmentation = Augmentation(pad=4, flip=True)
    assert torch.equal(augmentation.draw(Noise(5, ids))[kept], augmentation.draw(Noise(5, kept)))


def test_order_is_a_fair_permutation() -> None:
    orders = np.stack([Noise(seed, torch.arange(8)).order().numpy() for seed in range(4000)])
    assert (np.sort(orders, 1) == np.arange(8)).all()
    counts = np.stack([np.bincount(orders[:, i], minlength=8) for i in range(8)])
    chi2 = ((counts - 500) ** 2 / 500).sum()
    assert chi2 < 90, "49 degrees of freedom, p of about 0.0003"


def test_augmentation_draws_every_shift_and_side_evenly() -> None:
    drawn = Augmentation(pad=2, flip=True).draw(Noise(0, torch.arange(50_000)))
    for column, values in ((0, 5), (1, 5), (2, 2)):
        share = np.bincount(drawn[:, column], minlength=values) / 50_000
        np.testing.assert_allclose(share, 1 / values, atol=0.01)


def test_augmentation_equals_padding_and_cropping_one_by_one() -> None:
    augmentation = Augmentation(pad=2, flip=True)
    x = torch.rand(20, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    drawn = augmentation.draw(Noise(3, torch.arange(20)))
    out = augmentation(x, drawn)
    for image, (top, left, mirror), result in zip(x, drawn.tolist(), out, strict=True):
        expected = torch.nn.functional.pad(image, (2, 2, 2, 2))[:, top : top + 9, left : left + 9]
        assert torch.equal(result, expected.flip(2) if mirror else expected)


def test_batches_are_equal_and_none_is_tiny(tiny) -> None:
    seen = []

    class Watch(Silent):
        def images(self, count):
            seen.append(count)

    parts = build(tiny_config(), tiny())
    count = len(parts.splits[TRAIN])
    record = Epoch(sum(len(s) for s in parts.splits), parts.device)
    train_epoch(parts, 1, parts.config.phases[0], torch.ones(count), torch.arange(count - 2), record, Watch())
    assert sum(seen) == count - 2
    assert max(seen) <= 16
    assert max(seen) - min(seen) <= 1


@pytest.mark.parametrize("kind", ["standard", "pgd_at", "trades"])
@pytest.mark.parametrize("observing", ["sweep", "presentation"])
def test_defect_07_training_forwards_alone_move_batch_norm(tiny, kind: str, observing: str) -> None:
    parts = build(tiny_config(objective={"kind": kind}, observing=observing), tiny())
    run_epochs(parts, torch.arange(len(parts.splits[TRAIN])), epochs=1)
    steps = -(-len(parts.splits[TRAIN]) // 16)
    updates = [int(b) for n, b in parts.net.named_buffers() if n.endswith("num_batches_tracked")]
    assert set(updates) == {steps * (2 if kind == "trades" else 1)}


def test_presentation_and_sweep_agree_in_rank(tmp_path) -> None:
    """On 300 of the demo's images and 8 epochs; the whole demo stands in docs/results.md."""
    rates = []
    for observing in ("sweep", "presentation"):
        changes = [
            "data.source.train=300",
            "data.source.validation=20",
            "data.source.test=20",
            f"observing={observing}",
        ]
        config = make_config(
            override(read_settings("demo"), [*changes, "device=cpu", "objective.attack.steps=2"])
        ).resolved()
        dataset, _ = config.data(data_root(tmp_path / "runs"))
        parts = build(config, dataset)
        records = run_epochs(parts, torch.arange(300), epochs=8)
        train = parts.splits[TRAIN].ids
        rates.append(zero_one({"correct": np.stack([r.rows["correct"][train].numpy() for r in records])}))
    assert spearmanr(*rates).statistic > 0.85


@pytest.mark.parametrize("kind", ["pgd_at", "trades"])
def test_an_attack_that_warms_up_begins_when_its_clean_epochs_are_over(tiny, kind: str) -> None:
    """Until then an epoch is one of standard training, bit for bit, and nothing attacked is on record."""
    attacked = {"kind": kind, "attack": {"kind": "pgd", "steps": 2}}
    warm, standard, hot = (
        build(tiny_config(**changes), tiny())
        for changes in (
            {"attack_warmup": 2, "objective": attacked},
            {"objective": {"kind": "standard"}},
            {"objective": attacked},
        )
    )
    keep = torch.arange(len(warm.splits[TRAIN]))
    first, second, third = run_epochs(warm, keep, 3)
    for mine, other in zip((first, second), run_epochs(standard, keep, 2), strict=True):
        assert all(torch.equal(mine.rows[name], other.rows[name]) for name in ("correct", "loss"))
        assert (mine.rows["correct_adv"] == 255).all()
    assert (third.rows["correct_adv"][warm.splits[TRAIN].ids] != 255).all()
    assert not torch.equal(first.rows["loss"], run_epochs(hot, keep, 1)[0].rows["loss"])


@pytest.mark.parametrize(("warmup", "reason"), [(5, "shorter than the 5 epochs"), (4, "within T = 4")])
def test_a_warm_up_that_leaves_nothing_to_attack_is_refused(warmup: int, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        tiny_config(attack_warmup=warmup, phases=[{"until": 4}, {"until": 5}], difficulty={"adversarial": True})


def test_t_counts_the_epochs_of_the_warm_up() -> None:
    assert tiny_config(attack_warmup=2, phases=[{"until": 5}, {"until": 6}]).counted_epochs == 5
