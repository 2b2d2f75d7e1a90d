"""Pictures of what is left out in turn: sites, and patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sitewise import names
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain, styled
from sitewise.studies.leave_one_out import LeaveOneOut
from sitewise.studies.leave_one_site_out import SHIFT, LeaveOneSiteOut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMIT = 2.0
"""Shift, in posterior sds, at which the colours of the tiles end."""
MOST_NAMED = 8
"""Patients of leave-one-out that are named in the picture."""


def plot_leave_one_site_out(found: LeaveOneSiteOut, /) -> Figure:
    """Return each site's log predictive density per patient, and tiles of how far estimates move without it."""
    table, quantities = found.table, list(found.full.index)
    labels = [
        f"{plain(str(site), 30)}  (n = {n}, {events} ev.)"
        for site, n, events in zip(table["site"], table["patients"], table["events"], strict=True)
    ]
    left = label_width(labels, least=1.6, size=8)
    heads = [_short(name) for name in quantities]
    top = label_width(heads, least=0.4, size=8) * 0.75 + 0.3
    tiles = max(0.62 * len(quantities), 1.0)
    width, height = left + 2.7 + tiles + 0.5, top + 0.3 * len(table) + 0.85
    with styled():
        figure = new_figure(width, height)
        bottom, tall = 0.7 / height, 0.3 * len(table) / height
        axes = figure.add_axes((left / width, bottom, 2.3 / width, tall))
        rows = np.arange(len(table))
        error = (table["elpd_mcse"] / table["patients"]).to_numpy(dtype=float)
        axes.errorbar(table["elpd_per_patient"], rows, xerr=2 * error, fmt="o", color=PALETTE[0], ms=5, lw=1.5)
        axes.axvline(found.elpd / table["patients"].sum(), color=GREY, lw=0.8, ls=":")
        axes.set(yticks=rows, ylim=(len(table) - 0.5, -0.5))
        axes.set_yticklabels(labels, fontsize=8)
        axes.set_xlabel("Log predictive density per patient\n(right: better predicted by the others)", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        if quantities:
            moved = figure.add_axes(((left + 2.5) / width, bottom, tiles / width, tall))
            _tiles(moved, table[[SHIFT + name for name in quantities]].to_numpy(dtype=float), heads)
        else:
            moved = None
        figure.text(0.1 / width, 1 - 0.12 / height, "Each site left out in turn", va="top", fontsize=11, weight="bold")
        note = (
            "Tiles: change of the posterior mean without the site, in posterior sds of the full fit."
            if moved is not None
            else ""
        )
        figure.text(0.995, 0.005, note, ha="right", va="bottom", fontsize=7, color=GREY)
    return figure


def _tiles(axes: Axes, values: np.ndarray, heads: list[str]) -> None:
    axes.imshow(values, cmap="PuOr_r", vmin=-LIMIT, vmax=LIMIT, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:+.1f}".replace("-0.0", "+0.0")
        shade = "white" if abs(value) > 0.75 * LIMIT else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=shade)
    axes.set(yticks=[], xticks=range(len(heads)))
    axes.set_xticklabels(heads, rotation=50, ha="left", rotation_mode="anchor", fontsize=8)
    axes.tick_params(axis="x", bottom=False, top=False, labelbottom=False, labeltop=True, pad=1)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _short(name: str) -> str:
    """Return an estimate's name for a head of a column."""
    if name.startswith(f"{names.LOG_HAZARD_RATIO}["):
        return plain(name[len(names.LOG_HAZARD_RATIO) + 1 : -1], 24)
    return "site spread" if name == names.SITE_SD_LOG_HAZARD_RATIO else plain(name, 24)


def plot_leave_one_out(found: LeaveOneOut, /) -> Figure:
    """Return the approximate against the exact log predictive density of each patient, and their difference by Pareto k."""
    table = found.table.dropna(subset=["elpd", "psis_elpd"])
    off = found.off.dropna(subset=["difference"])
    with styled():
        figure = new_figure(9.6, 4.3)
        axes, misses = figure.add_axes((0.075, 0.16, 0.38, 0.72)), figure.add_axes((0.57, 0.16, 0.41, 0.72))
        event = table["event"].to_numpy() == 1
        for chosen, shade, label in ((event, PALETTE[0], "event"), (~event, PALETTE[4], "censored")):
            own = table[chosen]
            axes.plot(own["elpd"], own["psis_elpd"], "o", color=shade, ms=4, alpha=0.8, mew=0, label=label)
            style: dict[str, Any] = {"fmt": "o", "color": shade, "ms": 4, "lw": 0.8, "alpha": 0.8, "mew": 0}
            misses.errorbar(own["psis_pareto_k"], own["difference"], yerr=2 * own["difference_mcse"], **style)
        if len(table):
            ends = [float(table[["elpd", "psis_elpd"]].min().min()), float(table[["elpd", "psis_elpd"]].max().max())]
            axes.plot(ends, ends, color=GREY, lw=0.8, ls=":", zorder=0)
        axes.set(xlabel="Exact (refit without the patient)", ylabel="PSIS (from the full fit)")
        axes.set_title("Log predictive density of each patient")
        axes.legend(fontsize=8, loc="upper left")
        misses.axhline(0.0, color=GREY, lw=0.8, ls=":")
        misses.axvline(found.good_k, color=PALETTE[1], lw=0.9, ls="--")
        misses.annotate(
            f"good below {found.good_k:.2f}",
            (found.good_k, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
            color=PALETTE[1],
        )
        worst = off.reindex(off["difference"].abs().sort_values(ascending=False).index)[:MOST_NAMED]
        for patient, k, difference in zip(worst["patient"], worst["psis_pareto_k"], worst["difference"], strict=True):
            misses.annotate(
                plain(str(patient), 16), (k, difference), xytext=(5, 3), textcoords="offset points", fontsize=7, color=GREY
            )
        misses.set(xlabel="Pareto k", ylabel="PSIS minus exact")
        misses.set_title(f"Misses: {len(off)} of {len(table)} patients off")
        figure.text(
            0.995,
            0.005,
            "Bars: two Monte Carlo errors of the difference. Off: beyond three of them, or k too large.",
            ha="right",
            va="bottom",
            fontsize=7,
            color=GREY,
        )
    return figure
