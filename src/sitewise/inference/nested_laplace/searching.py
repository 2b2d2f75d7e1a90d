"""Searching the hyperparameters: their log density by Laplace, its mode, and how wide it is along each axis."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.inference.nested_laplace.conditional import conditional, hyper_log_density
from sitewise.inference.nested_laplace.exposure import exposures

MODE_STEPS = 40
NEAR_ZERO, NEARLY_ALL = 0.02, 0.99
"""A site sd of exactly zero is never asked for: some priors have no density there."""
NEAR_MODE = 0.15
"""The search ends when no coordinate moves by more than this many sds, or twice that on the other axis."""


@compiled
def log_mass(log_shape, v, sd_unit, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Return the log density of (log shape, v) by Laplace; moves (c, z) to their mode. The exposures are of this shape."""
    shape, site_sd = math.exp(log_shape), sd_unit * math.sinh(v)
    if site_sd > work.last_site_sd[0]:
        # Standardised effects at hand would mean larger ones now, and Newton's method is slow to come back from e^500.
        for site in range(z.size):
            z[site] *= work.last_site_sd[0] / site_sd
    work.last_site_sd[0] = site_sd
    value = conditional(shape, site_sd, cells, priors, c, z, factor, work)
    value += hyper_log_density(shape, site_sd, priors)
    if priors.random_sites:
        value += math.log(sd_unit * math.cosh(v))
    return value


@compiled
def at(log_shape, v, sd_unit, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Return :func:`log_mass` with exposures made for this shape; v is taken without its sign."""
    if work.exposure.size > 0:
        shape = math.exp(log_shape)
        exposures(shape, cells.log_time, cells.sign_weight, cells.start, work.x, work.power, work.exposure)
    return log_mass(log_shape, abs(v), sd_unit, cells, priors, c, z, factor, work)


@compiled
def climb(point, width, axis, steps, sd_unit, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Move one coordinate of ``point`` (log shape, v) towards the mode by parabolas; ``width[axis]`` becomes its sd there.

    Returns the last step over the sd, or not a number.
    """
    moved = 0.0
    for _ in range(steps):
        middle = point[axis]
        delta = 0.7 * width[axis]
        here = at(point[0], point[1], sd_unit, cells, priors, c, z, factor, work)
        point[axis] = middle + delta
        above = at(point[0], point[1], sd_unit, cells, priors, c, z, factor, work)
        point[axis] = middle - delta
        below = at(point[0], point[1], sd_unit, cells, priors, c, z, factor, work)
        point[axis] = middle
        if not (math.isfinite(here) and math.isfinite(above) and math.isfinite(below)):
            return np.nan
        slope, curvature = (above - below) / (2 * delta), (above - 2 * here + below) / (delta * delta)
        sd = 2 * width[axis]
        if curvature < -1.0 / (sd * sd):
            sd = 1 / math.sqrt(-curvature)
        moved = min(max(slope * sd * sd, -3 * sd), 3 * sd)
        point[axis] = middle + moved
        if axis == 1:
            point[axis] = max(abs(point[axis]), NEAR_ZERO * sd)
        width[axis] = min(max(sd, 1e-6), 1.5)
        moved /= width[axis]
        if abs(moved) < NEAR_MODE:
            break
    return moved


@compiled
def fall(point, width, axis, sign, top, sd_unit, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Return how far from the mode, along an axis, the log density has fallen by about 2."""
    distance = 2 * width[axis]
    middle = point[axis]
    for _ in range(12):
        if axis == 1 and sign < 0:
            distance = min(distance, NEARLY_ALL * middle)
        point[axis] = middle + sign * distance
        fallen = top - at(point[0], point[1], sd_unit, cells, priors, c, z, factor, work)
        point[axis] = middle
        if math.isnan(fallen):
            distance *= 0.5
            continue
        if 1.4 < fallen < 2.8 or (fallen <= 2.8 and axis == 1 and sign < 0 and distance >= NEARLY_ALL * middle):
            break
        distance *= min(max(math.sqrt(2.0 / max(fallen, 0.02)), 0.3), 3.0)
    return distance


@compiled
def find_mode(point, width, sd_unit, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Move ``point`` to the mode, an axis at a time; return the log density there, not a number where none is found."""
    for _ in range(MODE_STEPS):
        moved = 0.0
        if priors.has_shape:
            moved = abs(climb(point, width, 0, 4, sd_unit, cells, priors, c, z, factor, work))
        if priors.random_sites:
            moved = max(moved, abs(climb(point, width, 1, 4, sd_unit, cells, priors, c, z, factor, work)))
        if not moved > 2 * NEAR_MODE:
            break
    return at(point[0], point[1], sd_unit, cells, priors, c, z, factor, work)
