"""The look of the pictures: one palette (Okabe-Ito, readable by the colour-blind), sizes, and saving as PNG and SVG."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sitewise.cohort import Cohort

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#6b6b6b"
SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.dpi": 130,
    "text.parse_math": False,  # a label with two dollar signs is a label, not a formula
    "svg.hashsalt": "sitewise",
    "svg.fonttype": "none",
}


@contextmanager
def styled() -> Iterator[None]:
    """Use the project's settings without changing the user's."""
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return a figure that belongs to no window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def mark_synthetic(figure: Figure) -> None:
    """Write on a picture that its patients are not real; the figure grows by a line at its foot."""
    width, height = figure.get_size_inches()
    figure.text(0.005, 0.005, "Synthetic patients", ha="left", va="bottom", fontsize=7, color="#b54700", weight="bold")
    figure.set_size_inches(width, height)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG and return the paths."""
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    with warnings.catch_warnings():
        # A script that the font lacks: boxes in the PNG, the right letters in the SVG, which holds text as text.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        figure.savefig(paths[0], metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def plain(text: str, longest: int = 60) -> str:
    """Return a user's label as text that a picture can show.

    Control characters become spaces, an underscore in front (which would hide it from legends) is kept behind a space,
    and what is longer than ``longest`` characters is cut.
    """
    shown = "".join(character if character.isprintable() else " " for character in text)
    shown = f" {shown}" if shown.startswith("_") else shown
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def raw_curve(cohort: Cohort) -> str:
    """Return the name of the raw survival curve: Turnbull's where events lie in intervals."""
    return "Kaplan-Meier" if cohort.lower is None else "Turnbull's estimate"


def label_width(labels: list[str], *, least: float, size: float) -> float:
    """Return the inches that labels left of an axis need at a font size; letters are 0.6 em wide on average."""
    return max(least, 0.2 + max(len(item) for item in labels) * 0.6 * size / 72)


def colour(position: int) -> str:
    """Return the colour of the group at ``position``."""
    return PALETTE[position % len(PALETTE)]
