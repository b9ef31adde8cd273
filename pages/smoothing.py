"""The lambda_min cockpit: what a lambda_min does to every label, before anything is trained."""

import math
from typing import Any, Literal

import numpy as np
import streamlit as st

from dpls import charts
from dpls.data import TRAIN
from dpls.errors import UserError
from dpls.methods.labels import lambda_min_for, smoothing_factors
from dpls.runs.sidecar import file_hashes, sidecar, to_bytes
from dpls.ui import address, images, store, tested
from dpls.ui.believed import warn_of_doubts
from dpls.ui.choosing import select
from dpls.ui.frame import escape, page, read_only, row
from dpls.ui.selection import Selection

BANDS = ((50, 0.7, 0.9, "100"), (6, 0.8, 0.9, "10"))
"""Mean factors the article advises for 100 classes and for 10, and from how many classes on that is taken for a guide;
a label of fewer says too little of theirs."""
CARD: dict[str, Any] = {"border": True, "height": "stretch", "delta_arrow": "off"}
CARD_HEIGHT = 108  # pixels: a metric with its delta; fixed, so that nothing below jumps when the metrics have loaded


def solve(s: Selection, difficulty: np.ndarray) -> None:
    """For a callback: moves the slider to the lambda_min that gives the wished mean, or keeps the reason why not."""
    wished = st.session_state["mean"]
    st.session_state["solved now"] = True
    st.session_state.pop("refused", None)
    if wished is None:
        return
    try:
        found = lambda_min_for(wished, difficulty, len(s.facts.classes))
        st.session_state["lambda_min"] = max(round(found, 3), math.ceil(1000 / len(s.facts.classes)) / 1000)
    except UserError as error:
        st.session_state["refused"] = str(error)


def judge(mean: float, classes: int) -> tuple[str, Literal["green", "orange", "off"], str]:
    """Where a mean factor lies in the article's band: a note, its colour, and the advice in a sentence."""
    for least, low, high, studied in BANDS:
        if classes >= least:
            shown = round(mean, 3)
            place = "inside" if low <= shown <= high else "below" if shown < low else "above"
            advice = f"The article advises {low:g} to {high:g} for {studied} classes."
            return f"{place} {low:g} to {high:g}", "green" if place == "inside" else "orange", advice
    return f"no range for {classes} classes", "off", "The article advises none for so few classes."


