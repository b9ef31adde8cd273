"""Tables to plotly figures. No streamlit, no torch.

figure          the house's style
distributions   difficulty of many images; shares over classes
curves          lines over epochs: of one image, of a run
smoothing       what a lambda_min does to all labels
robustness      accuracy under attack
agreement       which measures, and which lengths of T, call the same images hard
static          any of these as SVG
"""

from dpls.charts.agreement import agreement, stability
from dpls.charts.curves import accuracies, losses, trail
from dpls.charts.distributions import bins_of, by_class, histogram, shares
from dpls.charts.figure import ATTACKED, CLEAN, GREY, SMOOTHED, Part, figure
from dpls.charts.robustness import against_eps, groups, ladder, tenths
from dpls.charts.smoothing import budget, factor_curve, factor_histogram
from dpls.charts.static import svg

__all__ = [
    "ATTACKED",
    "CLEAN",
    "GREY",
    "SMOOTHED",
    "Part",
    "accuracies",
    "against_eps",
    "agreement",
    "bins_of",
    "budget",
    "by_class",
    "factor_curve",
    "factor_histogram",
    "figure",
    "groups",
    "histogram",
    "ladder",
    "losses",
    "shares",
    "stability",
    "svg",
    "tenths",
    "trail",
]
