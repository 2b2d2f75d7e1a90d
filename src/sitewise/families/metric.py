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
    interval: Array | None = None,
    log_lower: Array | None = None,
    lower_known: Array | None = None,
    linear_predictor: Array,
    log_scale: Array,
    shape: tuple[Array, ...],
    xp: Any = np,
) -> Array:
    """Return each patient's log likelihood: w [d log h(t) - H(t) + H(entry)], or w [log(S(lower) - S(t)) + H(entry)].

    Right censoring (d = 0), interval censoring and delayed entry (the patient is seen only because they were alive at entry)
    as in Klein & Moeschberger 2003, section 3.5. ``entered_late`` is 1 where entry is after time zero; elsewhere ``log_entry``
    may be anything finite and the term is exactly zero. ``interval`` is 1 where the event is only known to lie between lower
    and time, and there ``lower_known`` is 0 where lower is time zero (left censoring); ``log_lower`` may then be anything
    finite.
    """
    arguments = (linear_predictor, log_scale, shape, xp)
    log_hazard_at_time = log_cumulative_hazard(family, metric, log_time, *arguments)
    value = event * log_hazard(family, metric, log_time, *arguments) - xp.exp(log_hazard_at_time)
    if interval is not None:
        log_hazard_at_lower = log_cumulative_hazard(family, metric, log_lower, *arguments)
        within = log_interval_probability(log_hazard_at_time, log_hazard_at_lower, lower_known, interval, xp)
        value = xp.where(interval > 0, within - lower_known * xp.exp(log_hazard_at_lower), value)
    if log_entry is not None:
        value = value + entered_late * xp.exp(log_cumulative_hazard(family, metric, log_entry, *arguments))
    return value if weight is None else weight * value


SHORT = 1e-5
"""Cumulative hazard of an interval below which two terms of the series of its log probability are exact to 1e-11."""


def log_interval_probability(
    log_hazard_at_upper: Array, log_hazard_at_lower: Array, lower_known: Array, interval: Array, xp: Any = np
) -> Array:
    """Return log(1 - exp(-D)), the log probability of an event by ``upper`` given none by ``lower``, D = H(upper) - H(lower).

    D is made from the difference of the logs, which loses no digits when the interval is short. Where ``lower_known`` is 0,
    H(lower) is zero. The value is meaningless, and finite, where ``interval`` is 0.
    """
    gap = xp.where(interval * lower_known > 0, log_hazard_at_lower - log_hazard_at_upper, -1.0)
    share = xp.where(interval * lower_known > 0, xp.log(-xp.expm1(gap)), 0.0)
    log_within = xp.where(interval > 0, log_hazard_at_upper + share, 0.0)
    within = xp.exp(log_within)
    short = within < SHORT
    # Each branch is given a number that it can take, since gradients are made of both.
    return xp.where(
        short,
        log_within - 0.5 * within + within * within / 24,
        xp.log(-xp.expm1(-xp.where(short, 1.0, within))),
    )
