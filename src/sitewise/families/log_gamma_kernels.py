"""The standardised log of a gamma variable, compiled, with slopes: what :mod:`sitewise.families.gamma_tail` says in NumPy.

Used by the kernel of the log density, and by averages over groups.

The tail's slope in q is taken under the integral: of the log density -u^2 psi(q u) it is -u^3 psi'(q u), averaged over the
nodes.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.families.gamma_tail import LARGEST_EXPONENT, LOG_ROOT_2_PI, NEARLY_NORMAL, NODES, WEIGHTS

SERIES = 0.2
"""Below this psi' is a series, exact to 1e-13."""
SMALL = 1e-3
NEWTON_STEPS = 60
LOG_HALF = math.log(0.5)
TABLE_STEP = 0.1
"""Step of tables of tails for |q| up to 1: quintics err by 1e-10."""
PLACES, SHARES = np.polynomial.legendre.leggauss(8)
PLACES, SHARES = 0.5 * (1 + PLACES), 0.5 * SHARES
FALLEN = 45.0
NOTHING = 60.0
"""Exponents beyond which exp(-x) adds nothing."""


@compiled
def psi(x):  # type: ignore[no-untyped-def]
    """Return (exp(x) - 1 - x) / x^2."""
    if abs(x) < SMALL:
        return 0.5 + x / 6.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0))
    return (math.expm1(x) - x) / (x * x)


@compiled
def psi_slope(x, grown):  # type: ignore[no-untyped-def]
    """Return the derivative of psi at x with exp(x) - 1 given: ((x - 2) exp(x) + x + 2) / x^3, or its Taylor series."""
    if abs(x) > SERIES:
        return (grown - 2.0 * (grown - x) / x) / (x * x)
    series = 1.0 / 40.0 + x * (1.0 / 180.0 + x * (1.0 / 1008.0 + x * (1.0 / 6720.0 + x / 51840.0 * (1.0 + x / 8.75))))
    return 1.0 / 6.0 + x * (1.0 / 12.0 + x * series)


@compiled
def digamma(x):  # type: ignore[no-untyped-def]
    """Return the derivative of log Gamma: its recursion up to 8, then Stirling's series (DLMF 5.11.2)."""
    shift = 0.0
    while x < 8.0:
        shift -= 1.0 / x
        x += 1.0
    square = 1.0 / (x * x)
    series = square * (1.0 / 12 - square * (1.0 / 120 - square * (1.0 / 252 - square * (1.0 / 240 - square / 132))))
    return shift + math.log(x) - 0.5 / x - series


@compiled
def log_constant(q):  # type: ignore[no-untyped-def]
    """Return c(q), the log density at zero, and its slope; under -q the first is the same, and the second of other sign."""
    square = q * q
    if abs(q) < NEARLY_NORMAL:
        fourth = square * square
        value = -LOG_ROOT_2_PI - square / 12.0 * (1.0 - fourth / 30.0 * (1.0 - 2.0 * fourth / 7.0))
        return value, -q / 6.0 * (1.0 - fourth / 10.0 * (1.0 - 10.0 * fourth / 21.0))
    alpha, log_size = 1.0 / square, math.log(abs(q))
    value = (1.0 - 2.0 * alpha) * log_size - alpha - math.lgamma(alpha)
    return value, (1.0 - 2.0 * alpha + 2.0 * alpha * (2.0 * log_size + 1.0 + digamma(alpha))) / q


@compiled
def log_density_terms(u, q, constant, constant_slope):  # type: ignore[no-untyped-def]
    """Return the log density at u, and its slopes in u and q."""
    x = min(q * u, LARGEST_EXPONENT)
    own = psi(x)
    slope = constant_slope - u * u * u * psi_slope(x, math.expm1(x))
    return constant - u * u * own, -u * (1.0 + x * own), slope


@compiled
def log_tail_terms(a, q, constant, constant_slope):  # type: ignore[no-untyped-def]
    """Return the log probability beyond a >= 0, and its slope in q."""
    exponent = min(q * a, LARGEST_EXPONENT)
    own, power = psi(exponent), math.exp(exponent)
    steep, right = a * (1.0 + exponent * own), q > 0.0
    bend = 1.0 if right else power
    tau = 2.0 / (steep + math.sqrt(steep * steep + 4.0 * bend))
    total, moved = 0.0, 0.0
    for node in range(NODES.size):
        along = tau * NODES[node]
        x = q * along
        if right:
            further = math.log1p(x)
            curved = 0.5 - x / 3.0 + x * x / 4.0 * (1.0 - 0.8 * x) if x < SMALL else (x - further) / (x * x)
            decay = steep * along + along * along * curved + further
            further, grown = further / q, power * (1.0 + x) - 1.0
        else:
            grown = math.expm1(x)
            curved = 0.5 + x / 6.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0)) if x > -SMALL else (grown - x) / (x * x)
            decay, further = steep * along + along * along * bend * curved, along
            grown = power * (1.0 + grown) - 1.0
        if decay > NOTHING:
            break
        weight, u = WEIGHTS[node] * math.exp(-decay), a + further
        total += weight
        moved -= weight * u * u * u * psi_slope(q * u, grown)
    return constant - a * a * own + math.log(tau * total), constant_slope + moved / total


@compiled
def table_step(q):  # type: ignore[no-untyped-def]
    """Return the distance between places of a table."""
    return TABLE_STEP / max(1.0, abs(q))


