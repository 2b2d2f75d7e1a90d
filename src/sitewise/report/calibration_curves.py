"""Survival by group as fans: the process, one cohort of the paper's size, and the paper's own numbers over them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sitewise.estimands.summary import limits
from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.style import GREY, PALETTE, colour, new_figure, plain
from sitewise.simulate.calibration.fan import GroupFan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
COLUMNS = 3
PANEL = (3.6, 2.5)
NARROWEST = 6.4
FEWEST_COHORTS = 0.25
"""Share of cohorts that must still have patients under observation for a quantile of their curves to be drawn."""


def groups_not_shown(results: CalibrationResults) -> str:
    """Return how many groups the picture has no room for, and where they are; nothing where all are shown."""
    count = sum(len(fans) for _, _, fans in results.fans)
    if count <= MOST_PANELS:
        return ""
    return f"Not shown: {count - MOST_PANELS} of {count} groups; what is printed of them stands in targets.csv."


def plot_fans(results: CalibrationResults) -> Figure:
    """Return a panel a group: survival under the process, Kaplan-Meier curves of one cohort, published numbers."""
    panels = [(title, times, fan, shade) for title, times, fan, shade in _panels(results)][:MOST_PANELS]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    wide = columns == COLUMNS
    more = groups_not_shown(results)
    foot, head = 0.5 if wide else 0.95, 0.32 if more else 0.1
    width, height = max(PANEL[0] * columns, NARROWEST), PANEL[1] * rows + foot + head
    step = width / columns
    figure = new_figure(width, height)
    for place, (title, times, fan, shade) in enumerate(panels):
        row, column = divmod(place, columns)
        bottom = foot + PANEL[1] * (rows - 1 - row)
        box = (
            (column * step + 0.5) / width,
            (bottom + 0.42) / height,
            (step - 0.65) / width,
            (PANEL[1] - 0.76) / height,
        )
        axes = figure.add_axes(box)
        _draw(axes, results, times, fan, shade)
        axes.set_title(plain(title, 40), fontsize=9)
        axes.set_xlabel(results.unit if row == rows - 1 or place + columns >= len(panels) else "", fontsize=8)
        axes.set_ylabel("survival" if column == 0 else "", fontsize=8)
    _legend(figure, results, columns=3 if wide else 1)
    if more:
        figure.text(0.995, 1 - 0.06 / height, more, ha="right", va="top", fontsize=8, color=GREY)
    return figure


def _panels(results: CalibrationResults) -> list[tuple[str, NDArray[np.float64], GroupFan, str]]:
    found = []
    for number, (_, times, fans) in enumerate(results.fans):
        for place, fan in enumerate(fans):
            shade = GREY if number == 0 else colour(place) if number == 1 else colour(place + 3)
            found.append((fan.label, times, fan, shade))
    return found


def _draw(axes: Axes, results: CalibrationResults, times: NDArray[np.float64], fan: GroupFan, shade: str) -> None:
    low, high = limits(results.prob)
    seen = np.isfinite(fan.cohort).mean(axis=0) >= FEWEST_COHORTS
    curves = fan.cohort[:, seen]
    if seen.any():
        for first, last, alpha in ((low, high, 0.13), (0.25, 0.75, 0.16)):
            ends = np.nanquantile(curves, [first, last], axis=0)
            axes.fill_between(times[seen], ends[0], ends[1], color=shade, alpha=alpha, lw=0)
    known = fan.process[np.isfinite(fan.process).all(axis=1)]
    if len(known):
        below, middle, above = np.quantile(known, [low, 0.5, high], axis=0)
        axes.plot(times, middle, color=shade, lw=1.8)
        for curve in (below, above):
            axes.plot(times, curve, color=shade, lw=0.8, ls=(0, (4, 2)))
    axes.set(ylim=(0, 1.03), xlim=(0, float(times[-1])))
    axes.tick_params(labelsize=8)
    _published(axes, fan)


def _published(axes: Axes, fan: GroupFan) -> None:
    """Mark printed medians with their limits, milestones, points of curves and conditions."""
    style: dict[str, Any] = {"color": "black", "zorder": 5, "ls": "", "clip_on": False}
    for target in fan.published:
        if target.time is not None and target.kind == "survival":
            aside = target.status not in ("fit", "soft")
            axes.plot(target.time, target.value, "D", ms=5, mfc="none" if aside else "black", **style)
    ends = [(item.kind, item.time) for item in fan.published if item.kind in ("survival_lower", "survival_upper")]
    if ends:
        known = {kind: time for kind, time in ends if time is not None}
        low, high = known.get("survival_lower"), known.get("survival_upper", axes.get_xlim()[1])
        axes.plot([low if low is not None else 0.0, high], [0.5, 0.5], color="black", lw=1, zorder=5)
    if any(item.kind == "beyond_last" for item in fan.published):
        axes.annotate("printed: median not reached", (0.97, 0.93), xycoords="axes fraction", ha="right", va="top", fontsize=7.5)


def _legend(figure: Figure, results: CalibrationResults, *, columns: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    prob = f"{100 * results.prob:g}"
    handles = [
        Line2D([], [], color=PALETTE[0], lw=1.8, label=f"survival under the process, {prob} % interval dashed"),
        Patch(color=PALETTE[0], alpha=0.3, label=f"Kaplan-Meier curve of one such cohort: middle 50 % and {prob} %"),
        Line2D([], [], color="black", marker="D", ls="", ms=5, label="published (hollow: not fitted)"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=8)
