"""Gamma and generalised gamma times: log time is a location plus the standardised log of a gamma variable.

S(t) = G_q(k (log t - log lambda)) with G_q the upper tail of :mod:`sitewise.families.gamma_tail`. The generalised gamma
(Prentice 1974, Biometrika 61:539; mu = log lambda, sigma = 1 / k and Q = q in flexsurv) holds the Weibull (q = 1), the
log-normal (q = 0) and the gamma (q = 1 / k) distribution, so that the posterior of q says which of them the data are like. A
stretched time is of the same family; a multiplied hazard is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from sitewise.families.base import GAMMA, Array, ShapeParameter
from sitewise.families.by_quadrature import POSITIVE, ByQuadrature
from sitewise.families.gamma_tail import log_density, log_tail, median
from sitewise.families.location_scale import EARLY, LocationScale
from sitewise.families.time_nodes import SMOOTH, power_nodes
from sitewise.names import SHAPE

NORMAL_BELOW = 1e-6
"""|q| below which quantiles are those of the normal distribution."""
EARLIEST = -1e6
TINY = 1e-8
"""A gamma variable below which its distribution function is a power, to rounding."""


def standard_quantile(log_cumulative_hazard: Array, q: Array) -> Array:
    """Return u with upper tail exp(-H), exact in both tails; arguments broadcast."""
    hazard, q = np.broadcast_arrays(np.exp(log_cumulative_hazard), np.asarray(q, dtype=float))
    size = np.maximum(np.abs(q), NORMAL_BELOW)
    alpha = 1 / (size * size)
    survival, probability = np.exp(-hazard), -np.expm1(-hazard)
    # The gamma variable's upper tail is survival for q > 0 and the probability of an event for q < 0.
    upper, lower = np.where(q > 0, survival, probability), np.where(q > 0, probability, survival)
    with np.errstate(divide="ignore"):
        value = np.where(upper < lower, special.gammainccinv(alpha, upper), special.gammaincinv(alpha, lower))
        power = (np.log(lower) + special.gammaln(1 + alpha)) / alpha
        log_gamma = np.where(value < TINY, power, np.log(np.maximum(value, TINY)))
        found = (log_gamma - np.log(alpha)) / np.where(q > 0, size, -size)
        return np.where(np.abs(q) < NORMAL_BELOW, -special.ndtri_exp(-hazard), found)


class GammaTail(LocationScale):
    """What both share; log lambda and k are those of their own parameters."""

    standard: ClassVar[int] = GAMMA
    log_concave: ClassVar[frozenset[str]] = frozenset({"right"})
    mean_is_closed: ClassVar[bool] = False

    def tail(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return q."""
        return shape[1]

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(-log G_q(k (log t - log lambda)))."""
        u, q = self._broadcast(self.index(log_time, log_scale, shape, xp), self.tail(shape, xp), xp)
        late = u > 0
        log_side = log_tail(abs(u), xp.where(late, q, -q), xp)  # of the upper tail at late times, of the lower at early ones
        early = xp.where(late, 0.0, 1.0) * log_side < EARLY
        small = xp.exp(xp.where(early, log_side, EARLY))
        series = xp.where(early, log_side, 0.0) + small / 2 + 5 * small * small / 24
        probability = xp.exp(xp.where(late | early, -1.0, log_side))
        return xp.where(early, series, xp.log(xp.where(late, -log_side, -xp.log1p(-probability))))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log k + log g_q(u) - log G_q(u) - log t with u = k (log t - log lambda)."""
        u, q = self._broadcast(self.index(log_time, log_scale, shape, xp), self.tail(shape, xp), xp)
        late = u > 0
        log_side = log_tail(abs(u), xp.where(late, q, -q), xp)
        log_survival = xp.where(late, log_side, xp.log1p(-xp.exp(xp.where(late, -1.0, log_side))))
        return xp.log(self._rate(shape, xp)) + log_density(u, q, xp) - log_survival - log_time

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda + u / k at the upper tail exp(-H), of hazards that are numbers."""
        return self.log_time_at(standard_quantile(log_cumulative_hazard, self.tail(shape)), log_scale, shape)

    def log_median(self, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda + the median of u / k."""
        q = self.tail(shape, xp)
        return log_scale + self._centre(shape, xp) + median(np.asarray(q) if xp is np else q, xp) / self._rate(shape, xp)

    def time_nodes(self, horizon: Array, shape: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return log times and weights: the curve starts as time to the power of k / q, or more smoothly."""
        steep = self._rate(shape) / np.maximum(self.tail(shape), self._rate(shape) / 4)
        return power_nodes(horizon, SMOOTH / np.minimum(steep, 1.0))

    def _mean_until(self, horizon: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        return ByQuadrature.restricted_mean(self, horizon, 0.0, log_scale, shape)

    @staticmethod
    def _broadcast(u: Array, q: Array, xp: Any) -> tuple[Array, Array]:
        # At time zero u is minus infinity; far before that nobody has had the event.
        return xp.maximum(u, EARLIEST), q + 0.0 * xp.maximum(u, EARLIEST)


@dataclass(frozen=True)
class GeneralisedGamma(GammaTail):
    """Generalised gamma distribution with location log lambda, sd-like 1 / shape, and q (``gamma_q``) of any sign."""

    name: ClassVar[str] = "generalised-gamma"
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (
        ShapeParameter(SHAPE, POSITIVE),
        ShapeParameter("gamma_q", ("Normal", {"mu": 0.5, "sigma": 0.75}), "real"),
    )


@dataclass(frozen=True)
class Gamma(GammaTail):
    """Gamma distribution with shape alpha and scale lambda: T / lambda ~ Gamma(alpha, 1)."""

    name: ClassVar[str] = "gamma"

    def _rate(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the root of alpha."""
        return xp.sqrt(shape[0])

    def _centre(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log alpha: the index is zero at the mean."""
        return xp.log(shape[0])

    def tail(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return 1 / root of alpha."""
        return 1 / xp.sqrt(shape[0])
