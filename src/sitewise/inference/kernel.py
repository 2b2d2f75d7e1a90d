"""The log density of a Weibull or exponential spec and its gradient, compiled once for all specs and kept on disk.

Compiling the PyMC graph takes seconds in every process; this function takes the numbers of the spec and the cohort as one
array of doubles, so its machine code serves every cohort and spec and numba loads it from its cache. It is the same density
as the graph's (tests/inference/test_kernel.py holds the two together at random points);
:func:`sitewise.inference.packing.pack` makes the array, and ``kernel_reads`` says when a spec needs the graph instead.

Everything is one file because numba's cache looks at the file of the compiled function only.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import carray, types

HEADER = 32
"""Doubles before the arrays; see ``packing.pack`` for what they are."""

NORMAL, STUDENT_T, CAUCHY, LAPLACE = range(4)
HALF_NORMAL, LOG_NORMAL, HALF_STUDENT_T, EXPONENTIAL, GAMMA, INVERSE_GAMMA, HALF_CAUCHY = range(4, 11)
"""Codes of prior distributions, with parameters a, b, c in PyMC's order."""

NO_SITES, NON_CENTRED, CENTRED, SUM_TO_ZERO = range(4)
AT_MEANS_LOG_MEDIAN, AT_MEANS_LOG_SCALE, AT_MEANS_AS_IS = range(3)

LOG_2_PI = math.log(2 * math.pi)
LOG_LOG_2 = math.log(math.log(2.0))


def _jit(function):  # type: ignore[no-untyped-def]
    """Compile with numba and keep the machine code on disk, where there is a disk to write to."""
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:
        return numba.njit(error_model="numpy", nogil=True)(function)


@_jit
def prior_log_density(code, a, b, c, x):  # type: ignore[no-untyped-def]
    """Return the log density of a prior at x and its derivative."""
    if code == NORMAL:
        z = (x - a) / b
        return -0.5 * z * z - math.log(b) - 0.5 * LOG_2_PI, -z / b
    if code == STUDENT_T:  # nu, mu, sigma
        z = (x - b) / c
        constant = math.lgamma(0.5 * (a + 1)) - math.lgamma(0.5 * a) - 0.5 * math.log(math.pi * a) - math.log(c)
        return constant - 0.5 * (a + 1) * math.log1p(z * z / a), -(a + 1) * z / (a + z * z) / c
    if code == CAUCHY:
        z = (x - a) / b
        return -math.log(math.pi * b) - math.log1p(z * z), -2 * z / (1 + z * z) / b
    if code == LAPLACE:
        z = (x - a) / b
        return -math.log(2 * b) - abs(z), -np.sign(z) / b
    if code == HALF_NORMAL:
        z = x / a
        return 0.5 * math.log(2 / math.pi) - math.log(a) - 0.5 * z * z, -z / a
    if code == LOG_NORMAL:
        z = (math.log(x) - a) / b
        return -0.5 * z * z - math.log(b) - 0.5 * LOG_2_PI - math.log(x), -(z / b + 1) / x
    if code == HALF_STUDENT_T:  # nu, sigma
        z = x / b
        constant = math.lgamma(0.5 * (a + 1)) - math.lgamma(0.5 * a) - 0.5 * math.log(math.pi * a) - math.log(b)
        return math.log(2.0) + constant - 0.5 * (a + 1) * math.log1p(z * z / a), -(a + 1) * z / (a + z * z) / b
    if code == EXPONENTIAL:
        return math.log(a) - a * x, -a
    if code == GAMMA:  # alpha, beta
        return a * math.log(b) - math.lgamma(a) + (a - 1) * math.log(x) - b * x, (a - 1) / x - b
    if code == INVERSE_GAMMA:  # alpha, beta
        return a * math.log(b) - math.lgamma(a) - (a + 1) * math.log(x) - b / x, -(a + 1) / x + b / (x * x)
    z = x / a  # half-Cauchy
    return math.log(2 / (math.pi * a)) - math.log1p(z * z), -2 * z / (1 + z * z) / a


@_jit
def prior_log_densities(code, a, b, c, values):  # type: ignore[no-untyped-def]
    """Return the log density of a prior at each of ``values``, shape (m,)."""
    result = np.empty(values.size)
    for i in range(values.size):
        result[i] = prior_log_density(code, a, b, c, values[i])[0]
    return result


