"""Survival by site: each site's own patients, posterior curve and band over Kaplan-Meier steps, a panel a site."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sitewise import names
from sitewise.estimands.summary import limits
from sitewise.report.analysis import Analysis
from sitewise.report.style import GREY, PALETTE, new_figure, plain, raw_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
MOST_SITES = 24
PANEL = (2.6, 1.9)
"""Width and height of a panel in inches."""


def plot_by_site(analysis: Analysis) -> Figure | None:
    """Return a panel a site, or None without site effects; with many sites the largest ones."""
    if not analysis.fit.spec.has_sites:
        return None
    curves = analysis.own_site_curves
    sizes = [int(group.rows.sum()) if group.rows is not None else 0 for group in curves.groups]
    shown = sorted(np.argsort(sizes)[::-1][:MOST_SITES].tolist())
    rows = math.ceil(len(shown) / COLUMNS)
    width, height = PANEL[0] * COLUMNS, PANEL[1] * rows + 0.55
    figure = new_figure(width, height)
    times = analysis.curve_times
    draws = curves.survival(times)
    low, high = limits(analysis.prob)
    cohort = analysis.fit.cohort
    for number, position in enumerate(shown):
        group = curves.groups[position]
        row, column = divmod(number, COLUMNS)
        left, bottom = (column * PANEL[0] + 0.42) / width, (height - 0.3 - (row + 1) * PANEL[1] + 0.38) / height
        axes = figure.add_axes((left, bottom, (PANEL[0] - 0.55) / width, (PANEL[1] - 0.72) / height))
        values = draws.isel({names.GROUP: position}).to_numpy().reshape(-1, times.size)
        lower, middle, upper = np.quantile(values, [low, 0.5, high], axis=0)
        seen = times <= group.last_time
        beyond = times >= times[seen][-1]
        axes.fill_between(times[seen], lower[seen], upper[seen], color=PALETTE[0], alpha=0.18, lw=0)
        axes.fill_between(times[beyond], lower[beyond], upper[beyond], color=PALETTE[0], alpha=0.07, lw=0)
        axes.plot(times[seen], middle[seen], color=PALETTE[0], lw=1.6)
        axes.plot(times[beyond], middle[beyond], color=PALETTE[0], lw=1.0, ls=(0, (3, 3)))
        if group.rows is not None:
            curve = cohort.kaplan_meier(group.rows, prob=analysis.prob)
            last = curve.survival[-1:] if curve.survival.size else [1.0]
            steps = np.concatenate([[1.0], curve.survival, last])
            axes.step(np.concatenate([[0.0], curve.time, [curve.last]]), steps, where="post", color=GREY, lw=0.9)
            events = int(cohort.event[group.rows].sum())
            axes.set_title(f"{plain(group.label, 24)} (n = {sizes[position]}, {events} ev.)", fontsize=8.5)
        axes.set(xlim=(0, float(times[-1])), ylim=(0, 1.02))
        axes.tick_params(labelsize=7)
    left_out = f" The {len(shown)} largest of {len(sizes)} sites." if len(shown) < len(sizes) else ""
    figure.text(
        0.005,
        1 - 0.17 / height,
        f"Survival by site, time in {plain(cohort.time_unit)}. Line and band: model (dashed beyond follow-up); steps: "
        f"{raw_curve(cohort)}.{left_out}",
        fontsize=9,
        color=GREY,
        va="center",
    )
    return figure
