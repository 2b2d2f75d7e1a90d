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
def spline_weights(theta, constant, weights, slopes):  # type: ignore[no-untyped-def]
    """Fill the weights p_i, (K,), and the slopes of their logs in sd and steps, (K, m)."""
    size, steps = constant.size, constant.size - 1
    if steps == 0:
        weights[0] = constant[0]
        return
    root, walked, largest, total = math.sqrt(steps), 0.0, 0.0, 0.0
    slopes[:] = 0.0
    for i in range(size):
        if i > 0:
            walked += theta[i] / root
        weights[i] = theta[0] * walked
        largest = max(largest, weights[i])
        slopes[i, 0] = walked
        for j in range(1, i + 1):
            slopes[i, j] = theta[0] / root
    for i in range(size):
        weights[i] = constant[i] * math.exp(weights[i] - largest)
        total += weights[i]
    for j in range(size):
        mean = 0.0
        for i in range(size):
            mean += weights[i] / total * slopes[i, j]
        for i in range(size):
            slopes[i, j] -= mean
    for i in range(size):
        weights[i] /= total


@compiled
def spline_terms(share, breaks, hazard, cumulative, last, weights, slopes, f, g):  # type: ignore[no-untyped-def]
    """Return log R and log dR at a share of the unit, and add their slopes in sd and steps into ``f`` and ``g``."""
    size, m = weights.size, slopes.shape[1]
    inside = min(share, 1.0)
    piece = 0
    while piece < breaks.size - 2 and inside >= breaks[piece + 1]:
        piece += 1
    along, beyond = inside - breaks[piece], max(share - 1.0, 0.0)
    relative, rate = 0.0, 0.0
    f[:m] = 0.0
    g[:m] = 0.0
    for i in range(size):
        area, height = 0.0, 0.0
        for power in range(cumulative.shape[2] - 1, -1, -1):
            area = area * along + cumulative[piece, i, power]
        for power in range(hazard.shape[2] - 1, -1, -1):
            height = height * along + hazard[piece, i, power]
        if i == size - 1:
            area += beyond * last
        area, height = area * weights[i], height * weights[i]
        relative += area
        rate += height
        for j in range(m):
            f[j] += area * slopes[i, j]
            g[j] += height * slopes[i, j]
    for j in range(m):
        f[j] /= relative
        g[j] /= rate
    return math.log(relative), math.log(rate)
