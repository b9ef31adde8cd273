"""Whether a run's difficulty may be believed, said on a page."""

import numpy as np
import streamlit as st

from dpls.difficulty.causes import planted
from dpls.difficulty.verdict import BAD, DOUBTFUL, GOOD, Check
from dpls.ui import agreement, store
from dpls.ui.selection import Selection

ICONS = {GOOD: ":material/check_circle:", DOUBTFUL: ":material/error:", BAD: ":material/cancel:"}
COLOURS = {GOOD: "green", DOUBTFUL: "orange", BAD: "red"}


def show_verdict(s: Selection) -> None:
    """One sentence for all checks together, the worst deciding; the reasons inside."""
    if s.is_imported:
        st.caption("These scores come from a file. How they were found, nothing here can check.")
        return
    found = store.verdict(s.run.path, s.counted, s.measure, s.adversarial)
    label = f":{COLOURS[found.level]}[{ICONS[found.level]} **{found.sentence}**]"
    look_at = ", ".join(check.name for check in found.doubts)
    with st.expander(f"{label} {f'Look at: {look_at}.' if look_at else ''}", key="verdict"):
        st.caption("Checked on the training images.")
        for check in found.checks:
            st.markdown(_said(check))


def warn_of_doubts(s: Selection) -> None:
    """Where hard images stand: what speaks against their difficulty; nothing where nothing does."""
    if s.is_imported:
        return
    found = store.verdict(s.run.path, s.counted, s.measure, s.adversarial)
    if found.level == BAD:
        bad = [check for check in found.doubts if check.level == BAD]
        st.warning(f"**{found.sentence}** {' '.join(check.sentence for check in bad)}", icon=ICONS[BAD])
    elif found.doubts:
        names = ", ".join(check.name for check in found.doubts)
        st.caption(f":{COLOURS[found.level]}[{ICONS[found.level]} {found.sentence}] Page Difficulty says why: {names}.")


def _said(check: Check) -> str:
    return f":{COLOURS[check.level]}[{ICONS[check.level]}] **{check.name}.** {check.sentence}"


def show_planted(s: Selection) -> None:
    """How well difficulty finds what was planted; nothing where nothing was."""
    ids = s.facts.scored()
    ids = ids[~np.isnan(s.difficulty[ids])]
    rows = planted(s.difficulty[ids], s.facts.causes, s.facts.cause[ids])
    if not rows:
        return
    st.subheader("Does it find what was planted?")
    st.dataframe(
        {
            "planted cause": [name for name, _, _ in rows],
            "images": [count for _, count, _ in rows],
            "found": [score for _, _, score in rows],
        },
        hide_index=True,
        column_config={
            "found": st.column_config.ProgressColumn(
                "found (AUROC)",
                min_value=0,
                max_value=1,
                format="%.3f",
                help="The chance that such an image is harder than another training image. 0.5: not found at all.",
            )
        },
        alt="How well difficulty finds each planted cause",
    )
    st.caption("AUROC: 1 is always found, 0.5 no better than chance. All training images, whatever the filters.")
    agreement.show_found(s)
