"""Pictures of an evidence fit: survival with what the paper prints, effects, sizes of groups, and where the variance lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.estimands.summary import limits
from sitewise.report.evidence_fit_published import group_of_entry
from sitewise.report.style import GREY, PALETTE, colour, label_width, mark_synthetic, new_figure, plain, save, styled
from sitewise.studies.evidence_fit import SITES, EvidenceFit
from sitewise.studies.stacking import COHORT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6
MOST_STEPS = 60
"""Most Kaplan-Meier curves drawn in a panel."""
BETWEEN = PALETTE[4]


def plot_survival(fit: EvidenceFit, /, *, prob: float = 0.95) -> Figure:
    """Return a panel a group: the stack's band and median, the cohorts' Kaplan-Meier curves, and the paper's numbers."""
    labels = fit.group_names[:MOST_PANELS]
    across = min(len(labels), 2)
    down = -(-len(labels) // across)
    figure = new_figure(4.9 * across, 0.3 + 2.95 * down)
    height = figure.get_size_inches()[1]
    draws = fit.curves.isel({SITES: 0})
    low, high = limits(prob)
    for place, label in enumerate(labels):
        row, column = divmod(place, across)
        bottom = (height - 2.95 * (row + 1) + 0.4) / height
        axes = figure.add_axes(((column + 0.12) / across, bottom, 0.84 / across, 2.25 / height))
        own = draws.sel({names.GROUP: label}).dropna(COHORT)
        by_draw = own.transpose(names.TIME, ...).to_numpy().reshape(own.sizes[names.TIME], -1)
        times = own[names.TIME].to_numpy()
        shade = GREY if place == 0 and len(labels) > 1 else colour(place - 1 if len(labels) > 1 else 0)
        lower, middle, upper = (np.quantile(by_draw, level, axis=1) for level in (low, 0.5, high))
        _kaplan_meier(axes, fit, label)
        axes.fill_between(times, lower, upper, color=shade, alpha=0.25, lw=0, label=f"stack, {100 * prob:g} %")
        axes.plot(times, middle, color=shade, lw=2, label="stack, median")
        _printed(axes, fit, label)
        last = fit.follow_up[label]
        if last < times[-1]:
            axes.axvline(last, color=GREY, lw=0.8, ls=(0, (2, 2)))
        axes.set(ylim=(0, 1.02), xlim=(0, float(times[-1])), ylabel="Survival" if column == 0 else "")
        axes.set_xlabel(f"Time ({plain(fit.spec.resolved.time_unit)})" if row == down - 1 else "")
        axes.set_title(plain(label, 40), fontsize=10)
        if place == 0:
            axes.legend(fontsize=7, loc="upper right")
    _foot(figure, "Grey steps: Kaplan-Meier of the cohorts. Dashed upright: median end of the group's follow-up.")
    return figure


def _kaplan_meier(axes: Axes, fit: EvidenceFit, label: str) -> None:
    for number, member in enumerate(fit.in_stack[:MOST_STEPS]):
        cohort = member.known
        found = [group for group in fit.groups.groups(cohort) if group.label == label and group.rows is not None]
        if not found:
            continue
        curve = cohort.kaplan_meier(found[0].rows)
        times = np.concatenate([[0.0], curve.time, [curve.last]])
        steps = np.concatenate([[1.0], curve.survival, curve.survival[-1:] if curve.survival.size else [1.0]])
        axes.step(
            times, steps, where="post", color=GREY, lw=0.5, alpha=0.35, label="cohorts, Kaplan-Meier" if number == 0 else None
        )


def _printed(axes: Axes, fit: EvidenceFit, label: str) -> None:
    """Mark the medians and milestones that the paper prints; an arrow where it says that a median was not reached."""
    named = False
    for item in fit.evidence.survival:
        if item.endpoint != fit.endpoint or group_of_entry(item, fit) != label:
            continue
        point = (item.median, 0.5) if item.median is not None else (item.time, item.survival)
        if point[0] == "not reached":
            axes.annotate("median not reached", (0.98, 0.53), xycoords=("axes fraction", "data"), fontsize=7, ha="right")
            continue
        x, y = float(point[0] or 0.0), float(point[1] or 0.0)
        axes.plot(x, y, "D", color="black", mfc="white", ms=6, zorder=5, label=None if named else "the paper")
        named = True


def plot_effects(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], /, *, prob: float = 0.95) -> Figure | None:
    """Return hazard ratios of stack and paper, and where their variance lies; None without covariates."""
    table = tables["coefficients"]
    table = table[table["metric"] == names.LOG_HAZARD_RATIO].reset_index(drop=True)
    if table.empty:
        return None
    labels = [plain(str(term), 40) for term in table["term"]]
    left = label_width(labels, least=1.44, size=10)
    width = left + 7.4
    figure = new_figure(width, 1.75 + 0.55 * len(table))
    height = figure.get_size_inches()[1]
    axes = figure.add_axes((left / width, 0.75 / height, 3.2 / width, 1 - 1.4 / height))
    rows = np.arange(len(table))
    axes.hlines(rows - 0.13, table["ratio_lower"], table["ratio_upper"], color=PALETTE[0], lw=2.5)
    axes.plot(table["ratio"], rows - 0.13, "o", color=PALETTE[0], ms=6, label="stack")
    printed = tables["published"]
    printed = printed[(printed["quantity"] == "hazard_ratio")].drop_duplicates("of").set_index("of")
    seen = [place for place, term in enumerate(table["term"]) if term in printed.index]
    own = printed.loc[table["term"].iloc[seen]]
    axes.hlines(np.array(seen) + 0.17, own["published_lower"], own["published_upper"], color="black", lw=1)
    if seen:
        axes.plot(own["published"], np.array(seen) + 0.17, "D", color="black", mfc="white", ms=5, label="the paper")
    axes.axvline(1.0, color=GREY, lw=0.8, ls=":")
    axes.set_xscale("log")
    ends = np.concatenate([table[["ratio_lower", "ratio_upper"]], own[["published_lower", "published_upper"]]])
    _ticks(axes, float(ends.min()), float(ends.max()))
    axes.set_yticks(rows, labels)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Hazard ratio given site (above 1: worse)", fontsize=10, pad=20)
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.1)
    shares = figure.add_axes(((left + 3.75) / width, 0.75 / height, 2.6 / width, 1 - 1.4 / height))
    shares.barh(rows, table["within_sd"] ** 2, color=PALETTE[0], height=0.5, label="within cohorts")
    shares.barh(
        rows, table["between_sd"] ** 2, left=table["within_sd"] ** 2, color=BETWEEN, height=0.5, label="between cohorts"
    )
    for row, share in enumerate(table["share_between"]):
        shares.annotate(f"{100 * share:.0f} %", (1.02, row), xycoords=("axes fraction", "data"), fontsize=8, va="center")
    shares.set_yticks([])
    shares.locator_params(axis="x", nbins=4)
    shares.set_ylim(len(table) - 0.5, -0.5)
    shares.set_title("Variance of the log hazard ratio", fontsize=10, pad=20)
    shares.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.1)
    _foot(figure, f"Lines: {100 * prob:g} % intervals; the paper's own for its Cox model. Percentages: share between cohorts.")
    return figure


