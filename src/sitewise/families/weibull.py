"""Weibull and exponential distributions.

H(t) = (t / lambda)^k with scale lambda and shape k (Kalbfleisch & Prentice 2002, The Statistical Analysis of Failure
Time Data, section 2.2.2); the exponential is k = 1. Everything is kept on the log scale: log S(t) = -H(t)
exactly, with no detour over 1 - exp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from sitewise.families.base import KINDS_OF_DATA, Array, HazardIndex, ShapeParameter
from sitewise.names import HAZARD_RATIO, SHAPE, TIME_RATIO

LOG_TINY_HAZARD = float(np.log(1e-5))


@dataclass(frozen=True)
class Weibull(HazardIndex):
    """Weibull distribution with shape k > 0 and scale lambda > 0 (in the cohort's time unit).

    Both a proportional-hazards and an accelerated-failure-time family: a log time ratio phi is a log hazard
    ratio of -k phi.
    """

    name: ClassVar[str] = "weibull"
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (ShapeParameter(SHAPE, ("LogNormal", {"mu": 0.0, "sigma": 0.5})),)
    metrics: ClassVar[frozenset[str]] = frozenset({HAZARD_RATIO, TIME_RATIO})
    log_concave: ClassVar[frozenset[str]] = KINDS_OF_DATA

    @staticmethod
    def _exponent(shape: tuple[Array, ...]) -> Array:
        return shape[0]

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return k (log t - log lambda)."""
        return self._exponent(shape) * (log_time - log_scale)

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log k + k (log t - log lambda) - log t."""
        exponent = self._exponent(shape)
        return xp.log(exponent) + exponent * (log_time - log_scale) - log_time

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda + log H / k."""
        return log_scale + log_cumulative_hazard / self._exponent(shape)

    def log_index_ratio(self, log_time_ratio: Array, shape: tuple[Array, ...]) -> Array:
        """Return -k phi, which is the log hazard ratio."""
        return -self._exponent(shape) * log_time_ratio

    def scale_lowered(self, added: Array, shape: tuple[Array, ...]) -> Array:
        """Return added / k."""
        return added / self._exponent(shape)

    def restricted_mean(self, horizon: Array, log_multiplier: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) when the hazard is multiplied by exp(log_multiplier).

        mu Gamma(1 + 1/k) P(1/k, (horizon / mu)^k) with log mu = log lambda - log_multiplier / k and P the regularised lower
        incomplete gamma function (substitute u = (t / mu)^k in the area under S). Where the cumulative hazard at the
        horizon is tiny the product over- or underflows although the answer is nearly the horizon; there the power
        series of the area is used, whose first omitted term is below 1e-16 of it.
        """
        exponent = np.asarray(self._exponent(shape), dtype=float)
        log_mu = log_scale - log_multiplier / exponent
        with np.errstate(divide="ignore", over="ignore", invalid="ignore", under="ignore"):
            log_hazard_at_horizon = exponent * (np.log(horizon) - log_mu)
            hazard = np.exp(log_hazard_at_horizon)
            area = np.exp(log_mu + special.gammaln(1 + 1 / exponent) + np.log(special.gammainc(1 / exponent, hazard)))
            series = horizon * (1 - hazard / (exponent + 1) + hazard**2 / (2 * (2 * exponent + 1)))
        return np.where(log_hazard_at_horizon < LOG_TINY_HAZARD, series, area)


@dataclass(frozen=True)
class Exponential(Weibull):
    """Exponential distribution: the Weibull with shape 1."""

    name: ClassVar[str] = "exponential"
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = ()

    @staticmethod
    def _exponent(shape: tuple[Array, ...]) -> Array:
        return 1.0
