"""How fast sites enrol after a data cut: the Gamma distribution of a site's rate, updated by what it has enrolled.

A site of rate r that has been open for an exposure E enrols a Poisson number with mean r E; with r ~ Gamma(a, rate a / m)
before the trial, r given n patients is Gamma(a + n, rate a / m + E) (Anisimov & Fedorov 2007, Stat Med 26:4958). While a site
ramps up it is open in part: E is the integral of its share of the full rate.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import gamma

from sitewise.problems import TrialError
from sitewise.trial.conduct.arrivals import fill_arrivals
from sitewise.trial.forecast.interim import InterimData
from sitewise.trial.plan.accrual import Accrual

Floats = NDArray[np.float64]


def open_exposure(opening: Floats, until: Floats, /, *, ramp: float) -> Floats:
    """Return the time for which sites have been open, at the full rate or what makes the same, shape (J,)."""
    since = np.maximum(until - opening, 0.0)
    if ramp == 0:
        return np.asarray(since)
    return np.asarray(np.where(since < ramp, since * since / (2 * ramp), since - ramp / 2))


def exposure_of(accrual: Accrual, data: InterimData, /, *, patients: int) -> Floats:
    """Return each site's exposure at the data cut, shape (J,): until it, or until the site or the trial could enrol no more."""
    until = np.full(accrual.sites, data.cut if accrual.longest is None else min(data.cut, accrual.longest))
    if len(data) == patients:
        until = np.minimum(until, data.enrolled[-1])
    if accrual.cap is not None:
        for place in np.flatnonzero(data.enrolled_of_site >= accrual.cap):
            until[place] = min(until[place], data.enrolled[data.site == place].max())
    return open_exposure(data.opened, until, ramp=accrual.ramp)


def updated_rates(accrual: Accrual, data: InterimData, /, *, patients: int) -> tuple[Floats, Floats]:
    """Return shape and rate of each site's Gamma distribution at the data cut, shape (J,); infinite where rates are as stated.

    Raises
    ------
    TrialError
        When the accrual's pattern is uniform, which says nothing of what comes after some patients.
    """
    if accrual.pattern == "uniform":
        raise TrialError(
            "pattern = 'uniform' is the accrual of closed formulas and cannot be updated by data; use pattern = 'poisson', "
            "with rate_shape for rates that are uncertain."
        )
    if accrual.rate_shape is None:
        return np.full(accrual.sites, np.inf), np.full(accrual.sites, np.inf)
    exposure = exposure_of(accrual, data, patients=patients)
    shape = accrual.rate_shape + data.enrolled_of_site.astype(np.float64)
    return shape, accrual.rate_shape / accrual.rates + exposure


def rates_table(accrual: Accrual, data: InterimData, /, *, patients: int, prob: float) -> pd.DataFrame:
    """Return what is known of the sites' rates at the data cut."""
    shape, rate = updated_rates(accrual, data, patients=patients)
    known = {"site": data.sites, "enrolled": data.enrolled_of_site, "exposure": exposure_of(accrual, data, patients=patients)}
    if accrual.rate_shape is None:
        return pd.DataFrame(known | dict.fromkeys(("mean", "lower", "upper"), accrual.rates))
    lower, upper = (gamma.ppf(level, shape, scale=1 / rate) for level in ((1 - prob) / 2, (1 + prob) / 2))
    return pd.DataFrame(known | {"mean": shape / rate, "lower": lower, "upper": upper})


def future_arrivals(
    accrual: Accrual, data: InterimData, /, *, patients: int, trials: int, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int16]]:
    """Return calendar times and sites of the patients still to come, shape (M, patients - n); infinite if they never come."""
    shape, rate = updated_rates(accrual, data, patients=patients)
    left = patients - len(data)
    if accrual.rate_shape is None:
        rates = np.tile(accrual.rates, (trials, 1))
    else:
        rates = rng.standard_gamma(shape, (trials, accrual.sites)) / rate
    # Time counts from the data cut, so that sites that are open have opened at a negative time.
    opening = data.opened - data.cut
    breaks = np.unique([*opening, *(opening + accrual.ramp)])
    most = np.full(accrual.sites, patients + 1 if accrual.cap is None else accrual.cap) - data.enrolled_of_site
    longest = np.inf if accrual.longest is None else accrual.longest - data.cut
    enrolled, site = np.empty((trials, left)), np.zeros((trials, left), np.int16)
    waiting, place = rng.standard_exponential((trials, left)), rng.random((trials, left))
    fill_arrivals(rates, opening, accrual.ramp, most, longest, breaks, waiting, place, enrolled, site)
    return enrolled + data.cut, site
