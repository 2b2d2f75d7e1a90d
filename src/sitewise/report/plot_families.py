"""A picture of families: how well each predicts patients who are left out, and what each answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sitewise import names
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain, styled
from sitewise.studies.family_comparison import STACKED, FamilyComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.3
SERIES = tuple((shade, mark) for mark in ("o", "s", "^", "v") for shade in PALETTE[:-1])
"""Colours and marks of families, in the order of the table."""


def plot_families(found: FamilyComparison, /) -> Figure:
    """Return differences in predictive density to the best family, and each family's medians of the groups."""
    table = found.table
    families = [str(name) for name in table["family"]]
    medians = found.groups[found.groups["estimand"] == names.MEDIAN_SURVIVAL]
    groups = list(dict.fromkeys(medians["group"]))
    labels = [plain(str(name), 30) for name in groups]
    left, middle = label_width(families, least=1.0, size=9), label_width(labels, least=0.8, size=9)
    height = 1.5 + max(0.34 * len(families), ROW * len(groups) * 0.25 * (len(families) + 2))
    width = left + 3.0 + middle + 3.6
    with styled():
        figure = new_figure(width, height)
        bottom, tall = 0.8 / height, (height - 1.2) / height
        density = figure.add_axes((left / width, bottom, 2.8 / width, tall))
        answers = figure.add_axes(((left + 3.0 + middle) / width, bottom, 3.4 / width, tall))
        rows = np.arange(len(families))
        for row, (shade, mark) in enumerate(SERIES[: len(families)]):
            own, error = table["difference"].iloc[row], 2 * table["difference_se"].iloc[row]
            density.hlines(row, own - error, own + error, color=shade)
            density.plot(own, row, mark, color=shade)
        density.axvline(0, color=GREY, lw=0.8, ls=":")
        density.set(yticks=rows, ylim=(len(families) - 0.5, -0.5))
        density.set_yticklabels(
            [f"{name}\nweight {weight:.2f}" for name, weight in zip(families, table["weight"], strict=True)], fontsize=8
        )
        density.set_title("Predicting left-out patients", fontsize=9)
        density.set_xlabel("Log density, difference to the best (2 se)", fontsize=8)
        told = [*families, STACKED]
        for place, name in enumerate(told):
            own = medians[medians["family"] == name].set_index("group").reindex(groups)
            at = np.arange(len(groups)) + 0.7 * (place / max(len(told) - 1, 1) - 0.5)
            shade, mark = ("black", "D") if name == STACKED else SERIES[place]
            answers.hlines(at, own["lower"], own["upper"], color=shade, lw=1.4)
            answers.plot(own["median"], at, mark, color=shade, ms=4)
        answers.set(yticks=np.arange(len(groups)), ylim=(len(groups) - 0.5, -0.5), xlim=(0, None))
        answers.set_yticklabels(labels, fontsize=9)
        answers.set_title("Median survival", fontsize=9)
        answers.set_xlabel(f"{plain(found.time_unit, 20)}, {100 * found.prob:g} % intervals", fontsize=8)
        for panel in (density, answers):
            panel.tick_params(axis="x", labelsize=8)
        note = "Colours, marks and order as on the left; black diamonds: the mixture of all by their weights."
        figure.text(0.995, 0.005, note, ha="right", va="bottom", fontsize=7, color=GREY)
    return figure
