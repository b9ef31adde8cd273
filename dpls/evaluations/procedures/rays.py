"""RayS, an attack that sees nothing but the predicted label: how far it is to the nearest error."""

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from dpls.component import show_fraction
from dpls.evaluations.base import Procedure

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dpls.evaluations.evaluation import Evaluation

ENOUGH_QUERIES = 10_000
"""Of the article; its leaderboard allows 40,000."""
TOLERANCE = 1e-3
"""To which a distance is searched, as a Euclidean length; as in the authors' program."""
NOTHING_FOUND = 2.0
"""A radius that no image in [0, 1] has."""


class RayS(Procedure):
    """Searches for the direction of plus and minus ones in which the decision boundary is nearest.

    The radius of an example is the smallest L-infinity distance at which an error was found; it is broken where that is
    at most eps. Chen and Gu, KDD 2020, "RayS: A Ray Searching Method for Hard-label Adversarial Attack",
    https://arxiv.org/abs/2006.12792
    """

    examples: ClassVar[str] = "rays"

    images_a_chunk: ClassVar[int] = 100

    kind: Literal["rays"] = "rays"
    queries: int = Field(
        ENOUGH_QUERIES, ge=1, le=1_000_000, description="most answers of the net to one image, the clean one counted"
    )
    stop_when_broken: bool = Field(
        True, description="an image is left alone once it is broken; else the search for the nearest error goes on"
    )

    @classmethod
    def named(cls, name: str) -> Self | None:
        return cls() if name == "rays" else None

    @property
    def name(self) -> str:
        queries = "" if self.queries == ENOUGH_QUERIES else f"-queries-{self.queries}"
        return f"rays{queries}{'' if self.stop_when_broken else '-distance'}"

    @property
    def title(self) -> str:
        goes_on = "" if self.stop_when_broken else ", to the nearest error"
        return f"RayS, eps {show_fraction(self.radius)}, at most {self.queries:,} queries{goes_on}"

    @property
    def passes(self) -> float:
        return self.queries

    @property
    def doubts(self) -> list[str]:
        found = [
            "RayS sees labels alone and is a weak attack: its robust accuracy is an upper bound; where it breaks more"
            " than a strong attack by gradients (A3, AutoAttack), gradients are masked"
        ]
        if self.queries < ENOUGH_QUERIES:
            found.append(f"{self.queries:,} queries are few; use {ENOUGH_QUERIES:,} or more")
        return found

    def run(self, evaluation: "Evaluation") -> None:
        """Columns: ``broken_by``, ``queries`` (all answers asked of the net), ``radius`` (0 where the clean image is
        wrong)."""
        import pandas as pd

        for rows in evaluation.left():
            batch = evaluation.split.batch(rows)
            found = search(
                evaluation.judge, batch.x, batch.y, self.queries, self.radius if self.stop_when_broken else 0.0
            )
            right, radius = found.radius > self.radius, found.radius.tolist()
            by = [
                None if held else "rays" if r > 0 else "clean" for held, r in zip(right.tolist(), radius, strict=True)
            ]
            evaluation.append(
                evaluation.split.ids.cpu()[rows],
                right,
                broken_by=pd.array(by, dtype="string"),
                queries=found.queries,
                radius=pd.array([r if r < NOTHING_FOUND else None for r in radius], dtype="Float64"),
            )


class Found(NamedTuple):
    """radius: float32 (b,), in [0, 1], or 2 where nothing was found. sign: (b, C, H, W), the direction of plus and
    minus ones that was last taken. queries: int64 (b,), answers asked of the net for each."""

    radius: "Tensor"
    sign: "Tensor"
    queries: "Tensor"


