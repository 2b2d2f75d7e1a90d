"""Picture of the probability of success by number of patients, with the sites' spread and without, and its ceiling."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sitewise.report.style import GREY, PALETTE, new_figure
from sitewise.trial.assessment import Assessment
from sitewise.trial.operating.size import Solution

SURE = 1.96
LINES = {True: ("sites differ as in the truth", PALETTE[0], "o", "-"), False: ("sites alike", PALETTE[1], "s", "--")}


def plot_size(found: Assessment, solution: Solution | None = None, /) -> Figure:
    """Return the curve by size with 95 % Monte Carlo bands, ceiling, planned size, and the size that was looked for."""
    curve = found.curve
    figure = new_figure(7.6, 4.4)
    axes = figure.subplots()
    for differ, (label, shade, mark, style) in LINES.items():
        own = curve[curve["sites_differ"] == differ].sort_values("patients")
        if own.empty:
            continue
        size, success, error = (own[name].to_numpy() for name in ("patients", "success", "mcse"))
        low, high = np.clip(success - SURE * error, 0, 1), np.clip(success + SURE * error, 0, 1)
        axes.fill_between(size, low, high, color=shade, alpha=0.18, lw=0)
        axes.plot(size, success, color=shade, marker=mark, ms=4, lw=1.5, ls=style, label=label)
    sizes = curve["patients"].to_numpy(dtype=float)
    room = 0.04 * np.ptp(sizes)
    axes.set(
        xlim=(sizes.min() - room, sizes.max() + room),
        ylim=(0, 1.12),
        yticks=[0, 0.2, 0.4, 0.6, 0.8, 1],
        xlabel="Patients",
        ylabel="Probability of success",
    )
    _ceiling(axes, curve["ceiling"].to_numpy(dtype=float))
    planned = found.design.arms.patients
    axes.axvline(planned, color=GREY, lw=1, ls="--", zorder=0)
    axes.text(planned, 1.11, f" planned: {planned}", color=GREY, fontsize=9, va="top", ha="left")
    if solution is not None and solution.vary == "patients":
        _solution(axes, solution)
    axes.set_title("Probability of success by size")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=9, title="Bands: Monte Carlo, 95 %", title_fontsize=8
    )
    figure.tight_layout()
    return figure


def _ceiling(axes: Axes, ceilings: np.ndarray) -> None:
    """Draw what no size exceeds, where it is known."""
    known = ceilings[np.isfinite(ceilings)]
    if known.size == 0:
        return
    level = float(known[0])
    axes.axhline(level, color=PALETTE[2], lw=1.2, ls=":")
    axes.text(
        0.995,
        level + 0.012,
        f"ceiling {level:.3f}: no number of patients has more",
        transform=axes.get_yaxis_transform(),
        color=PALETTE[2],
        fontsize=9,
        ha="right",
        va="bottom",
    )


def _solution(axes: Axes, solution: Solution) -> None:
    axes.axhline(solution.target, color=PALETTE[6], lw=0.8, ls="-.")
    axes.text(
        0.01,
        solution.target + 0.012,
        f"wanted: {solution.target:g}",
        transform=axes.get_yaxis_transform(),
        fontsize=9,
        va="bottom",
    )
    low, high = axes.get_xlim()
    if solution.value is not None and low <= solution.value <= high:
        axes.plot([solution.value], [solution.success], marker="D", ms=7, color=PALETTE[6], ls="none", zorder=5)
        axes.annotate(
            f"{solution.value}", (solution.value, solution.success), (0, 8), textcoords="offset points", ha="center", fontsize=9
        )
