"""A chunk of examples under A3: where its steps go, and in which directions they start."""

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from dpls.attacks import Attack
from dpls.nets.frozen import is_right
from dpls.randomness import Noise, mix

if TYPE_CHECKING:
    from dpls.evaluations.evaluation import Evaluation


class Round(NamedTuple):
    """One pass over the examples that are left: the ``share`` of them that is nearest to breaking is attacked.

    directed: steps along a random direction of the logits, from a uniform start; then come ``steps`` that climb the
    margin. targets: how many of the likeliest wrong classes take turns as the one that is pushed up; none: as many as
    there are, up to a number that grows with the classes.
    """

    share: float
    directed: int
    steps: int
    restarts: int = 1
    targets: int | None = None


ROUNDS = (
    Round(1, 0, 8),
    Round(1, 7, 15),
    Round(1, 7, 15),
    Round(0.7, 7, 18),
    Round(0.6, 7, 18),
    Round(0.5, 7, 23),
    Round(0.4, 7, 28),
    Round(0.3, 7, 33),
    Round(0.2, 7, 38),
    Round(0.1, 7, 43),
    Round(0.1, 7, 53, restarts=4, targets=4),
    Round(0.065, 7, 53, restarts=4, targets=4),
    Round(0.03, 7, 53, restarts=50, targets=4),
)
DIRECTED_SHARES = (*(1,) * 10, 0.8, 0.5, 0.5)
DIRECTED_STEPS = 12
"""Of the rounds from the fourth on where directions alone break much: there the margin misleads."""
MUCH = 0.05
"""Of the examples left after the first round, as many as directions alone must break in the next two."""
FEWEST = 100
"""Examples that a round attacks at least, if so many are left: a share of a few is nobody."""


class Experience:
    """What the directions drawn so far have taught: which way to push label and target, and whether they suffice.

    Usually an example breaks where its label is pushed down and the target up. The opposite is believed only where the
    uniform draws that broke something lie two standard errors on the other side.
    """

    def __init__(self) -> None:
        self.label = self.fallen = 0.0
        self.count = self.by_direction = self.left = 0

    def learn(self, v: Tensor, y: Tensor, fallen: Tensor) -> None:
        """v: uniform in [-1, 1), (b, K), which broke b examples of label y; ``fallen``: the classes they fell into."""
        self.label += float(v.gather(1, y[:, None]).sum())
        self.fallen += float(v.gather(1, fallen[:, None]).sum())
        self.count += len(v)

    @property
    def label_up(self) -> bool:
        return self.label > 2 * math.sqrt(self.count / 3)

    @property
    def target_down(self) -> bool:
        return self.fallen < -2 * math.sqrt(self.count / 3)

    @property
    def directions_suffice(self) -> bool:
        return self.by_direction > 0 and self.by_direction >= MUCH * self.left


