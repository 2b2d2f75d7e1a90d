"""Risk-group survival: posterior curves with bands over Kaplan-Meier steps, and numbers at risk below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sitewise import names
from sitewise.estimands import Group
from sitewise.estimands.summary import limits
from sitewise.report.analysis import Analysis
from sitewise.report.style import GREY, colour, new_figure, plain, raw_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GROUPS = 4
TICKS = 6
LINE = 0.21
"""Height of a line of numbers at risk, in inches."""
FOOT = 0.28
"""Height of the foot line, in inches."""


def plot_survival(analysis: Analysis) -> Figure:
    """Return the picture of the groups that exclude each other, or of all patients when there are none.

    With several covariates and no rule for risk groups, a panel for each covariate.
    """
    curves = analysis.curves[analysis.headline.label]
    panels = _panels(curves.groups, getattr(analysis.population, "description", ""))
    lines = 1 + max(len(groups) for _, groups in panels)
    height = 4.2 + LINE * lines
    bottom = (FOOT + LINE * lines + 0.55) / height
    figure = new_figure(7.0 * len(panels), height)
    draws = curves.survival(analysis.curve_times)
    low, high = limits(analysis.prob)
    for position, (title, groups) in enumerate(panels):
        left = (position + 0.12) / len(panels)
        width = 0.85 / len(panels)
        axes = figure.add_axes((left, bottom, width, 1 - bottom - 0.4 / height))
        for index, group in enumerate(groups):
            values = draws.sel({names.GROUP: group.label})
            by_draw = values.stack(sample=(names.CHAIN, names.DRAW)).transpose(names.TIME, "sample").to_numpy()
            middle, lower, upper = (np.quantile(by_draw, level, axis=1) for level in (0.5, low, high))
            _draw_group(axes, analysis, group, colour(index), middle, lower, upper)
        axes.set(
            ylim=(0, 1.02),
            xlim=(0, float(analysis.curve_times[-1])),
            ylabel="Survival" if position == 0 else "",
        )
        axes.set_title(plain(title, 90))
        axes.margins(x=0)
        axes.legend(loc="upper right", fontsize=9)
        axes.set_xlabel(f"Time ({plain(analysis.fit.cohort.time_unit)})")
        _numbers_at_risk(axes, analysis, groups, height)
    sites = {"observed": "each at their own site"}.get(analysis.headline.label, f"{analysis.headline.label} site")
    figure.text(
        0.995,
        0.005,
        f"Lines and bands: posterior median and {100 * analysis.prob:g} % interval ({sites}). "
        f"Steps: {raw_curve(analysis.fit.cohort)}. {_data_words(analysis)}",
        ha="right",
        va="bottom",
        fontsize=7,
        color=GREY,
    )
    return figure


def _panels(groups: list[Group], description: str) -> list[tuple[str, list[Group]]]:
    partitions = list(dict.fromkeys(group.partition for group in groups if group.partition))
    if not partitions:
        return [("Survival", groups[:MOST_GROUPS])]
    made = []
    for partition in partitions[:3]:
        members = [group for group in groups if group.partition == partition]
        counted = {"favourable", "unfavourable"}
        title = f"Survival by number of {partition} factors" if partition in counted else f"Survival by {partition}"
        made.append((f"{title}: {description}" if description and partition in counted else title, members))
    return made


def _draw_group(
    axes: Axes,
    analysis: Analysis,
    group: Group,
    shade: str,
    middle: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> None:
    """Draw one group; beyond its last observed time the curve is dashed and the band paler."""
    times = analysis.curve_times
    seen = times <= group.last_time
    name = plain(group.label)
    if group.rows is not None:
        events = int(analysis.fit.cohort.event[group.rows].sum())
        name = f"{name}  (n = {int(group.rows.sum())}, {events} events)"
    axes.fill_between(times[seen], lower[seen], upper[seen], color=shade, alpha=0.18, lw=0)
    axes.plot(times[seen], middle[seen], color=shade, lw=2, label=name)
    beyond = times >= (times[seen][-1] if seen.any() else 0)
    axes.fill_between(times[beyond], lower[beyond], upper[beyond], color=shade, alpha=0.07, lw=0)
    axes.plot(times[beyond], middle[beyond], color=shade, lw=1.2, ls=(0, (3, 3)))
    if group.rows is None:
        return
    curve = analysis.fit.cohort.kaplan_meier(group.rows, prob=analysis.prob)
    axes.step(
        np.concatenate([[0.0], curve.time, [curve.last]]),
        np.concatenate([[1.0], curve.survival, curve.survival[-1:] if curve.survival.size else [1.0]]),
        where="post",
        color=shade,
        lw=0.9,
        alpha=0.9,
    )


def _numbers_at_risk(axes: Axes, analysis: Analysis, groups: list[Group], figure_height: float) -> None:
    """Write numbers at risk under the axis at round times; ``figure_height`` is in inches."""
    from matplotlib.ticker import MaxNLocator

    cohort = analysis.fit.cohort
    last = float(analysis.curve_times[-1])
    milestones = [time for time in (0.0, *analysis.milestones) if time <= last]
    step = milestones[1] if len(milestones) > 1 else last
    regular = np.arange(0.0, last + 1e-9, step)
    ticks = regular if 3 <= regular.size <= TICKS + 3 else np.asarray(MaxNLocator(TICKS).tick_values(0.0, last))
    ticks = ticks[(ticks >= 0) & (ticks <= last)]
    axes.set_xticks(ticks)
    inches = figure_height * axes.get_position().height
    line = LINE / inches
    top = -0.62 / inches
    axes.text(0, top, "At risk", transform=axes.transAxes, fontsize=8, color=GREY, va="center", ha="left")
    for index, group in enumerate(groups):
        if group.rows is None:
            continue
        at_risk = [
            int(np.sum((cohort.time[group.rows] >= tick) & ((cohort.entry[group.rows] < tick) | (tick == 0)))) for tick in ticks
        ]
        for tick, count in zip(ticks, at_risk, strict=True):
            axes.text(
                float(tick),
                top - line * (index + 1),
                str(count),
                transform=axes.get_xaxis_transform(),
                fontsize=8.5,
                color=colour(index),
                ha="center",
                va="center",
            )


def _data_words(analysis: Analysis) -> str:
    cohort = analysis.fit.cohort
    return f"{len(cohort)} patients."
