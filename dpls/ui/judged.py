"""What the page Robustness looks at: a run, a checkpoint, a part of its images, an eps, and evaluations of these."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import streamlit as st

from dpls.component import parse_fraction, show_fraction
from dpls.data import PARTS, TEST, TRAIN
from dpls.errors import UserError
from dpls.evaluations.compared import Judged, card, eps_of, judged, ladder, largest, part_of
from dpls.evaluations.trust.card import Card
from dpls.runs.directory import Run
from dpls.ui import address, described, store
from dpls.ui.choosing import choose_run
from dpls.ui.frame import escape, row

CHECKPOINTS = ("best", "last", "average")


@dataclass(frozen=True, eq=False)
class View:
    """What is chosen. found: evaluations of this checkpoint and part, of every eps, one an attack and eps. checks: of
    the net at these. made: names of all that the run has."""

    run: Run
    checkpoint: str
    part: str
    eps: str
    found: list[Judged]
    checks: list[Judged]
    made: frozenset[str]

    @property
    def clean(self) -> Judged | None:
        return next((one for one in self.found if one.is_clean), None)

    @cached_property
    def here(self) -> list[Judged]:
        """At the eps that is looked at: clean, then from the weakest attack to the strongest."""
        return ladder([one for one in self.found if one.is_clean or one.eps == self.eps])

    @property
    def attacks(self) -> list[Judged]:
        return [one for one in self.here if not one.is_clean]

    @property
    def card(self) -> Card | None:
        """Of the strongest attack."""
        return card([*self.here, *(one for one in self.checks if one.eps == self.eps)]) if self.attacks else None

    @property
    def images(self) -> str:
        """e.g. ``test images``."""
        return f"{self.part} images"


def every(run: Run) -> tuple[list[Judged], list[str]]:
    """All finished evaluations of a run, and a sentence about each that cannot be read."""
    return _every(run.path, store.changed(run.evaluations))


@st.cache_resource(max_entries=16, show_spinner=False)
def _every(path: Path, changed: int) -> tuple[list[Judged], list[str]]:  # noqa: ARG001
    run, found, wrong = Run(path), [], []
    for name in run.evaluation_names(others=True):
        try:
            one = judged(name, run.evaluation(name), run.outcomes(name))
            if one.is_clean or eps_of(name):
                found.append(one)
        except UserError as error:
            wrong.append(str(error))
    return found, wrong


def choose() -> View | None:
    """Draws the choices in a row; None, which is said, where nothing can judge the run. Raises UserError where it has
    trained nothing yet."""
    with row("judged"):
        run = choose_run()
        chosen = _choose(run) if run.recipe().net.is_known else None
    described.show_origin(run)
    if not chosen:
        st.info(
            "The weights of its network are not here, so no attack can look at it. Load them as a run of their own:"
            " `python -m dpls load`.",
            icon=":material/shield:",
        )
        return None
    view, wrong = chosen
    for sentence in wrong:
        st.warning(escape(sentence[:1].upper() + sentence[1:]) + ".", icon=":material/broken_image:")
    return view


def _choose(run: Run) -> tuple[View, list[str]]:
    """Of one run, and a sentence about each evaluation that cannot be read."""
    if not store.committed(run):
        raise UserError(
            f"run {store.name_of(run)} has not finished an epoch yet (it is {store.state_of(run)}); watch it on the"
            " page Train, or choose another run"
        )
    found, wrong = every(run)
    checkpoint = _checkpoint(run, found)
    part = _part(found)
    mine = [one for one in found if str(one.said["checkpoint"]) == checkpoint and part_of(one.name) == part]
    mine = largest(_of_one_net(mine))
    checks, mine = [one for one in mine if one.is_checks], [one for one in mine if not one.is_checks]
    eps = _eps(run, mine)
    return View(run, checkpoint, part, eps, mine, checks, frozenset(one.name for one in found)), wrong


def _of_one_net(found: list[Judged]) -> list[Judged]:
    """Without those of weights that the checkpoint held before, as far as they say so: the clean one was made last."""
    weights = next((one.said.get("weights") for one in found if one.is_clean), None)
    return [one for one in found if weights is None or one.said.get("weights", weights) == weights]


def _checkpoint(run: Run, found: list[Judged]) -> str:
    named = [str(one.said["checkpoint"]) for one in found]
    stems = {"best": "best", "last": "epoch_*", "average": "average"}
    files = {name: run.checkpoints.glob(f"{stem}.safetensors") for name, stem in stems.items()}
    there = [name for name in CHECKPOINTS if name in named or any(files[name])]
    names = list(dict.fromkeys([*there, *named])) or ["best"]
    address.bind("checkpoint", names[0], lambda name: name in names, ", ".join(names))
    return (
        st.segmented_control("Checkpoint", names, required=True, key="checkpoint", persist_state="session", width=140)
        or names[0]
    )


def _part(found: list[Judged]) -> str:
    there = {part_of(one.name) for one in found} | {PARTS[TEST], PARTS[TRAIN]}
    parts = [part for part in PARTS[::-1] if part in there]
    address.bind("part", PARTS[TEST], lambda name: name in parts, ", ".join(parts))
    chosen = st.segmented_control("Images", parts, required=True, key="part", persist_state="session", width=230)
    return chosen or PARTS[TEST]


def _eps(run: Run, found: list[Judged]) -> str:
    own = show_fraction(run.recipe().eps)
    known = sorted({own, *(one.eps for one in found if not one.is_clean)}, key=parse_fraction)
    address.bind("eps", own, lambda eps: eps in known, ", ".join(known))
    return st.selectbox(
        "Attack radius (eps)",
        known,
        format_func=lambda eps: f"{eps}, the run's" if eps == own else eps,
        key="eps",
        persist_state="session",
        width=170,
        help="The largest change of a pixel that an attack may make; pixels lie in 0 to 1.",
    )
