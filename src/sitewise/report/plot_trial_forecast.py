"""Picture of the forecast: patients and events over calendar time as fans, when sites open, when looks come."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sitewise.report.page_parts import percent
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain
from sitewise.trial.assessment import Assessment

FANS = {"patients": PALETTE[0], "events": PALETTE[1]}
SHOWN = ("accrual", "look")
"""Kinds of milestones that are drawn; completion is the last look, or the close."""


def plot_forecast(found: Assessment, /) -> Figure:
    """Return fans of cumulative patients and events, and below them the dates of looks with intervals and sites' openings."""
    ahead, design = found.forecast, found.design
    dates = ahead.milestones[ahead.milestones["kind"].isin(SHOWN)]
    labels = [*(_label(row) for _, row in dates.iterrows()), "sites open"]
    figure = new_figure(7.4 + label_width(labels, least=1.2, size=9), 4.6 + 0.3 * len(dates))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 0.42 + 0.3 * (len(dates) + 1)])
    counts = ahead.counts[ahead.counts["site"] == "all"]
    for quantity, shade in FANS.items():
        own = counts[counts["quantity"] == quantity]
        time = own["time"].to_numpy()
        above.fill_between(time, own["lower"], own["upper"], color=shade, alpha=0.2, lw=0)
        above.plot(time, own["median"], color=shade, lw=1.8, label=quantity)
    planned = design.arms.patients
    above.axhline(planned, color=GREY, lw=0.9, ls="--")
    above.text(
        0.008, planned, f"{planned} patients planned", transform=above.get_yaxis_transform(), color=GREY, fontsize=8,
        va="bottom",
    )  # fmt: skip
    above.set(ylim=(0, 1.12 * max(planned, float(counts["upper"].max()))), ylabel="Cumulative number")
    above.set_title(f"Patients and events, {100 * ahead.prob:g} % prediction intervals")
    above.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=9)
    _dates(below, dates, close=ahead.close)
    _openings(below, design.accrual.openings, place=len(dates))
    below.set(xlim=(0, 1.02 * ahead.close), xlabel=f"{design.time_unit.capitalize()} since the first site opened")
    below.set_yticks(range(len(dates) + 1), labels, fontsize=9)
    below.set_ylim(len(dates) + 0.6, -0.6)
    for axes in (above, below):
        axes.axvline(ahead.close, color=PALETTE[6], lw=0.9)
    above.text(
        ahead.close, 0.02, "close ", transform=above.get_xaxis_transform(), fontsize=8, ha="right", va="bottom"
    )  # fmt: skip
    figure.tight_layout()
    return figure


def _label(row: pd.Series) -> str:
    name = plain(str(row["milestone"]), 24)
    return name if row["kind"] == "accrual" else f"look: {name}"


def _dates(axes: Axes, dates: pd.DataFrame, *, close: float) -> None:
    """Draw each date's interval; what may not come before the close ends there, open, with the probability that it comes."""
    for place, (_, row) in enumerate(dates.iterrows()):
        low, middle, high = (float(row[name]) for name in ("lower", "median", "upper"))
        shade = PALETTE[0] if row["kind"] == "accrual" else PALETTE[2]
        if np.isfinite(low):
            axes.plot([low, min(high, close)], [place, place], color=shade, lw=3, alpha=0.45, solid_capstyle="butt")
        if not np.isfinite(high):
            axes.plot([close], [place], marker=">", ms=7, color=shade, ls="none", clip_on=False)
        if np.isfinite(middle):
            axes.plot([middle], [place], marker="o", ms=6, color=shade)
        if row["probability"] < 1:
            near = low if np.isfinite(low) else close
            axes.annotate(
                f"in time: {percent(float(row['probability']))} %",
                (near, place), (-6, 0), textcoords="offset points", fontsize=7.5, ha="right", va="center", color=GREY,
            )  # fmt: skip


def _openings(axes: Axes, openings: np.ndarray, *, place: int) -> None:
    times, number = np.unique(openings, return_counts=True)
    axes.plot(times, np.full(times.size, place), marker="|", ms=12, mew=1.6, color=PALETTE[3], ls="none", clip_on=False)
    for time, count in zip(times, number, strict=True):
        if count > 1:
            axes.annotate(
                f"{count}", (time, place), (4, 0), textcoords="offset points", fontsize=8, va="center", color=PALETTE[3]
            )
