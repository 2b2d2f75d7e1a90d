"""Stacked draws of fits to several cohorts, and how much of their variance lies within and how much between cohorts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.estimands.summary import limits
from sitewise.problems import SpecError

COHORT = "cohort"
STACKED = ("within_sd", "between_sd", "share_between", "one_cohort_width", "cohorts")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The law of total variance over cohorts of equal weight, for each of Q quantities.

    Parameters
    ----------
    within : ndarray, shape (Q,)
        Mean over cohorts of the variance over a cohort's draws.
    between : ndarray, shape (Q,)
        Variance over cohorts of the mean over a cohort's draws.
    cohorts : ndarray of int, shape (Q,)
        Cohorts in which the quantity exists.
    """

    within: Floats
    between: Floats
    cohorts: NDArray[np.int64]

    @property
    def total(self) -> Floats:
        """Variance of the stacked draws: the sum of both."""
        return self.within + self.between

    @property
    def share_between(self) -> Floats:
        """Share of the total that lies between cohorts; not a number for a quantity without variance."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.total > 0, self.between / self.total, np.nan)


def flat(values: xr.DataArray) -> tuple[Floats, list[str]]:
    """Return draws as an array (cohort, chain, draw, Q) and the names of the dimensions that Q runs over, in C order."""
    missing = [dim for dim in (COHORT, names.CHAIN, names.DRAW) if dim not in values.dims]
    if missing:
        raise SpecError(f"Stacked draws need the dimensions cohort, chain and draw; {', '.join(missing)} not found.")
    others = [str(dim) for dim in values.dims if dim not in (COHORT, names.CHAIN, names.DRAW)]
    ordered = values.transpose(COHORT, names.CHAIN, names.DRAW, *others)
    return ordered.to_numpy().reshape(*ordered.shape[:3], -1), others


def decompose(values: xr.DataArray, /) -> Decomposition:
    """Return within- and between-cohort variance of stacked draws, dims cohort, chain, draw and any others.

    All variances divide by the number (population form), so that they add up to the variance of the stacked draws exactly. A
    cohort in which a quantity does not exist (a group without members: all its draws are missing) does not count for it.
    """
    draws, _ = flat(values)
    each = draws.reshape(draws.shape[0], -1, draws.shape[-1])
    exists = ~np.isnan(each).any(axis=1)
    means = np.where(exists, each.mean(axis=1), np.nan)
    variances = np.where(exists, each.var(axis=1), np.nan)
    count = exists.sum(axis=0)
    safe = np.where(count > 0, count, 1)
    within = np.where(count > 0, np.nansum(variances, axis=0) / safe, np.nan)
    middle = np.nansum(means, axis=0) / safe
    between = np.where(count > 0, np.nansum((means - middle) ** 2, axis=0) / safe, np.nan)
    return Decomposition(within, between, count)


def summarise_stack(values: xr.DataArray, /, *, prob: float = 0.95, diagnostics: bool = False) -> pd.DataFrame:
    """Return the numbers of a table for stacked draws, a row for each coordinate beside cohort, chain and draw.

    Parameters
    ----------
    values : DataArray
        Draws with dims cohort, chain, draw and any others; every cohort has the same number of draws, hence the same weight.
    prob : float
        Probability of the interval.
    diagnostics : bool
        Whether to add ``ess_bulk`` (summed over cohorts) and ``r_hat`` (the worst cohort's).

    Returns
    -------
    DataFrame
        ``mean, sd, median, lower, upper``, the diagnostics, ``mcse_mean``, ``within_sd, between_sd, share_between``,
        ``one_cohort_width`` (median over cohorts of the width of a cohort's own interval) and ``cohorts``. ``mcse_mean`` is the
        sd of the cohorts' means over the square root of their number: it counts the finite number of cohorts and of draws.
    """
    draws, others = flat(values)
    parts = decompose(values)
    low, high = limits(prob)
    rows = []
    for place in range(draws.shape[-1]):
        own = draws[..., place]
        own = own[~np.isnan(own).any(axis=(1, 2))]
        rows.append(_row(own, (low, 0.5, high), diagnostics=diagnostics))
    table = pd.DataFrame(rows)
    table["sd"] = np.sqrt(parts.total)
    table["within_sd"], table["between_sd"] = np.sqrt(parts.within), np.sqrt(parts.between)
    table["share_between"], table["cohorts"] = parts.share_between, parts.cohorts
    table = table[[*(name for name in table if name not in STACKED), *STACKED]]
    if others:
        coords = [values.indexes.get(dim, pd.RangeIndex(values.sizes[dim])) for dim in others]
        table.index = (
            pd.MultiIndex.from_product(coords, names=others) if len(others) > 1 else pd.Index(coords[0], name=others[0])
        )
    return table


def _row(own: Floats, levels: tuple[float, float, float], *, diagnostics: bool) -> dict[str, float]:
    """Return the summary of one quantity, draws (cohort, chain, draw)."""
    row = dict.fromkeys(("mean", "sd", "median", "lower", "upper"), np.nan)
    row |= dict.fromkeys(("ess_bulk", "r_hat") if diagnostics else (), np.nan)
    row |= dict.fromkeys(("mcse_mean", "one_cohort_width"), np.nan)
    if not own.size:
        return row
    row["mean"] = float(own.mean())
    row["lower"], row["median"], row["upper"] = (float(item) for item in np.quantile(own, levels))
    ends = np.quantile(own.reshape(own.shape[0], -1), levels, axis=1)
    row["one_cohort_width"] = float(np.median(ends[2] - ends[0]))
    varies = own.max() > own.min()
    if own.shape[0] > 1:
        row["mcse_mean"] = float(own.mean(axis=(1, 2)).std(ddof=1) / np.sqrt(own.shape[0]))
    if varies and (diagnostics or own.shape[0] == 1):
        from arviz_stats.base import array_stats

        if diagnostics:
            row["ess_bulk"] = float(np.sum(array_stats.ess(own, method="bulk")))
            row["r_hat"] = float(np.max(array_stats.rhat(own)))
        if own.shape[0] == 1:
            row["mcse_mean"] = float(array_stats.mcse(own, method="mean")[0])
    return row
