"""The adaptive grid over the hyperparameters: log shape, and v with site sd = unit sinh(v).

The site sd may be near zero (the density of v is then flat there, with the natural edge v = 0) or large (v grows as its log, so
that heavy-tailed priors end on the grid too). Cells tile the plane; a cell's mass is the Laplace density at its middle times its
area. The grid grows from the mode until what lies on its edge is negligible.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.inference.nested_laplace.conditional import conditional, exposures, hyper_log_density

Floats = NDArray[np.float64]

ROWS, COLUMNS = 81, 241
MOST_NODES = 4000
STEP = 0.21
"""Width of a cell as a share of the distance between the points where the log density is 2 below its mode: 4 sds of a normal."""
DROP = 13.0
"""Log density below the mode's at which the grid first ends."""
FURTHER = 5.0
MOST_GROWTH = 6
EDGE_MASS = 1e-5
MODE_STEPS = 40
NEAR_MODE = 0.15


class Grid(NamedTuple):
    """Nodes with their masses and conditionals; ``node`` (rows, columns) is -1 where the grid has none.

    ``log_shape`` of row i is ``log_shape_mode + (i - ROWS // 2) step``; ``v`` of column j is ``v_first + (j + 1/2) v_step``.
    """

    log_mass: Floats
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    c: Floats
    factor: Floats
    node: NDArray[np.int64]
    log_shape_mode: float
    log_shape_step: float
    v_first: float
    v_step: float
    v_mode: float
    sd_unit: float
    edge_mass: float
    count: int


@compiled
def log_mass(log_shape, v, sd_unit, exposure, cells, priors, c, z, factor):  # type: ignore[no-untyped-def]
    """Return the log density of (log shape, v) by Laplace; moves (c, z) to their mode. The exposures are of this shape."""
    shape, site_sd = math.exp(log_shape), sd_unit * math.sinh(v)
    value = conditional(shape, site_sd, exposure, cells, priors, c, z, factor)
    value += hyper_log_density(shape, site_sd, priors)
    if priors.random_sites:
        value += math.log(sd_unit * math.cosh(v))
    return value


@compiled
def at(log_shape, v, sd_unit, exposure, cells, priors, c, z, factor):  # type: ignore[no-untyped-def]
    """Return :func:`log_mass` with exposures made for this shape; v is taken without its sign."""
    exposures(math.exp(log_shape), cells, exposure)
    return log_mass(log_shape, abs(v), sd_unit, exposure, cells, priors, c, z, factor)


@compiled
def climb(point, width, axis, steps, sd_unit, exposure, cells, priors, c, z, factor):  # type: ignore[no-untyped-def]
    """Move one coordinate of ``point`` (log shape, v) towards the mode by parabolas; ``width[axis]`` becomes its sd there.

    Returns the last step over the sd, or not a number.
    """
    moved = 0.0
    for _ in range(steps):
        middle = point[axis]
        delta = 0.7 * width[axis]
        here = at(point[0], point[1], sd_unit, exposure, cells, priors, c, z, factor)
        point[axis] = middle + delta
        above = at(point[0], point[1], sd_unit, exposure, cells, priors, c, z, factor)
        point[axis] = middle - delta
        below = at(point[0], point[1], sd_unit, exposure, cells, priors, c, z, factor)
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
            point[axis] = abs(point[axis])
            if point[axis] < 0.05 * sd:
                point[axis] = 0.0
        width[axis] = min(max(sd, 1e-6), 1.5)
        moved /= width[axis]
        if abs(moved) < NEAR_MODE:
            break
    return moved


@compiled
def fall(point, width, axis, sign, top, sd_unit, exposure, cells, priors, c, z, factor):  # type: ignore[no-untyped-def]
    """Return how far from the mode, along an axis, the log density has fallen by about 2."""
    distance = 2 * width[axis]
    middle = point[axis]
    for _ in range(12):
        if axis == 1 and sign < 0 and distance > middle:
            distance = middle
        point[axis] = middle + sign * distance
        fallen = top - at(point[0], point[1], sd_unit, exposure, cells, priors, c, z, factor)
        point[axis] = middle
        if not fallen == fallen:
            distance *= 0.5
            continue
        if 1.4 < fallen < 2.8 or (fallen <= 2.8 and axis == 1 and sign < 0 and distance >= middle):
            break
        distance *= min(max(math.sqrt(2.0 / max(fallen, 0.02)), 0.3), 3.0)
    return distance


