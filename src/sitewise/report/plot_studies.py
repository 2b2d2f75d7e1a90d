"""Pictures of studies: sites and patients left out, priors in turn, and more patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.report.plot_left_out import plot_leave_one_out, plot_leave_one_site_out
from sitewise.report.style import GREY, PALETTE, colour, label_width, new_figure, plain, styled
from sitewise.studies.learning_curve import LearningCurve
from sitewise.studies.prior_sensitivity import PriorSensitivity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_learning_curve", "plot_leave_one_out", "plot_leave_one_site_out", "plot_prior_sensitivity"]


def plot_prior_sensitivity(found: PriorSensitivity, /, *, time: float | None = None) -> Figure:
    """Return, for each prior of the grid, prior and posterior of the site spread, survival, hazard ratios and evidence.

    Parameters
    ----------
    found : PriorSensitivity
        The grid.
    time : float, optional
        Time of survival; default the first.
    """
    priors, estimates = found.priors, found.estimates
    survival = estimates[estimates["estimand"] == names.SURVIVAL]
    time = time if time is not None else float(survival["horizon"].iloc[0])
    effects = estimates[estimates["estimand"] == names.LOG_HAZARD_RATIO]
    labels = [
        plain(label, 44) + ("  *" if own else "") for label, own in zip(priors["prior"], priors["reference"], strict=True)
    ]
    left = label_width(labels, least=1.4, size=8)
    panels = (["spread"] if "site_sd_prior_median" in priors else []) + ["survival"] + (["effects"] if len(effects) else [])
    panels += ["evidence"] if priors["log_bayes_factor"].notna().any() else []
    wide = {"spread": 2.6, "survival": 2.8, "effects": 2.8, "evidence": 1.4}
    most = max(survival["group"].nunique(), effects["group"].nunique() if len(effects) else 0)
    step = max(0.42, 0.13 * most + 0.12)
    width, legend = left + sum(wide[name] + 0.3 for name in panels) + 0.1, 0.19 * most + 0.1
    height = 0.35 + step * len(priors) + 0.55 + legend
    with styled():
        figure = new_figure(width, height)
        start = left
        for place, name in enumerate(panels):
            axes = figure.add_axes((start / width, (0.55 + legend) / height, wide[name] / width, step * len(priors) / height))
            start += wide[name] + 0.3
            axes.set(ylim=(len(priors) - 0.5, -0.5), yticks=range(len(priors)))
            axes.set_yticklabels(labels if place == 0 else [""] * len(labels), fontsize=8)
            axes.tick_params(axis="x", labelsize=8)
            axes.tick_params(axis="y", length=0)
            if name == "spread":
                _spread(axes, priors, found.metric)
            elif name == "survival":
                _by_prior(
                    axes,
                    survival[survival["horizon"] == time],
                    priors["prior"],
                    f"Survival at {time:g} {plain(found.time_unit, 20)}",
                )
                axes.set_xlim(0, 1)
            elif name == "effects":
                _by_prior(axes, effects, priors["prior"], "Log hazard ratios")
                axes.axvline(0.0, color=GREY, lw=0.8, ls=":")
            else:
                values = priors["log_bayes_factor"]
                axes.barh(range(len(priors)), values, height=0.5, color=PALETTE[5])
                axes.axvline(0.0, color=GREY, lw=0.8)
                axes.set_title("Log Bayes factor", fontsize=9)
        figure.text(
            0.995,
            0.005,
            f"* the model's own prior, against which Bayes factors are. Points and bars: posterior medians and intervals "
            f"(survival: {found.sites} site).",
            ha="right",
            va="bottom",
            fontsize=7,
            color=GREY,
        )
    return figure


def _spread(axes: Axes, priors: pd.DataFrame, metric: str) -> None:
    rows = np.arange(len(priors))
    axes.hlines(rows - 0.14, 0.0, priors["site_sd_prior_95"], color=GREY, lw=1.2)
    axes.plot(
        priors["site_sd_prior_median"], rows - 0.14, "D", color=GREY, mfc="white", ms=4, label="prior: median, 95 % below"
    )
    axes.hlines(rows + 0.14, priors["site_sd_lower"], priors["site_sd_upper"], color=PALETTE[0], lw=2)
    axes.plot(priors["site_sd_median"], rows + 0.14, "o", color=PALETTE[0], ms=5, label="posterior")
    # The widest prior would press everything else against the axis: it runs out of the picture instead.
    end = 1.25 * float(np.nanmax([priors["site_sd_upper"].max(), priors["site_sd_prior_95"].median()]))
    axes.set_xlim(0, end)
    for row, value in zip(rows, priors["site_sd_prior_95"], strict=True):
        if value > end:
            axes.annotate(f"to {value:.2g} ▸", (end, row - 0.2), ha="right", va="bottom", fontsize=7, color=GREY)
    ratio = "hazard" if metric == names.HAZARD_RATIO else "time"
    axes.set_title(f"Sd of sites' log {ratio} ratios", fontsize=9)
    _legend(axes)


def _by_prior(axes: Axes, values: pd.DataFrame, priors: Sequence[str] | pd.Series, title: str) -> None:
    groups = list(dict.fromkeys(values["group"]))
    rows = {label: row for row, label in enumerate(priors)}
    for place, group in enumerate(groups):
        own = values[values["group"] == group]
        at = own["prior"].map(rows).to_numpy(dtype=float) + 0.13 * (place - (len(groups) - 1) / 2)
        axes.hlines(at, own["lower"], own["upper"], color=colour(place), lw=1.5)
        axes.plot(own["median"], at, "o", color=colour(place), ms=4, label=plain(str(group), 40))
    axes.set_title(title, fontsize=9)
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(-0.02, -0.02), bbox_transform=axes.transAxes, borderaxespad=1.8)


def plot_learning_curve(found: LearningCurve, /) -> Figure:
    """Return the width of intervals and their coverage by number of patients, beside the line of 1 / sqrt(n)."""
    table = found.table
    sizes = sorted(table["patients"].unique())
    groups, counts = list(dict.fromkeys(table["group"])), sorted(table["site_count"].unique())
    smallest = table.groupby("group")["group_events"].mean().idxmin()
    lines = len(groups) * len(counts)
    names_of = {
        (group, count): plain(str(group), 34) + (f", {count} sites" if len(counts) > 1 else "")
        for group in groups
        for count in counts
    }
    beside = label_width(list(names_of.values()), least=0.9, size=8) + 0.45
    width, height = 8.3 + beside, max(3.9, 0.7 + 0.19 * lines)
    with styled():
        figure = new_figure(width, height)
        axes, held = (figure.add_axes((left / width, 0.17, 3.4 / width, 0.72)) for left in (0.75, 4.85))
        for place, group in enumerate(groups):
            for style, count in enumerate(counts):
                own = table[(table["group"] == group) & (table["site_count"] == count)].sort_values("patients")
                look: dict[str, Any] = {
                    "color": colour(place),
                    "marker": "osD^v"[style % 5],
                    "ms": 4.5,
                    "lw": 1.4,
                    "ls": ("-", "--", "-.", ":")[style % 4],
                }
                axes.errorbar(own["patients"], own["width"], yerr=2 * own["width_mcse"], label=names_of[group, count], **look)
                shifted = own["patients"] * 1.045 ** (place * len(counts) + style - (lines - 1) / 2)
                error = 2 * own["coverage_mcse"]
                bars = [error, np.minimum(error, 1 - own["coverage"])]
                held.errorbar(shifted, own["coverage"], yerr=bars, **{**look, "ls": "none"})
                if group == smallest and style == 0:
                    reference = own["width"].iloc[0] * np.sqrt(sizes[0] / np.asarray(sizes, dtype=float))
                    axes.plot(sizes, reference, color=GREY, lw=1, ls=(0, (2, 2)), zorder=0)
                    axes.annotate(
                        "1 / √n", (sizes[-1], reference[-1]), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center"
                    )
                    for x, y, events in zip(
                        own["patients"], own["width"] + 2 * own["width_mcse"], own["group_events"], strict=True
                    ):
                        axes.annotate(
                            f"{events:.0f} ev.", (x, y), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=7
                        )
        _log_sizes(axes, sizes)
        _log_sizes(held, sizes)
        axes.set_yscale("log")
        _plain_widths(axes, table["width"])
        axes.set_ylabel(f"Mean width of the {100 * found.prob:g} % interval")
        axes.set_title(f"Survival at {found.time:g} {plain(found.time_unit, 20)}")
        held.axhline(found.prob, color=GREY, lw=0.8, ls=":")
        held.set_ylabel("Share of intervals that hold the truth")
        held.set_ylim(max(0.0, min(0.75, float((table["coverage"] - 2.5 * table["coverage_mcse"]).min()))), 1.02)
        held.set_title("Coverage")
        handles, texts = axes.get_legend_handles_labels()
        figure.legend(handles, texts, fontsize=8, loc="upper left", bbox_to_anchor=(8.4 / width, 0.9), borderaxespad=0)
        replicates = int(table["replicates"].max())
        figure.text(
            0.995,
            0.005,
            f"Bars: two Monte Carlo errors over {replicates} cohorts of each size ({plain(found.sites, 20)} site). "
            f"Events are means of the smallest group.",
            ha="right",
            va="bottom",
            fontsize=7,
            color=GREY,
        )
    return figure


def _log_sizes(axes: Axes, sizes: list[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(size) for size in sizes])
    axes.set(xlabel="Patients", xlim=(sizes[0] / 1.25, sizes[-1] * 1.35))


def _plain_widths(axes: Axes, widths: pd.Series) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = float(widths.min()) / 1.4, float(widths.max()) * 1.4
    usual = np.array([0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0])
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(usual[(usual >= low) & (usual <= high)].tolist()))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
