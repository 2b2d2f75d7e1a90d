"""What is reported of random slopes: the table of coefficients by site, and what each site would say alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.estimands import (
    expected_events,
    log_hazard_ratios,
    prob_above,
    site_log_hazard_ratios,
    summarise,
)
from sitewise.inference import FitResult
from sitewise.models.fitted import completed_fits
from sitewise.models.formula import variables_of
from sitewise.models.model_data import slope_rows
from sitewise.models.resolve import prepare
from sitewise.report.analysis import Analysis

Floats = NDArray[np.float64]
COLUMNS = ["site", "term", "log_hazard_ratio_mean", "sd", "lower", "upper", "median", "prob_above_zero", "prob_other_side"]
STEPS, PRECISE, LONGEST = 100, 1e-9, 2.0
"""Newton's method: most steps, the step that ends it, and the longest step in a log hazard."""
FARTHEST, WORST_CONDITION = 12.0, 1e12
"""Largest effect of a column's range that a site alone is believed, and the worst condition of its information."""


def average_of_slopes(fit: FitResult) -> xr.DataArray:
    """Return draws of the log hazard ratios with random slopes at an average site, dims (chain, draw, slope)."""
    average = log_hazard_ratios(fit).isel({names.TERM: list(fit.spec.resolved.slope_columns)})
    return average.rename({names.TERM: names.SLOPE})


def site_slopes(analysis: Analysis) -> pd.DataFrame:
    """Return each site's log hazard ratios of the columns with random slopes.

    ``prob_other_side`` is the probability that a site's is on the other side of zero than that of an average site.
    """
    fit = analysis.fit
    draws = site_log_hazard_ratios(fit)
    table = summarise(draws, prob=analysis.prob, diagnostics=()).reset_index()
    table = table.rename(columns={names.SLOPE: "term", "mean": "log_hazard_ratio_mean"})
    table["prob_above_zero"] = prob_above(draws, 0.0).to_numpy().ravel()
    other = (draws > 0) != (average_of_slopes(fit) > 0)
    table["prob_other_side"] = other.mean(dim=(names.CHAIN, names.DRAW)).transpose(names.SITE, names.SLOPE).to_numpy().ravel()
    return table[COLUMNS]


def measured_from(fit: FitResult) -> str:
    """Return the reference patient in the covariates with random slopes, in words."""
    patient = fit.spec.resolved.reference_patient
    values = {name: patient[name] for name in variables_of(fit.spec.slopes)}
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())


@dataclass(frozen=True, eq=False)
class Alone:
    """What each site's own patients say, with standard errors; no number where they say nothing.

    Parameters
    ----------
    effect, effect_error : ndarray, shape (J,)
        Log hazard ratio of the reference patient against an average site.
    slope, slope_error : ndarray, shape (J, K)
        Log hazard ratios of the columns with random slopes.
    """

    effect: Floats
    effect_error: Floats
    slope: Floats
    slope_error: Floats


def alone(fit: FitResult) -> Alone:
    """Return what each site's own patients say of its effect and slopes, given all else in the model.

    Poisson regressions of a site's events, with the cumulative hazards that the model expects at an average site as exposures:
    on one column at a time for its slope (of zeros and ones that is the log ratio of events over expected events), on all of
    them for the effect.
    """
    # Of patients who lack covariates, these are raw numbers of the first completed cohort.
    patients = (*completed_fits(fit), fit)[0].cohort
    resolution, data = fit.spec.resolved, prepare(fit.spec, patients)
    exposure = expected_events(fit, fit.cohort.time_at_risk_to) * fit.cohort.weights
    events = fit.cohort.event * fit.cohort.weights
    distances = slope_rows(fit.spec, data)
    average = average_of_slopes(fit).mean(dim=(names.CHAIN, names.DRAW)).to_numpy()
    found = np.full((2, len(resolution.site_labels), 1 + average.size), np.nan)
    for site in range(found.shape[1]):
        rows = data.site == site
        found[:, site, 0] = poisson(events[rows], exposure[rows], distances[rows])[:, 0]
        for place in range(average.size):
            found[:, site, 1 + place] = poisson(events[rows], exposure[rows], distances[rows, place : place + 1])[:, 1]
    return Alone(found[0, :, 0], found[1, :, 0], average + found[0, :, 1:], found[1, :, 1:])


def poisson(events: Floats, exposure: Floats, x: Floats) -> Floats:
    """Return intercept and coefficients of log(events / exposure) on x (n, q), and their standard errors, (2, 1 + q).

    By Newton's method; no numbers where the likelihood has no maximum, or none that can be believed.
    """
    nothing = np.full((2, 1 + x.shape[1]), np.nan)
    spread = np.ptp(x, axis=0) if len(x) else np.zeros(x.shape[1])
    if events.sum() <= 0 or exposure.sum() <= 0 or (spread <= 0).any():
        return nothing
    design = np.column_stack([np.ones(len(x)), x / spread])
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(events.sum() / exposure.sum())
    for _ in range(STEPS):
        mean = exposure * np.exp(design @ beta)
        information = design.T @ (mean[:, None] * design)
        if np.linalg.cond(information) > WORST_CONDITION:
            return nothing
        step = np.linalg.solve(information, design.T @ (events - mean))
        step *= min(1.0, LONGEST / max(float(np.abs(design @ step).max()), LONGEST))
        beta = beta + step
        if np.abs(beta[1:]).max() > FARTHEST:
            return nothing
        if np.abs(step).max() < PRECISE:
            units = np.concatenate([[1.0], spread])
            return np.asarray(np.stack([beta, np.sqrt(np.diag(np.linalg.inv(information)))]) / units)
    return nothing
