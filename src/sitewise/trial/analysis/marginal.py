"""Averages over a population of sites inside each draw: survival, restricted mean and median of a Weibull case mix.

A site's effect is Normal(0, sd) on the log hazard. Its average is the trapezoidal rule over z = effect / sd with equal steps.
exp(-H exp(sd z)) is analytic and bounded by one where sd |Im z| < pi / 2, and the rule's error is about
exp(a^2 / 2 - 2 pi a / step) for functions that are bounded where |Im z| < a (Trefethen & Weideman 2014, SIAM Review 56:385):
the step is chosen by sd so that this is below exp(-17), 4e-8. An sd of 0.5 takes 13 nodes, of 1 takes 23.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.classical.exponentials import exponentials

REACH = 5.4
"""Sds on either side: what lies beyond, 7e-8, changes no survival by more."""
FALLEN, WIDEST_STRIP, LARGEST_STEP = 17.0, 5.5, 1.0
MOST = 400
"""Most nodes on either side: enough for sds up to 40."""
CUT = 690.0
"""Exponents are cut here: exp(-690) is no survival that anybody reads."""
LARGE, LARGER = 14.0, 4.0
"""Cumulative hazard at the horizon, for shape 1 / a above LARGE + LARGER a, from which the area beyond it is less than 3e-8 of
the whole."""
NEGLIGIBLE_TERM, KEPT = 1e-9, 64
"""Term at which the series ends, as a share of its sum; terms whose denominators are kept for all nodes of a draw."""
HALF_LEVEL = math.log(math.log(2.0))
STEPS, CLOSE = 60, 1e-7
APART, MOST_POINTS = 0.4, 200
"""Points between which log(-log S) is interpolated, and most of them."""
EARLY = 0.01
"""Cumulative hazard below which deaths are summed instead of survivors: 1 - S keeps its digits."""


@compiled
def site_nodes(sd, factor, mass):  # type: ignore[no-untyped-def]
    """Fill ``factor`` with exp(sd z) and ``mass`` with their probabilities; return how many nodes there are."""
    if sd == 0.0:
        factor[0], mass[0] = 1.0, 1.0
        return 1
    strip = min(0.5 * math.pi / sd, WIDEST_STRIP)
    step = min(LARGEST_STEP, 2.0 * math.pi * strip / (FALLEN + 0.5 * strip * strip))
    side = min(math.ceil(REACH / step), MOST)
    total = 0.0
    for i in range(2 * side + 1):
        z = (i - side) * step
        factor[i] = math.exp(min(sd * z, CUT))
        mass[i] = math.exp(-0.5 * z * z)
        total += mass[i]
    for i in range(2 * side + 1):
        mass[i] /= total
    return 2 * side + 1


@compiled
def marginal_survival(index, share, sd, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (S,) with the survival of a case mix.

    ``index`` (S, G) is each group's log cumulative hazard at an average site, ``share`` (G,) the case mix, ``sd`` (S,) the
    spread of sites.
    """
    factor, mass = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    x, values = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    for s in range(sd.size):
        count = site_nodes(sd[s], factor, mass)
        total = 0.0
        for g in range(share.size):
            if share[g] > 0.0:
                hazard = math.exp(min(index[s, g], CUT))
                for i in range(count):
                    x[i] = -min(hazard * factor[i], CUT)
                exponentials(x, values, count)
                for i in range(count):
                    total += share[g] * mass[i] * values[i]
        result[s] = total


@compiled
def denominators(power, inverse):  # type: ignore[no-untyped-def]
    """Fill ``inverse`` (KEPT,) with 1 / (power + n), n = 1, 2, ...; return log Gamma(1 + power)."""
    for n in range(inverse.size):
        inverse[n] = 1.0 / (power + n + 1.0)
    return math.lgamma(1.0 + power)


@compiled
def mean_within(hazard, power, inverse, log_gamma):  # type: ignore[no-untyped-def]
    """Return the integral over x in (0, 1) of exp(-hazard x^(1 / power)): a restricted mean over its horizon.

    With a = power it is a h^-a gamma(a, h), by the series exp(-h) sum h^n / ((a + 1) ... (a + n)) of the lower incomplete gamma
    function (Abramowitz & Stegun 1964, 6.5.29), whose terms are all positive; for large h by Gamma(a + 1) h^-a.
    """
    if hazard > LARGE + LARGER * power:
        return math.exp(log_gamma - power * math.log(hazard))
    term, total, n = 1.0, 1.0, 0
    while term > NEGLIGIBLE_TERM * total:
        term *= hazard * inverse[n] if n < KEPT else hazard / (power + n + 1.0)
        total += term
        n += 1
    return math.exp(-hazard) * total


