"""The picture of random slopes: each site's coefficient beside the average one, a panel a term."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sitewise.estimands import summarise
from sitewise.report.analysis import Analysis
from sitewise.report.slopes import Alone, alone, average_of_slopes, measured_from, site_slopes
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
PANEL, GAP, NARROWEST = 3.1, 0.35, 6.4
"""Least width of a panel, the space beside it, and the least width of the picture, in inches."""
LINE, HEAD, FOOT = 0.3, 0.75, 0.65
"""Heights of a site, and of what stands above and below the sites of a panel, in inches."""
WIDEST = 2.5
"""What a site says alone is shown within this many times the reach of the model's intervals."""


def plot_site_slopes(analysis: Analysis) -> Figure | None:
    """Return each site's log hazard ratios beside the average site's, or None without random slopes."""
    fit = analysis.fit
    terms = fit.spec.resolved.slope_labels
    if not terms:
        return None
    table = site_slopes(analysis)
    average = summarise(average_of_slopes(fit), prob=analysis.prob, diagnostics=())
    sites = fit.spec.resolved.site_labels
    counts = fit.cohort.counts_by_site().set_index("site").reindex(list(sites)).fillna(0)
    labels = [
        f"{plain(str(site), 40)}  (n = {int(n)}, {int(e)} ev.)"
        for site, n, e in zip(sites, counts["n"], counts["events"], strict=True)
    ]
    own = alone(fit)
    left = label_width(labels, least=1.63, size=8)
    rows = math.ceil(len(terms) / COLUMNS)
    columns = math.ceil(len(terms) / rows)
    panel = max(PANEL, (NARROWEST - left) / columns - GAP)
    tall = HEAD + FOOT + LINE * len(sites)
    width, height = left + columns * (panel + GAP), 0.3 + rows * tall
    figure = new_figure(width, height)
    for place, term in enumerate(terms):
        row, column = divmod(place, columns)
        bottom = height - (row + 1) * tall + FOOT
        box = (left + column * (panel + GAP), bottom, panel, LINE * len(sites))
        axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        _panel(axes, analysis, table[table["term"] == term], average.iloc[place], own, place)
        axes.set_yticks(np.arange(len(sites)), labels if column == 0 else [""] * len(sites), fontsize=8)
        axes.set_title(plain(term, 40), fontsize=10, pad=20 if row == 0 else 6)
        if place == 0:
            axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderaxespad=0.1, columnspacing=1)
    figure.text(
        0.005,
        0.08 / height,
        f"Posterior median and {100 * analysis.prob:g} % interval. Slopes are measured from the reference patient "
        f"({plain(measured_from(fit), 60)}).",
        fontsize=7,
        color=GREY,
    )
    return figure


def _panel(axes: Axes, analysis: Analysis, table: pd.DataFrame, average: pd.Series, own: Alone, place: int) -> None:
    from matplotlib.ticker import MaxNLocator
    from scipy.stats import norm

    rows = np.arange(len(table))
    axes.axvspan(average["lower"], average["upper"], color=PALETTE[1], alpha=0.12, lw=0)
    axes.axvline(average["median"], color=PALETTE[1], lw=1.4, label="average site")
    axes.axvline(0, color=GREY, lw=0.8, ls=":")
    estimate, half = own.slope[:, place], own.slope_error[:, place] * norm.ppf(0.5 + analysis.prob / 2)
    seen = np.isfinite(estimate)
    axes.hlines(rows[seen] - 0.14, (estimate - half)[seen], (estimate + half)[seen], color=GREY, lw=0.8)
    axes.plot(estimate[seen], rows[seen] - 0.14, "D", color=GREY, ms=3.5, mfc="white", label="site alone")
    axes.hlines(rows + 0.14, table["lower"], table["upper"], color=PALETTE[0], lw=2)
    axes.plot(table["median"], rows + 0.14, "o", color=PALETTE[0], ms=5, label="model")
    low, high = min(0.0, float(table["lower"].min())), max(0.0, float(table["upper"].max()))
    reach = WIDEST * (high - low)
    points = estimate[seen & (np.abs(np.nan_to_num(estimate)) < reach)]
    low, high = min(low, points.min(initial=low)), max(high, points.max(initial=high))
    axes.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("Log hazard ratio at the site", fontsize=9)
