"""Means, sds and quantiles of weighted draws with their Monte Carlo errors, and which scalars of a posterior are compared.

Errors are of self-normalised importance sampling (delta method: the sum of squared weights times the squared influence of each
draw); that the grid is sampled systematically makes them a little smaller still.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from sitewise.inference.verdict import flatten

LOWER, UPPER = 0.025, 0.975
COMPARED = (
    "shape",
    "log_hazard_ratio",
    "log_time_ratio",
    "log_scale_at_means",
    "log_scale",
    "site_sd",
    "site_effect",
    "site_slope_sd",
    "site_slope",
)


def scalars(posterior: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """Return names and draws, shape (scalar, chain, draw), of everything that a reader of the fit sees."""
    draws, labels = flatten(posterior[[name for name in COMPARED if name in posterior]])
    return labels, draws


class WeightedStatistics:
    """Statistics of every scalar, as arrays of one number a scalar; ``error`` has Monte Carlo errors in sds."""

    def __init__(self, named: tuple[list[str], np.ndarray], log_weight: np.ndarray):
        self.labels = named[0]
        # Where the engine finds no mode far out, its draw has no weight and no numbers.
        values, log_weight = named[1].reshape(len(self.labels), -1)[:, log_weight > -np.inf], log_weight[log_weight > -np.inf]
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        self.mean = values @ weight
        off = values - self.mean[:, None]
        variance = off**2 @ weight
        self.sd = np.sqrt(variance)
        of_mean = np.sqrt(off**2 @ weight**2)
        self.ess = variance / of_mean**2
        of_sd = np.sqrt((off**2 - variance[:, None]) ** 2 @ weight**2) / (2 * self.sd)
        self.lower, of_lower = _quantile(values, weight, LOWER)
        self.upper, of_upper = _quantile(values, weight, UPPER)
        errors = {"mean": of_mean, "sd": of_sd, "lower": of_lower, "upper": of_upper}
        self.error = {name: found / self.sd for name, found in errors.items()}


def _quantile(values: np.ndarray, weight: np.ndarray, prob: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a quantile of each row and its error: half the distance of the quantiles one error of the probability to either side."""
    found, errors = np.empty(len(values)), np.empty(len(values))
    for place, row in enumerate(values):
        order = np.argsort(row)
        own, ordered = weight[order], row[order]
        below = np.cumsum(own) - 0.5 * own
        found[place] = np.interp(prob, below, ordered)
        error = np.sqrt(np.sum(own**2 * ((ordered <= found[place]) - prob) ** 2))
        errors[place] = np.diff(np.interp([prob - error, prob + error], below, ordered))[0] / 2
    return found, errors
