"""Pictures of effects and sites: forest of ratios, sites with shrinkage, site spread prior beside posterior, ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.estimands import expected_events, hazard_ratios, site_effects, summarise, time_ratios
from sitewise.inference.prior import density_grid, prior_quantiles
from sitewise.models import Prior
from sitewise.models.fitted import completed_fits
from sitewise.report.analysis import Analysis
from sitewise.report.page_parts import decimals
from sitewise.report.slopes import alone
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_effects(analysis: Analysis) -> Figure | None:
    """Return a forest of hazard ratios beside time ratios, as far as the family has them, or None without covariates."""
    terms = list(analysis.fit.spec.resolved.columns)
    if not terms:
        return None
    labels = [plain(term, 40) for term in terms]
    left = label_width(labels, least=1.44, size=10)
    where = ", average site" if analysis.fit.spec.slopes else " given site"
    panels = []
    if analysis.has_hazard_ratios:
        panels.append((f"Hazard ratio{where} (above 1: worse)", hazard_ratios(analysis.fit)))
    if analysis.has_time_ratios:
        panels.append((f"Time ratio{where} (above 1: longer)", time_ratios(analysis.fit)))
    width = left + 3.69 + 3.87 * (len(panels) - 1)
    figure = new_figure(width, 1.7 + 0.42 * len(terms))
    height = figure.get_size_inches()[1]
    for position, (title, draws) in enumerate(panels):
        table = summarise(draws, prob=analysis.prob, diagnostics=())
        axes = figure.add_axes(((left + 3.87 * position) / width, 0.75 / height, 2.52 / width, 1 - 1.25 / height))
        _forest(axes, table, labels if position == 0 else [""] * len(terms))
        axes.axvline(1.0, color=GREY, lw=0.8, ls=":")
        axes.set_xscale("log")
        _plain_log_ticks(axes, table)
        axes.set_title(title, fontsize=10)
        for row, (low, mid, high) in enumerate(zip(table["lower"], table["median"], table["upper"], strict=True)):
            axes.annotate(
                f"{mid:.2f} ({low:.2f}, {high:.2f})",
                (1.02, row),
                xycoords=("axes fraction", "data"),
                fontsize=8,
                va="center",
            )
    figure.text(
        0.995,
        0.01,
        f"Posterior median and {100 * analysis.prob:g} % interval.",
        ha="right",
        fontsize=7,
        color=GREY,
    )
    return figure


def _forest(axes: Axes, table: pd.DataFrame, labels: list[str]) -> None:
    rows = np.arange(len(table))
    axes.hlines(rows, table["lower"], table["upper"], color=PALETTE[0], lw=2)
    axes.plot(table["median"], rows, "o", color=PALETTE[0], ms=6)
    axes.set_yticks(rows, labels)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _plain_log_ticks(axes: Axes, table: pd.DataFrame) -> None:
    """Put ticks at round ratios; a log axis over less than a decade would have none."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = float(table["lower"].min()), float(table["upper"].max())
    low, high = min(low, 0.9) / 1.05, max(high, 1.1) * 1.05
    usual = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(usual[(usual >= low) & (usual <= high)].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def plot_sites(analysis: Analysis) -> Figure | None:
    """Return each site's own estimate beside the model's (partially pooled) one, or None without site effects.

    A site's own log hazard ratio is log(events / expected events), expected at an average site from the model's
    posterior mean cumulative hazards, with limits +- z / sqrt(events); a site without events has none. With random slopes
    it is the reference patient's, by the site's own slopes too (:func:`sitewise.report.slopes.alone`). A family without hazard
    ratios has no such estimate of a time ratio, and only the model's are shown.
    """
    if not analysis.fit.spec.has_sites:
        return None
    hazards = analysis.has_hazard_ratios
    effects = site_effects(analysis.fit, metric=names.HAZARD_RATIO if hazards else names.TIME_RATIO)
    table = summarise(effects, prob=analysis.prob, diagnostics=())
    counts = analysis.fit.cohort.counts_by_site().set_index("site").reindex(table.index).fillna(0)
    fit = analysis.fit
    each = expected_events(fit, fit.cohort.time_at_risk_to)
    expected = np.bincount(fit.cohort.site_index, weights=each, minlength=len(table))
    labels = [
        f"{plain(str(site), 40)}  (n = {int(n)}, {int(e)} ev.)"
        for site, n, e in zip(table.index, counts["n"], counts["events"], strict=True)
    ]
    left = label_width(labels, least=1.63, size=8)
    width = left + 5.17
    figure = new_figure(width, 1.6 + 0.3 * len(table))
    height = figure.get_size_inches()[1]
    axes = figure.add_axes((left / width, 0.6 / height, 4.9 / width, 1 - 1.15 / height))
    rows = np.arange(len(table))
    from scipy.stats import norm

    events = counts["events"].to_numpy(dtype=float)
    with np.errstate(divide="ignore"):
        own = np.log(events / expected)
        half = norm.ppf(0.5 + analysis.prob / 2) / np.sqrt(events)
    if fit.spec.slopes:
        by_site = alone(fit)
        own, half = by_site.effect, norm.ppf(0.5 + analysis.prob / 2) * by_site.effect_error
    seen = (events > 0) & np.isfinite(own) & hazards
    if hazards:
        axes.hlines(rows[seen] - 0.14, own[seen] - half[seen], own[seen] + half[seen], color=GREY, lw=0.8)
        axes.plot(own[seen], rows[seen] - 0.14, "D", color=GREY, ms=3.5, mfc="white", label="site alone")
    axes.hlines(rows + 0.14, table["lower"], table["upper"], color=PALETTE[0], lw=2)
    axes.plot(table["median"], rows + 0.14, "o", color=PALETTE[0], ms=5, label="model (partial pooling)")
    axes.axvline(0, color=GREY, lw=0.8, ls=":")
    axes.set_yticks(rows, labels, fontsize=8)
    axes.set_ylim(len(table) - 0.4, -0.6)
    reach = max(
        1.0,
        float(np.abs(table[["lower", "upper"]].to_numpy()).max()),
        float(np.abs(own[seen]).max(initial=0)),
    )
    axes.set_xlim(-1.4 * reach, 1.4 * reach)
    against = "of the reference patient" if fit.spec.slopes else "against an average site"
    axes.set_xlabel(f"Log hazard ratio {against} (right: worse)" if hazards else f"Log time ratio {against} (right: longer)")
    axes.set_title("Sites: alone and with the others" if hazards else "Sites, each with the others", pad=20)
    axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1)
    return figure


