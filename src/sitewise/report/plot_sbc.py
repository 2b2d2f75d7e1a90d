"""Pictures of simulation-based calibration: ECDFs of PIT values against uniform, with simultaneous bands; coverage by size."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sitewise.report.sbc_write import OF_SITES
from sitewise.report.style import GREY, PALETTE, new_figure, plain
from sitewise.studies.replication.quantities import AVERAGE_PATIENT
from sitewise.studies.sbc import Calibration
from sitewise.studies.sbc.uniformity import bands

COLUMNS = 4
MOST = 24
BAND = 0.99


def plot_ecdf(found: Calibration) -> Figure:
    """Return ECDF minus uniform of each quantity's PIT values, the worst first, with a simultaneous 99 % band.

    Above the band on the left and below it on the right: posteriors too wide; the other way round: too narrow. All on one side:
    biased.
    """
    order = found.tests.sort_values("p_holm", kind="stable")
    shown = list(order["quantity"])[:MOST]
    rows = math.ceil(len(shown) / COLUMNS)
    figure = new_figure(10.0, 0.5 + 1.9 * rows)
    pit = found.replicates.estimates
    by_quantity = {name: own["pit"].dropna().to_numpy() for name, own in pit.groupby("quantity", sort=False)}
    size = max(values.size for values in by_quantity.values())
    points, lower, upper = bands(size, BAND)
    limit = 1.6 * float(np.max(upper - points))
    axes = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True)
    for place, panel in enumerate(axes.ravel()):
        if place >= len(shown):
            panel.set_visible(False)
            continue
        name = shown[place]
        values = np.sort(by_quantity[name])
        difference = np.searchsorted(values, points, side="right") / values.size - points
        row = order.iloc[place]
        good = row["p_holm"] > found.alpha
        panel.fill_between(points, lower - points, upper - points, color=GREY, alpha=0.25, lw=0)
        panel.axhline(0.0, color=GREY, lw=0.7)
        panel.plot(points, difference, color=PALETTE[0] if good else PALETTE[1], lw=1.2, drawstyle="steps-post")
        reach = max(limit, 1.1 * float(np.abs(difference).max()))
        panel.set(ylim=(-reach, reach), xlim=(0, 1), xticks=[0, 0.5, 1])
        panel.tick_params(labelsize=7)
        panel.set_title(f"{plain(short(name), 28)}\np {row['p_holm']:.2g}", fontsize=8)
    figure.supxlabel("PIT value: posterior probability below the truth", fontsize=9)
    figure.supylabel("ECDF minus uniform", fontsize=9)
    figure.tight_layout()
    return figure


def short(quantity: str) -> str:
    """Return a quantity's name for a panel: effects by their terms, without whose curve it is."""
    effect = re.fullmatch(r"(abs\()?log_(?:hazard|time)_ratio\[(.*?)\]\)?", quantity)
    if effect:
        return f"size of {effect[2]}" if effect[1] else f"effect of {effect[2]}"
    return quantity.removesuffix(f", {AVERAGE_PATIENT}")


def plot_coverage(table: pd.DataFrame) -> Figure:
    """Return coverage, with its Monte Carlo interval, and bias over sd of error, by numbers of patients and sites."""
    quantities = [name for name in dict.fromkeys(table["quantity"]) if not str(name).startswith(OF_SITES)]
    figure = new_figure(10.0, 1.4 + 0.34 * len(quantities))
    left, right = figure.subplots(1, 2, sharey=True)
    designs = list(dict.fromkeys(zip(table["sites"], table["patients"], strict=True)))
    height = 0.8 / len(designs)
    for place, (sites, patients) in enumerate(designs):
        own = table[(table["sites"] == sites) & (table["patients"] == patients)].set_index("quantity").reindex(quantities)
        y = np.arange(len(quantities)) - 0.4 + height * (place + 0.5)
        label = f"{patients} patients, {sites} sites"
        shade = PALETTE[place % len(PALETTE)]
        left.errorbar(own["coverage"], y, xerr=1.96 * own["coverage_mcse"], fmt="o", ms=3, lw=0.8, color=shade, label=label)
        right.plot(own["bias"] / own["rmse"], y, "o", ms=3, color=shade)
    left.set(yticks=np.arange(len(quantities)), xlabel="Coverage of the intervals, with its Monte Carlo interval")
    left.set_yticklabels([plain(short(str(name)), 44) for name in quantities], fontsize=8)
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.axvline(0.95, color=GREY, lw=0.8, ls="--")
    right.axvline(0.0, color=GREY, lw=0.8, ls="--")
    right.set(xlabel="Bias / root mean square error", xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1])
    left.invert_yaxis()
    figure.legend(loc="lower center", ncols=3, fontsize=7, frameon=False)
    figure.tight_layout(rect=(0, 0.02 + 0.35 * math.ceil(len(designs) / 3) / figure.get_size_inches()[1], 1, 1))
    return figure
