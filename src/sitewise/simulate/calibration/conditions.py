"""Conditions of a paper ("not reached"): how likely a cohort with its numbers meets them, as a function of the parameters.

A condition is that a number which is not printed lies above a limit. That number is as normal around a linear function of the
parameters as the printed ones are, so that its chance, given these, is a probit function. Models of the printed numbers are
fitted to all cohorts, not only to those that meet the conditions: hardly one in ten does where a paper prints several medians
that are not reached, and the numbers of those that do are cut off.

Cohorts whose numbers are near to the printed ones count for more: over the whole pool probits are not quite linear, and the
printed numbers may be rare among those that meet the conditions.

Several conditions are taken in turn, each among the cohorts that meet those before: the chance of all is the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from sitewise.simulate.calibration.pool import Pool, away_from_published, complete, nearness
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

LEAST_DEGREES = 10
LOG_SQRT_2_PI = 0.5 * np.log(2 * np.pi)
NEARLY_ALL = 0.995
NEWTON_STEPS = 15


@dataclass(frozen=True, eq=False)
class Conditions:
    """The chance of J conditions, given the published numbers.

    Parameters
    ----------
    intercept : ndarray, shape (J,)
        Of the probit of each, among cohorts that meet those before it; nearly sure ones are left out.
    slope : ndarray, shape (J, p)
        Of the parameters.
    """

    intercept: Floats
    slope: Floats

    @classmethod
    def fitted(cls, problem: Problem, pool: Pool, /) -> Conditions:
        """Return the conditions of a problem as a pool's complete cohorts show them, by probit regressions with a weak ridge.

        A pool with too few complete cohorts says nothing of them.
        """
        size, kept = len(problem.parameters), complete(problem, pool)
        limits = [(place, item.value) for place, item in enumerate(problem.targets) if item.inequality and item.status == "fit"]
        if not limits or kept.sum() < size + 1 + LEAST_DEGREES:
            return cls(np.zeros(0), np.zeros((0, size)))
        theta, statistics = pool.theta[kept], pool.statistics[kept][:, problem.fitted]
        statistics = _vaguer(problem, theta, statistics)
        columns = np.column_stack([theta, statistics])
        middle, scale = columns.mean(axis=0), columns.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        design = np.column_stack([np.ones(len(columns)), (columns - middle) / scale])
        published = (problem.published[problem.fitted] - middle[size:]) / scale[size:]
        weight = nearness(away_from_published(problem, statistics))
        found, left = [], weight > 0
        for place, limit in limits:
            met = pool.statistics[kept][:, place] > limit
            if left.any() and met[left].mean() < NEARLY_ALL:
                intercept, slope, other = np.split(_probit(design[left], met[left], weight[left]), [1, 1 + size])
                slope = slope / scale[:size]
                found.append((intercept[0] - slope @ middle[:size] + other @ published, slope))
            left &= met
        return cls(np.array([item[0] for item in found]), np.array([item[1] for item in found]).reshape(-1, size))

    def log_chance(self, theta: Floats, /) -> Floats:
        """Return the log chance that all conditions are met, at parameter rows (n, p), shape (n,)."""
        return np.asarray(log_ndtr(self.intercept + theta @ self.slope.T).sum(axis=-1))

    def moments(self, mean: Floats, covariance: Floats, /) -> tuple[Floats, Floats]:
        """Return mean and covariance of a normal distribution of the parameters, given that the conditions are met.

        Those of an extended skew-normal distribution for one condition (Azzalini & Capitanio 2014, The Skew-Normal and Related
        Families); with several, after each a normal distribution takes its place.
        """
        for intercept, slope in zip(self.intercept, self.slope, strict=True):
            along = covariance @ slope
            spread = np.sqrt(1 + slope @ along)
            index = (intercept + slope @ mean) / spread
            mills = np.exp(-0.5 * index**2 - LOG_SQRT_2_PI - log_ndtr(index))
            mean = mean + along * mills / spread
            covariance = covariance - np.outer(along, along) * mills * (mills + index) / spread**2
        return mean, covariance


def _vaguer(problem: Problem, theta: Floats, statistics: Floats) -> Floats:
    """Return statistics (N, K), with noise of the missing variance where a target's weight is less: that of a vaguer number."""
    factor = problem.variance_factor
    if not (factor > 1).any():
        return statistics
    design = np.column_stack([np.ones(len(theta)), (theta - problem.parameters.mean) / problem.parameters.sd])
    left = statistics - design @ np.linalg.lstsq(design, statistics, rcond=None)[0]
    noise = np.random.default_rng(np.random.SeedSequence(len(statistics))).standard_normal(statistics.shape)
    return np.asarray(statistics + noise * left.std(axis=0) * np.sqrt(factor - 1))


def _probit(design: Floats, happened: NDArray[np.bool_], weight: Floats) -> Floats:
    """Return coefficients of a weighted probit regression, by Newton's method, with a ridge of a cohort or two's worth."""
    sign, coefficients = np.where(happened, 1.0, -1.0), np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        index = sign * (design @ coefficients)
        mills = np.exp(-0.5 * index**2 - LOG_SQRT_2_PI - log_ndtr(index))
        information = (design * (weight * mills * (mills + index))[:, None]).T @ design + np.eye(len(coefficients))
        coefficients = coefficients + np.linalg.solve(information, design.T @ (weight * sign * mills) - coefficients)
    return np.asarray(coefficients)
