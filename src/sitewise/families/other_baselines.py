"""Baselines other than the Weibull whose hazard covariates multiply: log-normal, log-logistic and a Weibull with cured people.

They say when the reference patient has the event: log S(t) = -H(t), and a patient's own is -H(t) exp(eta), so that the log
hazard ratios of a scenario mean the same under every baseline. Log-normal and log-logistic: Kalbfleisch & Prentice 2002, The
Statistical Analysis of Failure Time Data, sections 2.2.5 and 2.2.6, with the scale their median and 1 / shape the sd of log
time (log-normal) or its logistic scale (log-logistic). Cured: a share pi of reference patients never has the event (Boag
1949, J R Stat Soc B 11:15): S(t) = pi + (1 - pi) exp(-(t / lambda)^k).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from scipy import special

from sitewise.families.base import Array, ShapeParameter
from sitewise.names import HAZARD_RATIO, SHAPE
from sitewise.problems import SpecError

POSITIVE = ("LogNormal", {"mu": 0.0, "sigma": 0.5})
NODES = 256
SMOOTH = 4.0
"""Time is integrated as a power of a variable in which even the steepest start of a curve is this smooth."""


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of Gauss-Legendre quadrature; made when first needed, which takes up to half a second."""
    return np.polynomial.legendre.leggauss(NODES)


class _ByQuadrature(ABC):
    """What has no closed form for these baselines."""

    name: ClassVar[str]
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (ShapeParameter(SHAPE, POSITIVE),)
    metrics: ClassVar[frozenset[str]] = frozenset({HAZARD_RATIO})
    log_concave: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log H(t) of the reference patient."""

    def log_hazard_ratio(self, log_time_ratio: Array, shape: tuple[Array, ...]) -> Array:
        """Refuse: a stretched time is no multiplied hazard here."""
        raise SpecError(f"A time ratio is no hazard ratio of the {self.name} distribution: use hazard ratios.")

    def restricted_mean(self, horizon: Array, log_multiplier: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) when the hazard is multiplied by exp(log_multiplier), by Gauss-Legendre rule."""
        power = SMOOTH / np.minimum(np.asarray(shape[0], dtype=float), 1.0)[..., None]
        nodes, weights = _legendre()
        share = 0.5 * (nodes + 1)
        log_time = np.log(np.asarray(horizon, dtype=float))[..., None] + power * np.log(share)
        own = [np.asarray(value, dtype=float)[..., None] for value in shape]
        hazard = self.log_cumulative_hazard(log_time, np.asarray(log_scale)[..., None], tuple(own))
        survival = np.exp(-np.exp(hazard + np.asarray(log_multiplier)[..., None]))
        return np.asarray(horizon) * np.sum(0.5 * weights * power * share ** (power - 1) * survival, axis=-1)


@dataclass(frozen=True)
class LogNormal(_ByQuadrature):
    """Log-normal baseline with median lambda; log time has sd 1 / shape."""

    name: ClassVar[str] = "log-normal"

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(-log Phi(-k (log t - log lambda)))."""
        return np.log(-special.log_ndtr(-shape[0] * (log_time - log_scale)))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log k + log phi(z) - log Phi(-z) - log t with z = k (log t - log lambda)."""
        z = shape[0] * (log_time - log_scale)
        return np.log(shape[0]) - 0.5 * z * z - 0.5 * np.log(2 * np.pi) - special.log_ndtr(-z) - log_time

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda - Phi^-1(exp(-H)) / k."""
        return log_scale - special.ndtri_exp(-np.exp(log_cumulative_hazard)) / shape[0]


@dataclass(frozen=True)
class LogLogistic(_ByQuadrature):
    """Log-logistic baseline with median lambda and shape k."""

    name: ClassVar[str] = "log-logistic"

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(log(1 + (t / lambda)^k))."""
        return np.log(np.logaddexp(0.0, shape[0] * (log_time - log_scale)))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log k + log(odds / (1 + odds)) - log t with odds (t / lambda)^k."""
        return np.log(shape[0]) - np.logaddexp(0.0, -shape[0] * (log_time - log_scale)) - log_time

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda + log(exp(H) - 1) / k."""
        hazard = np.exp(log_cumulative_hazard)
        return log_scale + (hazard + np.log(-np.expm1(-hazard))) / shape[0]


@dataclass(frozen=True)
class CuredWeibull(_ByQuadrature):
    """Mixture of a Weibull and a share ``cured`` of reference patients who never have the event."""

    name: ClassVar[str] = "mixture-cure"
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (
        ShapeParameter(SHAPE, POSITIVE),
        ShapeParameter("cured", ("Beta", {"alpha": 1.0, "beta": 4.0})),
    )

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(-log(pi + (1 - pi) exp(-(t / lambda)^k)))."""
        exponent, cured = shape
        own = np.exp(exponent * (log_time - log_scale))
        return np.log(-np.log1p((1 - cured) * np.expm1(-own)))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log of (1 - pi) f(t) / S(t) with the Weibull's density f."""
        exponent, cured = shape
        log_own = exponent * (log_time - log_scale)
        own = np.exp(log_own)
        survival = np.log1p((1 - cured) * np.expm1(-own))
        return np.log1p(-cured) + np.log(exponent) + log_own - log_time - own - survival

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda + log(-log((exp(-H) - pi) / (1 - pi))) / k; infinite for the cured."""
        exponent, cured = shape
        left = -np.expm1(-np.exp(log_cumulative_hazard)) / (1 - cured)  # the Weibull's distribution function
        with np.errstate(divide="ignore"):
            return log_scale + np.log(-np.log1p(-np.minimum(left, 1.0))) / exponent
