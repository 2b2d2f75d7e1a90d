"""Accrual when sites enrol at rates of their own: the Poisson-gamma model.

A site that has been open for t enrols a Poisson number of mean (rate t), and the rates of the sites are gamma with a shape and
a mean (Anisimov & Fedorov 2007, Statistics in Medicine 26:4958). Its number is negative binomial, and the sum over sites that
opened together is too: the spread between sites makes accrual less certain than one Poisson process of the same mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom, poisson

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import not_negative, positive


@dataclass(frozen=True)
class SiteRates:
    """Sites, when they open, and how fast they enrol.

    Parameters
    ----------
    opening_times : tuple of float
        Calendar time at which each site opens, 0 or more.
    mean_rate : float
        Mean over sites of the patients per site and unit of time.
    shape : float
        Shape of the gamma distribution of the rates; its coefficient of variation is 1 / sqrt(shape).
    """

    opening_times: tuple[float, ...]
    mean_rate: float
    shape: float

    def __post_init__(self) -> None:
        if not self.opening_times:
            raise TrialError("There is no site: opening_times is empty.")
        for place, time in enumerate(self.opening_times, start=1):
            not_negative(f"Opening time {place}", time)
        positive("mean_rate", self.mean_rate)
        positive("shape", self.shape)

    @classmethod
    def together(cls, sites: int, *, mean_rate: float, shape: float) -> SiteRates:
        """Return ``sites`` that all open at the start."""
        if sites < 1:
            raise TrialError(f"The number of sites is {sites}. Give 1 or more.")
        return cls((0.0,) * int(sites), mean_rate, shape)

    def open_for(self, at: float) -> NDArray[np.float64]:
        """Return how long each site has been open at calendar time ``at``, shape (sites,)."""
        return np.maximum(not_negative("at", at) - np.asarray(self.opening_times, dtype=float), 0.0)


@dataclass(frozen=True)
class AccrualMoments:
    """Mean and variance of the patients enrolled by one calendar time."""

    mean: float
    variance: float


def accrual_moments(rates: SiteRates, *, at: float) -> AccrualMoments:
    """Return mean m sum(t) and variance m sum(t) + m^2 sum(t^2) / shape of the patients enrolled by ``at``."""
    means = rates.mean_rate * rates.open_for(at)
    return AccrualMoments(float(means.sum()), float(means.sum() + (means**2).sum() / rates.shape))


def accrual_probability(patients: int, rates: SiteRates, *, at: float) -> float:
    """Return the probability that at least ``patients`` are enrolled by calendar time ``at``, exactly.

    Sites that have been open equally long add up to one negative binomial; different ones are convolved, up to ``patients``
    only, so that nothing is cut off.
    """
    wanted = _count(patients)
    if wanted == 0:
        return 1.0
    lengths, sites = np.unique(rates.open_for(at), return_counts=True)
    groups = [(length, number) for length, number in zip(lengths, sites, strict=True) if length > 0]
    if not groups:
        return 0.0
    if len(groups) == 1:
        return float(nbinom.sf(wanted - 1, *_size_and_chance(rates, *groups[0])))
    counts = np.arange(wanted)
    fewer = np.zeros(wanted)
    fewer[0] = 1.0
    for length, number in groups:
        fewer = np.convolve(fewer, nbinom.pmf(counts, *_size_and_chance(rates, length, number)))[:wanted]
    return max(0.0, float(1.0 - fewer.sum()))


def poisson_accrual_probability(patients: int, open_for: Iterable[float], *, rate: float) -> float:
    """Return the probability of at least ``patients`` when every site enrols at the same known rate.

    Parameters
    ----------
    patients : int
        Number wanted.
    open_for : iterable of float
        How long each site has been open.
    rate : float
        Patients per site and unit of time.
    """
    exposure = math.fsum(not_negative("open_for", length) for length in open_for)
    return float(poisson.sf(_count(patients) - 1, positive("rate", rate) * exposure))


def _size_and_chance(rates: SiteRates, length: float, sites: int) -> tuple[float, float]:
    """Return scipy's n and p of the negative binomial number of ``sites`` sites that have been open for ``length``."""
    return float(sites) * rates.shape, rates.shape / (rates.shape + rates.mean_rate * float(length))


def _count(patients: int) -> int:
    if patients != int(patients) or patients < 0:
        raise TrialError(f"The number of patients is {patients}. Give a whole number, 0 or more.")
    return int(patients)
