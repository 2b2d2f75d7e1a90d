"""Picture of what is taken as true: the effect, the truths in which success is right, and success split by that."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sitewise.report.page_parts import percent
from sitewise.report.style import GREY, PALETTE, new_figure, plain
from sitewise.report.trial_values import Values, planned
from sitewise.trial.assessment import Assessment
from sitewise.trial.plan.criteria import Criterion

Floats = NDArray[np.float64]
MOST = 2
"""Criteria of success that have a panel of their own."""
BINS = 30
SPLIT = {
    "success and true": ("success, and it is true", PALETTE[0]),
    "success and untrue": ("success, and it is not true", PALETTE[1]),
    "no success and true": ("no success, though it is true", PALETTE[5]),
    "no success and untrue": ("no success, and it is not true", "#c9ccd0"),
}
ESTIMANDS = {"hazard_ratio": "Hazard ratio", "survival": "Survival", "rmst": "Restricted mean", "median": "Median survival"}


def plot_truth(found: Assessment, /) -> Figure:
    """Return the distribution of the true hazard ratio and of the success criteria's estimands, and what success means."""
    world = found.results.worlds[0]
    ratios = np.exp(world.truth.effect.log_hazard_ratio)
    panels: list[tuple[str, Floats, Criterion | None]] = []
    for place, item in enumerate(found.design.criterion):
        values = world.true_values[:, place]
        if item.role == "success" and np.isfinite(values).all() and len(panels) < MOST:
            panels.append((plain(item.name, 34), values, item))
    if not any(item is not None and item.estimand == "hazard_ratio" for _, _, item in panels):
        panels.insert(0, ("Treatment effect", ratios, None))
    figure = new_figure(3.6 * len(panels) + 4.0, 3.7)
    axes = figure.subplots(1, len(panels) + 1, width_ratios=[*[1.0] * len(panels), 1.15], squeeze=False)[0]
    for own, (title, values, shown) in zip(axes, panels, strict=False):
        _distribution(own, values, shown)
        own.set_title(title, fontsize=10)
    _split(axes[-1], found)
    figure.tight_layout()
    return figure


def _distribution(axes: Axes, values: Floats, item: Criterion | None) -> None:
    ratio = item is None or item.estimand in ("hazard_ratio", "median")
    bound = item.bound if item is not None else None
    known = np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max()))
    ends = [*np.quantile(values, [0.002, 0.998]), *([] if bound is None else [bound])]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) if high > low else 0.2 * max(abs(high), 0.1)
    low, high = (low - room if not ratio else max(low - room, 0.5 * low)), high + room
    if known:
        axes.axvline(values[0], color=PALETTE[0], lw=2.5)
        right = values[0] > (low + high) / 2
        axes.annotate(
            f"{values[0]:.3g},\nknown",
            (float(values[0]), 0.6),
            (-5 if right else 5, 0),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            fontsize=8,
            ha="right" if right else "left",
        )
    else:
        edges = [float(edge) for edge in np.linspace(low, high, BINS + 1)]
        axes.hist(values, bins=edges, color=PALETTE[0], alpha=0.75, weights=np.full(values.size, 1 / values.size))
    if item is not None and bound is not None:
        less = item.wants_less
        holds = values < bound if less else values > bound
        axes.axvspan(low if less else bound, bound if less else high, ymax=0.9, color=PALETTE[2], alpha=0.13, lw=0)
        axes.axvline(bound, ymax=0.9, color=PALETTE[2], lw=1.2, ls="--")
        axes.text(
            0.5, 1.0, f"right in {percent(float(holds.mean()))} % of truths ({'below' if less else 'above'} {bound:g})",
            transform=axes.transAxes, fontsize=8, ha="center", va="top", color="#00634a",
        )  # fmt: skip
    label = "Hazard ratio" if item is None else ESTIMANDS[item.estimand] + (f" at {item.at:g}" if item.at is not None else "")
    if item is not None and item.against != "value":
        label += f" minus {item.against}"
    axes.set(xlim=(low, high), xlabel=f"True {label[0].lower()}{label[1:]}", yticks=[])
    axes.set_ylim(0, 1.18 * axes.get_ylim()[1])
    axes.spines["left"].set_visible(False)


def _split(axes: Axes, found: Assessment) -> None:
    values, scenario = Values.of(found), planned(found)
    shares = {name: values(scenario, name).value for name in SPLIT}
    axes.set_title("Success, and whether it is right", fontsize=10)
    if not np.isfinite(list(shares.values())).all():
        axes.text(0.5, 0.5, "One number does not say\nwhat is true here", ha="center", va="center", color=GREY)
        axes.set_axis_off()
        return
    for place, (name, (told, shade)) in enumerate(SPLIT.items()):
        axes.barh(place, shares[name], color=shade, height=0.45)
        axes.annotate(f"{shares[name]:.3f}", (shares[name], place), (4, 0), textcoords="offset points", fontsize=9, va="center")
        axes.text(0.0, place - 0.27, told, fontsize=8, va="bottom", ha="left")
    axes.set(ylim=(3.45, -0.75), xlim=(0, 1.18 * max(shares.values())), yticks=[], xlabel="Share of planned trials")
