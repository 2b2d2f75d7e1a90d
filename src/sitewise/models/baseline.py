"""Where the baseline is: at the covariate means (sampled) and at the reference patient (what priors speak of).

Written once for NumPy (draws) and PyTensor (the graph).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sitewise.families.base import Array
from sitewise.models.spec import ModelSpec
from sitewise.names import TIME_RATIO

LOG_LOG_2 = float(np.log(np.log(2.0)))


def median_minus_scale(spec: ModelSpec, shape: tuple[Array, ...], xp: Any = np) -> Array:
    """Return log median minus log scale of one patient: the quantile function at H = ln 2."""
    return spec.family.log_time(LOG_LOG_2, 0.0, shape, xp)


def means_minus_reference(spec: ModelSpec, coefficients: Array | None, shape: tuple[Array, ...], xp: Any = np) -> Array:
    """Return the log scale at the covariate means minus that of the reference patient; coefficients have terms last.

    In the hazard-ratio metric H0 at the means is H0 of the reference patient times exp((mean - reference)' beta), and a
    factor exp(e) on the hazard is a shift of log time by the quantile function; in the time-ratio metric the predictor is
    that shift itself.
    """
    if coefficients is None:
        return 0.0
    resolution = spec.resolved
    distance = coefficients @ (np.asarray(resolution.means) - np.asarray(resolution.reference))
    if spec.metric == TIME_RATIO:
        return distance
    return spec.family.log_time(-distance, 0.0, shape, xp) - spec.family.log_time(0.0, 0.0, shape, xp)
