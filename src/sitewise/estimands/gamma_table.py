"""The upper tail of a standardised log-gamma variable as a table: a quintic through its values, slopes and curvatures.

The density exp(c(q) - u^2 psi(q u)) is a formula (:mod:`sitewise.families.gamma_tail`); its sum to the right of each place is
made from the right by Gauss-Legendre steps. Between neighbouring places a step d apart the quintic errs by d^6 / 46080 times
the sixth derivative (de Boor 2001, A Practical Guide to Splines): below 1e-10 for steps of .08 / max(1, |q|).
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.families.base import GAMMA

STEP = 0.08
FARTHEST = 45.0
"""Exponents beyond which exp(-x) is nothing beside one."""
MOST = 100_000
PLACES, WEIGHTS = np.polynomial.legendre.leggauss(5)
PLACES, WEIGHTS = 0.5 * (1 + PLACES), 0.5 * WEIGHTS


@compiled
def log_gamma_density(u, q, constant):  # type: ignore[no-untyped-def]
    """Return the log density at u."""
    x = min(q * u, 600.0)
    if abs(x) < 1e-3:
        return constant - u * u * (0.5 + x / 6.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0)))
    return constant - (math.expm1(x) - x) / (q * q)


@compiled
def log_gamma_constant(q):  # type: ignore[no-untyped-def]
    """Return the log density at zero."""
    square = q * q
    if abs(q) < 0.1:
        return -0.5 * math.log(2.0 * math.pi) - square / 12.0 * (
            1.0 - square * square / 30.0 * (1.0 - 2.0 * square * square / 7.0)
        )
    alpha = 1.0 / square
    return (1.0 - 2.0 * alpha) * math.log(abs(q)) - alpha - math.lgamma(alpha)


@compiled
def gamma_reach(q, upwards):  # type: ignore[no-untyped-def]
    """Return the distance from zero at which the density has fallen by exp(-45), to the right or to the left."""
    signed = q if upwards else -q
    far = math.sqrt(2.0 * FARTHEST)
    if signed >= 0.0:  # falls faster than a normal density
        return far
    while (math.expm1(signed * far) - signed * far) / (signed * signed) < FARTHEST:
        far *= 1.2
    return far


@compiled
def gamma_table(standard, q, first, last):  # type: ignore[no-untyped-def]
    """Return survival, density and the density's slope at places ``low + i step`` that reach from ``first`` to ``last``.

    For other standards than the gamma variable's the table is empty.
    """
    if standard != GAMMA:
        return np.empty((0, 3)), 0.0, 1.0
    low, high = max(first - 0.5, -gamma_reach(q, False)), gamma_reach(q, True)
    low = min(low, high - 1.0)
    step = STEP / max(1.0, abs(q))
    count = min(int((high - low) / step) + 2, MOST)
    step = (high - low) / (count - 1)
    table, constant, survival = np.empty((count, 3)), log_gamma_constant(q), 0.0
    for place in range(count - 1, -1, -1):
        u = low + place * step
        if place < count - 1:
            for node in range(PLACES.size):
                survival += step * WEIGHTS[node] * math.exp(log_gamma_density(u + step * PLACES[node], q, constant))
        density = math.exp(log_gamma_density(u, q, constant))
        slope = -u if abs(q * u) < 1e-12 else -math.expm1(min(q * u, 600.0)) / q
        table[place, 0], table[place, 1], table[place, 2] = survival, density, density * slope
    return table, low, step


@compiled
def gamma_survival(u, table, low, step):  # type: ignore[no-untyped-def]
    """Return survival and density at u, by the quintic of the table."""
    along = (u - low) / step
    if along <= 0.0:
        return table[0, 0], table[0, 1]
    place = int(along)
    if place >= table.shape[0] - 1:
        return 0.0, 0.0
    t = along - place
    value, slope, bend = table[place, 0], -step * table[place, 1], -step * step * table[place, 2]
    gap = table[place + 1, 0] - value - slope - 0.5 * bend
    slope_gap = -step * table[place + 1, 1] - slope - bend
    bend_gap = -step * step * table[place + 1, 2] - bend
    third = 10.0 * gap - 4.0 * slope_gap + 0.5 * bend_gap
    fourth = -15.0 * gap + 7.0 * slope_gap - bend_gap
    fifth = 6.0 * gap - 3.0 * slope_gap + 0.5 * bend_gap
    survival = value + t * (slope + t * (0.5 * bend + t * (third + t * (fourth + t * fifth))))
    falling = slope + t * (bend + t * (3.0 * third + t * (4.0 * fourth + t * 5.0 * fifth)))
    return survival, -falling / step
