"""The log density of a spec and its gradient, compiled once for all specs and kept on disk.

Compiling the PyMC graph takes seconds in every process; this function takes the numbers of the spec and the cohort as one
array of doubles, so its machine code serves every cohort and spec and numba loads it from its cache. It is the same density
as the graph's (tests/inference/test_kernel.py holds the two together at random points);
:func:`sitewise.inference.packing.pack` makes the array, and ``kernel_reads`` says when a spec needs the graph instead.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.families.base import LOG_LOG_2
from sitewise.inference.family_terms import (
    EXPONENTIAL,
    GOMPERTZ,
    fixed_numbers,
    index_rate,
    log_gamma_tails,
    median_offset,
    own_terms,
)
from sitewise.inference.hazard_terms import spline_weights
from sitewise.inference.kernel_likelihood import family_likelihood, weibull_likelihood
from sitewise.inference.kernel_sites import CENTRED, NO_SITES, NON_CENTRED, effects_back, site_effects, site_slopes, slopes_back
from sitewise.inference.prior_densities import prior_log_density

HEADER = 32
"""Doubles before the arrays; see ``packing.pack`` for what they are."""
TIMES = 8
"""Columns of the array of times; see :mod:`sitewise.inference.kernel_likelihood`."""

AT_MEANS_LOG_MEDIAN, AT_MEANS_LOG_SCALE, AT_MEANS_AS_IS = range(3)
POSITIVE, REAL, SHARE = range(3)
"""Supports of the shape's parameters: sampled as logs, as they are, and as log odds."""


@compiled
def natural_shape(x, priors, theta, in_point, jacobian):  # type: ignore[no-untyped-def]
    """Fill shape parameters, their slopes in the point and those of the log Jacobian, (m,); return log prior and Jacobian."""
    total = 0.0
    for j in range(theta.size):
        if priors[j, 0] == POSITIVE:
            theta[j] = math.exp(x[j])
            in_point[j], jacobian[j] = theta[j], 1.0
            total += x[j]
        elif priors[j, 0] == REAL:
            theta[j] = x[j]
            in_point[j], jacobian[j] = 1.0, 0.0
        else:
            theta[j] = 1.0 / (1.0 + math.exp(-x[j]))
            in_point[j], jacobian[j] = theta[j] * (1.0 - theta[j]), 1.0 - 2.0 * theta[j]
            total += -abs(x[j]) - 2.0 * math.log1p(math.exp(-abs(x[j])))
    return total


