"""Compiled steps of the recursive integration: a grid, the density on it, and the bound of a given tail probability."""

from __future__ import annotations

from math import erfc, exp, log, sqrt

import numpy as np

from sitewise.classical.compiled import compiled

REACH = 9.0
"""Standard deviations around the mean beyond which a normal variable is taken never to be; the mass there is 1e-19."""
NODES, WIDTH = 12, 2.0
"""Nodes of a panel and its width in standard deviations of the narrowest density: exact to 1e-14."""
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(NODES)
MOST_PANELS = 400
ROOT_2, ROOT_2_PI = float(np.sqrt(2.0)), float(np.sqrt(2 * np.pi))
NEGLIGIBLE = 0.5 * 12.0**2
"""Exponents beyond this add less than 1e-31 of the density's peak."""
STEPS = 200
FARTHEST = 40.0


@compiled
def panels_between(low, high, information, least):  # type: ignore[no-untyped-def]
    """Return the number of panels, narrow against densities whose variance is the least information added over the sum."""
    return int(np.ceil((high - low) / (WIDTH * sqrt(least / information))))


@compiled
def step(nodes, mass, so_far, information, reference, low, high, panels, points, weights):  # type: ignore[no-untyped-def]
    """Return nodes between ``low`` and ``high``, and the density of z there times their weights."""
    added = information - so_far
    half = (high - low) / panels / 2
    size = points.shape[0]
    new_nodes, new_mass = np.empty(panels * size), np.empty(panels * size)
    scale, root, spread = sqrt(information / added), sqrt(so_far), sqrt(added)
    constant = scale / ROOT_2_PI
    ahead = np.empty(nodes.shape[0])
    for i in range(nodes.shape[0]):
        ahead[i] = (root * nodes[i] + reference * added) / spread
    for panel in range(panels):
        centre = low + half * (2 * panel + 1)
        for point in range(size):
            z = centre + half * points[point]
            total = 0.0
            for i in range(nodes.shape[0]):
                distance = z * scale - ahead[i]
                exponent = 0.5 * distance * distance
                if exponent < NEGLIGIBLE:
                    total += mass[i] * exp(-exponent)
            new_nodes[panel * size + point] = z
            new_mass[panel * size + point] = half * weights[point] * constant * total
    return new_nodes, new_mass


@compiled
def upper_quantile(nodes, mass, so_far, information, drift, probability):  # type: ignore[no-untyped-def]
    """Return the bound above which z lies with a probability that is positive and less than the whole mass.

    The density is a log-concave one, cut and blurred by normal ones, so it and its tails are log-concave (Prekopa 1973, Acta
    Scientiarum Mathematicarum 34:335): Newton steps on the log of the tail that start above the root stay above it. Where a
    tail underflows, or a step leaves what is known to hold the root, that is halved instead.
    """
    added = information - so_far
    scale, root, spread = sqrt(information / added), sqrt(so_far), sqrt(added)
    bound = drift * sqrt(information)
    if probability < 0.5:
        # Whatever has stopped before, the tail is at most that of a whole normal variable, which exp(-x^2 / 2) / 2 bounds.
        bound += sqrt(-2.0 * log(2.0 * probability))
    target = log(probability)
    left, right = drift * sqrt(information) - FARTHEST, bound + 1.0
    for _ in range(STEPS):
        tail, density = 0.0, 0.0
        for i in range(nodes.shape[0]):
            distance = bound * scale - (root * nodes[i] + drift * added) / spread
            tail += mass[i] * 0.5 * erfc(distance / ROOT_2)
            exponent = 0.5 * distance * distance
            if exponent < 700.0:
                density += mass[i] * exp(-exponent)
        density *= scale / ROOT_2_PI
        if tail > probability:
            left = bound
        else:
            right = bound
        moved = bound + (log(tail) - target) * tail / density if tail > 0.0 and density > 0.0 else np.nan
        if not left < moved < right:
            moved = bound if left == right else 0.5 * (left + right)
        done = abs(moved - bound) < 1e-13 * (1.0 + abs(bound))
        bound = moved
        if done:
            break
    return bound


@compiled
def bounds_of_rows(information, spent, lower, points, weights, out):  # type: ignore[no-untyped-def]
    """Fill ``out``, (M, K), with bounds that spend ``spent`` under no drift; return the row whose looks are too close, or -1.

    A bound is minus infinity when less than what is to be spent is left, and the row ends there with NaN.
    """
    rows, looks = information.shape
    for row in range(rows):
        nodes, mass, so_far = np.zeros(1), np.ones(1), 0.0
        out[row] = np.nan
        for look in range(looks):
            now = information[row, look]
            if spent[row, look] <= 0.0:
                out[row, look] = np.inf
            elif mass.sum() <= spent[row, look]:
                out[row, look] = -np.inf
            else:
                out[row, look] = upper_quantile(nodes, mass, so_far, now, 0.0, spent[row, look])
            low, high = max(lower[look], -REACH), min(out[row, look], REACH)
            if look + 1 == looks or not low < high:
                break
            panels = panels_between(low, high, now, min(now - so_far, information[row, look + 1] - now))
            if panels > MOST_PANELS:
                return row
            nodes, mass = step(nodes, mass, so_far, now, 0.0, low, high, panels, points, weights)
            so_far = now
    return -1