with page("Smoothing", "How much of its label each image keeps: factor = 1 - (1 - lambda_min) \\* difficulty."):
    s = select()
    ids = s.facts.scored()
    difficulty = s.difficulty[ids]
    classes = len(s.facts.classes)

    # The knob
    left, right = st.columns([3, 1], gap="large", vertical_alignment="bottom")
    lowest = math.ceil(1000 / classes) / 1000
    own = s.config.phases[-1].factors.lambda_asked
    address.bind("lambda_min", max(own, lowest), lambda value: lowest <= value <= 1, f"{lowest:g} to 1")
    with left, row("knob"):
        lambda_min = st.slider(
            "lambda_min, the factor at difficulty 1",
            lowest,
            1.0,
            step=0.005,
            format="%.3f",
            key="lambda_min",
            persist_state="session",
            help=f"1 is no smoothing; 1/{classes} would make all classes equally likely.",
        )
    state = (s.run.id, s.measure, s.adversarial, s.normaliser, s.counted, lambda_min)
    if st.session_state.pop("solved now", False):
        st.session_state["solved for"] = state
    elif st.session_state.get("solved for") != state:  # the wish was for another slider or another difficulty
        st.session_state["mean"] = None
        st.session_state.pop("refused", None)
    right.number_input(
        "or the mean factor wished",
        min_value=0.0,
        max_value=1.0,
        value=None,
        step=0.01,
        key="mean",
        persist_state="session",
        placeholder="e.g. 0.85",
        on_change=solve,
        args=(s, difficulty),
        help="lambda_min is then solved for.",
    )
    if refused := st.session_state.get("refused"):
        st.warning(escape(refused[:1].upper() + refused[1:]) + ".", icon=":material/block:")

    # What it does
    factors = smoothing_factors(difficulty, lambda_min)
    order = np.argsort(np.nan_to_num(difficulty, nan=-1), kind="stable")
    smoothing = 1 - factors[order]
    tenths, fifths = (
        np.array([part.sum() for part in np.array_split(smoothing, parts)]) / max(smoothing.sum(), 1e-12)
        for parts in (10, 5)
    )
    mean = float(factors.mean())
    note, colour, advice = judge(mean, classes)

    cards = st.grid(4, min_column_width=170, row_height=CARD_HEIGHT)
    cards.metric(
        "Mean factor",
        f"{mean:.3f}",
        note,
        delta_color=colour,
        help=f"Exactly {mean:.8f}. {advice}",
        **CARD,
    )
    cards.metric("Smallest factor", f"{factors.min():.3f}", "the hardest image", delta_color="off", **CARD)
    cards.metric(
        "Of the hardest fifth",
        f"{fifths[-1]:.0%}",
        "20% if all alike",
        delta_color="off",
        help="The share of all smoothing, the mass taken from labels, that the hardest fifth of the images gets.",
        **CARD,
    )
    hard = factors > 0.999
    cards.metric(
        "Hard labels",
        f"{hard.mean():.0%}",
        f"{hard.sum():,} images",
        delta_color="off",
        help="Images whose label keeps practically everything.",
        **CARD,
    )

    halves = st.grid(2, min_column_width=420, gap="large")
    with halves.cell():
        st.subheader("Every image")
        st.plotly_chart(
            charts.factor_curve(factors, lambda_min, mean),
            key="curve",
            config={"displayModeBar": False},
            alt="Smoothing factor from the easiest to the hardest image",
        )
        st.subheader("How many images keep how much")
        st.plotly_chart(
            charts.factor_histogram(factors),
            key="factors",
            config={"displayModeBar": False},
            alt="Histogram of smoothing factors",
        )
    with halves.cell():
        st.subheader("Who is smoothed")
        st.plotly_chart(
            charts.budget(tenths), key="budget", config={"staticPlot": True}, alt="Share of smoothing by tenth"
        )
        st.caption(
            "The dashed line is the uniform twin: ordinary label smoothing of the same mean takes as much from easy"
            " images as from hard ones."
        )
        if s.part == TRAIN and len(s.order):
            known = s.order[~np.isnan(s.difficulty[s.order]) & np.isin(s.order, ids)]
            place_of = {example: place for place, example in enumerate(ids.tolist())}
            for words, shown in (("Keeps least", known[:7]), ("Keeps most", known[::-1][:7])):
                if len(shown):
                    st.markdown(f"**{words}** ({factors[place_of[int(shown[0])]]:.2f} of the label)")
                    images.show(s, shown, words, one_row=True, tile=68, then="pages/images.py")
            st.caption(images.legend(s))
    unseen = int(np.isnan(difficulty).sum())
    if unseen:
        why = "have no score in the file" if s.is_imported else "were never seen"
        st.caption(f"{unseen:,} training images {why}; they have no difficulty and keep the factor 1.")
    warn_of_doubts(s)  # before it is taken along or trained with
    st.download_button(
        "Take along: every factor, for your own trainer",
        lambda: to_bytes(
            sidecar(store.examples(s.run), file_hashes(s.run)).assign(difficulty=difficulty, factor=factors)
        ),
        f"factors-{s.run.id}.parquet",
        icon=":material/download:",
        help="Read it with dpls.read_factors(file, images), or by the paths of image files: README says how.",
        disabled=not s.run.examples_file.exists(),
    )
    if not s.config.net.is_known:
        st.caption("This run was recorded elsewhere: its own loop goes on with these factors, or with a lambda_min.")
    elif not read_only():
        shares = not s.run.is_recorded and len(s.config.phases) > 1
        shared = ", taking over this run's first epochs" if shares else ""
        st.page_link(
            "pages/train.py",
            label=f"Train with lambda_min = {lambda_min:g}{shared}",
            icon=":material/play_arrow:",
            query_params={"from": s.run.id, "lambda": f"{lambda_min:g}"},
        )
        if s.is_imported and not s.is_own:
            st.page_link(
                "pages/train.py",
                label=f"Train by the scores {escape(s.measure)}, with lambda_min = {lambda_min:g}",
                icon=":material/play_arrow:",
                query_params={"from": s.run.id, "lambda": f"{lambda_min:g}", "set": f"difficulty.scores={s.measure}"},
            )
            st.caption(f"The first counts difficulty as this run does ({escape(s.own_name)}).")
        elif not s.is_own:
            st.caption(f"Training counts difficulty as this run does ({s.own_name}), not as chosen above.")

    # Whether it helps
    tested.show(s.run, lambda_min, lowest)
