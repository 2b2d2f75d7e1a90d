"""Log densities of the common priors and their slopes, compiled: what the kernel and the fast engine share."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled

NORMAL, STUDENT_T, CAUCHY, LAPLACE = range(4)
HALF_NORMAL, LOG_NORMAL, HALF_STUDENT_T, EXPONENTIAL, GAMMA, INVERSE_GAMMA, HALF_CAUCHY, BETA = range(4, 12)
"""Codes of prior distributions, with parameters a, b, c in PyMC's order."""

LOG_2_PI = math.log(2 * math.pi)


@compiled
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
    if code == BETA:  # alpha, beta
        constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        return constant + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x), (a - 1) / x - (b - 1) / (1 - x)
    z = x / a  # half-Cauchy
    return math.log(2 / (math.pi * a)) - math.log1p(z * z), -2 * z / (1 + z * z) / a


@compiled
def prior_log_densities(code, a, b, c, values):  # type: ignore[no-untyped-def]
    """Return the log density of a prior at each of ``values``, shape (m,)."""
    result = np.empty(values.size)
    for i in range(values.size):
        result[i] = prior_log_density(code, a, b, c, values[i])[0]
    return result
