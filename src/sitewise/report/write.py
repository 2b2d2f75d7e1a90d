"""Writing every file of a fit, and the short table that a terminal shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from sitewise import names
from sitewise.report.analysis import Analysis
from sitewise.report.imputed import imputation_numbers, with_imputation
from sitewise.report.json_files import write_json
from sitewise.report.tables import all_tables, diagnostics
from sitewise.report.truth_table import truth_table

DRAWN = ("survival", "survival_by_site", "effects", "sites", "hazard_ratio_over_time", "site_slopes", "site_spread", "chains")
SOMETIMES = (
    "truth.csv",
    "missing.csv",
    "imputation.csv",
    "site_models.csv",
    "site_slopes.csv",
    *(f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")),
)
"""Files that not every fit has."""
Report = Callable[[str], None]


def write_all(
    analysis: Analysis, folder: str | Path, /, *, page: bool = True, report: Report = lambda message: None
) -> dict[str, Path]:
    """Write tables, pictures, ``report.html``, ``diagnostics.json`` and ``posterior.nc`` into ``folder``.

    Parameters
    ----------
    analysis : Analysis
        What to write.
    folder : str or Path
        Made when missing; files of the same name are replaced.
    page : bool
        Whether to draw pictures and write ``report.html``; without it matplotlib is not even loaded.
    report : callable
        Told what is being done.

    Returns
    -------
    dict of str to Path
        The files written, by name.

    Tables and pictures of an earlier run that this one does not make are removed: they are about other patients.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*SOMETIMES, *(() if page else ("report.html",))):
        (folder / name).unlink(missing_ok=True)
    seconds = {}
    written: dict[str, Path] = {}

    started = time.perf_counter()
    report("Writing tables")
    tables = with_imputation(analysis, all_tables(analysis))
    truth = truth_table(analysis, tables)
    extra = {"truth": truth, "site_models": _marked_site_models(analysis)}
    for name, table in {**tables, **{name: table for name, table in extra.items() if table is not None}}.items():
        path = folder / f"{name}.csv"
        stated = table.assign(synthetic=True) if analysis.fit.cohort.synthetic else table
        stated.to_csv(path, index=False, float_format="%.10g")
        written[path.name] = path
    seconds["tables"] = time.perf_counter() - started

    if page:
        _write_page(analysis, folder, tables, truth, written, seconds, report)

    started = time.perf_counter()
    written["posterior.nc"] = analysis.fit.save(folder / "posterior.nc")
    seconds["save"] = time.perf_counter() - started
    content = diagnostics(analysis.fit, prob=analysis.prob)
    content |= imputation_numbers(analysis.fit)
    content["seconds"] = {**analysis.fit.seconds, **seconds}
    written["diagnostics.json"] = write_json(folder / "diagnostics.json", content)
    return written


def _marked_site_models(analysis: Analysis) -> pd.DataFrame | None:
    """Return the answers under other treatments of sites, and which lie beyond their group's follow-up; terms do not."""
    table = analysis.site_models
    if table is None:
        return None
    last = {group.label: group.last_time for group in analysis.curves[analysis.headline.label].groups}
    time_ = table["median"].where(table["estimand"] == names.MEDIAN_SURVIVAL, table["horizon"])
    return table.assign(extrapolated=time_ > table["group"].map(last))


def _write_page(
    analysis: Analysis,
    folder: Path,
    tables: dict[str, pd.DataFrame],
    truth: pd.DataFrame | None,
    written: dict[str, Path],
    seconds: dict[str, float],
    report: Report,
) -> None:
    """Draw the pictures and write the report; adds to the files written and the seconds taken."""
    from sitewise.report.page import RASTER, render_page

    started = time.perf_counter()
    report("Drawing pictures")
    for path in write_plots(analysis, folder):
        written[path.name] = path
    seconds["plots"] = time.perf_counter() - started

    started = time.perf_counter()
    report("Writing the report")
    pictures = {path.stem: path for path in written.values() if path.suffix == (".png" if path.stem in RASTER else ".svg")}
    path = folder / "report.html"
    path.write_text(render_page(analysis, tables, truth, pictures), encoding="utf-8")
    written[path.name] = path
    seconds["report"] = time.perf_counter() - started


