"""Pictures of checks: what was seen among what simulated cohorts show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sitewise.report.style import GREY, PALETTE, colour, label_width, new_figure, plain, styled
from sitewise.studies.checking.priors import SENSITIVE
from sitewise.studies.checking.result import Checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS, COLUMNS = 24, 4
SEEN, SIMULATED = PALETTE[1], PALETTE[0]


def plot_check_curves(table: pd.DataFrame, found: Checks, /, *, prefix: str = "") -> Figure:
    """Return Kaplan-Meier curves of groups or sites, each in a panel among those of simulated cohorts.

    ``prefix`` stands before names that are bare numbers.
    """
    names = list(dict.fromkeys(table["group"]))[:MOST_PANELS]
    rows = math.ceil(len(names) / COLUMNS)
    with styled():
        figure = new_figure(10.0, 0.7 + 2.1 * rows)
        axes = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True)
        for place, panel in enumerate(axes.ravel()):
            if place >= len(names):
                panel.set_visible(False)
                continue
            own = table[table["group"] == names[place]]
            _band(panel, own["time"], own)
            panel.plot(own["time"], own["seen"], color=SEEN, lw=1.5, drawstyle="steps-post", label="seen")
            panel.set(ylim=(0, 1.02), xlim=(0, None))
            called = str(names[place])
            panel.set_title(plain(f"{prefix if called.isdigit() else ''}{called}", 26), fontsize=9)
            panel.tick_params(labelsize=7)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.supxlabel(f"Time ({plain(found.time_unit, 20)})", fontsize=9)
        figure.supylabel("Survival", fontsize=9)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.28 / (0.7 + 2.1 * rows)))
        figure.legend(handles, labels, loc="upper right", ncols=3, fontsize=8)
    return figure


def _band(panel: Axes, x: pd.Series | np.ndarray, table: pd.DataFrame) -> None:
    panel.fill_between(x, table["lower"], table["upper"], color=SIMULATED, alpha=0.2, lw=0, label="simulated, limits")
    panel.plot(x, table["simulated"], color=SIMULATED, lw=1, label="simulated, median")


def plot_check_hazard(found: Checks, /) -> Figure:
    """Return three views of the hazard's form: events over time, predictive shares (PIT), Cox-Snell residuals."""
    with styled():
        figure = new_figure(10.0, 3.4)
        over_time, shares, residuals = figure.subplots(1, 3)
        own = found.over_time
        over_time.fill_between(own["time"], own["lower"], own["upper"], color=SIMULATED, alpha=0.2, lw=0)
        over_time.axhline(0, color=SIMULATED, lw=1)
        over_time.plot(own["time"], own["difference"], "o-", color=SEEN, ms=4, lw=1.2)
        over_time.set_title("Events seen minus expected", fontsize=9)
        over_time.set_xlabel(f"Time ({plain(found.time_unit, 20)})", fontsize=9)

        table = found.shares
        x = table["predicted"].to_numpy()
        shares.fill_between(x, table["lower"] - x, table["upper"] - x, color=SIMULATED, alpha=0.2, lw=0)
        shares.plot(x, table["simulated"] - x, color=SIMULATED, lw=1)
        shares.plot(x, table["seen"] - x, color=SEEN, lw=1.5)
        shares.set_title("PIT-ECDF minus uniform", fontsize=9)
        shares.set_xlabel("Predicted probability of an event before then", fontsize=9)

        with np.errstate(divide="ignore"):
            for name, shade, width in (("simulated", SIMULATED, 1.0), ("seen", SEEN, 1.5)):
                residuals.plot(-np.log1p(-x), -np.log1p(-table[name]), color=shade, lw=width, label=name)
            residuals.fill_between(
                -np.log1p(-x), -np.log1p(-table["lower"]), -np.log1p(-table["upper"]), color=SIMULATED, alpha=0.2, lw=0
            )
        top = float((-np.log1p(-x)).max())
        residuals.plot([0, top], [0, top], color=GREY, lw=0.7, ls=":")
        residuals.set(xlim=(0, top), ylim=(0, 1.6 * top))
        residuals.set_title("Cumulative hazard of Cox-Snell residuals", fontsize=9)
        residuals.set_xlabel("Cox-Snell residual", fontsize=9)
        residuals.legend(fontsize=8)
        for panel in (over_time, shares, residuals):
            panel.tick_params(labelsize=7)
        figure.tight_layout()
    return figure