def plot_site_spread(analysis: Analysis) -> Figure | None:
    """Return the priors of the spread of sites, and of slopes, beside their posteriors; None without random sites."""
    fit = analysis.fit
    resolution = fit.spec.resolved
    if resolution.site_sd is None:
        return None
    metric = "log hazard ratio" if fit.spec.metric == names.HAZARD_RATIO else "log time ratio"
    shown = [("Site spread", f"Sd between sites ({metric})", resolution.site_sd, fit.posterior[names.SITE_SD], 1.2)]
    for label, prior in zip(resolution.slope_labels, resolution.site_slope_sd, strict=True):
        draws = fit.posterior[names.SITE_SLOPE_SD].sel({names.SLOPE: label})
        least = prior_quantiles(prior, [0.98])[0]
        shown.append((f"Slopes of {plain(label, 30)}", f"Sd between sites of the {metric}", prior, draws, least))
    figure = new_figure(6.2, 3.4 * len(shown))
    for place, (name, xlabel, prior, draws, least) in enumerate(shown):
        axes = figure.add_axes((0.11, (len(shown) - 1 - place + 0.17) / len(shown), 0.85, 0.72 / len(shown)))
        _prior_beside_posterior(axes, prior, draws.to_numpy().ravel(), least)
        low, mid, high = np.quantile(draws, [0.5 - analysis.prob / 2, 0.5, 0.5 + analysis.prob / 2])
        digits = decimals(high)
        span = f"{mid:.{digits}f} ({low:.{digits}f}, {high:.{digits}f})"
        axes.set_title(f"{name}: {span} from {len(resolution.site_labels)} sites")
        axes.set(xlabel=xlabel, ylabel="Density")
        axes.legend(fontsize=8)
    return figure


