"""The picture of effects that change as time goes on: the hazard ratio of each column of the shape, a panel a column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sitewise.report.analysis import Analysis
from sitewise.report.shapes import has_ratios_over_time, ratios_over_time
from sitewise.report.style import GREY, PALETTE, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS, COLUMNS = 80, 3
EARLIEST = 0.02
"""Share of follow-up at which the curves begin: a power of time has no value at zero."""
TICKS = tuple(base * 10.0**power for power in range(-4, 5) for base in (1.0, 2.0, 5.0))
PANEL, TALL = 3.4, 2.9
"""Width and height of a panel, in inches."""


def plot_hazard_ratio_over_time(analysis: Analysis) -> Figure | None:
    """Return hazard ratios over time with intervals, or None where no column's hazard ratio is a power of time."""
    fit = analysis.fit
    if not has_ratios_over_time(fit):
        return None
    columns, start = fit.spec.resolved.shape_columns, fit.spec.guarantee_time
    last = float(fit.cohort.time.max())
    times = start + (last - start) * np.geomspace(EARLIEST, 1.0, POINTS)
    rows = math.ceil(len(columns) / COLUMNS)
    across = math.ceil(len(columns) / rows)
    width, height = max(5.2, 0.4 + PANEL * across), 0.3 + TALL * rows
    panel = (width - 0.4) / across
    figure = new_figure(width, height)
    for place, column in enumerate(columns):
        row, at = divmod(place, across)
        left, bottom = 0.4 + at * panel + 0.45, height - (row + 1) * TALL + 0.6
        axes = figure.add_axes((left / width, bottom / height, (panel - 0.7) / width, (TALL - 1.0) / height))
        table = ratios_over_time(analysis, column, times)
        axes.fill_between(table["time"], table["lower"], table["upper"], color=PALETTE[0], alpha=0.2, lw=0)
        axes.plot(table["time"], table["median"], color=PALETTE[0], lw=1.8)
        axes.axhline(1.0, color=GREY, lw=0.8, ls=":")
        axes.set_yscale("log")
        low, high = float(table["lower"].min()), float(table["upper"].max())
        ticks = [tick for tick in TICKS if low <= tick <= high] or [1.0]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set_xlim(0, last)
        axes.set_title(plain(column, 40), fontsize=10)
        axes.set_xlabel(plain(fit.cohort.time_unit, 30), fontsize=9)
        axes.set_ylabel("Hazard ratio" if at == 0 else "", fontsize=9)
        axes.tick_params(labelsize=8)
    note = f"Posterior median and {100 * analysis.prob:g} % interval of the ratio given site, at an average site."
    figure.text(0.005, 0.08 / height, note, fontsize=7, color=GREY)
    return figure
