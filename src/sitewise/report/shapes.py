"""What is reported of shapes that differ between patients: parameters, sites' shapes, hazard ratios over time, sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.estimands import hazard_ratio_over_time, shape_ratios, site_shapes, summarise
from sitewise.estimands.summary import limits
from sitewise.families import Weibull
from sitewise.inference import FitResult
from sitewise.inference.prior import prior_quantiles
from sitewise.report.analysis import Analysis
from sitewise.report.page_parts import Table, rows_of, span

Floats = NDArray[np.float64]
SITE_COLUMNS = ("shape_mean", "shape_sd", "shape_lower", "shape_upper", "shape_median")


def shape_parameters(fit: FitResult) -> dict[str, xr.DataArray]:
    """Return the draws of what moves the shape, by their names in ``parameters.csv``."""
    found = {
        f"{names.LOG_SHAPE_RATIO}[{column}]": fit.posterior[names.LOG_SHAPE_RATIO].isel({names.SHAPE_TERM: place}, drop=True)
        for place, column in enumerate(fit.spec.resolved.shape_columns)
    }
    return found | ({names.SITE_SHAPE_SD: fit.posterior[names.SITE_SHAPE_SD]} if fit.spec.shape_sites else {})


def with_site_shapes(analysis: Analysis, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of sites with each site's shape, of the reference patient, where it differs by site."""
    if not analysis.fit.spec.shape_sites:
        return table
    own = summarise(site_shapes(analysis.fit), prob=analysis.prob, diagnostics=())
    own = own.rename(columns={name.removeprefix("shape_"): name for name in SITE_COLUMNS})[list(SITE_COLUMNS)]
    return table.merge(own.rename_axis("site").reset_index(), on="site", how="left")


def shape_spread(analysis: Analysis) -> list[list[str]]:
    """Return the row of the spread of sites' log shapes, prior beside posterior; none where they do not differ."""
    prior = analysis.fit.spec.resolved.site_shape_sd
    if prior is None:
        return []
    low, high = limits(analysis.prob)
    after = np.quantile(analysis.fit.posterior[names.SITE_SHAPE_SD].to_numpy(), [0.5, low, high])
    return [[f"sd of log shapes ({prior})", span(*prior_quantiles(prior, (0.5, low, high))), span(*map(float, after))]]


def site_shape_tables(table: pd.DataFrame) -> list[Table]:
    """Return each site's shape, from the table of sites; none where it does not differ by site."""
    if "shape_median" not in table:
        return []
    rows = [[str(row.site), span(row.shape_median, row.shape_lower, row.shape_upper)] for row in rows_of(table)]
    return [Table(["Site", "shape, reference patient"], rows)]


def has_ratios_over_time(fit: FitResult) -> bool:
    """Return whether a fit has columns whose hazard ratio is a power of time."""
    spec = fit.spec
    return bool(spec.resolved.shape_columns) and type(spec.family) is Weibull and spec.metric == names.HAZARD_RATIO


def ratios_over_time(analysis: Analysis, column: str, times: Floats) -> pd.DataFrame:
    """Return median and limits of the hazard ratio of one column of the shape, a row a time."""
    draws = hazard_ratio_over_time(analysis.fit, term=column, times=times)
    return summarise(draws, prob=analysis.prob, diagnostics=()).reset_index()


def shape_sentences(analysis: Analysis) -> list[str]:
    """Return what the ratios of coefficients are where the shape differs between patients; nothing elsewhere."""
    spec, unit = analysis.fit.spec, analysis.fit.cohort.time_unit
    if not spec.shape_differs:
        return []
    if spec.metric == names.TIME_RATIO:
        return [
            f"The shape differs between patients (shape: {spec.shape_formula}). Ratios are those of the scale; how far times "
            "spread around it differs too, so that other quantiles have other ratios."
        ]
    scale = float(np.exp(np.median(analysis.fit.posterior[names.LOG_SCALE].to_numpy()))) + spec.guarantee_time
    return [
        f"The shape differs between patients (shape: {spec.shape_formula}), so that hazard ratios between them change as time "
        "goes on. Those of the table are ratios of cumulative hazards at the reference patient's scale, about "
        f"{scale:.3g} {unit}, where that patient's cumulative hazard is 1 at an average site."
    ]


def shape_tables(analysis: Analysis) -> list[Table]:
    """Return ratios of shapes, and hazard ratios at the milestones; none without columns on the shape."""
    fit = analysis.fit
    if not fit.spec.resolved.shape_columns:
        return []
    ratios = summarise(shape_ratios(fit), prob=analysis.prob, diagnostics=()).reset_index()
    rows = [[str(row.shape_term), span(row.median, row.lower, row.upper)] for row in rows_of(ratios)]
    made = [Table(["Term", "ratio of shapes"], rows)]
    times = np.array([time for time in analysis.milestones if time > fit.spec.guarantee_time])
    if has_ratios_over_time(fit) and times.size:
        cells = []
        for column in fit.spec.resolved.shape_columns:
            table = ratios_over_time(analysis, column, times)
            cells.append([column, *(span(row.median, row.lower, row.upper) for row in rows_of(table))])
        head = [f"hazard ratio at {time:g} {fit.cohort.time_unit}" for time in times]
        made.append(Table(["Term", *head], cells, "Of patients at an average site who differ in this term only."))
    return made
