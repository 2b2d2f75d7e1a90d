"""A baseline that can be simulated and is not fitted: a Weibull with cured people.

It says when the reference patient has the event: log S(t) = -H(t), and a patient's own is -H(t) exp(eta), so that the log
hazard ratios of a scenario mean the same under every baseline. Cured: a share pi of reference patients never has the event
(Boag 1949, J R Stat Soc B 11:15): S(t) = pi + (1 - pi) exp(-(t / lambda)^k).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sitewise.families.base import Array, ShapeParameter
from sitewise.families.by_quadrature import POSITIVE, ByQuadrature
from sitewise.names import SHAPE


@dataclass(frozen=True)
class CuredWeibull(ByQuadrature):
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