@_jit
def log_density(x, data, gradient):  # type: ignore[no-untyped-def]
    """Return the log density at the unconstrained point x and fill its gradient.

    x holds, in this order and as far as the spec has them: log shape; coefficients times the sds of their columns; log site
    sd; site effects (standardised, as they are, or in a basis of sum zero); the baseline at the covariate means. The
    Jacobian of the logs is included; the constant one of the coefficients' scaling is not.
    """
    n, p, free_effects, sites = int(data[0]), int(data[1]), int(data[2]), int(data[3])
    time_ratio, has_shape, kind = data[4] == 1.0, data[5] == 1.0, int(data[6])
    has_entry, has_weight, baseline = data[7] == 1.0, data[8] == 1.0, int(data[9])

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
    covariates = data[start : start + n * p].reshape((n, p))
    start += n * p
    basis = data[start : start + sites * free_effects if kind == SUM_TO_ZERO else start]

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
        predictor = effect[int(site[i])] if kind != NO_SITES else 0.0
        for j in range(p):
            predictor += covariates[i, j] * coefficient[j]
        weight = data[weight_start + i] if has_weight else 1.0
        distance_in_time = log_time[i] - log_scale
        log_hazard = shape * distance_in_time + per_unit * predictor
        hazard = math.exp(log_hazard)
        total += weight * (event[i] * (log_shape + log_hazard - log_time[i]) - hazard)
        r = weight * (event[i] - hazard)
        shape_gradient += weight * event[i] / shape + r * (distance_in_time - (predictor if time_ratio else 0.0))
        if has_entry and data[entry_start + n + i] != 0.0:
            distance_at_entry = data[entry_start + i] - log_scale
            at_entry = weight * math.exp(shape * distance_at_entry + per_unit * predictor)
            total += at_entry
            shape_gradient += at_entry * (distance_at_entry - (predictor if time_ratio else 0.0))
            r += at_entry
        scale_gradient -= shape * r
        for j in range(p):
            gradient[coefficient_place + j] += per_unit * r * covariates[i, j] / terms[j, 4]
        if kind != NO_SITES:
            effect_gradient[int(site[i])] += per_unit * r

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
    if kind in (NON_CENTRED, CENTRED):
        gradient[sd_place] = sd_gradient * sd + 1.0
    return total


_DENSITY = types.int64(
    types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.CPointer(types.double), types.voidptr
)
_EXPAND = types.int64(types.uint64, types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.voidptr)


@numba.extending.intrinsic
def _as_doubles(typingctx, pointer):  # type: ignore[no-untyped-def]
    """Cast nutpie's untyped data pointer to doubles."""
    signature = types.CPointer(types.double)(types.voidptr)

    def codegen(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.CPointer(types.double)))

    return signature, codegen


def _density(dim, x_pointer, gradient_pointer, value_pointer, data_pointer):  # type: ignore[no-untyped-def]
    """Return 0, or 3 / 4 where the gradient or the density is not finite, as nutpie wants it."""
    doubles = _as_doubles(data_pointer)
    size = int(carray(doubles, (HEADER,))[HEADER - 1])
    gradient = carray(gradient_pointer, (dim,))
    value = log_density(carray(x_pointer, (dim,)), carray(doubles, (size,)), gradient)
    carray(value_pointer, (1,))[0] = value
    for j in range(dim):
        if not math.isfinite(gradient[j]):
            return 3
    return 0 if math.isfinite(value) else 4


def _expand(dim, expanded, x_pointer, out_pointer, data_pointer):  # type: ignore[no-untyped-def]
    """Copy the point: parameters are made from the stored points afterwards, all at once."""
    point, out = carray(x_pointer, (dim,)), carray(out_pointer, (dim,))
    for j in range(dim):
        out[j] = point[j]
    return 0


def _cfunc(signature: Any, function: Any) -> Any:
    try:
        return numba.cfunc(signature, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.cfunc(signature, error_model="numpy")(function)


@cache
def density_cfunc() -> Any:
    """Return the density as a C function; made when first asked for, since even loading it takes a tenth of a second."""
    return _cfunc(_DENSITY, _density)


@cache
def expand_cfunc() -> Any:
    """Return the copying of points as a C function."""
    return _cfunc(_EXPAND, _expand)