class Chunk:
    """The examples of one chunk under attack, each told by its row.

    left: bool (b,), not broken yet. broken_by: how, by row; None where left. steps: int64 (b,), gradient steps so far.
    best: float32 (b,), the largest margin the proposer ever saw.
    """

    def __init__(self, attack: Attack, most_steps: int, evaluation: "Evaluation", rows: Tensor) -> None:
        batch = evaluation.split.batch(rows)
        self.threat, self.most_steps, self.evaluation = attack, most_steps, evaluation
        self.x, self.y, self.ids = batch.x, batch.y, evaluation.split.ids.to(batch.y.device)[batch.rows]
        self.left = torch.ones_like(self.y, dtype=torch.bool)
        self.steps = torch.zeros_like(self.y)
        self.best = torch.full(self.y.shape, -math.inf, device=self.y.device)
        self.broken_by: list[str | None] = [None] * len(rows)
        self.experience = Experience()
        self.runs = 0

    def attack(self) -> None:
        rows = self.left.nonzero().squeeze(1)
        rows = rows[~self._look(rows, self.x, self._judged(self.x), "clean", confirmed=True)]
        signs = self._noise(rows, "noise").uniform(*self.x.shape[1:]).round() * 2 - 1
        x_adv = self._inside(self.x[rows] + signs * self.threat.radius, rows)
        logits = self._judged(x_adv)
        self._look(rows, x_adv, logits, "noise", confirmed=True)
        self.likeliest = self.y[:, None].repeat(1, logits.shape[1])
        self.likeliest[rows] = logits.argsort(stable=True, dim=1, descending=True)  # the label first, where it is left
        for number, planned in enumerate(ROUNDS):
            now = planned
            if number == 1:
                self.experience.left = int(self.left.sum())
            if number > 2 and self.experience.directions_suffice:
                now = planned._replace(share=DIRECTED_SHARES[number], directed=DIRECTED_STEPS)
            for _ in range(now.restarts):
                rows = self._nearest(now)
                if not len(rows):  # later rounds are no shorter
                    return
                self.evaluation.say(f"round {self.runs + 1} on {len(rows)} images")
                self._climb(rows, now, number)
                self.runs += 1

    def _nearest(self, now: Round) -> Tensor:
        """Rows of those that a round attacks, as far as there are steps for them."""
        left = self.left.nonzero().squeeze(1)
        free = min(self.most_steps * len(steps) - int(steps.sum()) for steps in (self.steps, self.steps[left]))
        count = min(max(math.ceil(now.share * len(left)), FEWEST), free // (now.directed + now.steps))
        return left[self.best[left].argsort(descending=True, stable=True)[: max(count, 0)]]

    def _climb(self, rows: Tensor, now: Round, number: int) -> None:
        """From a fresh start for each of the rows; who breaks leaves at once."""
        noise = self._noise(rows, self.runs)
        x_adv = self._inside(self.x[rows] + (noise.uniform(*self.x.shape[1:]) * 2 - 1) * self.threat.radius, rows)
        v = self._directions(rows, noise.uniform(self.likeliest.shape[1]), now, number)
        for step in range(now.directed + now.steps):
            if not len(rows):
                return
            directed = step < now.directed
            ascent, logits = _ascent(self.evaluation.proposer, x_adv, self.y[rows], v if directed else None)
            broken = self._look(rows, x_adv, logits, "a3")
            if broken.any():
                self._learn(number, step <= now.directed, v[broken], self.y[rows[broken]], logits[broken])
                rows, x_adv, ascent, v = rows[~broken], x_adv[~broken], ascent[~broken], v[~broken]
            length = 1 if directed else annealed(step - now.directed, now.steps)
            x_adv = self._inside(x_adv + length * self.threat.radius * ascent, rows)
            self.steps[rows] += 1
        if len(rows):
            logits = self._judged(x_adv)
            broken = self._look(rows, x_adv, logits, "a3", confirmed=True)
            self._learn(number, False, v[broken], self.y[rows[broken]], logits[broken])

    def _directions(self, rows: Tensor, uniform: Tensor, now: Round, number: int) -> Tensor:
        """(b, K): weights of the logits whose sum is climbed; from ``uniform`` draws in [0, 1)."""
        v, classes = uniform * 2 - 1, uniform.shape[1]
        if number < 2:
            return v
        label, targets = self.y[rows, None], now.targets or most_targets(classes)
        target = self.likeliest[rows, 1 + (self.runs - 2) % min(targets, classes - 1)][:, None]
        scale = max(classes / 10, 1)  # many classes at random would drown two
        low = -0.1 if self.experience.label_up else -0.5
        v.scatter_(1, label, (uniform.gather(1, label) * 0.6 + low) * scale)
        return v.scatter_(1, target, (-0.8 if self.experience.target_down else 0.8) * scale)

    def _learn(self, number: int, by_direction: bool, v: Tensor, y: Tensor, logits: Tensor) -> None:
        if number in (1, 2):
            self.experience.by_direction += by_direction * len(v)
        if number == 1:
            self.experience.learn(v, y, logits.argmax(1))

    def _look(self, rows: Tensor, x_adv: Tensor, logits: Tensor, by: str, *, confirmed: bool = False) -> Tensor:
        """bool (b,): broken at x_adv. ``confirmed``: the logits are the judge's; else it is asked about errors."""
        wrong = ~is_right(logits, self.y[rows])
        if not confirmed and wrong.any():
            wrong[wrong.clone()] = ~is_right(self._judged(x_adv[wrong]), self.y[rows[wrong]])
        self.best[rows] = self.best[rows].fmax(margin(logits, self.y[rows]))
        self.left[rows] = ~wrong
        for row in rows[wrong].tolist():
            self.broken_by[row] = by
        return wrong

    def _judged(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self.evaluation.judge(x)
        return logits

    def _inside(self, x_adv: Tensor, rows: Tensor) -> Tensor:
        return self.threat.project(x_adv, self.x[rows])

    def _noise(self, rows: Tensor, what: int | str) -> Noise:
        return Noise(mix(self.evaluation.seed, "a3", what), self.ids[rows])


def most_targets(classes: int) -> int:
    return 9 if classes <= 10 else 14 if classes <= 100 else 20


def annealed(step: int, steps: int) -> float:
    """Length of a step, by half a cosine from 1 down to 0.001, or 0.1 where there are few; in eps."""
    last = 0.1 if steps <= 10 else 0.001
    return last + (1 - last) * (1 + math.cos(math.pi * step / (steps + 1))) / 2


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """float32 (b,): the lead of the likeliest wrong class over the label; positive where the net is wrong."""
    logits = logits.float()
    return logits.scatter(1, y[:, None], -math.inf).amax(1) - logits.gather(1, y[:, None]).squeeze(1)


def _ascent(net: nn.Module, x: Tensor, y: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
    """Signs by which the margin, or the sum of logits weighed by v, is climbed; like x. And the logits at x (b, K)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = net(x)
        climbed = margin(logits, y) if v is None else (v * logits.float()).sum(1)
        (gradient,) = torch.autograd.grad(climbed.sum(), x)
    return gradient.nan_to_num_().sign_(), logits.detach()
