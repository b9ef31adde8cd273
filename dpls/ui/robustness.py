"""What evaluations of a run say, drawn: headline, ladder, accuracy against eps, by class and difficulty, who flips."""

from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from dpls import charts
from dpls.component import parse_fraction
from dpls.data import PARTS, TRAIN
from dpls.evaluations import compared
from dpls.evaluations.compared import Judged
from dpls.intervals import Estimate
from dpls.ui import address, elsewhere, images
from dpls.ui.frame import escape, row
from dpls.ui.judged import View
from dpls.ui.selection import Filters, Selection, selection_of

BARE = {"displayModeBar": False}
MOST_CLASSES, MOST_TILES = 20, 24


def headline(view: View) -> None:
    """The number that counts: who withstood all attacks at this eps."""
    if not view.attacks:
        what = f"the {view.checkpoint} checkpoint on {view.images}"
        clean = f" Without attack it gets {view.clean.accuracy} of them right." if view.clean else ""
        st.info(escape(f"No attack has looked at {what} at eps {view.eps} yet.{clean}"), icon=":material/shield:")
        return
    found, most = compared.share(compared.worst_case(view.attacks)), max(len(one.outcomes) for one in view.attacks)
    value, interval = str(found).split(" ", 1)
    st.header(f"Robust accuracy {value} :gray[{escape(interval)}]", anchor=False)
    titles = compared.names(view.attacks)
    at, counted = f"at eps {view.eps}, {view.checkpoint} checkpoint", f"{found.n:,} {view.images}"
    if len(view.attacks) == 1:
        said = f"Only {titles[view.attacks[0].attack]} has looked, {at}, {counted}; another attack may break more."
    else:
        said = f"Worst case over {len(view.attacks)} attacks {at}: an image counts where none broke it. {counted}"
        few = " and ".join(titles[one.attack] for one in view.attacks if len(one.outcomes) < most)
        said += f", those that all have judged; {few} looked at fewer." if few else "."
    st.markdown(escape(said))


def ladder(view: View) -> None:
    """All evaluations at this eps, clean first, then from the weakest to the strongest."""
    if not view.here:
        return
    st.subheader("Attacks, weakest to strongest")
    titles = compared.names(view.here)
    labels = ["clean" if one.is_clean else titles[one.attack] for one in view.here]
    worst, ids = None, compared.shared(view.here)
    if len(view.attacks) > 1:
        worst = compared.share(compared.worst_case(view.attacks))
    figure = charts.ladder(labels, [compared.share(one.right[ids]) for one in view.here], worst)
    if _differ(view.here):
        st.caption(f"Drawn are the {len(ids):,} images that all have judged, so that like is compared with like.")
    st.plotly_chart(figure, key="ladder", config=BARE, alt="Accuracy under each attack, with intervals")
    st.dataframe(_table(view, labels), hide_index=True, alt="All evaluations at this eps", column_config=COLUMNS)
    for label, one in zip(labels, view.here, strict=True):
        for warning in one.said["warnings"]:
            st.caption(f":orange[:material/warning:] {escape(f'{label}: {warning}.')}")


COLUMNS = {
    "same images": st.column_config.TextColumn(help="On the images that all attacks here have judged."),
    "forward": st.column_config.TextColumn("forward / image", help="Images that passed through the net, for each."),
    "backward": st.column_config.TextColumn("backward / image", help="The same, for gradients."),
}


def _table(view: View, labels: list[str]) -> pd.DataFrame:
    ids = compared.shared(view.here)
    rows = []
    for label, one in zip(labels, view.here, strict=True):
        same = {"same images": str(compared.share(one.right[ids]))} if _differ(view.here) else {}
        rows.append(
            {"attack": label, "accuracy": str(one.accuracy), "images": f"{one.accuracy.n:,}"}
            | same
            | {
                "forward": _number(one.of("forward_passes")),
                "backward": _number(one.of("backward_passes")),
                "seconds": _number(one.said.get("seconds")),
                "settings": str(one.said["attack"]),
            }
        )
    return pd.DataFrame(rows)


def _differ(found: list[Judged]) -> bool:
    return len({len(one.outcomes) for one in found}) > 1


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def against_eps(view: View) -> None:
    """What was measured, a line an attack, and what the radii of RayS say."""
    attacks = [one for one in view.found if not one.is_clean]
    if not attacks:
        return
    st.subheader("Accuracy against eps")
    if len({one.eps for one in attacks}) == 1 and not any("radius" in one.outcomes for one in attacks):
        st.caption(escape(f"All attacks were made at eps {attacks[0].eps}; a curve needs some at others."))
        return
    titles = compared.names(attacks)
    measured = {titles[attack]: points for attack, points in compared.curves(attacks).items()}
    upto = max(one.radius for one in attacks)
    with_radii = [one for one in attacks if "radius" in one.outcomes]
    radii = {f"{titles[one.attack]}, radii at {one.eps}": compared.radius_curve(one, upto) for one in with_radii}
    clean = view.clean.accuracy if view.clean else None
    figure = charts.against_eps(clean, measured, radii, float(parse_fraction(view.eps)))
    st.plotly_chart(figure, key="against eps", config=BARE, alt="Accuracy at each eps that was tried, with intervals")
    said = "Each point was measured; nothing is smoothed between them."
    if radii:
        said += " The green curve counts the distances at which errors were found: accuracy lies on it or below."
    st.caption(said)


