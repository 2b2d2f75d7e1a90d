"""How a linear predictor enters a family, and the log likelihood of a censored time.

Hazard-ratio metric: H(t | eta) = H0(t) exp(eta). Time-ratio metric: H(t | eta) = H0(t exp(-eta)), so a positive
predictor lengthens time. Both are written here once, for every family, for NumPy and for PyTensor alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sitewise.families.base import Array, Family
from sitewise.names import TIME_RATIO


def log_cumulative_hazard(
    family: Family,
    metric: str,
    log_time: Array,
    linear_predictor: Array,
    log_scale: Array,
    shape: tuple[Array, ...],
    xp: Any = np,
) -> Array:
    """Return log H(t | eta); arguments broadcast."""
    if metric == TIME_RATIO:
        return family.log_cumulative_hazard(log_time - linear_predictor, log_scale, shape, xp)
    return family.log_cumulative_hazard(log_time, log_scale, shape, xp) + linear_predictor


def log_hazard(
    family: Family,
    metric: str,
    log_time: Array,
    linear_predictor: Array,
    log_scale: Array,
    shape: tuple[Array, ...],
    xp: Any = np,
) -> Array:
    """Return log h(t | eta); arguments broadcast."""
    if metric == TIME_RATIO:
        return family.log_hazard(log_time - linear_predictor, log_scale, shape, xp) - linear_predictor
    return family.log_hazard(log_time, log_scale, shape, xp) + linear_predictor


def log_likelihood(
    family: Family,
    metric: str,
    *,
    log_time: Array,
    event: Array,
    log_entry: Array | None,
    entered_late: Array | None,
    weight: Array | None,
    linear_predictor: Array,
    log_scale: Array,
    shape: tuple[Array, ...],
    xp: Any = np,
) -> Array:
    """Return each patient's log likelihood: w [d log h(t) - H(t) + H(entry)].

    Right censoring (d = 0) and delayed entry (the patient is seen only because they were alive at entry) as in Klein &
    Moeschberger 2003, section 3.5. ``entered_late`` is 1 where entry is after time zero; elsewhere ``log_entry`` may
    be anything finite and the term is exactly zero.
    """
    arguments = (linear_predictor, log_scale, shape, xp)
    value = event * log_hazard(family, metric, log_time, *arguments) - xp.exp(
        log_cumulative_hazard(family, metric, log_time, *arguments)
    )
    if log_entry is not None:
        value = value + entered_late * xp.exp(log_cumulative_hazard(family, metric, log_entry, *arguments))
    return value if weight is None else weight * value