def plot_check_residuals(found: Checks, /) -> Figure:
    """Return events minus expected by site and by predicted risk, and how effects drift, each with simulated limits."""
    sites = found.by_site if len(found.by_site) > 1 else found.by_site.iloc[:0]
    most = max(len(sites), len(found.by_risk), len(found.drift), 3)
    left = label_width([plain(str(name), 24) for name in found.drift["coefficient"]] or [""], least=0.6, size=8)
    with styled():
        figure = new_figure(9.0 + left, 1.1 + 0.24 * most)
        panels = figure.subplots(1, 3)
        _differences(panels[0], sites, "site", "By site: events seen minus expected")
        _differences(panels[1], found.by_risk, "group", "By predicted risk (5 = highest)")
        drift = found.drift
        rows = np.arange(len(drift))
        panels[2].axvspan(-2, 2, color=SIMULATED, alpha=0.15, lw=0)
        panels[2].axvline(0, color=SIMULATED, lw=1)
        panels[2].plot(drift["drift"], rows, "o", color=SEEN, ms=5)
        panels[2].set(yticks=rows, ylim=(max(len(drift), 1) - 0.5, -0.5))
        panels[2].set_yticklabels([plain(str(name), 24) for name in drift["coefficient"]], fontsize=8)
        panels[2].set_title("Drift of log hazard ratios, in sds", fontsize=9)
        for panel in panels:
            panel.tick_params(labelsize=8)
        figure.tight_layout()
    return figure


def _differences(panel: Axes, table: pd.DataFrame, name: str, title: str) -> None:
    rows = np.arange(len(table))
    panel.hlines(rows, table["lower"], table["upper"], color=SIMULATED, lw=6, alpha=0.25)
    panel.axvline(0, color=SIMULATED, lw=1)
    panel.plot(table["difference"], rows, "o", color=SEEN, ms=5)
    panel.set(yticks=rows, ylim=(max(len(table), 1) - 0.5, -0.5))
    panel.set_yticklabels([plain(str(label), 18) for label in table[name]], fontsize=8)
    panel.set_title(title, fontsize=9)


