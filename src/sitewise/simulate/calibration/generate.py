"""Cohorts of many parameter rows at once, from random numbers that are drawn beforehand.

The random numbers are kept apart from the parameters: the same numbers under other parameters give the common random numbers
that moments are differentiated with. What happens to a patient is what :mod:`sitewise.simulate.cohorts` does with a scenario.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sitewise.families import BASELINES, Family, Weibull
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.characteristics import Factor, Measure, Structure, truncated
from sitewise.simulate.calibration.parameters import (
    CENSORING_SCALE,
    CENSORING_SHAPE,
    CURED,
    EFFECT,
    LOG_MEDIAN,
    LOG_SHAPE,
    SPREAD,
    Parameters,
    correlation_matrices,
    guarantee_times,
)
from sitewise.simulate.covariates import column, site_counts
from sitewise.simulate.parts import Categorical, Floats
from sitewise.simulate.quantile_curve import QuantileCurve


@dataclass(frozen=True, eq=False)
class Randomness:
    """Random numbers of R cohorts.

    Parameters
    ----------
    latent : ndarray, shape (R, q, n)
        Standard normal: characteristics.
    event, censoring : ndarray, shape (R, n)
        Standard exponential: cumulative hazards at death and at the end of follow-up.
    site_effect : ndarray, shape (R, J)
        Standard normal.
    site_sd : ndarray, shape (R,)
        Half-normal with scale 1.
    site_share : ndarray, shape (R, J)
        Standard gamma: Dirichlet shares of the sites when divided by their sum.
    rounding : ndarray, shape (R, K)
        Uniform on (-1, 1): where in its rounding box each published number lies.
    """

    latent: Floats
    event: Floats
    censoring: Floats
    site_effect: Floats
    site_sd: Floats
    site_share: Floats
    rounding: Floats

    @classmethod
    def draw(
        cls, stream: np.random.Generator, cohorts: int, structure: Structure, *, sites: int, targets: int, concentration: float
    ) -> Self:
        """Draw the random numbers of some cohorts."""
        size = (cohorts, structure.patients)
        return cls(
            stream.standard_normal((cohorts, len(structure.names), structure.patients)),
            stream.standard_exponential(size),
            stream.standard_exponential(size),
            stream.standard_normal((cohorts, sites)),
            np.abs(stream.standard_normal(cohorts)),
            stream.standard_gamma(concentration, (cohorts, sites)),
            stream.uniform(-1.0, 1.0, (cohorts, targets)),
        )

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True, eq=False)
class Cohorts:
    """Simulated cohorts as arrays: R cohorts of n patients.

    Parameters
    ----------
    time, event : ndarray, shape (R, n)
        Observed.
    factors : dict of str to ndarray of int8, shape (R, n)
        Positions in :attr:`Factor.levels`.
    measures : dict of str to ndarray, shape (R, n)
        Values.
    site : ndarray of int, shape (R, n)
        Positions of the patients' sites.
    """

    time: Floats
    event: NDArray[np.bool_]
    factors: dict[str, NDArray[np.int8]]
    measures: dict[str, Floats]
    site: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    def replace(self, places: NDArray[np.intp], other: Cohorts, rows: NDArray[np.intp]) -> None:
        """Put some cohorts of another set in place of own ones."""
        for name in ("time", "event", "site"):
            getattr(self, name)[places] = getattr(other, name)[rows]
        for kind in ("factors", "measures"):
            for name, values in getattr(self, kind).items():
                values[places] = getattr(other, kind)[name][rows]


@dataclass(frozen=True)
class Generator:
    """Makes cohorts of parameter rows.

    Parameters
    ----------
    structure, parameters, assumptions
        What is simulated, and from what.
    sites : int
        Number of sites.
    """

    structure: Structure
    parameters: Parameters
    assumptions: Assumptions
    sites: int

    def __call__(self, theta: Floats, random: Randomness) -> Cohorts:
        """Return the cohorts of parameter rows, theta of shape (R, p) or (p,), with the random numbers of R cohorts."""
        theta = np.broadcast_to(theta, (len(random), len(self.parameters)))
        values = self.parameters.named(theta)
        latent = self._latent(values, random)
        factors, measures = {}, {}
        log_hazard = np.log(random.event)
        for place, measure in enumerate(self.structure.measures):
            measures[measure.name] = measured(measure, latent[:, place], values, exact=self._exact)
        for place, item in enumerate(self.structure.factors, start=len(measures)):
            factors[item.name] = column(as_categorical(item), latent[:, place], exact=self._exact)
        log_hazard -= self.linear_predictor(values, factors, measures)
        site = self.site_of_patients(random)
        log_hazard -= np.take_along_axis(self.site_sds(random)[:, None] * random.site_effect, site, axis=1)
        tau = guarantee_times(values, self.parameters, self.assumptions)[:, None]
        family, log_scale, shape = self.baseline(values)
        log_time = family.log_time(log_hazard, log_scale[:, None], tuple(item[:, None] for item in shape))
        with np.errstate(over="ignore"):  # a time beyond all numbers is beyond any end of follow-up
            time = tau + np.exp(log_time)
        own = Weibull().log_time(
            np.log(random.censoring), values[CENSORING_SCALE][:, None], (np.exp(values[CENSORING_SHAPE])[:, None],)
        )
        end = tau + np.exp(own)
        return Cohorts(np.minimum(time, end), time <= end, factors, measures, site)

    def baseline(self, values: dict[str, Floats]) -> tuple[Family, Floats, tuple[Floats, ...]]:
        """Return the family of the baseline with log scales and shapes of parameter rows, each of shape (R,)."""
        family = BASELINES[self.assumptions.family]()
        shape = self.shapes(values)
        return family, self.log_medians(values) - family.log_time(np.log(np.log(2.0)), 0.0, shape), shape

    @property
    def _exact(self) -> bool:
        return self.assumptions.margins == "exact"

    def _latent(self, values: dict[str, Floats], random: Randomness) -> Floats:
        if not self.structure.pairs:
            return random.latent
        return np.linalg.cholesky(correlation_matrices(values, self.structure)) @ random.latent

    def linear_predictor(
        self, values: dict[str, Floats], factors: dict[str, NDArray[np.int8]], measures: dict[str, Floats]
    ) -> Floats:
        """Return log hazard ratios against the reference patient, whose numeric characteristics are at their medians."""
        total = np.zeros((len(values[LOG_MEDIAN]), self.structure.patients))
        for item in self.structure.factors:
            if item.effects:
                effects = np.stack([np.zeros(len(total)), *(values[EFFECT + name] for name in item.effects)], axis=1)
                total += np.take_along_axis(effects[:, list(item.classes)], factors[item.name].astype(np.intp), axis=1)
        for measure in self.structure.measures:
            for name in measure.effects:
                total += values[EFFECT + name][:, None] * (measures[measure.name] - measure.median)
        return total

    def site_of_patients(self, random: Randomness) -> NDArray[np.int64]:
        """Return the site of each patient, shape (R, n): patients are exchangeable, so the first ones are at the first site."""
        fixed = self.assumptions.site_shares
        if fixed is not None:
            own = np.repeat(np.arange(self.sites), site_counts(fixed, self.structure.patients))
            return np.broadcast_to(own, (len(random), own.size)).copy()
        wanted = random.site_share / random.site_share.sum(axis=1, keepdims=True) * self.structure.patients
        ends = np.rint(np.cumsum(wanted, axis=1))[:, :-1]
        return np.asarray((np.arange(self.structure.patients)[None, :, None] >= ends[:, None, :]).sum(axis=2))

    def site_sds(self, random: Randomness) -> Floats:
        """Return the spread of the sites of each cohort; the effect of an only site is part of the baseline."""
        if self.sites == 1:
            return np.zeros(len(random))
        if self.assumptions.site_sd is not None:
            return np.full(len(random), self.assumptions.site_sd)
        return self.assumptions.site_sd_scale * random.site_sd

    def shapes(self, values: dict[str, Floats]) -> tuple[Floats, ...]:
        """Return the family's shape parameters of each row."""
        if self.assumptions.family == "exponential":
            return ()
        shape = np.exp(values[LOG_SHAPE])
        return (shape, 0.5 / (1 + np.exp(-values[CURED]))) if CURED in values else (shape,)

    def log_medians(self, values: dict[str, Floats]) -> Floats:
        """Return log medians of the reference patient after the guarantee time, shape (R,).

        The parameter is the median at the mean log hazard ratio, on the time scale of a Weibull of this shape: what the cohort
        as a whole tells, so that it depends less on the effects. For the other families it is a change of variables alone.
        """
        mean = np.zeros(len(values[LOG_MEDIAN]))
        for item in self.structure.factors:
            shares = np.asarray(item.counts) / sum(item.counts)
            for number, name in enumerate(item.effects, start=1):
                mean += float(shares[np.asarray(item.classes) == number].sum()) * values[EFFECT + name]
        shape = np.exp(values[LOG_SHAPE]) if LOG_SHAPE in values else 1.0
        return np.asarray(values[LOG_MEDIAN] + mean / shape)


def as_categorical(item: Factor) -> Categorical:
    """Return a factor as a scenario's covariate without effects: what its levels are cut from."""
    total = sum(item.counts)
    shares = [count / total for count in item.counts]
    return Categorical(item.name, item.levels, tuple(shares), (0.0,) * len(item.levels))


def measured(item: Measure, latent: Floats, values: dict[str, Floats], *, exact: bool) -> Floats:
    """Return values of a numeric characteristic from its latent variable, both of shape (R, n)."""
    rows, patients = latent.shape
    if item.quantiles:
        curve = QuantileCurve(item.quantiles)
        return curve.quantile((latent.argsort(axis=-1).argsort(axis=-1) + 0.5) / patients) if exact else curve.of_scores(latent)
    sd = np.full(rows, item.sd) if item.sd is not None else np.exp(values[SPREAD + item.name])
    share: Any = ndtr(latent)
    if exact:
        share = (latent.argsort(axis=-1).argsort(axis=-1) + 0.5) / patients
    return truncated(item, sd, share)
