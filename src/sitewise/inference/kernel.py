"""The log density of a Weibull or exponential spec and its gradient, compiled once for all specs and kept on disk.

Compiling the PyMC graph takes seconds in every process; this function takes the numbers of the spec and the cohort as one
array of doubles, so its machine code serves every cohort and spec and numba loads it from its cache. It is the same density
as the graph's (tests/inference/test_kernel.py holds the two together at random points);
:func:`sitewise.inference.packing.pack` makes the array, and ``kernel_reads`` says when a spec needs the graph instead.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.inference.interval_terms import interval_terms
from sitewise.inference.prior_densities import LOG_2_PI, prior_log_density

HEADER = 32
"""Doubles before the arrays; see ``packing.pack`` for what they are."""

NO_SITES, NON_CENTRED, CENTRED, SUM_TO_ZERO = range(4)
AT_MEANS_LOG_MEDIAN, AT_MEANS_LOG_SCALE, AT_MEANS_AS_IS = range(3)

LOG_LOG_2 = math.log(math.log(2.0))


@compiled
def log_density(x, data, gradient):  # type: ignore[no-untyped-def]
    """Return the log density at the unconstrained point x and fill its gradient.

    x holds, in this order and as far as the spec has them: log shape; coefficients times the sds of their columns; log site
    sd; site effects (standardised, as they are, or in a basis of sum zero); log sds of the slopes, and slopes, those of a
    site together (standardised or not, as the effects are); the baseline at the covariate means. The Jacobian of the logs is
    included; the constant one of the coefficients' scaling is not.
    """
    n, p, free_effects, sites = int(data[0]), int(data[1]), int(data[2]), int(data[3])
    time_ratio, has_shape, kind = data[4] == 1.0, data[5] == 1.0, int(data[6])
    has_entry, has_weight, baseline, has_interval = data[7] == 1.0, data[8] == 1.0, int(data[9]), data[23] == 1.0

    start = HEADER
    terms = data[start : start + 6 * p].reshape((p, 6))
    start += 6 * p
    log_time = data[start : start + n]
    event = data[start + n : start + 2 * n]
    site = data[start + 2 * n : start + 3 * n]
    start += 3 * n
    entry_start = start
    if has_entry:
        start += 2 * n
    weight_start = start
    if has_weight:
        start += n
    interval_start = start
    if has_interval:
        start += 3 * n
    covariates = data[start : start + n * p].reshape((n, p))
    start += n * p
    slopes = int(data[24])
    basis = data[start : start + sites * free_effects if kind == SUM_TO_ZERO else start]
    start += basis.size
    slope_priors = data[start : start + 4 * slopes].reshape((slopes, 4))
    start += 4 * slopes
    slope_rows = data[start : start + n * slopes].reshape((n, slopes))

    gradient[:] = 0.0
    total = 0.0
    place = 0
    shape = 1.0
    shape_gradient = 0.0
    if has_shape:
        shape = math.exp(x[0])
        value, slope = prior_log_density(int(data[10]), data[11], data[12], data[13], shape)
        total += value + x[0]
        shape_gradient += slope
        place = 1
    coefficient_place = place
    coefficient = np.empty(p)
    for j in range(p):
        coefficient[j] = x[place + j] / terms[j, 4]
        value, slope = prior_log_density(int(terms[j, 0]), terms[j, 1], terms[j, 2], terms[j, 3], coefficient[j])
        total += value
        gradient[place + j] += slope / terms[j, 4]
    place += p

    sd_place = place
    sd = 1.0
    sd_gradient = 0.0
    if kind in (NON_CENTRED, CENTRED):
        sd = math.exp(x[place])
        value, slope = prior_log_density(int(data[14]), data[15], data[16], data[17], sd)
        total += value + x[place]
        sd_gradient += slope
        place += 1
    effect_place = place
    effect = np.zeros(max(sites, 1))
    if kind == NON_CENTRED:
        for j in range(sites):
            z = x[place + j]
            effect[j] = sd * z
            total += -0.5 * z * z - 0.5 * LOG_2_PI
            gradient[place + j] -= z
    elif kind == CENTRED:
        for j in range(sites):
            effect[j] = x[place + j]
            z = effect[j] / sd
            total += -0.5 * z * z - x[sd_place] - 0.5 * LOG_2_PI
            gradient[place + j] -= z / sd
            sd_gradient += (z * z - 1.0) / sd
    elif kind == SUM_TO_ZERO:
        spread = data[22]
        for k in range(free_effects):
            z = x[place + k] / spread
            total += -0.5 * z * z - math.log(spread) - 0.5 * LOG_2_PI
            gradient[place + k] -= z / spread
            for j in range(sites):
                effect[j] += basis[j * free_effects + k] * x[place + k]
    place += free_effects

    slope_sd_place, slope_place = place, place + slopes
    slope_sd, slope_sd_gradient = np.empty(slopes), np.zeros(slopes)
    site_slope, site_slope_gradient = np.empty((sites, slopes)), np.zeros((sites, slopes))
    for k in range(slopes):
        slope_sd[k] = math.exp(x[slope_sd_place + k])
        prior = slope_priors[k]
        value, slope = prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], slope_sd[k])
        total += value + x[slope_sd_place + k]
        slope_sd_gradient[k] += slope
        for j in range(sites):
            own = slope_place + j * slopes + k
            z = x[own] if kind == NON_CENTRED else x[own] / slope_sd[k]
            site_slope[j, k] = z * slope_sd[k]
            total += -0.5 * z * z - 0.5 * LOG_2_PI
            gradient[own] -= z if kind == NON_CENTRED else z / slope_sd[k]
            if kind == CENTRED:
                total -= x[slope_sd_place + k]
                slope_sd_gradient[k] += (z * z - 1.0) / slope_sd[k]
    place = slope_place + sites * slopes

    # The baseline at the means; its prior speaks of the reference patient, a shift away.
    at_means = x[place]
    log_scale = at_means
    if baseline == AT_MEANS_LOG_MEDIAN:
        log_scale = at_means - LOG_LOG_2 / shape
        shape_from_scale = LOG_LOG_2 / (shape * shape)
    else:
        shape_from_scale = 0.0
    distance = 0.0
    if baseline != AT_MEANS_AS_IS:
        for j in range(p):
            distance += terms[j, 5] * coefficient[j]
    shift = distance if time_ratio else -distance / shape
    value, slope = prior_log_density(int(data[18]), data[19], data[20], data[21], at_means - shift)
    total += value
    gradient[place] += slope
    if not time_ratio:
        shape_gradient -= slope * distance / (shape * shape)
    for j in range(p):
        shift_slope = terms[j, 5] if time_ratio else -terms[j, 5] / shape
        if baseline != AT_MEANS_AS_IS:
            gradient[coefficient_place + j] -= slope * shift_slope / terms[j, 4]

    # The likelihood: r is its derivative in the log cumulative hazard, summed where it is needed.
    scale_gradient = 0.0
    effect_gradient = np.zeros(max(sites, 1))
    per_unit = -shape if time_ratio else 1.0
    log_shape = math.log(shape)
    for i in range(n):
        at = int(site[i])
        predictor = effect[at] if kind != NO_SITES else 0.0
        for k in range(slopes):
            predictor += site_slope[at, k] * slope_rows[i, k]
        for j in range(p):
            predictor += covariates[i, j] * coefficient[j]
        weight = data[weight_start + i] if has_weight else 1.0
        distance_in_time = log_time[i] - log_scale
        log_hazard = shape * distance_in_time + per_unit * predictor
        along = predictor if time_ratio else 0.0
        if has_interval and data[interval_start + i] != 0.0:
            # As if censored at the lower end, times the probability of an event in the interval.
            r = 0.0
            log_within, slope_in_shape = log_hazard, distance_in_time - along
            if data[interval_start + 2 * n + i] != 0.0:
                log_lower = data[interval_start + n + i]
                at_lower = weight * math.exp(log_hazard + shape * (log_lower - log_time[i]))
                total -= at_lower
                shape_gradient -= at_lower * (log_lower - log_scale - along)
                r -= at_lower
                longer = log_time[i] - log_lower
                log_within += math.log(-math.expm1(-shape * longer))
                slope_in_shape += longer / math.expm1(shape * longer)
            value, slope, _ = interval_terms(log_within)
            total += weight * value
            shape_gradient += weight * slope * slope_in_shape
            r += weight * slope
        else:
            hazard = math.exp(log_hazard)
            total += weight * (event[i] * (log_shape + log_hazard - log_time[i]) - hazard)
            r = weight * (event[i] - hazard)
            shape_gradient += weight * event[i] / shape + r * (distance_in_time - along)
        if has_entry and data[entry_start + n + i] != 0.0:
            distance_at_entry = data[entry_start + i] - log_scale
            at_entry = weight * math.exp(shape * distance_at_entry + per_unit * predictor)
            total += at_entry
            shape_gradient += at_entry * (distance_at_entry - along)
            r += at_entry
        scale_gradient -= shape * r
        for j in range(p):
            gradient[coefficient_place + j] += per_unit * r * covariates[i, j] / terms[j, 4]
        if kind != NO_SITES:
            effect_gradient[at] += per_unit * r
        for k in range(slopes):
            site_slope_gradient[at, k] += per_unit * r * slope_rows[i, k]

    gradient[place] += scale_gradient
    shape_gradient += scale_gradient * shape_from_scale
    if has_shape:
        gradient[0] = shape_gradient * shape + 1.0
    if kind == NON_CENTRED:
        for j in range(sites):
            gradient[effect_place + j] += effect_gradient[j] * sd
            sd_gradient += effect_gradient[j] * x[effect_place + j]
    elif kind == CENTRED:
        for j in range(sites):
            gradient[effect_place + j] += effect_gradient[j]
    elif kind == SUM_TO_ZERO:
        for k in range(free_effects):
            for j in range(sites):
                gradient[effect_place + k] += basis[j * free_effects + k] * effect_gradient[j]
    for k in range(slopes):
        for j in range(sites):
            own = slope_place + j * slopes + k
            if kind == NON_CENTRED:
                slope_sd_gradient[k] += site_slope_gradient[j, k] * x[own]
            gradient[own] += site_slope_gradient[j, k] * (slope_sd[k] if kind == NON_CENTRED else 1.0)
        gradient[slope_sd_place + k] = slope_sd_gradient[k] * slope_sd[k] + 1.0
    if kind in (NON_CENTRED, CENTRED):
        gradient[sd_place] = sd_gradient * sd + 1.0
    return total
