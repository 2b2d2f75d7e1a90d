"""A picture of small subgroups: four answers for each group, and from whom the model's comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain, styled
from sitewise.studies.small_subgroups import SmallSubgroups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ANSWERS = {
    "raw": ("raw", GREY, "D"),
    "alone": ("group alone (no pooling)", PALETTE[4], "s"),
    "model": ("model (partial pooling)", PALETTE[0], "o"),
    "together": ("everybody together (complete pooling)", PALETTE[2], "^"),
}
"""Name in legends, colour and mark of each answer, from top to bottom."""
APART = 0.19
ROW, SURVIVAL, EVENTS = 0.85, 4.6, 2.4
"""Height of a group's row, and widths of the two panels, in inches."""


def plot_small_subgroups(found: SmallSubgroups, /) -> Figure:
    """Return survival of each group by four answers with intervals, and own and borrowed events.

    A thick bar under the model's answer is the range of its median under sceptical and optimistic priors.
    """
    table = found.table
    sizes = zip(table["group"].astype(str), table["n"], table["events"], strict=True)
    labels = [f"{plain(group, 34)}\n(n = {n}, {own:g} ev.)" for group, n, own in sizes]
    left = label_width([label for both in labels for label in both.split("\n")], least=1.4, size=8.5)
    width, height = left + SURVIVAL + EVENTS + 0.6, 0.6 + ROW * len(table) + 0.75
    rows = np.arange(len(table))
    with styled():
        figure = new_figure(width, height)
        survival = figure.add_axes((left / width, 0.75 / height, SURVIVAL / width, ROW * len(table) / height))
        events = figure.add_axes(
            ((left + SURVIVAL + 0.4) / width, 0.75 / height, EVENTS / width, ROW * len(table) / height), sharey=survival
        )
        _answers(survival, found, rows)
        _information(events, found, rows)
        survival.set(ylim=(len(table) - 0.5, -0.5), yticks=rows)
        survival.set_yticklabels(labels, fontsize=8.5)
        for axes in (survival, events):
            axes.tick_params(axis="y", length=0)
            for row in rows[1:]:
                axes.axhline(row - 0.5, color=GREY, lw=0.4, alpha=0.5)
        events.tick_params(axis="y", labelleft=False)
        # Below the first panel's own labels; the legend stands above, beside nothing that it could cover.
        handles, names = survival.get_legend_handles_labels()
        figure.legend(handles, names, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=8)
        figure.text(
            0.995,
            0.01,
            f"Medians and {100 * found.prob:g} % intervals, model: {found.sites} sites. "
            "Pale bar: its median under sceptical and optimistic priors.",
            ha="right",
            fontsize=7,
            color=GREY,
        )
    return figure


def _answers(axes: Axes, found: SmallSubgroups, rows: np.ndarray) -> None:
    table = found.table
    for place, (name, (label, shade, mark)) in enumerate(ANSWERS.items()):
        at = rows + APART * (place - (len(ANSWERS) - 1) / 2)
        if name == "model":
            axes.hlines(at, table["least"], table["most"], color=shade, lw=9, alpha=0.25)
        axes.hlines(at, table[f"{name}_lower"], table[f"{name}_upper"], color=shade, lw=2 if name == "model" else 1.3)
        axes.plot(table[name], at, mark, color=shade, ms=5, mfc="white" if name == "raw" else shade, ls="", label=label)
    axes.set(xlim=(0, 1))
    axes.set_xlabel(f"Survival at {found.time:g} {plain(found.time_unit, 20)}", fontsize=9)


def _information(axes: Axes, found: SmallSubgroups, rows: np.ndarray) -> None:
    """Draw own events, and what the model borrows beyond them, or loses."""
    table = found.table
    own, whole = table["events"].to_numpy(), table["effective_information"].to_numpy()
    axes.barh(rows, np.minimum(own, whole), height=0.42, color=PALETTE[0])
    axes.barh(rows, np.maximum(whole - own, 0.0), left=own, height=0.42, color=PALETTE[5], hatch="///", edgecolor="white")
    axes.plot(own, rows, "|", color="black", ms=16, mew=1.5)
    for row, value, mine in zip(rows, whole, own, strict=True):
        text = f"{mine:g} own" + (f" + {value - mine:.0f} borrowed" if value > mine else "")
        axes.annotate(text, (0, row + 0.24), fontsize=7.5, color=GREY, va="top", annotation_clip=False)
    axes.set(xlim=(0, 1.1 * max(float(np.max([own, whole])), 1.0)))
    axes.set_xlabel("Information, in events", fontsize=9)
