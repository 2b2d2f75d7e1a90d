"""What has no closed form for most baselines: areas under survival, by Gauss-Legendre quadrature over time."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sitewise.families.base import Array, HazardIndex, ShapeParameter
from sitewise.names import HAZARD_RATIO, SHAPE
from sitewise.problems import SpecError

POSITIVE = ("LogNormal", {"mu": 0.0, "sigma": 0.5})


class ByQuadrature(HazardIndex):
    """What has no closed form for these baselines."""

    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (ShapeParameter(SHAPE, POSITIVE),)
    metrics: ClassVar[frozenset[str]] = frozenset({HAZARD_RATIO})
    log_concave: ClassVar[frozenset[str]] = frozenset()
    mean_is_closed: ClassVar[bool] = False

    def log_index_ratio(self, log_time_ratio: Array, shape: tuple[Array, ...]) -> Array:
        """Refuse: a stretched time is no multiplied hazard here."""
        raise SpecError(f"A time ratio is no hazard ratio of the {self.name} distribution: use hazard ratios.")

    def restricted_mean(self, horizon: Array, log_multiplier: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) when the hazard is multiplied by exp(log_multiplier), by quadrature over time."""
        log_time, weights = self.time_nodes(horizon, shape)
        own = tuple(np.asarray(value, dtype=float)[..., None] for value in shape)
        hazard = self.log_cumulative_hazard(log_time, np.asarray(log_scale)[..., None], own)
        return np.sum(weights * np.exp(-np.exp(hazard + np.asarray(log_multiplier)[..., None])), axis=-1)
