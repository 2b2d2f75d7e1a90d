"""Pictures of how well a process reproduces a paper: every target in sampling sds of one cohort, and the joint distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.calibration_verdict import CLOSE
from sitewise.report.calibration_words import CONTRASTS, by_heading, reproduced
from sitewise.report.page_parts import number, percent
from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, HEAD = 0.205, 0.30
"""Inches of a row and of a heading."""
LEAST_LIMIT, MOST_LIMIT = 3.2, 8.0
SIZE = 8.0
NARROWER = 0.85
"""Small letters and digits are narrower than the average that :func:`label_width` allows for."""
MARKS = {"fit": "o", "soft": "s", "held_out": "D", "conflict": "X"}
WORDS = {
    "fit": "fitted",
    "soft": "fitted with a quarter of the weight",
    "held_out": "held out: predicted only",
    "conflict": "conflict: left out",
}


def plot_targets(results: CalibrationResults) -> Figure:
    """Return the forest: published minus reproduced in sds of one cohort, by kind, with the left-out z as a second mark."""
    blocks: dict[str, list[tuple[str, Any]]] = dict(by_heading(results))
    if len(results.contrasts):
        blocks[CONTRASTS] = [(str(row.contrast), row) for row in results.contrasts.itertuples()]
    rows = [(name, row) for block in blocks.values() for name, row in block]
    cells = [_cells(results, row) for _, row in rows]
    labels = [plain(name, 44) for name, _ in rows]
    left = NARROWER * label_width(labels, least=1.9, size=SIZE)
    right = [NARROWER * label_width([cell[column] for cell in cells], least=1.1, size=SIZE) for column in (0, 1)]
    middle, foot, top = 4.0, 0.95, 0.35
    width, height = left + middle + sum(right) + 0.35, foot + top + ROW * len(rows) + HEAD * len(blocks)
    figure = new_figure(width, height)
    inside = height - foot - top
    axes = figure.add_axes((left / width, foot / height, middle / width, inside / height))
    limit = _limit(rows)
    axes.set(xlim=(-limit, limit), ylim=(inside, 0))
    axes.axvspan(-2, 2, color="#dfe8f1", lw=0)
    axes.axvspan(-1, 1, color="#c3d5e6", lw=0)
    axes.axvline(0, color=GREY, lw=0.8)
    place, number_of_row = 0.0, 0
    for title, block in blocks.items():
        axes.annotate(title, (-left + 0.05, place + 0.6 * HEAD), xycoords=_inches(axes, middle), fontsize=SIZE, weight="bold")
        place += HEAD
        for _, row in block:
            _draw_row(axes, row, place + ROW / 2, limit)
            texts = (labels[number_of_row], *cells[number_of_row])
            for text, x, side in zip(
                texts, (-0.08, middle + 0.12, middle + 0.12 + right[0]), ("right", "left", "left"), strict=True
            ):
                axes.annotate(text, (x, place + ROW / 2), xycoords=_inches(axes, middle), fontsize=SIZE, va="center", ha=side)
            place, number_of_row = place + ROW, number_of_row + 1
    for text, x in (("printed", middle + 0.12), ("the process gives", middle + 0.12 + right[0])):
        axes.annotate(text, (x, -0.12), xycoords=_inches(axes, middle), fontsize=SIZE, color=GREY)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("published minus reproduced, in sampling sds of one cohort (shades: 1 and 2 sd)", fontsize=SIZE)
    axes.tick_params(labelsize=SIZE)
    _legend(figure, axes, rows)
    return figure


def _inches(axes: Axes, width: float) -> Any:
    """Return coordinates: inches from the axes' left edge, and inches (the data) downwards."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    return blended_transform_factory(Affine2D().scale(1 / width, 1) + axes.transAxes, axes.transData)


def _cells(results: CalibrationResults, row: Any) -> tuple[str, str]:
    if not hasattr(row, "printed"):
        return number(row.published), f"{number(row.reproduced)} (sd {number(row.sd)})"
    printed = f"{np.exp(row.published):.3f}" if row.kind == "log_standard_error" else plain(str(row.printed), 34)
    return printed, reproduced(results, row)


def _limit(rows: list[tuple[str, Any]]) -> float:
    found = [abs(value) for _, row in rows for value in (row.z, getattr(row, "left_out_z", np.nan)) if np.isfinite(value)]
    return float(min(max([LEAST_LIMIT, *(1.08 * value for value in found)]), MOST_LIMIT))


def _draw_row(axes: Axes, row: Any, y: float, limit: float) -> None:
    other = getattr(row, "left_out_z", np.nan)
    if np.isfinite(other):
        axes.plot(np.clip(other, -limit, limit), y, "o", mfc="none", mec=PALETTE[4], ms=6.5, mew=1.2, clip_on=False, zorder=3)
    if not np.isfinite(row.z):
        if getattr(row, "kind", "") in ("beyond_last", "upper_beyond_last"):
            axes.text(0, y, "a condition", fontsize=SIZE - 1, color=GREY, ha="center", va="center")
        return
    shade = PALETTE[1] if abs(row.z) > CLOSE else PALETTE[0]
    mark = MARKS.get(getattr(row, "status", "fit"), "o")
    if abs(row.z) > limit:
        axes.text(np.sign(row.z) * 0.98 * limit, y, number(row.z, 1), fontsize=SIZE, color=shade, va="center", ha="center")
        return
    axes.plot(row.z, y, mark, color=shade, ms=4.5, clip_on=False, zorder=4)


def _legend(figure: Figure, axes: Axes, rows: list[tuple[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    used = [status for status in MARKS if any(getattr(row, "status", "fit") == status for _, row in rows)]
    handles = [Line2D([], [], ls="", marker=MARKS[status], color=PALETTE[0], ms=5, label=WORDS[status]) for status in used]
    handles.append(Line2D([], [], ls="", marker="o", color=PALETTE[1], ms=5, label=f"beyond {CLOSE:g} sd"))
    handles.append(
        Line2D([], [], ls="", marker="o", mfc="none", mec=PALETTE[4], ms=6.5, label="predicted from all other entries")
    )
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=SIZE - 0.5, bbox_to_anchor=(0.5, 0.0))


def plot_distance(results: CalibrationResults) -> Figure:
    """Return the joint distance of the paper against those of cohorts of the process itself."""
    distance, own = results.distances
    figure = new_figure(6.6, 3.0)
    axes = figure.add_axes((0.09, 0.2, 0.87, 0.66))
    last = max(float(np.quantile(own, 0.995)), 1.1 * distance)
    heights, _, _ = axes.hist(own[own <= last], bins=np.linspace(0, last, 50).tolist(), color="#c3d5e6")
    axes.set_ylim(0, 1.35 * float(np.max(heights)))  # room for the words
    axes.axvline(distance, color=PALETTE[1], lw=2)
    share = percent(1 - results.distance_percentile)
    side = "left" if distance < last / 2 else "right"
    gap = 0.012 * last * (1 if side == "left" else -1)
    text = f"the paper: {distance:.1f}\n{share} % of cohorts are further"
    axes.text(distance + gap, 0.97, text, transform=axes.get_xaxis_transform(), ha=side, va="top", fontsize=9, color=PALETTE[1])
    axes.set(xlim=(0, last), xlabel="squared distance from the process's mean, over all fitted numbers", ylabel="cohorts")
    axes.set_title(f"Joint distance: the paper among {len(own)} cohorts of the process")
    return figure
