"""What the checks try on a chunk of images. Loads torch."""

from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor

from dpls.attacks import PGD, Attack, Margins
from dpls.attacks.ascent import ascend, uniform
from dpls.attacks.goals import CrossEntropyAscent, MarginAscent, Misclassification, ascent_gradient
from dpls.evaluations.evaluation import Evaluation
from dpls.evaluations.trust.budget import DRAWS, MARGIN_STEPS, POINTS, QUERIES, REPEATS, TARGETS, UNLIMITED_STEPS
from dpls.evaluations.trust.search import search
from dpls.nets.frozen import is_right
from dpls.randomness import Noise, mix

SHARES = ("zero_loss", "zero_margin", *(f"margin_{steps}" for steps in POINTS), "change")
TRUTHS = ("gradients", "noise", "queries", "unlimited", "inside")


class Chunk:
    """b images, at ``rows`` of the split: ``held`` bool (b,), who withstood all so far; ``columns``, each (b,)."""

    def __init__(self, checks: Attack, evaluation: Evaluation, rows: Tensor) -> None:
        self._checks, self._evaluation = checks, evaluation
        self._judge, self._proposer = evaluation.judge, evaluation.proposer
        self._x, self._y, _ = evaluation.split.batch(rows)
        self.ids = evaluation.split.ids.to(self._x.device)[rows.to(self._x.device)]
        self._logits = self._answers(self._x)
        self.held = is_right(self._logits, self._y)
        self._right = self.held.nonzero().squeeze(1)
        self._change, self._inside = torch.zeros_like(self._logits[:, 0]), torch.ones_like(self.held)
        self.columns: dict[str, pd.api.extensions.ExtensionArray] = {}
        nobody = self._right[:0]
        for name in SHARES:
            self._note(name, self._change, nobody)
        for name in TRUTHS:
            self._note(name, self.held, nobody)

    def look(self) -> None:
        """Everything, in turn."""
        self._note("clean", self.held)
        self._look_at_answers()
        if not len(self._right):
            return
        self._look_at_gradients()
        self._climb()
        self._aim_at_margins()
        self._draw()
        self._ask()
        self._change_everything()
        self._note("change", self._change, self._right)
        self._note("inside", self._inside, self._right)

    @torch.no_grad()
    def _answers(self, x: Tensor) -> Tensor:
        """(b, K), float32: the judge's logits."""
        logits: Tensor = self._judge(x)
        return logits

    def _noise(self, purpose: str, rows: Tensor) -> Noise:
        return Noise(mix(self._evaluation.seed, purpose), self.ids[rows])

    def _note(self, name: str, values: Tensor, rows: Tensor | None = None) -> None:
        """A column from values (b,); missing outside rows, and where the net's answer was no number."""
        known = values.isfinite()
        if rows is not None:
            known &= torch.zeros_like(known).index_fill_(0, rows, True)
        array, missing = values.cpu().numpy(), ~known.cpu().numpy()
        if array.dtype == bool:
            self.columns[name] = pd.arrays.BooleanArray(array.copy(), missing)
        else:
            self.columns[name] = pd.arrays.FloatingArray(array.astype(float), missing)

    def _spread(self, values: Tensor, rows: Tensor) -> Tensor:
        """(b,): values of rows, in their places."""
        return values.new_zeros(len(self.ids)).index_copy_(0, rows, values)

    def _judged(self, x_adv: Tensor, rows: Tensor) -> Tensor:
        """bool: which of these withstand images x_adv, within eps; who does not is held no longer."""
        change = (x_adv - self._x[rows]).abs().flatten(1).amax(1)
        self._change[rows] = torch.maximum(self._change[rows], change)
        self._inside[rows] &= ((x_adv >= 0) & (x_adv <= 1)).flatten(1).all(1)
        right = is_right(self._answers(x_adv), self._y[rows])
        self.held[rows] &= right
        return right

    def _attack(self, attack: Attack, rows: Tensor) -> Tensor:
        """Images found against rows, by an attack that stops where the judge agrees."""
        goal = Misclassification(self._y[rows], self._judge)
        return attack(self._proposer, self._x[rows], goal, self._noise(attack.name, rows))

    def _look_at_answers(self) -> None:
        """Whether they stay what they are when asked again, and in other company: classes apart, half a batch each."""
        most, least = self._logits.amax(1), self._logits.amin(1)
        width = (most - least).clamp_min(torch.finfo(most.dtype).tiny)
        again = [self._answers(self._x) for _ in range(REPEATS)]
        repeat = torch.stack([(logits - self._logits).abs().amax(1) for logits in again]).amax(0)
        self._note("repeat", repeat / width)
        company = torch.zeros_like(width)
        for rows in self._y.argsort(stable=True).chunk(2):
            company[rows] = (self._answers(self._x[rows]) - self._logits[rows]).abs().amax(1)
        self._note("company", company / width)
        self._note("probabilities", (least >= 0) & ((self._logits.sum(1) - 1).abs() < 1e-3))

    def _look_at_gradients(self) -> None:
        loss = CrossEntropyAscent(self._y)
        for name, goal in (("zero_loss", loss), ("zero_margin", MarginAscent(loss))):
            gradient, _ = ascent_gradient(self._proposer, self._x[self._right], goal, self._right)
            self._note(name, self._spread((gradient == 0).flatten(1).float().mean(1), self._right), self._right)

    def _climb(self) -> None:
        """The ascent of PGD-20, from where it starts, without a stop and beyond its last step."""
        self._evaluation.say(f"climbing on {len(self._right)} images")
        pgd, rows = PGD(steps=20, eps=self._checks.radius), self._right
        x, goal = self._x[rows], CrossEntropyAscent(self._y)
        x_adv = pgd.project(pgd.first(x, self._noise(pgd.name, rows)), x)
        for before, after in pairwise((0, *POINTS)):
            steps = [(goal, pgd.step_length)] * (after - before)
            x_adv, _ = ascend(self._proposer, x, x_adv, goal, rows, steps, pgd.project)
            self._judged(x_adv, rows)
            self._note(f"margin_{after}", self._spread(self._margin(x_adv, rows), rows), rows)

    def _margin(self, x: Tensor, rows: Tensor) -> Tensor:
        margin: Tensor = MarginAscent(CrossEntropyAscent(self._y)).loss(self._answers(x), rows)
        return margin

    def _aim_at_margins(self) -> None:
        rows = self.held.nonzero().squeeze(1)
        self._evaluation.say(f"margins on {len(rows)} images")
        if len(rows):
            attack = Margins(steps=MARGIN_STEPS, targets=TARGETS, eps=self._checks.radius)
            self._judged(self._attack(attack, rows), rows)
        self._held_by_gradients = self.held.nonzero().squeeze(1)
        self._note("gradients", self.held, self._right)

    def _draw(self) -> None:
        """Of all images that are right: what noise breaks, gradients should break as well."""
        rows, eps = self._right, self._checks.radius
        x, noise, withstood = self._x[rows], self._noise("noise", rows), torch.ones_like(rows, dtype=torch.bool)
        for draw in range(DRAWS):
            drawn = uniform(x, eps, noise)
            drawn = x + eps * (drawn - x).sign() if draw % 2 else drawn
            withstood &= self._judged(self._checks.project(drawn, x), rows)
        self._note("noise", self._spread(withstood, rows), rows)

    def _ask(self) -> None:
        """The black box, on whom gradients have not broken."""
        rows = self._held_by_gradients
        self._evaluation.say(f"queries on {len(rows)} images")
        if len(rows):
            goal, noise = MarginAscent(CrossEntropyAscent(self._y[rows])), self._noise("queries", rows)
            found = search(self._answers, self._x[rows], goal, self._checks.radius, noise, QUERIES)
            withstood = self._judged(self._checks.project(found, self._x[rows]), rows)
            self._note("queries", self._spread(withstood, rows), rows)

    def _change_everything(self) -> None:
        """Nobody withstands an attack that may make any image of it, unless its gradients lead nowhere."""
        rows = self._right
        self._evaluation.say(f"changing everything on {len(rows)} images")
        attack = PGD(steps=UNLIMITED_STEPS, step=2 / UNLIMITED_STEPS, eps=1, start="clean")
        withstood = is_right(self._answers(self._attack(attack, rows)), self._y[rows])
        self._note("unlimited", self._spread(withstood, rows), rows)
