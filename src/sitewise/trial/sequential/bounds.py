"""Efficacy bounds of a group-sequential trial: by a spending function, or the classical ones of one constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from sitewise.problems import TrialError
from sitewise.trial.sequential.crossing import checked_information, crossing_probabilities
from sitewise.trial.sequential.recursion import too_close
from sitewise.trial.sequential.recursion_kernels import POINTS, WEIGHTS, bounds_of_rows
from sitewise.trial.sequential.spending import Spending

Floats = NDArray[np.float64]
LEAST = 1e-290
"""Error below which a look spends nothing."""


def increments(spending: Spending, information: Floats, /, *, total: float, planned: float) -> Floats:
    """Return the error that each look spends, (K,); what is lost in rounding is zero."""
    spent = np.diff(spending.cumulative(information / planned, total=total), prepend=0.0)
    # Below the least the tail of a normal distribution is no longer a double with all its digits.
    return np.where(spent < LEAST, 0.0, spent)


def efficacy_bounds(
    information: ArrayLike,
    /,
    *,
    spending: Spending,
    alpha: float,
    planned: float | None = None,
    futility: ArrayLike | None = None,
) -> Floats:
    """Return bounds of z that spend a one-sided alpha as a spending function says (Lan & DeMets 1983, Biometrika 70:659).

    Parameters
    ----------
    information : array-like, shape (..., K)
        Information of each look, rising: one design, or one row for each trial, as its looks came. Equal rows are solved once.
    spending : Spending
        How alpha is spent.
    alpha : float
        One-sided error of the whole trial.
    planned : float, optional
        Information at which all alpha is spent; by default that of each trial's last look.
    futility : array-like, shape (K,), optional
        Binding futility bounds: trials below them stop, and alpha is made up for it. Non-binding bounds are not given here.

    Returns
    -------
    ndarray, shape (..., K)
        Bounds; infinite at looks that spend nothing.

    Raises
    ------
    TrialError
        When looks are out of order, alpha is no probability, or so much stops for futility that alpha cannot be spent.
    """
    looks = np.atleast_1d(np.asarray(information, dtype=float))
    rows, place = np.unique(looks.reshape(-1, looks.shape[-1]), axis=0, return_inverse=True)
    lower = np.full(looks.shape[-1], -np.inf) if futility is None else np.asarray(futility, dtype=float)
    if lower.shape != (looks.shape[-1],):
        raise TrialError(f"There are {lower.size} futility bounds for {looks.shape[-1]} looks. Give one for each look.")
    for row in rows:
        checked_information(row)
    spent = np.array([increments(spending, row, total=alpha, planned=row[-1] if planned is None else planned) for row in rows])
    found = np.empty_like(rows)
    close = bounds_of_rows(rows, spent, lower, POINTS, WEIGHTS, found)
    if close >= 0:
        raise too_close(rows[close, int(np.argmin(np.diff(rows[close]) / rows[close, 1:])) + 1])
    crossed = np.argwhere(~(found[:, :-1] > lower[:-1]))
    if crossed.size:
        raise TrialError(f"At look {crossed[0, 1] + 1} the futility bound lies above the efficacy bound. Lower it.")
    if not np.all(found[:, -1] > -np.inf):
        raise TrialError("Futility has stopped so many trials that alpha cannot be spent. Lower its bounds.")
    return np.asarray(found[place.ravel()].reshape(looks.shape))


def wang_tsiatis_bounds(
    information: ArrayLike, /, *, alpha: float, exponent: float, futility: ArrayLike | None = None
) -> Floats:
    """Return bounds C t^(exponent - 1/2) of one constant C (Wang & Tsiatis 1987, Biometrics 43:193); t is the fraction.

    Parameters
    ----------
    information : array-like, shape (K,)
        Information of each look, rising.
    alpha : float
        One-sided error of the whole trial.
    exponent : float
        1/2 gives Pocock's equal bounds, 0 those of O'Brien & Fleming.
    futility : array-like, shape (K,), optional
        Binding futility bounds.

    Returns
    -------
    ndarray, shape (K,)
        Bounds; the last is C.
    """
    looks = checked_information(information)
    if not 0 < alpha < 0.5:
        raise TrialError(f"A one-sided alpha lies between 0 and 0.5; it is {alpha:g}.")
    shape = (looks / looks[-1]) ** (exponent - 0.5)
    lower = np.full(looks.size, -np.inf) if futility is None else np.asarray(futility, dtype=float)

    def excess(constant: float) -> float:
        upper = constant * shape
        stops = np.minimum(lower, upper)
        return float(np.log(crossing_probabilities(looks, upper, futility=stops).power) - np.log(alpha))

    # One look needs the least constant; alpha shared among all looks (Bonferroni), at the lowest of the bounds, the largest.
    # A binding futility bound lets the constant fall further.
    low = float(ndtri(1 - alpha)) if futility is None else 0.0
    high = float(ndtri(1 - alpha / looks.size)) / float(shape.min()) + 1e-9
    if excess(low) < 0:
        raise TrialError("Futility stops so many trials that alpha cannot be spent. Lower its bounds.")
    found = float(brentq(excess, low - 1e-9, high, xtol=1e-12))
    if np.any(lower[:-1] >= found * shape[:-1]):
        raise TrialError("A futility bound lies above the efficacy bound of its look. Lower it.")
    return np.asarray(found * shape)


def pocock_bounds(information: ArrayLike, /, *, alpha: float) -> Floats:
    """Return equal bounds at every look (Pocock 1977, Biometrika 64:191), (K,); ``alpha`` is one-sided."""
    return wang_tsiatis_bounds(information, alpha=alpha, exponent=0.5)


def obrien_fleming_bounds(information: ArrayLike, /, *, alpha: float) -> Floats:
    """Return bounds C / sqrt(t), (K,), (O'Brien & Fleming 1979, Biometrics 35:549); ``alpha`` is one-sided."""
    return wang_tsiatis_bounds(information, alpha=alpha, exponent=0.0)
