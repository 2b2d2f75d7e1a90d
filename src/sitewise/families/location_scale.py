"""Log-normal and log-logistic distributions: log time is a location, the log of the median, plus noise of another shape.

S(t) = G(k (log t - log lambda)) with G normal or logistic, lambda the median, and 1 / k the sd of log time (log-normal) or
its logistic scale (log-logistic): Kalbfleisch & Prentice 2002, The Statistical Analysis of Failure Time Data, sections 2.2.5
and 2.2.6. A stretched time is of the same family; a multiplied hazard is not, so that they are fitted with time ratios. As
baselines of scenarios covariates multiply their hazard all the same, and log hazard ratios mean there what they mean under
every baseline.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from sitewise.families.base import LOGISTIC, NORMAL, Array
from sitewise.families.by_quadrature import ByQuadrature
from sitewise.names import TIME_RATIO

ROOT_2 = float(np.sqrt(2.0))
LOG_ROOT_2_PI = float(0.5 * np.log(2 * np.pi))
LOG_ODDS_LATE, TERMS = float(np.log(999.0)), 6
"""Log odds of an event from which the area under a log-logistic curve is a series, and its terms."""
EARLY = -5.0
"""Below this a probability p is so small that three terms of log(-log(1 - p)) are exact to rounding."""


def _functions(xp: Any) -> tuple[Any, Any]:
    """Return erfc and erfcx of NumPy arrays or PyTensor variables."""
    return (special.erfc, special.erfcx) if xp is np else (xp.erfc, xp.erfcx)


def _log_normal_tail(z: Array, xp: Any) -> Array:
    """Return log Phi(-z), exact in both tails; each branch is given a number that it can take, for the gradient's sake."""
    erfc, erfcx = _functions(xp)
    late = z > 0
    far = xp.where(late, z, 1.0)
    near = xp.where(late, -1.0, z)
    return xp.where(late, xp.log(0.5 * erfcx(far / ROOT_2)) - 0.5 * far * far, xp.log1p(-0.5 * erfc(-near / ROOT_2)))


