"""Picture of what borrowing buys and risks as the cohort drifts: type I error, power, events borrowed."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from sitewise.report.style import GREY, PALETTE, new_figure
from sitewise.report.trial_drift import DriftSweep

SHADES = dict(
    zip(
        ("none", "pooled", "power-prior", "normalised-power-prior", "commensurate", "robust-map"),
        (PALETTE[6], PALETTE[1], PALETTE[4], PALETTE[3], PALETTE[2], PALETTE[0]),
        strict=True,
    )
)
STYLES = {"none": "--", "pooled": "-.", "normalised-power-prior": (0, (5, 1.5)), "power-prior": ":"}
PANELS = {"type_i_error": "Type I error", "power": "Power", "borrowed_events_elir": "Events borrowed"}


def plot_borrowing(found: DriftSweep, /) -> Figure:
    """Return three panels over drift, a line for each way of borrowing; the planned one is thick, its sweet spot shaded."""
    figure = new_figure(10.2, 4.3)
    panels = figure.subplots(1, len(PANELS))
    for axes, (quantity, title) in zip(panels, PANELS.items(), strict=True):
        own = found.table[found.table["quantity"] == quantity]
        for method, part in own.groupby("method", sort=False):
            chosen = method == found.planned
            axes.plot(
                part["drift"], part["value"], color=SHADES[str(method)], lw=2.6 if chosen else 1.3,
                ls="-" if chosen else STYLES.get(str(method), "-"), label=f"{method}{' (planned)' if chosen else ''}",
                zorder=3 if chosen else 2,
            )  # fmt: skip
        _frame(axes, found, own, title)
    errors = found.table.loc[found.table["quantity"] == "type_i_error", "value"]
    panels[0].set(yscale="log", ylim=(max(float(errors.min()) / 1.5, found.nominal / 30), 1.2))
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].yaxis.set_minor_formatter(NullFormatter())
    panels[0].axhline(found.nominal, color=GREY, lw=1)
    panels[0].text(
        0.01, found.nominal * 1.05, f"nominal {found.nominal:.3g}", transform=panels[0].get_yaxis_transform(), fontsize=8,
        color=GREY, va="bottom",
    )  # fmt: skip
    panels[1].set_title(f"Power at hazard ratio {found.hazard_ratio:.2f}")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[1].set_xlabel("Drift: log hazard ratio of the trial's arm against the cohort")
    if found.sweet_spots.get(found.planned):
        handles.append(Patch(color=PALETTE[2], alpha=0.14))
        labels.append("sweet spot of the planned method")
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=8)
    figure.tight_layout(rect=(0, 0.14, 1, 1), w_pad=2.0)
    return figure


def _frame(axes: Axes, found: DriftSweep, own: pd.DataFrame, title: str) -> None:
    for low, high in found.sweet_spots.get(found.planned, ()):
        axes.axvspan(low, high, color=PALETTE[2], alpha=0.14, lw=0)
    axes.axvline(0.0, color=GREY, lw=0.7, ls=":")
    axes.set_title(title)
    low, high = min(0.0, float(own["value"].min())), max(float(own["value"].max()), 1e-3)
    axes.set(xlim=(float(own["drift"].min()), float(own["drift"].max())), ylim=(1.06 * low, 1.06 * high))