@compiled
def marginal_mean_within(index, shape, share, sd, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (S,) with restricted means over their horizon; ``index`` (S, G) is at the horizon, ``shape`` (S,)."""
    factor, mass, inverse = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1), np.empty(KEPT)
    for s in range(sd.size):
        count = site_nodes(sd[s], factor, mass)
        power = 1.0 / shape[s]
        log_gamma = denominators(power, inverse)
        total = 0.0
        for g in range(share.size):
            if share[g] > 0.0:
                hazard = math.exp(min(index[s, g], CUT))
                for i in range(count):
                    total += share[g] * mass[i] * mean_within(hazard * factor[i], power, inverse, log_gamma)
        result[s] = total


@compiled
def marginal_median_index(index, share, sd, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (S,) with what is to be added to each ``index`` (S, G) for the case mix's survival to be one half.

    Newton steps for log(-log S), which is nearly straight, with bisection where a step leaves the bracket.
    """
    factor, mass = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    x, values = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    for s in range(sd.size):
        count = site_nodes(sd[s], factor, mass)
        least, most, middle = np.inf, -np.inf, 0.0
        for g in range(share.size):
            if share[g] > 0.0:
                least, most = min(least, index[s, g]), max(most, index[s, g])
                middle += share[g] * index[s, g]
        reach = math.log(factor[count - 1]) + 1.0
        low, high, point = HALF_LEVEL - most - reach, HALF_LEVEL - least + reach, HALF_LEVEL - middle
        for _ in range(STEPS):
            survival, falling = 0.0, 0.0
            for g in range(share.size):
                if share[g] > 0.0:
                    hazard = math.exp(min(index[s, g] + point, CUT))
                    for i in range(count):
                        x[i] = -min(hazard * factor[i], CUT)
                    exponentials(x, values, count)
                    for i in range(count):
                        own = share[g] * mass[i] * values[i]
                        survival += own
                        falling += own * hazard * factor[i]
            if survival > 0.5:
                low = point
            else:
                high = point
            following = 0.5 * (low + high)
            if 0.0 < survival < 1.0 and falling > 0.0:
                cumulative = -math.log(survival)
                newton = point + (HALF_LEVEL - math.log(cumulative)) * survival * cumulative / falling
                if low < newton < high:
                    following = newton
            moved = abs(following - point)
            point = following
            if moved < CLOSE:
                break
        result[s] = point


@compiled
def log_cumulative_hazard(index, factor, mass, count, x, values):  # type: ignore[no-untyped-def]
    """Return log(-log S) at an index, S averaged over sites, and its derivative in the index; scratch ``x``, ``values``."""
    hazard = math.exp(min(index, CUT))
    for i in range(count):
        x[i] = -min(hazard * factor[i], CUT)
    exponentials(x, values, count)
    survival, falling, died = 0.0, 0.0, 0.0
    for i in range(count):
        survival += mass[i] * values[i]
        falling += mass[i] * values[i] * hazard * factor[i]
        died -= mass[i] * math.expm1(-min(hazard * factor[i], CUT)) if hazard < EARLY else 0.0
    cumulative = -math.log1p(-died) if hazard < EARLY else -math.log(survival)
    return math.log(cumulative), falling / (survival * cumulative)


@compiled
def marginal_cumulative_hazard(log_time, group, index, shape, sd, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (S,) with the sum over patients of -log S, averaged over sites, at their own times.

    ``log_time`` and ``group`` (n,) are the patients'; ``index`` (S, G) is the log cumulative hazard at time one. In each draw
    log(-log S) is a function of the index that is nearly straight: cubic Hermite interpolation between points 0.4
    apart.
    """
    factor, mass = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    x, values = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    level, slope = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
    own = np.empty(log_time.size)
    for s in range(sd.size):
        count = site_nodes(sd[s], factor, mass)
        for p in range(own.size):
            own[p] = index[s, group[p]] + shape[s] * log_time[p]
        low, high = own.min(), own.max()
        points = min(2 + int((high - low) / APART), MOST_POINTS)
        step = max((high - low) / (points - 1), 1e-9)
        for j in range(points):
            level[j], slope[j] = log_cumulative_hazard(low + j * step, factor, mass, count, x, values)
        total = 0.0
        for p in range(own.size):
            place = (own[p] - low) / step
            j = min(int(place), points - 2)
            t = place - j
            rise = level[j + 1] - level[j]
            first, last = step * slope[j] - rise, rise - step * slope[j + 1]
            total += math.exp(level[j] + t * rise + t * (1.0 - t) * ((1.0 - t) * first + t * last))
        result[s] = total