@compiled
def make_grid(cells, priors, sd_unit, scale):  # type: ignore[no-untyped-def]
    """Return the grid; ``edge_mass`` is not a number where no mode was found. ``scale`` stretches the cells."""
    d = cells.rows.shape[1] + 1
    sites = cells.site_start.size - 1 if priors.random_sites else 0
    exposure = np.empty(cells.events.size)
    c, z, factor = np.zeros(d), np.zeros(sites), np.zeros((d, d))
    point, width = np.array([0.0, 1.0 if priors.random_sites else 0.0]), np.array([0.3, 0.5])
    moved = 1.0
    for _ in range(MODE_STEPS):
        moved = 0.0
        if priors.has_shape:
            moved = abs(climb(point, width, 0, 4, sd_unit, exposure, cells, priors, c, z, factor))
        if priors.random_sites:
            moved = max(moved, abs(climb(point, width, 1, 4, sd_unit, exposure, cells, priors, c, z, factor)))
        if not moved > 2 * NEAR_MODE:
            break
    top = at(point[0], point[1], sd_unit, exposure, cells, priors, c, z, factor)
    log_shape_step, v_step, v_first = 1.0, 1.0, 0.0
    if priors.has_shape and top == top:
        log_shape_step = fall(point, width, 0, 1.0, top, sd_unit, exposure, cells, priors, c, z, factor)
        log_shape_step += fall(point, width, 0, -1.0, top, sd_unit, exposure, cells, priors, c, z, factor)
        log_shape_step *= scale * STEP
    if priors.random_sites and top == top:
        v_step = fall(point, width, 1, 1.0, top, sd_unit, exposure, cells, priors, c, z, factor)
        if point[1] > 0:
            v_step += fall(point, width, 1, -1.0, top, sd_unit, exposure, cells, priors, c, z, factor)
        v_step *= scale * STEP
        v_first = max(0.0, point[1] - 0.5 * COLUMNS * v_step)

    node = np.full((ROWS, COLUMNS), -1)
    capacity = MOST_NODES if priors.random_sites else ROWS
    masses, row_of, column_of = np.empty(capacity), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    modes, factors = np.empty((capacity, d)), np.empty((capacity, d, d))
    count, edge = 0, np.nan
    drop = DROP
    for _ in range(MOST_GROWTH if top == top else 0):
        node[:] = -1
        count = 0
        highest = top
        for direction in (1, -1):
            row = ROWS // 2 + (0 if direction == 1 else -1)
            best = int((point[1] - v_first) / v_step) if priors.random_sites else 0
            if direction == -1 and count > 0:  # back to the middle, to begin from its modes
                for j in range(d):
                    c[j] = modes[0, j]
                z[:] = 0.0
            while 0 <= row < ROWS and (priors.has_shape or row == ROWS // 2):
                log_shape = point[0] + (row - ROWS // 2) * log_shape_step
                exposures(math.exp(log_shape), cells, exposure)
                start = min(max(best, 0), COLUMNS - 1)
                row_best = -np.inf
                row_c, row_z = c.copy(), z.copy()
                for side in (1, -1):
                    column = start if side == 1 else start - 1
                    if side == -1:
                        c[:], z[:] = row_c, row_z
                    while 0 <= column < COLUMNS and count < capacity:
                        v = v_first + (column + 0.5) * v_step if priors.random_sites else 0.0
                        value = log_mass(log_shape, v, sd_unit, exposure, cells, priors, c, z, factor)
                        if not value == value:
                            break
                        masses[count], row_of[count], column_of[count] = value, row, column
                        modes[count] = c
                        factors[count] = factor
                        node[row, column] = count
                        count += 1
                        highest = max(highest, value)
                        if column == start:
                            row_c[:], row_z[:] = c, z
                        if value > row_best:
                            row_best = value
                            best = column
                        if value < highest - drop or not priors.random_sites:
                            break
                        column += side
                c[:], z[:] = row_c, row_z
                row += direction
                if row_best < highest - drop:
                    break
        total, edge = 0.0, 0.0
        for index in range(count):
            mass = math.exp(masses[index] - highest)
            total += mass
            row, column = row_of[index], column_of[index]
            outside = priors.has_shape and (
                row == 0 or row == ROWS - 1 or node[row - 1, column] < 0 or node[row + 1, column] < 0
            )
            if priors.random_sites:
                at_zero = column == 0 and v_first == 0.0
                outside = outside or column == COLUMNS - 1 or node[row, column + 1] < 0
                outside = outside or (not at_zero and (column == 0 or node[row, column - 1] < 0))
            if outside:
                edge += mass
        edge = edge / total if total > 0 else np.nan
        if not edge > EDGE_MASS:
            break
        drop += FURTHER
    return Grid(
        masses[:count].copy(),
        row_of[:count].copy(),
        column_of[:count].copy(),
        modes[:count].copy(),
        factors[:count].copy(),
        node,
        point[0],
        log_shape_step,
        v_first,
        v_step,
        point[1],
        sd_unit,
        edge,
        count,
    )


def sd_unit_of(prior: Any) -> float:
    """Return a rough middle of the prior of the site sd, where the search begins and v bends from linear to logarithmic."""
    if prior is None:
        return 1.0
    values = prior.values
    rough = {
        "HalfNormal": lambda: 0.67 * values["sigma"],
        "LogNormal": lambda: math.exp(values["mu"]),
        "HalfStudentT": lambda: 0.7 * values["sigma"],
        "Exponential": lambda: 0.7 / values["lam"],
        "Gamma": lambda: values["alpha"] / values["beta"],
        "InverseGamma": lambda: values["beta"] / (values["alpha"] + 1),
        "HalfCauchy": lambda: values["beta"],
    }
    return float(rough[prior.dist]())
