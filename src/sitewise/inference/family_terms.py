"""Log cumulative hazard and log hazard of every family at one time, compiled, with slopes in the log scale and the shape.

The formulas are those of :mod:`sitewise.families`, where their sources stand; tests hold the two together, in values and
slopes.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled, inlined
from sitewise.families.base import LOG_LOG_2
from sitewise.families.gamma_tail import LOG_ROOT_2_PI
from sitewise.families.log_gamma_kernels import farthest, log_constant, median_terms, survival_terms, tail_table
from sitewise.inference.hazard_terms import gompertz_terms, spline_terms

WEIBULL, EXPONENTIAL, LOG_NORMAL, LOG_LOGISTIC, GAMMA, GENERALISED_GAMMA, GOMPERTZ, SPLINE = range(8)
EARLY = -40.0
REACH = 4.0
"""Distance from the middle to which tails are tabulated; few patients are beyond, whose tails are summed."""
FAR = 8.0
"""Beyond this a normal tail is Mills' ratio as a continued fraction."""


@compiled
def normal_tail(z):  # type: ignore[no-untyped-def]
    """Return log Phi(-z)."""
    if z < FAR:
        return math.log(0.5 * math.erfc(z / math.sqrt(2.0))) if z > -FAR else math.log1p(-0.5 * math.erfc(-z / math.sqrt(2.0)))
    fraction = 0.0
    for k in range(60, 0, -1):
        fraction = k / (z + fraction)
    return -0.5 * z * z - LOG_ROOT_2_PI - math.log(z + fraction)


@compiled
def normal_terms(z):  # type: ignore[no-untyped-def]
    """Return log(-log Phi(-z)), its slope, and log hazard of a standard normal with its slope."""
    log_survival = normal_tail(z)
    log_hazard = -0.5 * z * z - LOG_ROOT_2_PI - log_survival
    hazard = math.exp(log_hazard)
    if z < -5.0:
        log_before = normal_tail(-z)
        before = math.exp(log_before)
        log_cumulative = log_before + before / 2.0 + 5.0 * before * before / 24.0
    else:
        log_cumulative = math.log(-log_survival)
    return log_cumulative, math.exp(log_hazard - log_cumulative), log_hazard, hazard - z


@compiled
def logistic_terms(w):  # type: ignore[no-untyped-def]
    """Return log log(1 + exp(w)), its slope, and the log of the logistic distribution function with its slope."""
    if w < -15.0:
        odds = math.exp(w)
        log_cumulative = w - odds / 2.0 + 5.0 * odds * odds / 24.0
    else:
        log_cumulative = math.log(max(w, 0.0) + math.log1p(math.exp(-abs(w))))
    log_hazard = min(w, 0.0) - math.log1p(math.exp(-abs(w)))
    return log_cumulative, math.exp(log_hazard - log_cumulative), log_hazard, -math.expm1(log_hazard)


@compiled
def fixed_numbers(code, theta, log_unit, last):  # type: ignore[no-untyped-def]
    """Return what is the same at all times: log unit, last value of a spline, and the constant of a log-gamma density."""
    numbers = np.zeros(4)
    numbers[0], numbers[1] = log_unit, last
    if code in (GAMMA, GENERALISED_GAMMA):
        numbers[2], numbers[3] = log_constant(1.0 / math.sqrt(theta[0]) if code == GAMMA else theta[1])
    return numbers


@compiled
def log_gamma_tails(code, theta, numbers):  # type: ignore[no-untyped-def]
    """Return tables of a log-gamma variable's right and left tail; empty ones of other families."""
    if code not in (GAMMA, GENERALISED_GAMMA):
        return np.empty((0, 6)), np.empty((0, 6))
    q = 1.0 / math.sqrt(theta[0]) if code == GAMMA else theta[1]
    reach = REACH * (1.0 + abs(q))
    right = tail_table(q, numbers[2], numbers[3], min(reach, farthest(q)))
    return right, tail_table(-q, numbers[2], -numbers[3], min(reach, farthest(-q)))