def search(judge: "nn.Module", x: "Tensor", y: "Tensor", queries: int, enough: float) -> Found:
    """The nearest error that the labels of ``judge`` show for each of x (b, C, H, W) in [0, 1]; y: int64 (b,).

    An example is searched until it was asked ``queries`` times, its radius is at most ``enough``, or no pixel's sign is
    worth changing. What is found for it depends on no other.
    """
    import torch

    rays = _Rays(judge, x, y)
    radius, sign, asked = rays.nearest.clone(), rays.sign.clone(), rays.queries.clone()
    while True:
        finished = (rays.nearest <= enough) | (rays.queries >= queries) | (rays.in_vain >= x[0].numel())
        if finished.any():
            done = rays.rows[finished]
            radius[done], sign[done], asked[done] = rays.nearest[finished], rays.sign[finished], rays.queries[finished]
            rays.keep(~finished)
        if not len(rays.rows):
            return Found(radius, sign, asked)
        with torch.no_grad():
            rays.ask(judge)


class _Rays:
    """The examples that are still searched, each with a state of its own; ``ask`` asks once for each of them.

    A block of pixels is flipped: is the image still wrong at the ``radius`` of the signs so far? If so, the distance in
    the new direction is searched by halving, and the flip is kept where it is smaller. Blocks come in order; behind the
    last they are halved, down to single pixels.
    """

    def __init__(self, judge: "nn.Module", x: "Tensor", y: "Tensor") -> None:
        import torch

        from dpls.nets.frozen import is_right

        count, size = len(x), x[0].numel()
        self.x, self.y, self.rows = x, y, torch.arange(count, device=x.device)
        self.sign = torch.ones_like(x)
        self.radius = torch.full((count,), NOTHING_FOUND, device=x.device)
        self.nearest, self.farthest_right = self.radius.clone(), torch.zeros_like(self.radius)
        self.searching = torch.zeros(count, dtype=torch.bool, device=x.device)
        self.block, self.start = torch.full_like(self.rows, size), torch.zeros_like(self.rows)
        self.queries, self.in_vain = torch.ones_like(self.rows), torch.zeros_like(self.rows)
        with torch.no_grad():
            self.nearest[~is_right(judge(x), y)] = 0

    def keep(self, which: "Tensor") -> None:
        for name, value in vars(self).items():
            setattr(self, name, value[which])

    def ask(self, judge: "nn.Module") -> None:
        import torch

        from dpls.nets.frozen import is_right

        middle = (self.farthest_right + self.nearest) / 2
        length = torch.where(self.searching, middle, self.radius.clamp(max=1))  # at 1 lies a corner of the box
        flipped = torch.where(self._in_block(), -self.sign, self.sign)
        # Rounding is monotone, so this image lies inside the eps ball as float32 computes it wherever length <= eps.
        wrong = ~is_right(judge((self.x + _column(length) * flipped).clamp_(0, 1)), self.y)
        self.queries += 1
        self.farthest_right = torch.where(self.searching & ~wrong, length, self.farthest_right)
        self.nearest = torch.where(wrong, length, self.nearest)
        tolerance = TOLERANCE / self.x[0].numel() ** 0.5
        self.searching = (self.searching | wrong) & (self.nearest - self.farthest_right > tolerance)
        self._next_block(flipped)

    def _next_block(self, flipped: "Tensor") -> None:
        """Where the search in a direction is over: keeps the flip if it brings the error nearer, and goes on."""
        import torch

        over = ~self.searching
        nearer = over & (self.nearest < self.radius)
        self.sign = torch.where(_column(nearer), flipped, self.sign)
        self.radius = torch.where(over, self.nearest, self.radius)
        self.farthest_right = torch.where(over, 0, self.farthest_right)
        self.in_vain = torch.where(nearer | (self.block > 1), 0, self.in_vain + over)
        self.start = torch.where(over, self.start + self.block, self.start)
        behind = self.start >= self.x[0].numel()
        self.start = torch.where(behind, 0, self.start)
        self.block = torch.where(behind, (self.block + 1) // 2, self.block)

    def _in_block(self) -> "Tensor":
        """bool (b, C, H, W)."""
        import torch

        place = torch.arange(self.x[0].numel(), device=self.x.device).view(self.x.shape[1:])
        return (place >= _column(self.start)) & (place < _column(self.start + self.block))


def _column(values: "Tensor") -> "Tensor":
    """(b,) as (b, 1, 1, 1)."""
    return values[:, None, None, None]
