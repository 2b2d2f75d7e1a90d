"""Accrual rates from what other sites enrolled: the mean rate and how much sites differ, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.stats import nbinom, poisson

from sitewise.problems import Problems, TrialError

LARGEST_SHAPE = 1e4
"""Of the Gamma distribution: beyond it sites do not differ by anything that their counts could show."""


@dataclass(frozen=True)
class SiteRateEstimate:
    """What counts of patients say of the rates of sites.

    Parameters
    ----------
    rate : float
        Mean rate of a site, in patients per unit of time: ``rate`` of :class:`sitewise.trial.Accrual`.
    rate_shape : float or None
        Shape of the Gamma distribution of rates: ``rate_shape`` of the same. None where counts vary no more than Poisson ones.
    log_likelihood, log_likelihood_equal : float
        At these values, and with sites that do not differ.
    """

    rate: float
    rate_shape: float | None
    log_likelihood: float
    log_likelihood_equal: float


def rates_from_sites(patients: ArrayLike, open_for: ArrayLike, /) -> SiteRateEstimate:
    """Return the Poisson-gamma rates that make observed counts most likely.

    Given its rate a site's count is Poisson, and rates are Gamma with shape a and mean m: counts are negative binomial with
    size a and mean m t (Anisimov & Fedorov 2007, Stat Med 26:4958). Both are found by maximum likelihood, m inside a.

    Parameters
    ----------
    patients : array-like of int, shape (J,)
        Patients of each site of an earlier trial or cohort, sites without any too.
    open_for : array-like, shape (J,) or a number
        How long each site was open.

    Raises
    ------
    TrialError
        When counts are not whole numbers of zero or more, times not positive, or nobody was enrolled.
    """
    counts = np.atleast_1d(np.asarray(patients, dtype=float))
    times = np.broadcast_to(np.asarray(open_for, dtype=float), counts.shape)
    problems = Problems()
    if counts.size < 2:
        problems.add("patients", f"are of {counts.size} sites; how much sites differ needs two or more")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.round(counts)).all()):
        problems.add("patients", "must be whole numbers of zero or more")
    elif counts.sum() == 0:
        problems.add("patients", "are none at all: no rate can be had from them")
    if not (np.isfinite(times).all() and (times > 0).all()):
        problems.add("open_for", "must be positive times")
    problems.raise_if_any(TrialError, "The counts of sites")

    def at(log_shape: float) -> tuple[float, float]:
        """Return the best mean at a shape, and the log likelihood there."""
        shape = np.exp(log_shape)

        def loss(log_rate: float) -> float:
            mean = np.exp(log_rate) * times
            return -float(np.sum(nbinom.logpmf(counts, shape, shape / (shape + mean))))

        middle = np.log(counts.sum() / times.sum())
        found = minimize_scalar(loss, bracket=(middle - 0.5, middle + 0.5), options={"xtol": 1e-12})
        return float(found.x), -float(found.fun)

    equal_rate = float(counts.sum() / times.sum())
    equal = float(np.sum(poisson.logpmf(counts, equal_rate * times)))
    grid = np.linspace(np.log(0.02), np.log(LARGEST_SHAPE), 40)
    values = [at(place)[1] for place in grid]
    best = int(np.argmax(values))
    if best == grid.size - 1 or max(values) <= equal:
        return SiteRateEstimate(equal_rate, None, equal, equal)
    low, high = grid[max(best - 1, 0)], grid[best + 1]
    found = minimize_scalar(lambda place: -at(place)[1], bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    rate, log_likelihood = at(float(found.x))
    return SiteRateEstimate(float(np.exp(rate)), float(np.exp(found.x)), log_likelihood, equal)