def write_plots(analysis: Analysis, folder: Path) -> list[Path]:
    """Draw every picture that the model has, as PNG and SVG."""
    from sitewise.report.plot_by_site import plot_by_site
    from sitewise.report.plot_effects import plot_chains, plot_effects, plot_site_spread, plot_sites
    from sitewise.report.plot_shape import plot_hazard_ratio_over_time
    from sitewise.report.plot_slopes import plot_site_slopes
    from sitewise.report.plot_survival import plot_survival
    from sitewise.report.style import mark_synthetic, save, styled

    pictures = {
        "survival": plot_survival,
        "survival_by_site": plot_by_site,
        "effects": plot_effects,
        "hazard_ratio_over_time": plot_hazard_ratio_over_time,
        "sites": plot_sites,
        "site_slopes": plot_site_slopes,
        "site_spread": plot_site_spread,
        "chains": plot_chains,
    }
    paths = []
    with styled():
        for name, draw in pictures.items():
            figure = draw(analysis)
            if figure is not None:
                if analysis.fit.cohort.synthetic:
                    mark_synthetic(figure)
                paths += save(figure, folder, name)
    return paths


def short_table(folder: str | Path, headline: str, /) -> list[list[str]]:
    """Return the rows of the terminal's table from the files written: group, n, events, medians and milestones.

    "not reached" stands where more than half of the draws put the median beyond the group's follow-up, and at each interval
    limit beyond it. For a synthetic cohort a last line in each cell says what is true.
    """
    folder = Path(folder)
    blanks: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}  # a group may be called NA
    estimands = pd.read_csv(folder / "estimands.csv", **blanks)
    groups = pd.read_csv(folder / "groups.csv", **blanks).set_index("group")
    chosen = estimands[estimands["sites"] == headline]
    milestones = sorted(chosen.loc[chosen["estimand"] == names.SURVIVAL, "horizon"].unique())
    truth = pd.read_csv(folder / "truth.csv", **blanks) if (folder / "truth.csv").is_file() else None
    header = [
        "Group",
        "n",
        "events",
        "KM median",
        "Median survival",
        *(f"S({time:g})" for time in milestones),
    ]
    rows = [header]
    for group in dict.fromkeys(chosen["group"]):
        own = chosen[chosen["group"] == group]
        median = own[own["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
        known = group in groups.index
        raw = groups.loc[group, "km_median"] if known else float("nan")
        cells = [
            str(group),
            str(groups.loc[group, "n"]) if known else "",
            str(groups.loc[group, "events"]) if known else "",
            ("not reached" if pd.isna(raw) else f"{raw:.1f}") if known else "",
            format_median(median, float(groups.loc[group, "last_time"]) if known else float("inf"))
            + _true(truth, group, headline, names.MEDIAN_SURVIVAL, digits=1),
        ]
        for time_ in milestones:
            at = own[(own["estimand"] == names.SURVIVAL) & (own["horizon"] == time_)].iloc[0]
            mark = "*" if at["extrapolated"] else ""
            true = _true(truth, group, headline, names.SURVIVAL, horizon=time_, digits=2)
            cells.append(f"{at['median']:.2f}{mark}\n{at['lower']:.2f}-{at['upper']:.2f}{true}")
        rows.append(cells)
    return rows


def _true(
    truth: pd.DataFrame | None, group: str, sites: str, estimand: str, *, digits: int, horizon: float | None = None
) -> str:
    """Return the line of a cell that says what is true, where that is known."""
    if truth is None:
        return ""
    rows = truth[(truth["group"] == group) & (truth["sites"] == sites) & (truth["estimand"] == estimand)]
    rows = rows if horizon is None else rows[rows["horizon"] == horizon]
    return f"\ntrue {rows['true_value'].iloc[0]:.{digits}f}" if len(rows) else ""


def format_median(row: pd.Series, last: float) -> str:
    """Return a median with its limits, "not reached" where it or a limit lies beyond the observed times."""
    shown = "not reached" if row["prob_not_reached"] > 0.5 else f"{row['median']:.1f}"
    ends = [f"{value:.1f}" if value <= last else "not reached" for value in (row["lower"], row["upper"])]
    return f"{shown}\n{ends[0]}-{ends[1]}"
