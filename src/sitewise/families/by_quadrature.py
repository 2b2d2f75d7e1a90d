"""What has no closed form for most baselines: the restricted mean, by Gauss-Legendre quadrature."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np

from sitewise.families.base import Array, HazardIndex, ShapeParameter
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


class ByQuadrature(HazardIndex):
    """What has no closed form for these baselines."""

    name: ClassVar[str]
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (ShapeParameter(SHAPE, POSITIVE),)
    metrics: ClassVar[frozenset[str]] = frozenset({HAZARD_RATIO})
    log_concave: ClassVar[frozenset[str]] = frozenset()

    def log_index_ratio(self, log_time_ratio: Array, shape: tuple[Array, ...]) -> Array:
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