class LocationScale(ByQuadrature):
    """What they share: the index k (log t - log lambda), to which covariates and sites add."""

    metrics: ClassVar[frozenset[str]] = frozenset({TIME_RATIO})
    log_concave: ClassVar[frozenset[str]] = frozenset({"right", "interval"})
    mean_is_closed: ClassVar[bool] = True

    def _rate(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return k, by which the index grows with log time."""
        return shape[0]

    def _centre(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log time less log lambda where the index is zero."""
        return 0.0

    def log_index_ratio(self, log_time_ratio: Array, shape: tuple[Array, ...]) -> Array:
        """Return -k phi."""
        return -self._rate(shape) * log_time_ratio

    def scale_lowered(self, added: Array, shape: tuple[Array, ...]) -> Array:
        """Return added / k."""
        return added / self._rate(shape)

    def index(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return k (log t - log lambda), less where it is zero."""
        return self._rate(shape, xp) * (log_time - log_scale - self._centre(shape, xp))

    def index_rate(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return k / t."""
        return self._rate(shape) * np.exp(-log_time)

    def log_time_at(self, index: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log lambda + index / k."""
        return log_scale + self._centre(shape) + index / self._rate(shape)

    def mean_until(self, horizon: Array, added: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) of somebody whose log times are shorter by added / k."""
        return self._mean_until(horizon, log_scale - self.scale_lowered(added, shape), shape)

    def log_cumulative_hazard_of(self, added: Array, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log H(t) of somebody whose log times are shorter by added / k."""
        return self.log_cumulative_hazard(log_time, log_scale - self.scale_lowered(added, shape), shape)

    @abstractmethod
    def _mean_until(self, horizon: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array: ...


@dataclass(frozen=True)
class LogNormal(LocationScale):
    """Log-normal distribution with median lambda; log time has sd 1 / shape."""

    name: ClassVar[str] = "log-normal"
    standard: ClassVar[int] = NORMAL

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(-log Phi(-k (log t - log lambda)))."""
        z = shape[0] * (log_time - log_scale)
        early = z < EARLY
        small = xp.where(early, z, EARLY)
        _, erfcx = _functions(xp)
        with np.errstate(divide="ignore"):  # at time zero
            log_probability = xp.log(0.5 * erfcx(-small / ROOT_2)) - 0.5 * small * small
        probability = xp.exp(log_probability)
        series = log_probability + probability / 2 + 5 * probability * probability / 24
        return xp.where(early, series, xp.log(-_log_normal_tail(xp.where(early, 0.0, z), xp)))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log k + log phi(z) - log Phi(-z) - log t with z = k (log t - log lambda)."""
        z = shape[0] * (log_time - log_scale)
        return xp.log(shape[0]) - 0.5 * z * z - LOG_ROOT_2_PI - _log_normal_tail(z, xp) - log_time

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda - Phi^-1(exp(-H)) / k, of hazards that are numbers."""
        return log_scale - special.ndtri_exp(-np.exp(log_cumulative_hazard)) / shape[0]

    def _mean_until(self, horizon: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon): exp(mu + sigma^2 / 2) Phi(z - sigma) + horizon Phi(-z), sigma = 1 / k."""
        sigma = 1.0 / np.asarray(shape[0], dtype=float)
        z = (np.log(horizon) - log_scale) / sigma
        return np.exp(log_scale + sigma * sigma / 2 + special.log_ndtr(z - sigma)) + horizon * special.ndtr(-z)


@dataclass(frozen=True)
class LogLogistic(LocationScale):
    """Log-logistic distribution with median lambda and shape k."""

    name: ClassVar[str] = "log-logistic"
    standard: ClassVar[int] = LOGISTIC

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(log(1 + (t / lambda)^k))."""
        log_odds = shape[0] * (log_time - log_scale)
        early = log_odds < 3 * EARLY
        odds = xp.exp(xp.where(early, log_odds, 3 * EARLY))
        series = xp.where(early, log_odds, 0.0) - odds / 2 + 5 * odds * odds / 24
        return xp.where(early, series, xp.log(xp.logaddexp(0.0, xp.where(early, 0.0, log_odds))))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log k + log(odds / (1 + odds)) - log t with odds (t / lambda)^k."""
        return xp.log(shape[0]) - xp.logaddexp(0.0, -shape[0] * (log_time - log_scale)) - log_time

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda + log(exp(H) - 1) / k, of hazards that are numbers."""
        hazard = np.exp(log_cumulative_hazard)
        return log_scale + (hazard + np.log(-np.expm1(-hazard))) / shape[0]

    def _mean_until(self, horizon: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon), the area under 1 / (1 + y^k) with y = t / lambda.

        Up to a survival of 1 / 1000: horizon 2F1(1, 1/k; 1 + 1/k; -y^k), its argument brought inside the unit circle by Pfaff's
        transformation; beyond, the series of the area in powers of y^-k.
        """
        exponent = np.asarray(shape[0], dtype=float)
        power = 1.0 / exponent
        log_late = np.log(horizon) - log_scale
        log_near = np.minimum(log_late, power * LOG_ODDS_LATE)
        survival = special.expit(-exponent * log_near)
        area = np.exp(log_near) * survival * special.hyp2f1(1.0, 1.0, 1.0 + power, 1.0 - survival)
        start = np.where(log_late > log_near, log_near, 0.0)  # elsewhere there is no late part, and the power might overflow
        for term in range(TERMS):
            slope = 1.0 - exponent * (term + 1)
            along = slope * (log_late - log_near)
            ratio = np.where(np.abs(along) < 1e-12, 1.0, np.expm1(along) / np.where(along == 0.0, 1.0, along))
            area = area + (-1) ** term * np.exp(slope * start) * (log_late - log_near) * ratio
        return np.exp(log_scale) * area