def by_group(view: View) -> None:
    """Robust accuracy by class and by tenth of difficulty, clean beside attacked, on the same images."""
    if not view.attacks:
        return
    st.subheader("By class and by difficulty")
    one = _ask("Attack", view.attacks, view.attacks[-1], key="attack", persist_state="session")
    s = _selection(view)
    ids = one.outcomes.index
    classes = pd.Series(s.facts.labels[ids], index=ids)
    tenth = compared.tenths(s.order[~np.isnan(s.difficulty[s.order])], ids)
    clean = view.clean.right[compared.shared([one, view.clean])] if view.clean else None
    halves = st.grid(2, min_column_width=420, gap="large")
    with halves.cell():
        attacked = compared.by_group(one.right, classes)
        worst = sorted(attacked, key=lambda k: attacked[k].value)[:MOST_CLASSES]
        beside = compared.by_group(clean, classes) if clean is not None else {}
        figure = charts.groups(
            [s.facts.classes[k] for k in worst],
            [beside.get(k, Estimate(np.nan, 0, 1, 0)) for k in worst] if beside else [],
            [attacked[k] for k in worst],
        )
        st.plotly_chart(figure, key="by class", config=BARE, alt="Clean and robust accuracy of each class")
        if len(attacked) > MOST_CLASSES:
            st.caption(f"The {MOST_CLASSES} classes with the lowest accuracy, of {len(attacked):,}.")
    with halves.cell():
        if not len(tenth):
            st.caption("The difficulty of these images is not known.")
            return
        beside = compared.by_group(clean, tenth) if clean is not None else {}
        figure = charts.tenths(beside, compared.by_group(one.right, tenth))
        st.plotly_chart(figure, key="tenths", config=BARE, alt="Clean and robust accuracy, easiest tenth to hardest")
        st.caption(escape(_whose(s)))


def _whose(s: Selection) -> str:
    placed = "" if s.part == TRAIN else ", seen on these images, which were not trained on"
    return f"Difficulty by {s.measure_name} {s.span}{placed}; equal ones by their mean loss."


def _selection(view: View) -> Selection:
    """The images of the part by the run's own difficulty; only training images were attacked while it trained."""
    own, part = view.run.recipe().difficulty, PARTS.index(view.part)
    adversarial = own.adversarial and part == TRAIN
    return selection_of(
        view.run, elsewhere.own_measure(view.run), adversarial, None, own.normaliser, filters=Filters(part)
    )


def _ask(label: str, among: list[Judged], default: Judged, *, key: str, persist_state: Literal["session"]) -> Judged:
    """Which of these evaluations; by attack, so that a link means the same at another checkpoint."""
    known, titles = {one.attack: one for one in among}, compared.names(among)
    address.bind(key, default.attack, lambda attack: attack in known, ", ".join(known))
    chosen = st.selectbox(
        label, list(known), format_func=titles.__getitem__, key=key, persist_state=persist_state, width=280
    )
    return known[chosen]


def flips(view: View) -> None:
    """Images that one attack breaks and another does not, both ways."""
    if len(view.here) < 2:
        return
    st.subheader("Images that flip between two attacks")
    with row("flips"):
        weakest = next((one for one in view.here[:-1] if not one.is_clean), view.here[0])
        first = _ask("Right under", view.here, weakest, key="a", persist_state="session")
        second = _ask("broken under", view.here, view.here[-1], key="b", persist_state="session")
    found, s = compared.flips(first, second), _selection(view)
    images.ask_for_missing(s)
    for key, ids, held, breaks in (("lost", found.lost, first, second), ("won", found.won, second, first)):
        if breaks.is_clean and not len(ids):
            continue  # as it has to be
        st.markdown(f"**{len(ids):,} of {found.n:,}** are right {_under(held)} and broken {_under(breaks)}.")
        if len(ids):
            shown = s.order[np.isin(s.order, ids)][:MOST_TILES]
            notes = compared.how_broken(breaks, shown)
            images.show(s, shown, f"flips {key}", notes=notes, then="pages/images.py")
    if len(found.lost) or len(found.won):
        st.caption(
            f"The hardest first, {MOST_TILES} at most. The number is the difficulty; the second line says how the image"
            " was broken, where the evaluation kept it."
        )


def _under(one: Judged) -> str:
    return "without attack" if one.is_clean else f"under {escape(one.title)}"
