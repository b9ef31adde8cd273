"""How many images stay right under attack, by how many attacks that was tried, and which images they are."""

from dpls.ui import evaluation_form, evaluation_view, judged, rivals, robustness, trust
from dpls.ui.frame import page

with page("Robustness", "How many images stay right under attack, and how hard that was tried."):
    if view := judged.choose():
        # The number, and whether it may be believed
        robustness.headline(view)
        if card := view.card:
            trust.show_card(card)

        # More of them
        evaluation_form.offer(view)
        evaluation_view.watch(view.run)

        # What they say
        robustness.ladder(view)
        robustness.against_eps(view)
        evaluation_form.grid(view)
        robustness.by_group(view)
        robustness.flips(view)
        rivals.show(view)
