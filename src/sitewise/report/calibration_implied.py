"""Pictures of what a paper implies without printing it: sizes of its groups, cross tables, and how much the data say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sitewise.report.calibration_results import DEATHS, PEOPLE, CalibrationResults
from sitewise.report.style import GREY, PALETTE, colour, label_width, new_figure, plain
from sitewise.simulate.calibration.calibrate import PRIOR_DRIVEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TABLES = 6
COLUMNS = 3
PANEL = (3.7, 2.4)
Cell = tuple[str, str]


def cross_tables(results: CalibrationResults) -> dict[tuple[str, str], dict[Cell, str]]:
    """Return the names of the counts of each pair of characteristics by levels; pairs of favourable factors come first."""
    derived, structure = results.calibration.derived, results.calibration.problem.structure
    found: dict[tuple[str, str], dict[Cell, str]] = {}
    for name, group in derived.groups.items():
        if isinstance(group, Mapping) and len(group) == 2:
            (one, levels), (other, others) = group.items()
            found.setdefault((one, other), {})["|".join(levels), "|".join(others)] = name
    favourable = {item.name for item in structure.factors if item.favourable}
    order = sorted(found, key=lambda pair: -len(favourable & set(pair)))
    return {pair: found[pair] for pair in order}


def group_counts(results: CalibrationResults) -> list[tuple[str, str, str]]:
    """Return groups by favourable factors with the names of their counts of patients and events."""
    counted = [name for name, group in results.calibration.derived.groups.items() if isinstance(group, int)]
    return [(name.removeprefix(PEOPLE), name, name.replace(PEOPLE, DEATHS, 1)) for name in counted]


def tables_not_shown(results: CalibrationResults) -> str:
    """Return how many cross tables the picture has no room for, and where they are; nothing where all are shown."""
    count = len(cross_tables(results))
    if count <= MOST_TABLES:
        return ""
    return f"Not shown: {count - MOST_TABLES} of {count} cross tables; their counts stand in parameters.csv."


def plot_implied(results: CalibrationResults) -> Figure | None:
    """Return group sizes with deaths and the cross tables behind them, or None where nothing joint is inferred."""
    tables = dict(list(cross_tables(results).items())[:MOST_TABLES])
    groups = group_counts(results)
    count = len(tables) + bool(groups)
    if not count:
        return None
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    more = tables_not_shown(results)
    foot = 0.6 if more else 0.45
    width, height = PANEL[0] * columns, PANEL[1] * rows + foot
    figure = new_figure(width, height)
    boxes = []
    for place in range(count):
        row, column = divmod(place, columns)
        bottom = foot + PANEL[1] * (rows - 1 - row)
        boxes.append((column * PANEL[0], bottom))
    if groups:
        x, y = boxes.pop(0)
        axes = figure.add_axes(((x + 1.3) / width, (y + 0.4) / height, (PANEL[0] - 1.5) / width, (PANEL[1] - 0.75) / height))
        _sizes(axes, results, groups)
    for (pair, cells), (x, y) in zip(tables.items(), boxes, strict=True):
        axes = figure.add_axes(((x + 1.3) / width, (y + 0.4) / height, (PANEL[0] - 1.5) / width, (PANEL[1] - 0.75) / height))
        _cross(axes, results, pair, cells)
    who = f"Mean and {100 * results.prob:g} % interval, of the paper's own {results.patients} patients."
    said = f"{who} Row and column sums are as printed."
    # Apart from what is cut, so that no line is wider than the picture.
    for line, height_of_line in ((said, 0.03), (more, 0.17)):
        figure.text(0.995, height_of_line / height, line, ha="right", va="bottom", fontsize=7.5, color=GREY)
    return figure


def _sizes(axes: Axes, results: CalibrationResults, groups: list[tuple[str, str, str]]) -> None:
    for place, (_, people, deaths) in enumerate(groups):
        for name, offset, alpha, unit in ((people, -0.19, 0.85, "patients"), (deaths, 0.19, 0.45, "events")):
            row = results.parameter(name)
            if row is None:
                continue
            low, middle, high = (min(max(float(row[key]), 0.0), results.patients) for key in ("lower", "mean", "upper"))
            axes.barh(place + offset, middle, 0.34, color=colour(place), alpha=alpha, lw=0)
            axes.plot([low, high], [place + offset] * 2, color="black", lw=1)
            text = f"{results.count_span(name)} {unit}"
            axes.annotate(text, (high, place + offset), xytext=(4, 0), textcoords="offset points", fontsize=7.5, va="center")
    axes.set_yticks(range(len(groups)), [plain(label, 24) for label, _, _ in groups], fontsize=8)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlim(0, _room(results, groups))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title("Implied group sizes", fontsize=9)


def _room(results: CalibrationResults, groups: list[tuple[str, str, str]]) -> float:
    """Return where the axis of group sizes ends, so that the words behind the longest bar fit."""
    rows = [results.parameter(name) for _, name, _ in groups]
    return 2.3 * max(min(float(row["upper"]), results.patients) for row in rows if row is not None)


def _cross(axes: Axes, results: CalibrationResults, pair: tuple[str, str], cells: dict[Cell, str]) -> None:
    down = list(dict.fromkeys(level for level, _ in cells))
    across = list(dict.fromkeys(level for _, level in cells))
    share = np.zeros((len(down), len(across)))
    for (level, other), name in cells.items():
        row = results.parameter(name)
        share[down.index(level), across.index(other)] = 0.0 if row is None else float(row["mean"]) / results.patients
    axes.imshow(share, cmap="Blues", vmin=0, vmax=0.75, aspect="auto")
    for (level, other), name in cells.items():
        row = results.parameter(name)
        driven = "\nprior-driven" if row is not None and bool(row["prior_driven"]) else ""
        text = results.count_span(name).replace(" (", "\n(") + driven
        dark = share[down.index(level), across.index(other)] > 0.45
        size = 9 if len(cells) <= 6 else 7
        ink = "white" if dark else "black"
        axes.text(across.index(other), down.index(level), text, ha="center", va="center", fontsize=size, color=ink)
    axes.set_xticks(range(len(across)), [plain(item, 16) for item in across], fontsize=8)
    axes.set_yticks(range(len(down)), [plain(item, 16) for item in down], fontsize=8)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(plain(f"{pair[0]} × {pair[1]}", 36), fontsize=9, loc="center")


def contractions(results: CalibrationResults) -> list[tuple[str, float, bool, bool]]:
    """Return name, contraction, whether prior-driven and whether identified; the cells of a cross table count as one."""
    table = results.parameters
    tables = {f"cross table of {one} and {other}": set(cells.values()) for (one, other), cells in cross_tables(results).items()}
    cells = set().union(*tables.values())
    found = []
    for row in table.itertuples():
        if row.parameter not in cells:
            name = str(row.parameter).replace("log_hazard_ratio", "log hazard ratio").replace("_", " ")
            found.append((name, float(str(row.contraction)), bool(row.prior_driven), bool(row.identified)))
    for name, own in tables.items():
        chosen = table[table["parameter"].isin(own)]
        least = float(chosen["contraction"].min())
        found.append((name.replace("_", " "), least, bool(chosen["prior_driven"].any()), True))
    return sorted(found, key=lambda item: not item[-1])


def plot_contraction(results: CalibrationResults) -> Figure:
    """Return, for each parameter and count, by how much the paper narrows it: 1 - posterior sd / prior sd."""
    rows = contractions(results)[::-1]
    labels = [plain(name, 56) for name, *_ in rows]
    left = label_width(labels, least=1.6, size=7)
    width, height = left + 4.6, 0.95 + 0.2 * len(rows)
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, 0.5 / height, 3.5 / width, 1 - 0.85 / height))
    least = min([0.0, *(value for _, value, _, _ in rows if np.isfinite(value))])
    for place, (_, value, driven, identified) in enumerate(rows):
        shade = GREY if not identified else PALETTE[1] if driven else PALETTE[0]
        axes.barh(place, value if np.isfinite(value) else 0.0, 0.7, color=shade)
        words = "not identified" if not identified else "prior-driven" if driven else ""
        axes.annotate(words, (1.02, place), xycoords=("axes fraction", "data"), fontsize=8, va="center", color=shade)
    axes.axvline(PRIOR_DRIVEN, color=GREY, lw=0.8, ls=":")
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set(xlim=(max(least, -1.0), 1.0), ylim=(-0.6, len(rows) - 0.4))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel(f"1 - posterior sd / prior sd (dotted: {PRIOR_DRIVEN:g})", fontsize=8)
    axes.set_title("How much the paper says", fontsize=10)
    return figure