def plot_check_log_log(found: Checks, /) -> Figure:
    """Return log cumulative hazards of groups against log time: straight for a Weibull, parallel where ratios are constant."""
    names = [name for name in dict.fromkeys(found.curves["group"]) if name != "all"] or list(
        dict.fromkeys(found.curves["group"])
    )
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    with styled():
        figure = new_figure(7.0, 4.2)
        axes = figure.add_axes((0.1, 0.14, 0.55, 0.8))
        for place, name in enumerate(names[:8]):
            own = found.curves[found.curves["group"] == name].iloc[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                seen, expected = (np.log(-np.log(own[kind].to_numpy())) for kind in ("seen", "simulated"))
            seen, expected = (np.where(np.isfinite(values), values, np.nan) for values in (seen, expected))
            axes.plot(own["time"], seen, color=colour(place), lw=1.6, drawstyle="steps-post", label=plain(str(name), 24))
            axes.plot(own["time"], expected, color=colour(place), lw=1, ls="--")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}")
        )  # powers of ten would need mathematical text
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(f"Time ({plain(found.time_unit, 20)}), log scale")
        axes.set_ylabel("log(-log survival)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=8, title="seen; dashed: simulated", title_fontsize=8)
    return figure


def plot_check_prediction(found: Checks, /) -> Figure:
    """Return predicted against seen survival, Brier scores, and Pareto k of each patient."""
    table = found.prediction
    with styled():
        figure = new_figure(10.0, 3.2)
        survival, score, pareto = figure.subplots(1, 3)
        for name, shade, off in (("predicted_survival", SIMULATED, -0.05), ("seen_survival", SEEN, 0.05)):
            own = table[table["measure"] == name]
            place = np.arange(len(own)) + off
            survival.vlines(place, own["lower"], own["upper"], color=shade, lw=2, alpha=0.6)
            survival.plot(place, own["median"], "o", color=shade, label=name.replace("_", " "))
        for name, shade, off in (("brier", SIMULATED, -0.05), ("brier_without_covariates", GREY, 0.05)):
            own = table[table["measure"] == name]
            place = np.arange(len(own)) + off
            score.vlines(place, own["lower"], own["upper"], color=shade, lw=2, alpha=0.6)
            score.plot(place, own["median"], "o", color=shade, label=name.replace("_", " "))
        times = table["time"].dropna().unique()
        for panel in (survival, score):
            panel.set(xticks=range(len(times)), xlim=(-0.5, len(times) - 0.5))
            panel.set_xticklabels([f"{time:g}" for time in times])
            panel.set_xlabel(f"Time ({plain(found.time_unit, 20)})", fontsize=9)
            panel.legend(fontsize=8)
        survival.set_ylim(0, 1)
        survival.set_title("Mean survival", fontsize=9)
        score.set_ylim(0, None)
        score.set_title("Brier score (smaller is better)", fontsize=9)
        k = found.leave_one_out["psis_pareto_k"].to_numpy()
        pareto.plot(np.arange(1, k.size + 1), k, ".", color=SIMULATED, ms=4)
        pareto.axhline(found.good_k, color=SEEN, lw=1, ls="--")
        pareto.set_title("Pareto k of leaving a patient out", fontsize=9)
        pareto.set_xlabel("Patient, in the table's order", fontsize=9)
        for panel in (survival, score, pareto):
            panel.tick_params(labelsize=8)
        figure.tight_layout()
    return figure


def plot_check_priors(found: Checks, /) -> Figure:
    """Return contraction from prior to posterior, power-scaling sensitivity, and survival under the prior alone."""
    contraction, sensitivity, curve = found.contraction, found.sensitivity, found.prior_curve
    labels = [plain(_short(str(name)), 26) for name in contraction["parameter"]]
    quantities = [plain(_short(str(name)), 26) for name in sensitivity["quantity"]]
    left, middle = (label_width(names, least=0.8, size=8) for names in (labels, quantities))
    height = 1.0 + 0.24 * max(len(labels), len(quantities), 8)
    width = left + middle + 3 * 2.3 + 0.9
    with styled():
        figure = new_figure(width, height)
        bottom, tall = 0.55 / height, (height - 1.0) / height
        first = figure.add_axes((left / width, bottom, 2.3 / width, tall))
        second = figure.add_axes(((left + 2.4 + middle) / width, bottom, 2.3 / width, tall))
        third = figure.add_axes(((left + middle + 2.4 + 2.3 + 0.6) / width, bottom, 2.3 / width, tall))
        rows = np.arange(len(labels))
        first.barh(rows, np.clip(contraction["contraction"], 0, 1), color=SIMULATED, height=0.6)
        first.set(yticks=rows, xlim=(0, 1), ylim=(len(labels) - 0.5, -0.5))
        first.set_yticklabels(labels)
        first.set_title("Contraction", fontsize=9)
        rows = np.arange(len(quantities))
        second.plot(sensitivity["prior"], rows, "o", color=SEEN, ms=5, label="prior")
        second.plot(sensitivity["likelihood"], rows, "o", color=SIMULATED, ms=5, label="data")
        second.axvline(SENSITIVE, color=GREY, lw=0.8, ls="--")
        second.set(yticks=rows, ylim=(len(quantities) - 0.5, -0.5), xlim=(0, None))
        second.set_yticklabels(quantities)
        second.set_title("Power-scaling sensitivity", fontsize=9)
        second.legend(fontsize=8)
        third.fill_between(curve["time"], curve["lower"], curve["upper"], color=GREY, alpha=0.2, lw=0)
        third.fill_between(curve["time"], curve["lower_half"], curve["upper_half"], color=GREY, alpha=0.3, lw=0)
        third.plot(curve["time"], curve["median"], color=GREY, lw=1)
        third.plot(curve["time"], curve["seen"], color=SEEN, lw=1.5, drawstyle="steps-post")
        third.set(ylim=(0, 1.02), xlim=(0, None))
        third.set_title("Survival under the prior, and seen", fontsize=9)
        third.set_xlabel(f"Time ({plain(found.time_unit, 20)})", fontsize=9)
        for panel in (first, second, third):
            panel.tick_params(labelsize=8)
    return figure


def _short(name: str) -> str:
    for beginning in ("log_hazard_ratio[", "log_time_ratio["):
        if name.startswith(beginning):
            return name.removeprefix(beginning).removesuffix("]")
    return name