def _prior_beside_posterior(axes: Axes, prior: Prior, draws: np.ndarray, least: float) -> None:
    top = float(max(np.quantile(draws, 0.995), least))
    grid = np.linspace(1e-4 * min(top, 1.0), top, 400)
    axes.plot(grid, density_grid(prior, grid), color=GREY, lw=1.5, ls="--", label=f"prior: {prior}")
    counts, edges = np.histogram(draws, bins=np.linspace(0, top, 45))
    density = counts / (draws.size * np.diff(edges))
    axes.stairs(density, edges, fill=True, color=PALETTE[0], alpha=0.45, label="posterior")
    axes.set(xlim=(0, top), ylim=(0, None))


def plot_chains(analysis: Analysis) -> Figure | None:
    """Return rank histograms by chain (left) and traces (right) of the parameters; None where draws are independent.

    Ranks over all chains should be even in each (Vehtari et al. 2021, section 4.4).
    """
    if names.WEIGHTED_POSTERIOR in analysis.fit.tree.children or completed_fits(analysis.fit):
        return None
    posterior = analysis.fit.posterior
    quantities: dict[str, np.ndarray] = {}
    shape = [item.name for item in analysis.fit.spec.family.shape_parameters][:3]
    for name in (names.LOG_SCALE_AT_MEANS, *shape, names.SITE_SD):
        if name in posterior:
            quantities[name] = posterior[name].transpose(names.CHAIN, names.DRAW).to_numpy()
    effect = names.LOG_HAZARD_RATIO if names.LOG_HAZARD_RATIO in posterior else names.LOG_TIME_RATIO
    for label in analysis.fit.spec.resolved.slope_labels:
        spread = posterior[names.SITE_SLOPE_SD].sel({names.SLOPE: label})
        quantities[f"{names.SITE_SLOPE_SD}[{label}]"] = spread.transpose(names.CHAIN, names.DRAW).to_numpy()
    if effect in posterior:
        for term in posterior[names.TERM].to_numpy()[:6]:
            quantities[str(term)] = posterior[effect].sel({names.TERM: term}).to_numpy()
    figure = new_figure(9.0, 0.6 + 1.15 * len(quantities))
    height = figure.get_size_inches()[1]
    for row, (name, draws) in enumerate(quantities.items()):
        bottom = (height - 0.35 - 1.15 * (row + 1) + 0.3) / height
        ranks = figure.add_axes((0.06, bottom, 0.26, 0.72 / height))
        trace = figure.add_axes((0.37, bottom, 0.61, 0.72 / height))
        order = draws.ravel().argsort().argsort().reshape(draws.shape) / draws.size
        for chain in range(draws.shape[0]):
            shade = PALETTE[chain % len(PALETTE)]
            counts, edges = np.histogram(order[chain], bins=20, range=(0, 1))
            ranks.stairs(counts / draws.shape[1] * 20, edges, color=shade, lw=0.9, baseline=None)
            trace.plot(draws[chain], color=shade, lw=0.4, alpha=0.8)
        ranks.axhline(1.0, color=GREY, lw=0.7, ls=":")
        ranks.set(ylim=(0, 2), xticks=[], xlim=(0, 1))
        trace.set(xlim=(0, draws.shape[1]))
        trace.tick_params(labelsize=7)
        ranks.tick_params(labelsize=7)
        ranks.set_title(plain(name, 40), fontsize=9)
    figure.text(0.06, 1 - 0.22 / height, "Ranks by chain (even: good)", fontsize=8, color=GREY)
    figure.text(0.37, 1 - 0.22 / height, "Draws in order", fontsize=8, color=GREY)
    return figure
