"""The pictures of a classical analysis: Kaplan-Meier by endpoint, by covariate and by risk group, with numbers at risk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sitewise.cohort import kaplan_meier
from sitewise.report.classical_words import p_sentence
from sitewise.report.style import GREY, colour, new_figure, plain
from sitewise.studies.classical_analysis import ClassicalTables, Endpoint
from sitewise.studies.classical_analysis.cox_table import UNIVARIATE
from sitewise.studies.classical_analysis.outcomes import OS
from sitewise.studies.classical_analysis.partitions import Mask, Partition, by_covariate, by_factors, everyone
from sitewise.studies.classical_analysis.plan import RISK_GROUP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, FOOT, HEAD, UNDER = 0.19, 0.3, 0.45, 0.55
"""Inches: a line of numbers at risk, the foot line, the title, the axis with its label."""
TALL, WIDE, LEFT, GAP = 2.7, 4.9, 0.75, 0.35
"""Inches: height and width of a panel's axes, what its labels need on the left, what is free on the right."""
MOST_PANELS, MOST_CURVES = 6, 6
TICKS = 6


@dataclass(frozen=True, eq=False)
class Curve:
    """A group's curve: name, endpoint, who belongs to it, and the published medians to mark."""

    name: str
    endpoint: Endpoint
    members: Mask
    published: tuple[float, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One set of axes: title, curves and the note of its test."""

    title: str
    curves: tuple[Curve, ...]
    note: str = ""


def plot_endpoints(tables: ClassicalTables) -> Figure:
    """Return overall survival, and progression-free survival where there is one, of all patients."""
    members = everyone(tables.cohort).groups[0][1]
    curves = tuple(
        Curve(item.label, item, members, _published(tables, item.name, {}, None)) for item in tables.outcomes.endpoints
    )
    title = " and ".join([curves[0].name, *(item.name.lower() for item in curves[1:])])
    return _figure(tables, [Panel(title, curves)])


def plot_covariates(tables: ClassicalTables) -> Figure | None:
    """Return a panel for each covariate with levels that entered the multivariate model; without any, for the first six."""
    cox = tables.cox[(tables.cox["endpoint"] == OS) & (tables.cox["model"] == UNIVARIATE)]
    names = list(dict.fromkeys(cox["covariate"]))
    entered = set(cox[cox["entered"]]["covariate"])
    shown = [tables.plan.covariate(name) for name in names if tables.cohort.levels(name) and (name in entered or not entered)]
    panels = []
    for item in shown[:MOST_PANELS]:
        partition = by_covariate(tables.cohort, item)
        if len(partition.groups) > 1:
            panels.append(_panel(tables, partition, item.label))
    return _figure(tables, panels) if panels else None


def plot_risk_groups(tables: ClassicalTables) -> Figure | None:
    """Return the risk groups, with the published medians as marks where there are any; None without risk groups."""
    if not tables.plan.factors:
        return None
    partition = by_factors(tables.cohort, tables.plan)
    return _figure(tables, [_panel(tables, partition, f"Overall survival by number of {tables.plan.counted} factors")])


def _panel(tables: ClassicalTables, partition: Partition, title: str) -> Panel:
    endpoint = tables.outcomes.endpoints[0]
    test = tables.log_rank[(tables.log_rank["endpoint"] == OS) & (tables.log_rank["partition"] == partition.name)]
    p = float(test["p"].iloc[0]) if len(test) else math.nan
    curves = []
    for name, members in partition.groups[:MOST_CURVES]:
        factors = partition.name == RISK_GROUP
        group = {} if factors else {partition.name: tuple(name.split("|"))}
        count = int(name.split()[0]) if factors and tables.plan.counted == "favourable" else None
        known = () if factors and count is None else _published(tables, OS, group, count)
        curves.append(Curve(name.replace("|", " or "), endpoint, members, known))
    more = len(partition.groups) - MOST_CURVES
    note = f"log-rank {p_sentence(p)}" if math.isfinite(p) else ""
    return Panel(title, tuple(curves), note + (f"; {more} smaller levels not drawn" if more > 0 else ""))


def _published(
    tables: ClassicalTables, endpoint: str, group: dict[str, tuple[str, ...]], count: int | None
) -> tuple[float, ...]:
    """Return the published medians of a group."""
    evidence = tables.plan.evidence
    return tuple(
        float(item.median)
        for item in (evidence.survival if evidence is not None else ())
        if isinstance(item.median, float | int)
        and (item.endpoint, item.group, item.count_favourable) == (endpoint, group, count)
    )


def _figure(tables: ClassicalTables, panels: Sequence[Panel]) -> Figure:
    across = 1 if len(panels) == 1 else 2
    down = -(-len(panels) // across)
    lines = 0.6 + max(len(panel.curves) for panel in panels)
    wide = 6.6 if across == 1 else WIDE
    tall = 3.4 if across == 1 else TALL
    each = HEAD + tall + UNDER + LINE * lines + 0.1
    width, height = across * (LEFT + wide + GAP), down * each + FOOT
    figure = new_figure(width, height)
    for number, panel in enumerate(panels):
        row, column = divmod(number, across)
        left, bottom = column * (LEFT + wide + GAP) + LEFT, height - (row + 1) * each + UNDER + LINE * lines + 0.1
        axes = figure.add_axes((left / width, bottom / height, wide / width, tall / height))
        letter = f"{'ABCDEFGHIJ'[number]}  " if len(panels) > 1 else ""
        _draw(axes, tables, panel, letter=letter, tall=tall)
    marked = any(curve.published for panel in panels for curve in panel.curves)
    note = f"Kaplan-Meier with {100 * tables.plan.prob:g} % log-log limits; ticks: end of follow-up"
    note += "; diamonds: published medians." if marked else "."
    figure.text(1 - 0.05 / width, 0.05 / height, note, ha="right", va="bottom", fontsize=7, color=GREY)
    return figure


def _draw(axes: Axes, tables: ClassicalTables, panel: Panel, *, letter: str, tall: float) -> None:
    cohort = tables.cohort
    last = max(float(curve.endpoint.time[curve.members].max()) for curve in panel.curves)
    for number, curve in enumerate(panel.curves):
        shade = colour(number)
        rows = curve.members
        time, event = curve.endpoint.time[rows], curve.endpoint.event[rows]
        estimate = kaplan_meier(time, event, entry=cohort.entry[rows], prob=tables.plan.prob)
        x = np.concatenate([[0.0], estimate.time, [estimate.last]])
        y = np.concatenate([[1.0], estimate.survival, estimate.survival[-1:] if estimate.survival.size else [1.0]])
        label = f"{plain(curve.name, 40)}  (n = {rows.sum()}, {event.sum()} events)"
        axes.step(x, y, where="post", color=shade, lw=1.6, label=label)
        if estimate.time.size:
            times = np.append(estimate.time, estimate.last)
            lower, upper = (np.append(values, values[-1]) for values in (estimate.lower, estimate.upper))
            for values in (lower, upper):
                axes.step(times, values, where="post", color=shade, lw=0.5, alpha=0.55)
            axes.fill_between(times, lower, upper, step="post", color=shade, alpha=0.1, lw=0)
        ended = np.sort(time[~event])
        axes.plot(ended, estimate.at(ended), ls="", marker="|", ms=5, mew=0.8, color=shade)
        for median in curve.published:
            axes.plot([median], [0.5], marker="D", ms=6, mfc="white", mec=shade, mew=1.6, ls="", zorder=5, clip_on=False)
    axes.set(ylim=(0, 1.02), xlim=(0, last * 1.01), ylabel="Share without event")
    axes.axhline(0.5, color=GREY, lw=0.5, ls=":")
    axes.set_title(f"{letter}{plain(panel.title, 70)}", fontsize=10)
    axes.set_xlabel(f"Time ({plain(cohort.time_unit)})")
    axes.legend(loc="upper right", fontsize=8, title=panel.note or None, title_fontsize=8, alignment="left")
    _numbers_at_risk(axes, tables, panel, last, tall)


def _numbers_at_risk(axes: Axes, tables: ClassicalTables, panel: Panel, last: float, tall: float) -> None:
    """Write the numbers at risk just before round times below the axis."""
    from matplotlib.ticker import MaxNLocator

    step = 0.0 if tables.cohort.time_unit != "months" or last < 12 else 12.0 if last > 48 else 6.0
    ticks = np.arange(0.0, last + 1e-9, step) if step else np.asarray(MaxNLocator(TICKS).tick_values(0.0, last))
    while ticks.size > TICKS + 3:
        ticks = ticks[::2]
    ticks = ticks[(ticks >= 0) & (ticks <= last)]
    axes.set_xticks(ticks)
    top, line = -UNDER / tall, LINE / tall
    axes.text(0, top, "At risk", transform=axes.transAxes, fontsize=8, color=GREY, va="center", ha="left")
    entry = tables.cohort.entry
    for number, curve in enumerate(panel.curves):
        rows = curve.members
        for tick in ticks:
            under = (curve.endpoint.time[rows] >= tick) & ((entry[rows] < tick) | (tick == 0))
            axes.text(
                float(tick),
                top - line * (number + 1),
                str(int(under.sum())),
                transform=axes.get_xaxis_transform(),
                fontsize=8,
                color=colour(number),
                ha="center",
                va="center",
            )
