"""Picture of example trials: each criterion's probability over the looks, its thresholds, and where the trial stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sitewise.report.style import GREY, PALETTE, new_figure, plain
from sitewise.trial.assessment import Assessment

COLUMNS = 3
MARKS = ("o", "s", "^", "D", "v", "P")
STOPS = {"success": ("*", PALETTE[2]), "futility": ("X", PALETTE[1])}
OTHER = ("d", GREY)
SHADES = (PALETTE[0], PALETTE[4], PALETTE[3], PALETTE[5], PALETTE[6], PALETTE[2])


def plot_traces(found: Assessment, /) -> Figure:
    """Return a panel for each example trial."""
    traces = found.traces
    trials = list(dict.fromkeys(traces["replicate"]))
    roles = {item.name: item.role for item in found.design.criterion}
    criteria = [name for name in roles if (traces["criterion"] == name).any()]
    columns = min(COLUMNS, len(trials))
    rows = math.ceil(len(trials) / columns)
    height = 0.9 + 2.4 * rows + 0.17 * math.ceil((len(criteria) + 4) / 3)
    figure = new_figure(max(3.3 * columns, 6.6), height)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    last = float(traces["calendar"].max())
    for panel, replicate in zip(panels, trials, strict=False):
        _trial(panel, traces[traces["replicate"] == replicate], {name: roles[name] for name in criteria})
        panel.set(xlim=(0, 1.08 * last), ylim=(-0.05, 1.05))
        panel.tick_params(labelbottom=True)
    for panel in panels[len(trials) :]:
        panel.set_visible(False)
    unit = found.design.time_unit
    foot = (0.2 + 0.17 * math.ceil((len(criteria) + 4) / 3)) / height
    for panel in panels[max(len(trials) - columns, 0) : len(trials)]:
        panel.set_xlabel(f"{unit.capitalize()} since the first site opened", fontsize=9)
    for panel in panels[::columns]:
        panel.set_ylabel("Probability", fontsize=9)
    figure.legend(handles=_handles(criteria), loc="lower center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, foot, 1, 1))
    return figure


def _trial(axes: Axes, own: pd.DataFrame, criteria: Mapping[str, str]) -> None:
    for place, name in enumerate(criteria):
        part = own[own["criterion"] == name]
        shade = SHADES[place % len(SHADES)]
        axes.plot(part["calendar"], part["threshold"], color=shade, ls="--", lw=0.9, marker="_", ms=11, mew=1.4)
        axes.plot(part["calendar"], part["probability"], color=shade, lw=1.3, marker=MARKS[place % len(MARKS)], ms=4)
    end = own.iloc[-1]
    mark, shade = STOPS.get(str(end["decision"]), OTHER)
    final = own[(own["look"] == end["look"]) & _decided(own, str(end["decision"]), criteria)]
    axes.axvline(end["calendar"], color=shade, lw=5, alpha=0.18, zorder=0)
    axes.plot(
        final["calendar"], final["probability"], marker=mark, ms=10, color=shade, ls="none", zorder=4, mec="white", mew=0.6
    )
    axes.set_title(
        f"Trial {end['replicate']}: {end['decision']}\nat {plain(str(end['look']), 24)}, {end['events']} events", fontsize=8.5
    )


def _decided(own: pd.DataFrame, decision: str, roles: Mapping[str, str]) -> pd.Series:
    """Return which rows are of criteria that made the decision: all of success, those of futility that hold, or any."""
    role = own["criterion"].map(roles)
    if decision == "success":
        return role == "success"
    if decision == "futility":
        return (role == "futility") & (own["probability"] < own["threshold"])
    return own["probability"].notna()


def _handles(criteria: list[str]) -> list[Line2D]:
    own = [
        Line2D([], [], color=SHADES[place % len(SHADES)], marker=MARKS[place % len(MARKS)], ms=4, label=plain(name, 30))
        for place, name in enumerate(criteria)
    ]
    return [
        *own,
        Line2D([], [], color=GREY, ls="--", marker="_", ms=10, label="threshold"),
        *(
            Line2D([], [], color=shade, marker=mark, ms=9, ls="none", label=f"stops: {word}")
            for word, (mark, shade) in STOPS.items()
        ),
        Line2D([], [], color=OTHER[1], marker=OTHER[0], ms=8, ls="none", label="ends without either"),
    ]
