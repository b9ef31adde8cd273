"""Everything known about one image: what it is, how training went for it, why it may be hard, how it is smoothed."""

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from plotly.graph_objects import Figure

from dpls import charts
from dpls.data import SPLITS, TRAIN
from dpls.difficulty.measures import titles
from dpls.ui import address, deciding, elsewhere, store
from dpls.ui.frame import escape, shielded
from dpls.ui.gallery import large
from dpls.ui.selection import Selection, name_of

CAUSES = {
    "flip": "its label was flipped",
    "noise": "noise was added",
    "blur": "it was blurred",
    "occlusion": "a part was covered",
    "blend": "it was blended with an image of another class",
    "twin": "it is a copy of another image, with another label",
    "pseudo-label": "its label is what another run said",
    "rare": "it belongs to a rare sub-population",
}


def close() -> None:
    st.session_state["id"] = None


@st.dialog("One image", width=720, position="right", on_dismiss=close)
def inspect(s: Selection, order: NDArray[np.int64]) -> None:
    """Draws the example whose id is chosen; ``order`` is what its arrows walk along."""
    with shielded():
        _draw(s, order, int(st.session_state["id"]))
    address.follow()  # its buttons draw it alone again: walking takes no page


def _draw(s: Selection, order: NDArray[np.int64], example: int) -> None:
    _arrows(order, example)
    deciding.show_for_one(s, order, example)
    left, right = st.columns([1, 1.5], gap="medium")
    with left:
        _what(s, example)
    with right:
        _probabilities(s, example)
        _soft_label(s, example)
    if s.epochs > 1:
        st.markdown("**Probability of its label, epoch by epoch**")
        st.plotly_chart(
            _trail(s, example),
            key="trail",
            config={"displayModeBar": False},
            alt=f"Probability of the label of image {example} by epoch",
        )
    _measures(s, example)


def _arrows(order: NDArray[np.int64], example: int) -> None:
    """To the images before and after it, in the order of the gallery."""
    found = np.flatnonzero(order == example)
    place = int(found[0]) if len(found) else -1

    def go(step: int) -> None:
        st.session_state["id"] = int(order[place + step])

    with st.container(horizontal=True, vertical_alignment="center"):
        for name, step, shortcut, there in (
            ("Previous", -1, "Left", place >= 1),
            ("Next", 1, "Right", 0 <= place < len(order) - 1),
        ):
            st.button(name, key=name, on_click=go, args=(step,), disabled=not there, shortcut=shortcut)
        st.caption(
            f"Image {place + 1:,} of {len(order):,} in the gallery" if place >= 0 else "Not in the gallery as filtered"
        )


def _what(s: Selection, example: int) -> None:
    facts = s.facts
    label = facts.label_of(example) or "no label"
    if facts.images is not None:
        large(facts.images[example], 240, f"image {example}, labelled {label}")
    st.markdown(f"**{escape(label)}** · image {example} · {SPLITS[facts.part[example]]}")
    if np.isnan(s.difficulty[example]):
        why = "The file has no score for it" if s.is_imported else "Never seen"
        st.markdown(f"{why}: it has no difficulty.")
    else:
        st.markdown(f"Difficulty **{s.difficulty[example]:.3f}**, {s.rank(example)}")
    cause = facts.cause_of(example)
    if cause:
        st.markdown(
            f":orange-badge[{facts.cause_in_words(example)}] {CAUSES.get(cause, 'it was made hard on purpose')}."
        )
        if 0 <= facts.true_labels[example] != facts.labels[example]:
            st.markdown(f"It really is **{escape(facts.classes[facts.true_labels[example]])}**.")
    if facts.files[example]:
        st.caption(escape(str(facts.files[example])))


def _border(s: Selection) -> int | None:
    start = s.config.last_phase_start
    return start if 0 < start < s.epochs else None


def _trail(s: Selection, example: int) -> Figure:
    clean = store.signals(s.run, s.epochs, adversarial=False)["p_true"][:, example]
    attacked = None
    if s.facts.part[example] == TRAIN and s.config.objective.attacks:
        attacked = store.signals(s.run, s.epochs, adversarial=True)["p_true"][:, example].astype(float)
    return charts.trail(clean.astype(float), attacked, _border(s), s.counted)


def _measures(s: Selection, example: int) -> None:
    """Every measure, clean, and attacked for training images of a run that attacks; scores from files are neither."""
    attacked = s.facts.part[example] == TRAIN and s.config.counts_attacked
    rows, names = [], titles(s.epochs)
    for name in (*names, *elsewhere.imported(s.run)):
        value, harder = _placed(s, example, name, adversarial=False)
        row = {"measure": names.get(name) or name_of(name), "clean": value, "harder than": harder}
        if attacked:
            alike = (None, None) if store.is_imported(name) else _placed(s, example, name, adversarial=True)
            row |= dict(zip(("attacked", "harder than, attacked"), alike, strict=True))
        rows.append(row)
    of_part = "share of the images of this part that are easier"
    share = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, help=of_part)
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=3 + 35 * (1 + min(7, len(rows))),
        column_config={
            "clean": number,
            "harder than": share,
            "attacked": number,
            "harder than, attacked": share,
        },
        alt="Measures of this image with its rank in each",
    )


def _placed(s: Selection, example: int, name: str, adversarial: bool) -> tuple[float, float | None]:
    """Its value by a measure, and the share of its part that is easier; None where it has no value."""
    values = store.scores(s.run, s.counted, name, adversarial)
    turned = store.harder(values, name)[s.facts.ids(int(s.facts.part[example]))]
    known, own = turned[~np.isnan(turned)], store.harder(values, name)[example]
    return float(values[example]), None if np.isnan(own) else float(np.mean(known < own))


def _probabilities(s: Selection, example: int) -> None:
    said = s.run.probabilities()
    if said is None and not s.config.net.is_known:
        st.caption("What the network says now is not known: its weights are not here.")
        return
    st.markdown("**What the network says now** (best checkpoint, clean image)")
    if said is None:
        st.caption("Known once the run is done.")
        return
    label = s.facts.label_of(example)
    st.plotly_chart(
        charts.shares(s.facts.classes, said[example].astype(float), label, charts.CLEAN),
        key="said",
        config={"staticPlot": True},
        alt=f"Probabilities of the classes for image {example}",
    )


def _soft_label(s: Selection, example: int) -> None:
    if s.facts.part[example] != TRAIN:
        return
    if s.config.elsewhere:
        st.caption("How its label was smoothed is not known: it was trained elsewhere.")
        return
    if not s.run.examples_file.exists():
        st.caption("Its smoothing factor is known once the run is done.")
        return
    factor = float(store.examples(s.run)["factor"].iloc[example])
    classes = s.facts.classes
    soft = np.full(len(classes), (1 - factor) / max(1, len(classes) - 1))
    soft[s.facts.labels[example]] = factor
    st.markdown(f"**Its label in the last phase**, factor {factor:.3f}")
    if factor == 1:
        st.caption("A hard label: everything on the label's class.")
        return
    label = classes[s.facts.labels[example]]
    st.plotly_chart(
        charts.shares(classes, soft, label, charts.SMOOTHED),
        key="soft",
        config={"staticPlot": True},
        alt=f"Soft label of image {example}",
    )
