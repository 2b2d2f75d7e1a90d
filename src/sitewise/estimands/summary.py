"""From draws to the numbers of a table: the only place where draws are summarised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sitewise import names
from sitewise.problems import SpecError

DIAGNOSTICS = ("ess_bulk", "r_hat", "mcse_mean")


def limits(prob: float) -> tuple[float, float]:
    """Return the levels of the equal-tailed interval of probability ``prob``."""
    if not 0 < prob < 1:
        raise SpecError(f"prob is {prob}; an interval needs a probability inside (0, 1).")
    return (0.5 - prob / 2, 0.5 + prob / 2)


def summarise(values: xr.DataArray, /, *, prob: float = 0.95, diagnostics: tuple[str, ...] = DIAGNOSTICS) -> pd.DataFrame:
    """Return mean, sd, median and equal-tailed limits over chain and draw, a row for each other coordinate.

    Parameters
    ----------
    values : DataArray
        Draws with dims chain, draw and any others.
    prob : float
        Probability of the interval.
    diagnostics : tuple of str
        Which of ``ess_bulk``, ``r_hat`` and ``mcse_mean`` to add: by arviz-stats, or, of draws that were resampled from
        weighted ones (attribute ``importance_ess``), the ESS of the weights, nothing, and sd / sqrt(ESS). Of a pooled fit
        (attribute ``imputations``) the error counts the finite number of completed cohorts and of draws: the sd of the cohorts'
        means over the square root of their number; the ESS is (sd / error)^2, and R-hat means nothing.

    Returns
    -------
    DataFrame
        Columns ``mean, sd, median, lower, upper`` and the diagnostics; index: the other dims, in C order.
    """
    others = [dim for dim in values.dims if dim not in (names.CHAIN, names.DRAW)]
    ordered = values.transpose(names.CHAIN, names.DRAW, *others)
    chains, draws = ordered.sizes[names.CHAIN], ordered.sizes[names.DRAW]
    flat = ordered.to_numpy().reshape(chains * draws, -1)
    low, high = limits(prob)
    quantiles = np.quantile(flat, [low, 0.5, high], axis=0)
    # An infinite draw (a ratio to a survival of zero) has an infinite mean and no sd, one of 1e200 an infinite sd.
    with np.errstate(invalid="ignore", over="ignore"):
        mean, sd = flat.mean(axis=0), flat.std(axis=0, ddof=1)
    table = pd.DataFrame(
        {
            "mean": mean,
            "sd": sd,
            "median": quantiles[1],
            "lower": quantiles[0],
            "upper": quantiles[2],
        }
    )
    importance_ess = values.attrs.get(names.IMPORTANCE_ESS)
    if diagnostics and values.attrs.get(names.IMPUTATIONS) is not None:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            error = flat.reshape(chains, draws, -1).mean(axis=1).std(axis=0, ddof=1) / np.sqrt(chains)
            size = np.where(error > 0, (sd / error) ** 2, np.nan)
        known = {"ess_bulk": size, "r_hat": np.full(error.shape, np.nan), "mcse_mean": error}
        for name in diagnostics:
            table[name] = np.where(np.isfinite(flat).all(axis=0), known[name], np.nan)
    elif diagnostics and importance_ess is not None:
        known = {"ess_bulk": importance_ess, "r_hat": np.nan, "mcse_mean": table["sd"] / np.sqrt(importance_ess)}
        for name in diagnostics:
            table[name] = np.where(np.isfinite(flat).all(axis=0), known[name], np.nan)
    elif diagnostics:
        from arviz_stats.base import array_stats

        by_quantity = np.moveaxis(flat.reshape(chains, draws, -1), -1, 0)
        # A quantity without spread (survival before the guarantee time) has no Monte Carlo error and no ESS; one with
        # infinite draws has neither.
        finite = np.isfinite(flat).all(axis=0)
        varies = finite & (flat.max(axis=0) > flat.min(axis=0))
        compute = {
            "ess_bulk": lambda chosen: array_stats.ess(chosen, method="bulk"),
            "r_hat": array_stats.rhat,
            "mcse_mean": lambda chosen: array_stats.mcse(chosen, method="mean"),
        }
        for name in diagnostics:
            table[name] = np.where(finite, 0.0, np.nan) if name == "mcse_mean" else np.nan
            if varies.any():
                with np.errstate(over="ignore", invalid="ignore"):
                    table.loc[varies, name] = np.asarray(compute[name](by_quantity[varies]))
    if others:
        coords = [ordered.indexes.get(dim, pd.RangeIndex(ordered.sizes[dim])) for dim in others]
        table.index = (
            pd.MultiIndex.from_product(coords, names=others) if len(others) > 1 else pd.Index(coords[0], name=others[0])
        )
    return table
