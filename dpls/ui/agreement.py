"""Whether measures, seeds and lengths of T call the same images hard: behind a click, for it takes seconds."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dpls import charts
from dpls.difficulty import agreement as agreeing
from dpls.difficulty import causes
from dpls.difficulty.measures import titles
from dpls.errors import UserError
from dpls.recipe import hash_at
from dpls.runs.directory import Run
from dpls.ui import elsewhere, store
from dpls.ui.frame import escape
from dpls.ui.selection import ATTACKED, CLEAN, Selection, name_of

BARE = {"displayModeBar": False}


def show(s: Selection) -> None:
    """Epochs, measures, seeds: Spearman and the overlap of the hardest tenths, on the training images."""
    with st.expander(
        "Do epochs, measures and seeds agree?", key="agreement", icon=":material/compare_arrows:", on_change="rerun"
    ) as opened:
        if not opened.open:
            return
        st.caption(
            "On the training images. Spearman is the correlation of the ranks. Hardest tenth the same: what part of the"
            " hardest tenth is common to both, 10% by chance; images that tie at its border belong to it in part."
        )
        if not s.is_imported:
            _epochs(s)
        _measures(s)
        _seeds(s)


def _epochs(s: Selection) -> None:
    with st.spinner("Counting difficulty over fewer epochs …"):
        found = _stability(s.run.path, s.counted, s.measure, s.adversarial)
    st.markdown(f"**Between epochs**: {escape(s.measure_name)} over the first t epochs, against T = {s.counted}")
    st.plotly_chart(
        charts.stability(found.epochs, found.spearman, found.overlap, agreeing.ENOUGH, found.suggested),
        key="stability",
        config=BARE,
        alt="Agreement of difficulty over fewer epochs with that over all T",
    )
    few = "" if len(found.epochs) == s.counted else f" {len(found.epochs)} of the {s.counted} epochs were looked at."
    drawn = agreeing.drawn(store.harder(s.values, s.measure)[_known(s)])
    ties = f" {drawn:.0%} of the hardest tenth is shared out among images that tie at its border." if drawn else ""
    if found.suggested is None:
        words = "No T below this one gives the same hardest tenth; a longer T may still change it."
    else:
        words = (
            f"**T = {found.suggested} would do**: from there on {agreeing.ENOUGH:.0%} of the hardest tenth is the same."
        )
    st.markdown(words)
    st.caption(f"The {agreeing.ENOUGH:.0%} are a rule of ours, not of the article, which counts to T = 90.{few}{ties}")


def _known(s: Selection) -> NDArray[np.int64]:
    ids = s.facts.scored()
    known: NDArray[np.int64] = ids[~np.isnan(s.values[ids])]
    return known


def _measures(s: Selection) -> None:
    with st.spinner("Comparing measures …"):
        names, found = _between_measures(s.run.path, s.counted, elsewhere.mark(s.run))
    st.markdown(f"**Between measures**, T = {s.counted}: Spearman on {found.images:,} images")
    st.plotly_chart(
        charts.agreement(names, found.spearman, found.overlap),
        key="between measures",
        config=BARE,
        alt="Rank correlation of every two measures",
    )


def _seeds(s: Selection) -> None:
    st.markdown("**Between seeds**: other runs on these images with the same settings up to T, but the seed")
    others = _other_seeds(s)
    if not others or s.is_imported:
        why = "Scores from elsewhere do not depend on a seed." if s.is_imported else "There is none yet; train one."
        st.caption(why)
        return
    ids, rows = s.facts.scored(), []
    own = store.harder(s.values, s.measure)[ids]
    for seed, run in sorted(others.items()):
        theirs = store.harder(store.scores(run, s.counted, s.measure, s.adversarial), s.measure)[ids]
        found = agreeing.between([own, theirs])
        rows.append(
            {
                "run": store.name_of(run),
                "seed": seed,
                "Spearman": float(found.spearman[0, 1]),
                "hardest tenth the same, %": 100 * float(found.overlap[0, 1]),
            }
        )
    columns = {
        "Spearman": st.column_config.NumberColumn(format="%.3f"),
        "hardest tenth the same, %": st.column_config.NumberColumn(format="%.0f"),
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Agreement with runs of other seeds")


def _other_seeds(s: Selection) -> dict[int, Run]:
    """A run a seed, the newest, that came to T as this one did but for its seed."""
    found: dict[int, Run] = {}
    wanted = _but_for_the_seed(s.run.path, s.counted)
    for run in reversed(store.all_runs(experiments=True)):
        try:
            fits = run.id != s.run.id and store.committed(run) >= s.counted
            if fits and _but_for_the_seed(run.path, s.counted) == wanted and run.recipe().seed != s.config.seed:
                found[run.recipe().seed] = run
        except UserError:  # a damaged run is said where runs are listed
            continue
    return found


@lru_cache(maxsize=20_000)
def _but_for_the_seed(path: Path, epochs: int) -> str:
    """Equal for runs on the same images whose first epochs differ in nothing but the seed."""
    run = Run(path)
    config, stored = run.recipe(), run.config()
    anyone = config.model_copy(update={"seed": 0})
    return f"{hash_at(anyone, min(epochs, config.epochs), stored['fingerprint'])} {stored.get('engine')}"


@st.cache_resource(max_entries=50, show_spinner=False)
def _stability(path: Path, counted: int, measure: str, adversarial: bool) -> agreeing.Stability:
    return agreeing.stability(_of_training(Run(path), counted, adversarial), measure)


def _of_training(run: Run, counted: int, adversarial: bool) -> dict[str, np.ndarray]:
    """{signal: (T, n)} of the training examples: views where these come first."""
    ids = store.facts(run).scored()
    columns = slice(len(ids)) if ids[-1] == len(ids) - 1 else ids
    return {name: rows[:, columns] for name, rows in store.signals(run, counted, adversarial).items()}


def _measures_of(run: Run, counted: int) -> list[tuple[str, bool, NDArray[np.floating]]]:
    """(measure, whether on attacked images, natural values of the training images): clean, then attacked."""
    ids = store.facts(run).scored()
    seen = [False, *([True] if run.recipe().counts_attacked else [])]
    return [
        (name, adversarial, store.scores(run, counted, name, adversarial)[ids])
        for adversarial in seen
        for name in titles(store.committed(run))
    ]


@st.cache_resource(max_entries=50, show_spinner=False)
def _between_measures(
    path: Path,
    counted: int,
    mark: tuple[str, ...],  # noqa: ARG001
) -> tuple[list[str], agreeing.Between]:
    run = Run(path)
    measured, imported = _measures_of(run, counted), elsewhere.imported(run)
    names = [
        f"{titles(store.committed(run))[name]}, {ATTACKED if attacked else CLEAN}" for name, attacked, _ in measured
    ]
    scores = [store.harder(values, name) for name, _, values in measured]
    ids = store.facts(run).scored()
    scores += [store.scores(run, counted, name, False)[ids] for name in imported]
    return [*names, *map(name_of, imported)], agreeing.between(scores)


def show_found(s: Selection) -> None:
    """Which measure finds which planted cause, behind a click; the table can be saved as csv."""
    with st.expander("By every measure", key="found by measures", on_change="rerun") as opened:
        if not opened.open:
            return
        table = _found(s.run.path, s.counted)
        numbers = [str(name) for name in table if name not in ("measure", "seen on")]
        columns = {name: st.column_config.NumberColumn(format="%.3f") for name in numbers}
        st.dataframe(
            table, hide_index=True, column_config=columns, alt="AUROC of every measure for every planted cause"
        )
        st.caption(
            f"AUROC, T = {s.counted}, all training images. The table's own menu saves it as csv;"
            " `python -m dpls runs RUN` prints it."
        )


@st.cache_resource(max_entries=50, show_spinner=False)
def _found(path: Path, counted: int) -> pd.DataFrame:
    run = Run(path)
    facts = store.facts(run)
    code = facts.cause[facts.scored()]
    members = {name: code == number for number, name in enumerate(facts.causes) if number and (code == number).any()}
    return causes.as_table(causes.found_by_measures(_measures_of(run, counted), members), store.committed(run))
