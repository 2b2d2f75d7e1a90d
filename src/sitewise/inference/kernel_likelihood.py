"""The log likelihood of the kernel, given every patient's linear predictor: of Weibull times, and of any family.

Both return the log likelihood and its slope in the log scale, and fill its slopes in the predictors and in the shape.
``times`` has log time, event, log entry, entered late, weight, interval, log lower and lower known in its columns.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.inference.family_terms import terms
from sitewise.inference.interval_terms import interval_terms

TIME, ENTRY, LOWER = range(3)
PLACES = (0, 2, 6)
"""Columns of ``times`` that hold the logs of these."""


@compiled
def weibull_likelihood(times, time_ratio, predictor, log_scale, shape, along, in_shape):  # type: ignore[no-untyped-def]
    """Weibull and exponential times; ``along`` is filled with slopes in the predictors, ``in_shape[0]`` added to."""
    total, in_scale, shape_gradient = 0.0, 0.0, 0.0
    per_unit, log_shape = -shape if time_ratio else 1.0, math.log(shape)
    for i in range(predictor.size):
        log_time, event, log_entry, late = times[i, 0], times[i, 1], times[i, 2], times[i, 3]
        weight, interval = times[i, 4], times[i, 5]
        distance = log_time - log_scale
        log_hazard = shape * distance + per_unit * predictor[i]
        moved = predictor[i] if time_ratio else 0.0
        if interval != 0.0:
            # As if censored at the lower end, times the probability of an event in the interval.
            r = 0.0
            log_within, slope_in_shape = log_hazard, distance - moved
            if times[i, 7] != 0.0:
                log_lower = times[i, 6]
                at_lower = weight * math.exp(log_hazard + shape * (log_lower - log_time))
                total -= at_lower
                shape_gradient -= at_lower * (log_lower - log_scale - moved)
                r -= at_lower
                longer = log_time - log_lower
                log_within += math.log(-math.expm1(-shape * longer))
                slope_in_shape += longer / math.expm1(shape * longer)
            value, slope, _ = interval_terms(log_within)
            total += weight * value
            shape_gradient += weight * slope * slope_in_shape
            r += weight * slope
        else:
            hazard = math.exp(log_hazard)
            total += weight * (event * (log_shape + log_hazard - log_time) - hazard)
            r = weight * (event - hazard)
            shape_gradient += weight * event / shape + r * (distance - moved)
        if late != 0.0:
            distance_at_entry = log_entry - log_scale
            at_entry = weight * math.exp(shape * distance_at_entry + per_unit * predictor[i])
            total += at_entry
            shape_gradient += at_entry * (distance_at_entry - moved)
            r += at_entry
        in_scale -= shape * r
        along[i] = per_unit * r
    if in_shape.size:
        in_shape[0] += shape_gradient
    return total, in_scale


@compiled
def family_likelihood(times, time_ratio, predictor, log_scale, code, cured, theta, form, along, in_shape):  # type: ignore[no-untyped-def]
    """Return the same for any family; a predictor adds to the log scale (time ratios) or to the log hazard."""
    total, in_scale, m = 0.0, 0.0, theta.size
    value, rate, value_slope, rate_slope = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    f, g = np.zeros((3, m)), np.zeros((3, m))
    for i in range(predictor.size):
        event, weight, interval, late = times[i, 1], times[i, 4], times[i, 5] != 0.0, times[i, 3] != 0.0
        lower = interval and times[i, 7] != 0.0
        scale, added = (log_scale + predictor[i], 0.0) if time_ratio else (log_scale, predictor[i])
        for at in range(3):
            if at == TIME or (at == ENTRY and late) or (at == LOWER and lower):
                value[at], rate[at], value_slope[at], rate_slope[at] = terms(
                    code, cured, times[i, PLACES[at]], scale, theta, form, f[at], g[at]
                )
        r, own_scale = 0.0, 0.0  # slopes in what is added to log hazards, and in the log scale
        if interval:
            log_within, in_log_within, in_lower = value[TIME] + added, 1.0, 0.0
            if lower:
                at_lower = weight * math.exp(value[LOWER] + added)
                total -= at_lower
                r -= at_lower
                own_scale -= at_lower * value_slope[LOWER]
                for j in range(m):
                    in_shape[j] -= at_lower * f[LOWER, j]
                # log(H - H_lower) = log H + log(1 - exp(-gap)): slopes weigh H by 1 / (1 - exp(-gap)), H_lower by the rest.
                gap = value[TIME] - value[LOWER]
                log_within += math.log(-math.expm1(-gap))
                in_log_within, in_lower = -1.0 / math.expm1(-gap), 1.0 / math.expm1(gap)
            chance, slope, _ = interval_terms(log_within)
            total += weight * chance
            r += weight * slope
            own_scale += weight * slope * (in_log_within * value_slope[TIME] - in_lower * value_slope[LOWER])
            for j in range(m):
                in_shape[j] += weight * slope * (in_log_within * f[TIME, j] - in_lower * f[LOWER, j])
        else:
            expected = math.exp(value[TIME] + added)
            total += weight * (event * (rate[TIME] + added) - expected)
            r = weight * (event - expected)
            own_scale = weight * (event * rate_slope[TIME] - expected * value_slope[TIME])
            for j in range(m):
                in_shape[j] += weight * (event * g[TIME, j] - expected * f[TIME, j])
        if late:
            before = weight * math.exp(value[ENTRY] + added)
            total += before
            r += before
            own_scale += before * value_slope[ENTRY]
            for j in range(m):
                in_shape[j] += before * f[ENTRY, j]
        along[i] = own_scale if time_ratio else r
        in_scale += own_scale
    return total, in_scale
