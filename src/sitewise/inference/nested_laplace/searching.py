"""Searching the hyperparameters: their log density by Laplace, its mode, and how wide it is along each axis."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled, inlined
from sitewise.inference.nested_laplace.conditional import conditional, hyper_log_density
from sitewise.inference.nested_laplace.exposure import exposures

SHAPE_AXIS, SITE_AXIS, SLOPE_AXIS = range(3)
"""The hyperparameters of a point: log shape; v and w of the sds of sites and slopes, sd = unit sinh(v)."""
MODE_STEPS = 40
NEAR_ZERO, NEARLY_ALL = 0.02, 0.99
"""A site sd of exactly zero is never asked for: some priors have no density there."""
NEAR_MODE = 0.15
"""The search ends when no coordinate moves by more than this many sds, or twice that on the other axis."""


@inlined
def log_mass(point, units, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Return the log density of a point by Laplace; moves (c, z) to their mode. The exposures are of the point's shape."""
    shape = math.exp(point[SHAPE_AXIS])
    site_sd = units[0] * math.sinh(point[SITE_AXIS])
    slope_sd = units[1] * math.sinh(point[SLOPE_AXIS])
    sites = work.site_mixed.size
    for kind in range(2 if z.size > sites else 1):
        sd = slope_sd if kind == 1 else site_sd
        if sd > work.last_sds[kind]:
            # Standardised effects at hand would mean larger ones now, and Newton's method is slow to come back from e^500.
            for place in range(kind * sites, min((kind + 1) * sites, z.size)):
                z[place] *= work.last_sds[kind] / sd
        work.last_sds[kind] = sd
    value = conditional(shape, site_sd, slope_sd, cells, priors, c, z, factor, work)
    value += hyper_log_density(shape, site_sd, slope_sd, priors)
    if priors.random_sites:
        value += math.log(units[0] * math.cosh(point[SITE_AXIS]))
    if priors.random_slopes:
        value += math.log(units[1] * math.cosh(point[SLOPE_AXIS]))
    return value


@compiled
def at(point, units, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Return :func:`log_mass` with exposures made for this shape; v and w are taken without their signs."""
    if work.exposure.size > 0:
        shape = math.exp(point[SHAPE_AXIS])
        exposures(shape, cells.log_time, cells.sign_weight, cells.start, work.x, work.power, work.exposure)
    place = np.abs(point)
    place[SHAPE_AXIS] = point[SHAPE_AXIS]
    return log_mass(place, units, cells, priors, c, z, factor, work)


@compiled
def climb(point, width, axis, steps, units, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Move one coordinate of ``point`` towards the mode by parabolas; ``width[axis]`` becomes its sd there.

    Returns the last step over the sd, or not a number.
    """
    moved = 0.0
    for _ in range(steps):
        middle = point[axis]
        delta = 0.7 * width[axis]
        here = at(point, units, cells, priors, c, z, factor, work)
        point[axis] = middle + delta
        above = at(point, units, cells, priors, c, z, factor, work)
        point[axis] = middle - delta
        below = at(point, units, cells, priors, c, z, factor, work)
        point[axis] = middle
        if not (math.isfinite(here) and math.isfinite(above) and math.isfinite(below)):
            return np.nan
        slope, curvature = (above - below) / (2 * delta), (above - 2 * here + below) / (delta * delta)
        sd = 2 * width[axis]
        if curvature < -1.0 / (sd * sd):
            sd = 1 / math.sqrt(-curvature)
        moved = min(max(slope * sd * sd, -3 * sd), 3 * sd)
        point[axis] = middle + moved
        if axis != SHAPE_AXIS:
            point[axis] = max(abs(point[axis]), NEAR_ZERO * sd)
        width[axis] = min(max(sd, 1e-6), 1.5)
        moved /= width[axis]
        if abs(moved) < NEAR_MODE:
            break
    return moved


@compiled
def fall(point, width, axis, sign, top, units, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Return how far from the mode, along an axis, the log density has fallen by about 2."""
    distance = 2 * width[axis]
    middle = point[axis]
    for _ in range(12):
        if axis != SHAPE_AXIS and sign < 0:
            distance = min(distance, NEARLY_ALL * middle)
        point[axis] = middle + sign * distance
        fallen = top - at(point, units, cells, priors, c, z, factor, work)
        point[axis] = middle
        if math.isnan(fallen):
            distance *= 0.5
            continue
        if 1.4 < fallen < 2.8 or (fallen <= 2.8 and axis != SHAPE_AXIS and sign < 0 and distance >= NEARLY_ALL * middle):
            break
        distance *= min(max(math.sqrt(2.0 / max(fallen, 0.02)), 0.3), 3.0)
    return distance


@compiled
def find_mode(point, width, units, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Move ``point`` to the mode, an axis at a time; return the log density there, not a number where none is found."""
    for _ in range(MODE_STEPS):
        moved = 0.0
        if priors.has_shape:
            moved = abs(climb(point, width, SHAPE_AXIS, 4, units, cells, priors, c, z, factor, work))
        if priors.random_sites:
            moved = max(moved, abs(climb(point, width, SITE_AXIS, 4, units, cells, priors, c, z, factor, work)))
        if priors.random_slopes:
            moved = max(moved, abs(climb(point, width, SLOPE_AXIS, 4, units, cells, priors, c, z, factor, work)))
        if not moved > 2 * NEAR_MODE:
            break
    return at(point, units, cells, priors, c, z, factor, work)
