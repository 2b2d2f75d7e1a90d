"""A forest of hazard ratios: the table's own, the published ones beside, and those of the hierarchical model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sitewise.report.classical_words import comparison, published_models, ratio_text
from sitewise.report.page_parts import rows_of
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.cox_table import MULTIVARIATE, UNIVARIATE
from sitewise.studies.classical_analysis.hidden import BesideTheModel
from sitewise.studies.classical_analysis.outcomes import OS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW, HEAD, FOOT = 0.52, 0.75, 0.75
"""Inches: a comparison, the title with the legend, the axis."""
WIDE, TEXT = 4.2, 1.9


@dataclass(frozen=True)
class Mark:
    """An interval of a row: its series, estimate and limits."""

    series: str
    value: float
    lower: float
    upper: float


PAPERS_MODEL = "paper's model"
SERIES = {
    "univariate": (PALETTE[5], "o"),
    "multivariate": (PALETTE[0], "o"),
    PAPERS_MODEL: (PALETTE[3], "o"),
    "published": (PALETTE[1], "D"),
    "hierarchical model": (PALETTE[2], "s"),
}


def plot_cox(tables: ClassicalTables) -> Figure | None:
    """Return the univariate and multivariate hazard ratios of overall survival, published ones beside; None without any."""
    cox = tables.cox[tables.cox["endpoint"] == OS]
    rows: list[tuple[str, list[Mark]]] = []
    for name in (UNIVARIATE, MULTIVARIATE, *published_models(tables, OS)):
        for row in rows_of(cox[cox["model"] == name]):
            marks = [Mark(name if name in SERIES else PAPERS_MODEL, row.hazard_ratio, row.lower, row.upper)]
            if not pd.isna(row.published_hazard_ratio):
                ends = (row.published_hazard_ratio, row.published_lower, row.published_upper)
                marks.append(Mark("published", *map(float, ends)))
            rows.append((comparison(row, tables), marks))
    title = f"Hazard ratios of overall survival, {100 * tables.plan.prob:g} % intervals (above 1: worse)"
    return _forest(rows, title)


def plot_beside(tables: ClassicalTables, beside: BesideTheModel) -> Figure | None:
    """Return the multivariate Cox hazard ratios beside those of the hierarchical model; None without covariates."""
    rows = [
        (
            comparison(row, tables) if isinstance(row.reference, str) else f"{row.covariate} {row.level}",
            [
                Mark("multivariate", row.cox_hazard_ratio, row.cox_lower, row.cox_upper),
                Mark("hierarchical model", row.hazard_ratio, row.lower, row.upper),
            ],
        )
        for row in rows_of(beside.effects)
    ]
    return _forest(rows, f"Cox model beside the hierarchical model, {100 * tables.plan.prob:g} % intervals")


def _forest(rows: list[tuple[str, list[Mark]]], title: str) -> Figure | None:
    known = [mark for _, marks in rows for mark in marks if math.isfinite(mark.value) and mark.lower > 0]
    if not known:
        return None
    labels = [plain(text, 75) for text, _ in rows]
    left = min(label_width(labels, least=1.5, size=8.5), 5.2)
    width, height = left + WIDE + TEXT + 0.2, HEAD + FOOT + ROW * len(rows)
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, FOOT / height, WIDE / width, ROW * len(rows) / height))
    low, high = _range(known)
    shown: set[str] = set()
    for place, (_, marks) in enumerate(rows):
        for number, mark in enumerate(marks):
            y = place + (number - (len(marks) - 1) / 2) * 0.36
            shade, shape = SERIES[mark.series]
            if not math.isfinite(mark.value):
                axes.annotate(
                    "no estimate", (1.02, y), xycoords=("axes fraction", "data"), fontsize=7.5, va="center", color=GREY
                )
                continue
            axes.plot([max(mark.lower, low), min(mark.upper, high)], [y, y], color=shade, lw=1.5)
            for end, beyond in ((low, mark.lower < low), (high, mark.upper > high)):
                if beyond:
                    axes.plot([end], [y], marker="<" if end == low else ">", ms=5, color=shade, ls="", clip_on=False)
            if low <= mark.value <= high:
                label = mark.series if mark.series not in shown else None
                axes.plot([mark.value], [y], marker=shape, ms=5, color=shade, ls="", label=label)
                shown.add(mark.series)
            text = ratio_text(mark.value, mark.lower, mark.upper)
            axes.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), fontsize=7.5, va="center", color=shade)
    axes.axvline(1.0, color=GREY, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(np.arange(len(rows)), labels, fontsize=8.5)
    axes.set_xlabel("Hazard ratio (log scale)", fontsize=9)
    figure.text(0.1 / width, 1 - 0.08 / height, title, fontsize=10, weight="bold", va="top")
    place_of_legend = (0.05 / width, 1 - 0.3 / height)
    figure.legend(loc="upper left", bbox_to_anchor=place_of_legend, ncols=len(shown), fontsize=8.5, frameon=False)
    return figure


def _range(marks: list[Mark]) -> tuple[float, float]:
    """Return the ends of the axis: all estimates and most limits; an interval that goes on ends in an arrow."""
    low = min(0.5, max(min(mark.lower for mark in marks), 0.05), *(mark.value for mark in marks))
    high = max(2.0, min(max(mark.upper for mark in marks), 20.0), *(min(mark.value, 100.0) for mark in marks))
    return max(low, 1e-3) * 0.9, high * 1.1
