"""How far patients are from what the model expects, in numbers that each answer one question.

Every number is a sum of martingale residuals (:mod:`sitewise.studies.checking.residuals`): over time, by site, along a
covariate and time, by predicted risk. What size is usual is not looked up in a table but found by simulating cohorts from the
fit and fitting them in turn (:mod:`sitewise.studies.checking.reference`), so the numbers need no scale of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.inference.densities import coefficient_name
from sitewise.models.model_data import ModelData
from sitewise.models.spec import ModelSpec
from sitewise.studies.checking.residuals import Posterior, residuals

Floats = NDArray[np.float64]
PERIODS = 24
"""Periods with as many events each, into which time is cut."""
DEGREES = 2
"""Degree of the polynomials over time."""
RISKS = 5
"""Groups of predicted risk with as many expected events each."""


@dataclass(frozen=True, eq=False)
class Layout:
    """What is looked at: fixed by the cohort, the same for every cohort that is simulated after it.

    Parameters
    ----------
    log_times : ndarray, shape (K,)
        Ends of the periods, logs of times beyond the guarantee time; the last is infinite.
    columns : ndarray, shape (n, p)
        Design columns, with mean zero and sd one.
    site : ndarray of int, shape (n,)
        Position of each patient's site; all zero without a site column.
    sites : int
        Number of sites.
    """

    log_times: Floats
    columns: Floats
    site: NDArray[np.int64]
    sites: int

    @classmethod
    def of(cls, data: ModelData, site: NDArray[np.int64], sites: int) -> Layout:
        """Return the layout of a cohort's arrays, whose patients are at these sites; columns without spread are left out."""
        events = np.where(data.event > 0, data.log_time, np.nan)
        weight = np.ones(data.log_time.size) if data.weight is None else data.weight
        order = np.argsort(events)[: int((data.event > 0).sum())]
        share = np.cumsum(weight[order]) / weight[order].sum()
        ends = data.log_time[order][np.searchsorted(share, np.arange(1, PERIODS) / PERIODS)]
        spread = data.covariates.std(axis=0)
        columns = (data.covariates - data.covariates.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        return cls(np.append(np.unique(ends), np.inf), columns, site, sites)


@dataclass(frozen=True, eq=False)
class Discrepancies:
    """The numbers of one cohort under one posterior.

    Parameters
    ----------
    over_time : ndarray, shape (K,)
        Events seen minus expected up to the end of each period; the last holds all that is known.
    by_site, site_expected : ndarray, shape (J,)
        Events minus expected events of each site, and the latter.
    by_risk, risk_expected : ndarray, shape (RISKS,)
        The same by predicted risk, lowest first.
    drift : ndarray, shape (p,)
        How residuals move along each column as time goes on: sum over periods of the column's residuals times the period.
    """

    over_time: Floats
    by_site: Floats
    site_expected: Floats
    by_risk: Floats
    risk_expected: Floats
    drift: Floats

    @property
    def components(self) -> Floats:
        """Differences along smooth curves over time, shape (:data:`DEGREES`,): Legendre polynomials in the share of events.

        Neyman's smooth test looks at these: it finds a hazard that bends otherwise than the model's, and little else (Rayner,
        Thas & Best 2009, Smooth Tests of Goodness of Fit).
        """
        steps = np.diff(self.over_time, prepend=0.0)
        middle = 2 * (np.arange(steps.size) + 0.5) / steps.size - 1
        return np.asarray(steps @ np.polynomial.legendre.legvander(middle, DEGREES)[:, 1:])

    @property
    def sites(self) -> float:
        """Sum over sites of squared differences over expected events."""
        return _relative(self.by_site, self.site_expected)

    @property
    def risk(self) -> float:
        """Sum over groups of predicted risk of squared differences over expected events."""
        return _relative(self.by_risk, self.risk_expected)


def _relative(difference: Floats, expected: Floats) -> float:
    return float(np.sum(difference**2 / np.maximum(expected, 0.5)))


def discrepancies(spec: ModelSpec, posterior: Posterior, data: ModelData, layout: Layout) -> Discrepancies:
    """Return the discrepancies of a cohort's arrays under a posterior."""
    each = residuals(spec, posterior, data, layout.log_times)
    whole = each[:, -1]
    weight = np.ones(data.log_time.size) if data.weight is None else data.weight
    expected = weight * data.event - whole
    steps = np.diff(each, axis=1, prepend=0.0)
    score = np.arange(layout.log_times.size) - 0.5 * (layout.log_times.size - 1)
    group = risk_groups(spec, posterior, data, expected)
    return Discrepancies(
        each.sum(axis=0),
        np.bincount(layout.site, weights=whole, minlength=layout.sites),
        np.bincount(layout.site, weights=expected, minlength=layout.sites),
        np.bincount(group, weights=whole, minlength=RISKS),
        np.bincount(group, weights=expected, minlength=RISKS),
        layout.columns.T @ (steps @ score),
    )


def predicted_risk(spec: ModelSpec, posterior: Posterior, data: ModelData) -> Floats:
    """Return each patient's posterior mean of covariates times effects, site left out: larger is worse, shape (n,)."""
    if not spec.resolved.columns:
        return np.zeros(data.log_time.size)
    effect = posterior.weights @ posterior.variables[coefficient_name(spec)]
    return np.asarray(data.covariates @ effect) * (-1.0 if spec.metric == names.TIME_RATIO else 1.0)


def risk_groups(spec: ModelSpec, posterior: Posterior, data: ModelData, expected: Floats) -> NDArray[np.int64]:
    """Return the group of predicted risk of each patient, shape (n,); equal risks are in one group."""
    risk = predicted_risk(spec, posterior, data)
    levels, place = np.unique(np.round(risk, 9), return_inverse=True)
    before = np.cumsum(np.bincount(place, weights=np.maximum(expected, 0.0), minlength=levels.size))
    middle = before - 0.5 * np.diff(before, prepend=0.0)
    group = np.minimum((RISKS * middle / max(before[-1], 1e-300)).astype(np.int64), RISKS - 1)
    return np.asarray(group[place])