@inlined
def own_terms(code, log_time, log_scale, theta, form, f, g):  # type: ignore[no-untyped-def]
    """Return log H, log h and their slopes in the log scale of a family without cure; fill slopes in the shape.

    ``form`` holds what is the same at all times: :func:`fixed_numbers`; breaks and cumulative of
    :class:`sitewise.families.hazard_splines.Basis` and :func:`spline_weights`, which are empty for other families; and
    :func:`log_gamma_tails`. Arrays of a tuple are counted anew, atomically, where it is passed: hence compiled into its
    callers.
    """
    numbers, breaks, cumulative, weights, right, left = form
    away = log_time - log_scale
    if code in (WEIBULL, EXPONENTIAL):
        shape = theta[0] if code == WEIBULL else 1.0
        if code == WEIBULL:
            f[0], g[0] = away, away + 1.0 / shape
        return shape * away, math.log(shape) + shape * away - log_time, -shape, -shape
    if code in (LOG_NORMAL, LOG_LOGISTIC):
        shape = theta[0]
        index = shape * away
        value, slope, log_hazard, hazard_slope = normal_terms(index) if code == LOG_NORMAL else logistic_terms(index)
        f[0], g[0] = slope * away, hazard_slope * away + 1.0 / shape
        return value, math.log(shape) + log_hazard - log_time, -shape * slope, -shape * hazard_slope
    if code in (GAMMA, GENERALISED_GAMMA):
        if code == GAMMA:
            rate, q = math.sqrt(theta[0]), 1.0 / math.sqrt(theta[0])
            away -= math.log(theta[0])
        else:
            rate, q = theta[0], theta[1]
        u = max(rate * away, -1e6)
        log_survival, survival_slope, survival_in_q, value, log_density, density_slope, density_in_q = survival_terms(
            u, q, numbers[2], numbers[3], right, left
        )
        whole = math.exp(value)
        slope, in_q = -survival_slope / whole, -survival_in_q / whole
        hazard_slope, hazard_in_q = density_slope - survival_slope, density_in_q - survival_in_q
        if code == GAMMA:
            along = 0.5 * away / rate - 1.0 / rate  # du / dalpha, where log alpha moves too
            turned = -0.5 * q / theta[0]
            f[0] = slope * along + in_q * turned
            g[0] = 0.5 / theta[0] + hazard_slope * along + hazard_in_q * turned
        else:
            f[0], g[0] = slope * away, 1.0 / rate + hazard_slope * away
            f[1], g[1] = in_q, hazard_in_q
        return value, math.log(rate) + log_density - log_survival - log_time, -rate * slope, -rate * hazard_slope
    log_unit = numbers[0]
    share = math.exp(log_time - log_unit)
    if code == GOMPERTZ:
        relative, rate = gompertz_terms(share, theta[0], f, g)
    else:
        relative, rate = spline_terms(share, breaks, cumulative, numbers[1], weights, f, g)
    return log_unit - log_scale + relative, rate - log_scale, -1.0, -1.0


@inlined
def terms(code, cured, log_time, log_scale, theta, form, f, g):  # type: ignore[no-untyped-def]
    """Return log H, log h and their slopes in the log scale; fill their slopes in the shape into ``f`` and ``g``.

    With ``cured`` the last of ``theta`` is the share cured: H = -log(pi + (1 - pi) exp(-H0)).
    """
    value, rate, value_slope, rate_slope = own_terms(code, log_time, log_scale, theta, form, f, g)
    if not cured:
        return value, rate, value_slope, rate_slope
    m = theta.size - 1
    share, own = theta[m], math.exp(value)
    gone = math.expm1(-own)
    survival = 1.0 + (1.0 - share) * gone
    log_survival = math.log1p((1.0 - share) * gone)
    if value < EARLY:
        total, through = value + math.log1p(-share), 1.0
        f[m] = -1.0 / (1.0 - share)
    else:
        total = math.log(-log_survival)
        through = own * (1.0 - share) * math.exp(-own) / (survival * -log_survival)
        f[m] = gone / (survival * -log_survival)
    lost = -own + own * (1.0 - share) * math.exp(-own) / survival
    g[m] = -1.0 / (1.0 - share) + gone / survival
    for j in range(m):
        g[j] += lost * f[j]
        f[j] *= through
    return total, math.log1p(-share) + rate - own - log_survival, through * value_slope, rate_slope + lost * value_slope


@compiled
def median_offset(code, theta, slopes):  # type: ignore[no-untyped-def]
    """Return log median less log scale of a family of scales, and fill its slopes in the shape."""
    if code == WEIBULL:
        slopes[0] = -LOG_LOG_2 / (theta[0] * theta[0])
        return LOG_LOG_2 / theta[0]
    if code == EXPONENTIAL:
        return LOG_LOG_2
    if code == GENERALISED_GAMMA:
        middle, slope = median_terms(theta[1])
        slopes[0], slopes[1] = -middle / (theta[0] * theta[0]), slope / theta[0]
        return middle / theta[0]
    if code == GAMMA:
        rate = math.sqrt(theta[0])
        middle, slope = median_terms(1.0 / rate)
        slopes[0] = 1.0 / theta[0] - 0.5 * middle / (rate * theta[0]) - 0.5 * slope / (theta[0] * theta[0])
        return math.log(theta[0]) + middle / rate
    return 0.0


@compiled
def index_rate(code, theta, slopes):  # type: ignore[no-untyped-def]
    """Return by how much the index falls with the log scale, and fill its slopes in the shape."""
    if code == GAMMA:
        slopes[0] = 0.5 / math.sqrt(theta[0])
        return math.sqrt(theta[0])
    if code in (EXPONENTIAL, GOMPERTZ, SPLINE):
        return 1.0
    slopes[0] = 1.0
    return theta[0]