def _ticks(axes: Axes, low: float, high: float) -> None:
    """Put ticks at round ratios; a log axis over less than a decade would have none."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(low, 0.9) / 1.1, max(high, 1.1) * 1.1
    usual = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(usual[(usual >= low) & (usual <= high)].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def plot_group_sizes(fit: EvidenceFit, each: pd.DataFrame, /) -> Figure:
    """Return how many patients and events each group has over the cohorts, as histograms."""
    shown = [label for label in fit.group_names if label != names.ALL_PATIENTS] or list(fit.group_names)
    shown = shown[:MOST_PANELS]
    left = label_width(shown, least=1.2, size=9)
    width = left + 7.2
    figure = new_figure(width, 0.6 + 0.85 * len(shown))
    height = figure.get_size_inches()[1]
    for column, (name, title) in enumerate((("n", "Patients"), ("events", "Events"))):
        every = each[each["group"].isin(shown)][name]
        bins = np.arange(int(every.min()) - 1, int(every.max()) + 2) + 0.5
        for place, label in enumerate(shown):
            bottom = (height - 0.25 - 0.85 * (place + 1) + 0.22) / height
            axes = figure.add_axes(((left + 3.6 * column) / width, bottom, 2.7 / width, 0.62 / height))
            own = each[each["group"] == label][name]
            axes.hist(own, bins=bins.tolist(), color=colour(place), alpha=0.75)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            told = f"mean {own.mean():.1f}"
            axes.annotate(told, (1.02, 0.3), xycoords="axes fraction", fontsize=8)
            axes.tick_params(labelsize=8, labelbottom=place == len(shown) - 1)
            if place == 0:
                axes.set_title(f"{title} in {len(fit.in_stack)} cohorts", fontsize=10)
            if column == 0:
                axes.annotate(
                    plain(label, 40), (-0.03, 0.3), xycoords="axes fraction", fontsize=9, ha="right", color=colour(place)
                )
    return figure


def plot_variance(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], /) -> Figure:
    """Return the share of variance between cohorts of the groups' survival at the milestones, median and restricted mean."""
    table = tables["estimands"]
    table = table[table["sites"] == fit.sites[0].label]
    columns = [("median", table[table["estimand"] == names.MEDIAN_SURVIVAL])]
    at = table[table["estimand"] == names.SURVIVAL]
    columns += [(f"S({time:g})", at[at["horizon"] == time]) for time in fit.times]
    columns += [(f"RMST({fit.horizon:g})", table[table["estimand"] == names.RMST])]
    labels = list(fit.group_names)
    share = np.array([[own.set_index("group")["share_between"].get(label, np.nan) for _, own in columns] for label in labels])
    left = label_width(labels, least=1.2, size=9)
    width = left + 0.95 * len(columns) + 0.4
    figure = new_figure(width, 0.75 + 0.42 * len(labels))
    height = figure.get_size_inches()[1]
    axes = figure.add_axes((left / width, 0.35 / height, 0.95 * len(columns) / width, 0.42 * len(labels) / height))
    axes.imshow(np.nan_to_num(share), cmap="Oranges", vmin=0.0, vmax=1.0, aspect="auto")
    for row, column in np.ndindex(*share.shape):
        value = share[row, column]
        text = "–" if np.isnan(value) else f"{100 * value:.0f} %"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if value > 0.6 else "black")
    axes.set_xticks(range(len(columns)), [name for name, _ in columns], fontsize=9)
    axes.set_yticks(range(len(labels)), [plain(label, 40) for label in labels], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    _foot(figure, "Share of the variance that lies between cohorts: what one cohort hides.")
    return figure


def _foot(figure: Figure, text: str) -> None:
    figure.text(0.995, 0.005, text, ha="right", va="bottom", fontsize=7, color=GREY)


def write_pictures(
    fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], each: pd.DataFrame, folder: Path, /, *, prob: float
) -> list[Path]:
    """Draw every picture, as PNG and SVG."""
    paths = []
    with styled():
        figures = {
            "survival": plot_survival(fit, prob=prob),
            "effects": plot_effects(fit, tables, prob=prob),
            "group_sizes": plot_group_sizes(fit, each),
            "variance": plot_variance(fit, tables),
        }
        for name, figure in figures.items():
            if figure is not None:
                mark_synthetic(figure)
                paths += save(figure, folder, name)
    return paths
