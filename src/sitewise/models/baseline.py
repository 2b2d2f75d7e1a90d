"""Where the baseline is: at the covariate means (sampled) and at the reference patient (what priors speak of).

Written once for NumPy (draws) and PyTensor (the graph).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sitewise.families.base import Array
from sitewise.models.spec import ModelSpec
from sitewise.names import TIME_RATIO


def median_minus_scale(spec: ModelSpec, shape: tuple[Array, ...], xp: Any = np) -> Array:
    """Return log median minus log scale of one patient, under a family of scales."""
    return spec.family.log_median(0.0, shape, xp)


def means_minus_reference(spec: ModelSpec, coefficients: Array | None, shape: tuple[Array, ...]) -> Array:
    """Return the log scale at the covariate means minus that of the reference patient; coefficients have terms last.

    In the hazard-ratio metric H0 at the means is H0 of the reference patient times exp((mean - reference)' beta), which is
    another scale; in the time-ratio metric the predictor is the difference itself. Where no other scale multiplies the hazard,
    or the shape differs between patients, computation is centred at the reference patient, so that the two are one.
    """
    if coefficients is None or not spec.centred_at_means:
        return 0.0
    resolution = spec.resolved
    distance = coefficients @ (np.asarray(resolution.means) - np.asarray(resolution.reference))
    if spec.metric == TIME_RATIO:
        return distance
    return -spec.family.scale_lowered(distance, shape)
