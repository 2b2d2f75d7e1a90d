"""Forms of hazards whose level is the scale, compiled, with slopes: Gompertz's, and those of splines.

As :mod:`sitewise.families.hazard_level` and :mod:`sitewise.families.hazard_splines` say; tests hold the two together.
"""

from __future__ import annotations

import math

from sitewise.classical.compiled import compiled

NEARLY_CONSTANT = 1e-4


@compiled
def growth_terms(x):  # type: ignore[no-untyped-def]
    """Return log((exp(x) - 1) / x) and its slope, of x that are not tiny."""
    size = abs(x)
    return max(x, 0.0) + math.log(-math.expm1(-size) / size), -1.0 / math.expm1(-x) - 1.0 / x


@compiled
def gompertz_terms(share, change, f, g):  # type: ignore[no-untyped-def]
    """Return log R and log dR at a share of the unit, and put their slopes in the change into ``f[0]`` and ``g[0]``."""
    if abs(change) < NEARLY_CONSTANT:
        f[0] = 0.5 * (share - 1.0) + change * (share * share - 1.0) / 12.0
        g[0] = share - 0.5 - change / 12.0
        relative = change * (share - 1.0) / 2.0 + change * change * (share * share - 1.0) / 24.0
        return math.log(share) + relative, change * share - change / 2.0 - change * change / 24.0
    mean, mean_slope = growth_terms(change)
    own, own_slope = growth_terms(change * share)
    f[0] = share * own_slope - mean_slope
    g[0] = share - mean_slope
    return math.log(share) + own - mean, change * share - mean


@compiled
def spline_weights(theta, constant, filled):  # type: ignore[no-untyped-def]
    """Fill the weights p_i and the slopes of their logs in sd and steps, (K, 1 + m)."""
    size, steps = constant.size, constant.size - 1
    filled[:] = 0.0
    if steps == 0:
        filled[0, 0] = constant[0]
        return
    root, walked, largest, total = math.sqrt(steps), 0.0, 0.0, 0.0
    for i in range(size):
        if i > 0:
            walked += theta[i] / root
        filled[i, 0] = theta[0] * walked
        largest = max(largest, filled[i, 0])
        filled[i, 1] = walked
        for j in range(1, i + 1):
            filled[i, 1 + j] = theta[0] / root
    for i in range(size):
        filled[i, 0] = constant[i] * math.exp(filled[i, 0] - largest)
        total += filled[i, 0]
    for i in range(size):
        filled[i, 0] /= total
    for j in range(1, 1 + size):
        mean = 0.0
        for i in range(size):
            mean += filled[i, 0] * filled[i, j]
        for i in range(size):
            filled[i, j] -= mean


@compiled
def spline_terms(share, breaks, cumulative, last, weights, f, g):  # type: ignore[no-untyped-def]
    """Return log R and log dR at a share of the unit, and fill their slopes in sd and steps into ``f`` and ``g``."""
    size, m = weights.shape[0], weights.shape[1] - 1
    inside = min(share, 1.0)
    piece = 0
    while piece < breaks.size - 2 and inside >= breaks[piece + 1]:
        piece += 1
    along, beyond = inside - breaks[piece], max(share - 1.0, 0.0)
    relative, rate = 0.0, 0.0
    f[:m] = 0.0
    g[:m] = 0.0
    for i in range(size):
        area, height = 0.0, 0.0  # a spline's integral and, its derivative, the spline, by Horner's rule
        for power in range(cumulative.shape[2] - 1, -1, -1):
            height = height * along + area
            area = area * along + cumulative[piece, i, power]
        if i == size - 1:
            area += beyond * last
        area, height = area * weights[i, 0], height * weights[i, 0]
        relative += area
        rate += height
        for j in range(m):
            f[j] += area * weights[i, 1 + j]
            g[j] += height * weights[i, 1 + j]
    for j in range(m):
        f[j] /= relative
        g[j] /= rate
    return math.log(relative), math.log(rate)