@compiled
def log_density(x, data, gradient):  # type: ignore[no-untyped-def]
    """Return the log density at the unconstrained point x and fill its gradient.

    x holds, in this order and as far as the spec has them: the shape, unconstrained; coefficients times the sds of their
    columns; log site sd; site effects (standardised, as they are, or in a basis of sum zero); log sds of the slopes, and
    slopes, those of a site together (standardised or not, as the effects are); the baseline at the covariate means, or the log
    median of the reference patient under families whose median is no shift of the scale. The Jacobians are included; the
    constant one of the coefficients' scaling is not.
    """
    n, p, free_effects, sites = int(data[0]), int(data[1]), int(data[2]), int(data[3])
    time_ratio, kind, baseline, slopes = data[4] == 1.0, int(data[6]), int(data[9]), int(data[24])
    code, m, cured = int(data[25]), int(data[5]), data[26] == 1.0
    pieces, size, degree = int(data[27]), int(data[28]), int(data[29])

    start = HEADER
    terms = data[start : start + 6 * p].reshape((p, 6))
    start += 6 * p
    times = data[start : start + TIMES * n].reshape((n, TIMES))
    start += TIMES * n
    site = data[start : start + n]
    start += n
    covariates = data[start : start + n * p].reshape((n, p))
    start += n * p
    basis = data[start : start + (sites * free_effects if kind == 3 else 0)]
    start += basis.size
    slope_priors = data[start : start + 4 * slopes].reshape((slopes, 4))
    start += 4 * slopes
    slope_rows = data[start : start + n * slopes].reshape((n, slopes))
    start += n * slopes
    shape_priors = data[start : start + 5 * m].reshape((m, 5))
    start += 5 * m
    log_unit, last = data[start], data[start + 1]
    start += 2
    constant = data[start : start + size]
    start += size
    breaks = data[start : start + (pieces + 1 if size else 0)]
    start += breaks.size
    cumulative = data[start : start + pieces * size * (degree + 2)].reshape((pieces, size, degree + 2))

    gradient[:] = 0.0
    theta, in_point, jacobian, in_shape, extra = np.empty(m), np.empty(m), np.empty(m), np.zeros(m), np.zeros(m)
    total = natural_shape(x, shape_priors, theta, in_point, jacobian)
    for j in range(m):
        prior = shape_priors[j]
        value, in_shape[j] = prior_log_density(int(prior[1]), prior[2], prior[3], prior[4], theta[j])
        total += value
    weights = np.empty((size, 1 + (size if size > 1 else 0)))
    if size:
        spline_weights(theta, constant, weights)
    numbers = fixed_numbers(code, theta, log_unit, last)
    right, left = log_gamma_tails(code, theta, numbers)
    form = (numbers, breaks, cumulative, weights, right, left)
    place = m
    coefficient = np.empty(p)
    for j in range(p):
        coefficient[j] = x[place + j] / terms[j, 4]
        value, slope = prior_log_density(int(terms[j, 0]), terms[j, 1], terms[j, 2], terms[j, 3], coefficient[j])
        total += value
        gradient[place + j] += slope / terms[j, 4]
    place += p

    sd, in_sd, sd_place = 1.0, 0.0, place
    if kind in (NON_CENTRED, CENTRED):
        sd = math.exp(x[place])
        value, in_sd = prior_log_density(int(data[14]), data[15], data[16], data[17], sd)
        total += value + x[place]
        place += 1
    effect_place, effect = place, np.zeros(sites)
    value, slope = site_effects(x, place, kind, sd, data[22], basis, effect, gradient)
    total += value
    in_sd += slope
    place += free_effects
    slope_place, slope_sd, in_slope_sd = place, np.empty(slopes), np.zeros(slopes)
    site_slope, site_slope_gradient = np.empty((sites, slopes)), np.zeros((sites, slopes))
    total += site_slopes(x, place, kind, slope_priors, site_slope, slope_sd, in_slope_sd, gradient)
    place += slopes * (1 + sites)

    # The baseline: its prior speaks of the reference patient, whose log scale is ``shift`` lower than that at the means.
    distance, base = 0.0, x[place]
    for j in range(p):
        distance += terms[j, 5] * coefficient[j]
    log_scale, in_base, by_median = base, 1.0, baseline == AT_MEANS_LOG_MEDIAN
    shift_of_shape, shift_per_distance = np.zeros(m), 1.0
    if not time_ratio:
        rate = index_rate(code, theta, extra)
        shift_per_distance = -1.0 / rate
        for j in range(m):
            shift_of_shape[j] = distance * extra[j] / (rate * rate)
            extra[j] = 0.0
    scale_of_shape = np.zeros(m)
    if by_median and code >= GOMPERTZ:
        # x is the log median of the reference patient: log scale = log unit + log R(median) - log log 2, then to the means.
        relative, hazard_then, _, _ = own_terms(code, base, 0.0, theta, form, scale_of_shape, extra)
        value, slope = prior_log_density(int(data[18]), data[19], data[20], data[21], base)
        total += value
        gradient[place] += slope
        in_base = math.exp(hazard_then + base - relative)
        log_scale = relative - LOG_LOG_2 + shift_per_distance * distance
        by_distance = 1.0
    else:
        shift = shift_per_distance * distance if baseline != AT_MEANS_AS_IS else 0.0
        value, slope = prior_log_density(int(data[18]), data[19], data[20], data[21], base - shift)
        total += value
        gradient[place] += slope
        if baseline != AT_MEANS_AS_IS:
            for j in range(p):
                gradient[m + j] -= slope * shift_per_distance * terms[j, 5] / terms[j, 4]
            for j in range(m):
                in_shape[j] -= slope * shift_of_shape[j]
        if by_median:
            log_scale = base - median_offset(code, theta, scale_of_shape)
            for j in range(m):
                scale_of_shape[j] = -scale_of_shape[j]
        by_distance = 0.0

    predictor, along = np.empty(n), np.empty(n)
    for i in range(n):
        at = int(site[i])
        own = effect[at] if kind != NO_SITES else 0.0
        for k in range(slopes):
            own += site_slope[at, k] * slope_rows[i, k]
        for j in range(p):
            own += covariates[i, j] * coefficient[j]
        predictor[i] = own
    if code <= EXPONENTIAL and not cured:
        shape = theta[0] if m else 1.0
        value, in_scale = weibull_likelihood(times, time_ratio, predictor, log_scale, shape, along, in_shape)
    else:
        value, in_scale = family_likelihood(times, time_ratio, predictor, log_scale, code, cured, theta, form, along, in_shape)
    total += value

    effect_gradient = np.zeros(sites)
    for i in range(n):
        at = int(site[i])
        for j in range(p):
            gradient[m + j] += along[i] * covariates[i, j] / terms[j, 4]
        if kind != NO_SITES:
            effect_gradient[at] += along[i]
        for k in range(slopes):
            site_slope_gradient[at, k] += along[i] * slope_rows[i, k]
    gradient[place] += in_scale * in_base
    for j in range(p):
        gradient[m + j] += by_distance * in_scale * shift_per_distance * terms[j, 5] / terms[j, 4]
    for j in range(m):
        in_shape[j] += in_scale * (scale_of_shape[j] + by_distance * shift_of_shape[j])
        gradient[j] = in_shape[j] * in_point[j] + jacobian[j]
    in_sd += effects_back(x, effect_place, kind, sd, basis, effect_gradient, gradient)
    slopes_back(x, slope_place, kind, slope_sd, in_slope_sd, site_slope_gradient, gradient)
    if kind in (NON_CENTRED, CENTRED):
        gradient[sd_place] = in_sd * sd + 1.0
    return total
