"""The log probability of an event within an interval, with derivatives, compiled: the kernel and the fast engine share it."""

from __future__ import annotations

import math

from sitewise.classical.compiled import compiled

SHORT, LONG = 1e-5, 700.0
"""Cumulative hazard of an interval below which series are exact to 1e-11, and beyond which the event is certain."""


@compiled
def interval_terms(log_within):  # type: ignore[no-untyped-def]
    """Return log(1 - exp(-D)) of D = exp(log_within), its slope in log D, and minus its second derivative there.

    The slope is g = D / (exp(D) - 1), minus the second derivative g (D + g - 1), which is positive: the log probability is
    concave in log D, and so in every linear predictor.
    """
    within = math.exp(min(log_within, LONG))
    if within < SHORT:
        slope = 1.0 - 0.5 * within + within * within / 12.0
        return log_within - 0.5 * within + within * within / 24.0, slope, 0.5 * within - within * within / 6.0
    if within > LONG:
        return 0.0, 0.0, 0.0
    slope = within / math.expm1(within)
    return math.log(-math.expm1(-within)), slope, slope * (within + slope - 1.0)