@compiled
def tail_bend(u, q, log_tail, in_q, constant, constant_slope):  # type: ignore[no-untyped-def]
    """Return slope and bend in u of a log tail at u >= 0, and of its slope in q: with l = f / T, s and g slopes of log f.

    (log T)' = -l, l' = l (s + l), and D = d log T / dq has D' = -l (g - D).
    """
    log_density, s, g = log_density_terms(u, q, constant, constant_slope)
    x = min(q * u, LARGEST_EXPONENT)
    own = psi(x)
    bend_in_q = -u * u * (1.0 + x * own - own)  # dg / du
    rate = math.exp(log_density - log_tail)
    grown = rate * (s + rate)
    moved = -rate * (g - in_q)
    return -rate, -grown, moved, -grown * (g - in_q) - rate * (bend_in_q - moved)


@compiled
def tail_table(q, constant, constant_slope, reach):  # type: ignore[no-untyped-def]
    """Return log tails beyond 0, step, ... to ``reach`` with their slopes in q, both with slope and bend: (places, 6).

    The sum at the last place is carried on to the left, density by density, so that a table costs what two dozen tails do.
    """
    step = table_step(q)
    count = int(reach / step) + 2
    table = np.empty((count, 6))
    last = (count - 1) * step
    log_last, in_q = log_tail_terms(last, q, constant, constant_slope)
    tail = math.exp(log_last)
    moved = tail * in_q
    for place in range(count - 1, -1, -1):
        u = place * step
        if place < count - 1:
            for node in range(PLACES.size):
                log_density, _, g = log_density_terms(u + step * PLACES[node], q, constant, constant_slope)
                mass = step * SHARES[node] * math.exp(log_density)
                tail += mass
                moved += mass * g
        row = table[place]
        row[0], row[3] = math.log(tail), moved / tail
        row[1], row[2], row[4], row[5] = tail_bend(u, q, row[0], row[3], constant, constant_slope)
    return table


@compiled
def between(table, at, along, step, column):  # type: ignore[no-untyped-def]
    """Return the quintic through values, slopes and bends at two neighbouring places."""
    value, slope, bend = table[at, column], step * table[at, column + 1], step * step * table[at, column + 2]
    gap = table[at + 1, column] - value - slope - 0.5 * bend
    slope_gap = step * table[at + 1, column + 1] - slope - bend
    bend_gap = step * step * table[at + 1, column + 2] - bend
    third = 10.0 * gap - 4.0 * slope_gap + 0.5 * bend_gap
    fourth = -15.0 * gap + 7.0 * slope_gap - bend_gap
    fifth = 6.0 * gap - 3.0 * slope_gap + 0.5 * bend_gap
    return value + along * (slope + along * (0.5 * bend + along * (third + along * (fourth + along * fifth))))


@compiled
def read_tail(a, q, constant, constant_slope, table):  # type: ignore[no-untyped-def]
    """Return what :func:`log_tail_terms` does, from the table where it reaches."""
    step = table_step(q)
    place = a / step
    at = int(place)
    if at >= table.shape[0] - 1:
        return log_tail_terms(a, q, constant, constant_slope)
    return between(table, at, place - at, step, 0), between(table, at, place - at, step, 3)


@compiled
def survival_terms(u, q, constant, constant_slope, right, left):  # type: ignore[no-untyped-def]
    """Return log S, its slopes in u and q, log(-log S), and the log density with its slopes: seven numbers.

    ``right`` and ``left`` are tables of the tails of q and -q, or empty.
    """
    log_density, density_slope, density_in_q = log_density_terms(u, q, constant, constant_slope)
    if u > 0.0:
        log_survival, in_q = read_tail(u, q, constant, constant_slope, right)
        log_cumulative = math.log(-log_survival)
    else:
        log_before, before_in_q = read_tail(-u, -q, constant, -constant_slope, left)
        before = math.exp(log_before)
        log_survival, in_q = math.log1p(-before), before / (1.0 - before) * before_in_q
        if log_before < -18.0:
            log_cumulative = log_before + before / 2.0 + 5.0 * before * before / 24.0
        else:
            log_cumulative = math.log(-log_survival)
    slope = -math.exp(log_density - log_survival)
    return log_survival, slope, in_q, log_cumulative, log_density, density_slope, density_in_q


@compiled
def median_terms(q):  # type: ignore[no-untyped-def]
    """Return the median and its slope in q, -(dS / dq) / (dS / du): Newton steps on log S from -q / 3."""
    constant, constant_slope = log_constant(q)
    none = np.empty((0, 6))
    u = -q / 3.0 if abs(q) < 1.5 else 0.0
    low, high = -40.0 * (1.0 + abs(q)), 40.0 * (1.0 + abs(q))
    for _ in range(NEWTON_STEPS):
        log_survival, slope, _, _, _, _, _ = survival_terms(u, q, constant, constant_slope, none, none)
        if log_survival > LOG_HALF:
            low = u
        else:
            high = u
        step = u - (log_survival - LOG_HALF) / slope
        if not low < step < high:
            step = 0.5 * (low + high)
        moved = abs(step - u)
        u = step
        if moved < 1e-13 * (1.0 + abs(u)):
            break
    _, slope, in_q, _, _, _, _ = survival_terms(u, q, constant, constant_slope, none, none)
    return u, -in_q / slope


@compiled
def farthest(q):  # type: ignore[no-untyped-def]
    """Return the distance from the middle, to the right, at which the density has fallen by some exp(-45)."""
    far = math.sqrt(2.0 * FALLEN)  # of a normal density; that of a positive q falls faster, of a negative one more slowly
    while far * far * psi(q * far) > 1.2 * FALLEN:
        far *= 0.95
    while far * far * psi(q * far) < FALLEN:
        far *= 1.05
    return far
