"""One chunk of DiffPure: the net behind purification, and PGD through it. Loads torch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dpls.attacks import Attack
from dpls.attacks.ascent import uniform
from dpls.attacks.goals import CrossEntropyAscent, ascent_gradient
from dpls.diffusion.chain import purify
from dpls.evaluations.evaluation import Evaluation
from dpls.nets.frozen import is_right
from dpls.randomness import Noise, mix


class Purified(nn.Module):
    """A net behind purification: images (b, C, H, W) in [0, 1] -> its logits (b, K).

    noise: of these images, called for each pass. One that gives the same object each time draws anew in each pass; one
    that gives a new object of the same seed draws the same.
    """

    def __init__(
        self, net: nn.Module, denoiser: nn.Module | None, level: int, steps: int, noise: Callable[[], Noise]
    ) -> None:
        super().__init__()
        self._net, self._denoiser, self._level, self._steps, self._noise = net, denoiser, level, steps, noise

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self._net(purify(self._denoiser, x, self._level, self._steps, self._noise()))
        return logits


class Plan(NamedTuple):
    """How images are purified, to ``level`` and back in ``strides``, and attacked: gradient ``steps``, ``draws`` of the
    defence a step."""

    denoiser: nn.Module | None
    level: int
    strides: int
    steps: int
    draws: int


def outcomes(plan: Plan, attack: Attack, evaluation: Evaluation, rows: Tensor) -> dict[str, Tensor]:
    """bool (b,) by column, see ``DiffPure.run``. An example's outcomes depend on no other."""
    x, y, at = evaluation.split.batch(rows)
    ids, bare = evaluation.split.ids.to(x.device)[at], evaluation.judge

    def noise(purpose: str) -> Noise:
        return Noise(mix(evaluation.seed, "diffpure", purpose), ids)

    def purified(noise: Callable[[], Noise]) -> Purified:
        return Purified(bare, plan.denoiser, plan.level, plan.strides, noise)

    drawn = noise("draws of the attack")
    judge, anew = purified(lambda: noise("the draw that judges")), purified(lambda: drawn)
    start = attack.project(uniform(x, attack.radius, noise("start")), x)
    evaluation.say("PGD on the net alone")
    transferred, _ = climb(attack, bare, x, start, y, plan.steps)
    evaluation.say(f"PGD through the chain, {plan.draws} draws a step")
    averaged, _ = climb(attack, anew, x, start, y, plan.steps, plan.draws if plan.level else 1)
    evaluation.say("PGD through the chain, the draw known")
    known, held = climb(attack, judge, x, start, y, plan.steps)
    with torch.no_grad():
        bare_clean, clean = is_right(bare(x), y), is_right(judge(x), y)
        return {
            "bare_clean": bare_clean,
            "bare_pgd": bare_clean & is_right(bare(transferred), y),
            "clean": clean,
            "transferred": clean & is_right(judge(transferred), y),
            "eot": clean & is_right(judge(averaged), y),
            "fixed": clean & held & is_right(judge(known), y),
        }


def climb(
    attack: Attack, net: nn.Module, x: Tensor, start: Tensor, y: Tensor, steps: int, draws: int = 1
) -> tuple[Tensor, Tensor]:
    """PGD that never stops, steps of eps / 4 along the mean of so many gradients of the cross-entropy: the last image,
    like x, and bool (b,): right at every image before it, whatever was drawn.

    The variance of a mean of n gradients is that of one over n.
    """
    goal, rows, x_adv = CrossEntropyAscent(y), torch.arange(len(x), device=x.device), start
    held = torch.ones_like(y, dtype=torch.bool)
    for _ in range(steps):
        mean = torch.zeros_like(x)
        for _ in range(draws):
            gradient, logits = ascent_gradient(net, x_adv, goal, rows)
            held &= is_right(logits, y)
            mean += gradient / draws
        x_adv = attack.project(x_adv + attack.radius / 4 * mean.sign(), x)
    return x_adv, held
