"""The adaptive grid over the hyperparameters: log shape, and v with site sd = unit sinh(v).

The site sd may be near zero (the density of v is then flat there, with the natural edge v = 0) or large (v grows as its log,
so that heavy-tailed priors end on the grid too). Cells tile the plane; a cell's mass is the Laplace density at its middle times
its area. The grid grows from the mode until what lies on its edge is negligible.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.inference.nested_laplace.exposure import ExposureTable, exposures_at, make_table
from sitewise.inference.nested_laplace.searching import fall, find_mode, log_mass
from sitewise.inference.nested_laplace.workspace import make_workspace

Floats = NDArray[np.float64]

ROWS, COLUMNS = 81, 241
MOST_NODES = 4000
STEP = 0.21
"""Width of a cell as a share of the distance between points where the log density is 2 below its mode: 4 sds of a normal."""
DROP = 13.0
"""Log density below the mode's at which the grid first ends."""
FURTHER = 5.0
LARGEST_UNIT = 0.5
"""A vague prior of the site sd has its middle where no data are: the search begins no further out than this."""
RANGE = 8.0
"""Sds of log shape on either side of the mode for which a table of exposures is made."""
MOST_GROWTH = 6
EDGE_MASS = 1e-5


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
    exposure: ExposureTable


@compiled
def sweep(  # type: ignore[no-untyped-def]
    top,
    drop,
    point,
    log_shape_step,
    v_first,
    v_step,
    sd_unit,
    table,
    cells,
    priors,
    c,
    z,
    factor,
    work,
    node,
    masses,
    row_of,
    column_of,
    modes,
    factors,
    count,
):
    """Visit nodes outward from the mode, row by row, until the log density is ``drop`` below the highest; return their number.

    Each node's Newton search begins at its neighbour's mode. The first ``count`` nodes are there from an earlier visit.
    """
    highest, capacity = top, masses.size
    for direction in (1, -1):
        row = ROWS // 2 + (0 if direction == 1 else -1)
        best = int((point[1] - v_first) / v_step) if priors.random_sites else 0
        if direction == -1 and count > 0:  # back to the middle, to begin from its modes
            c[:] = modes[0]
            z[:] = 0.0
        while 0 <= row < ROWS and (priors.has_shape or row == ROWS // 2):
            log_shape = point[0] + (row - ROWS // 2) * log_shape_step
            exposures_at(math.exp(log_shape), cells, table, work)
            start = min(max(best, 0), COLUMNS - 1)
            row_best = -np.inf
            row_c, row_z = c.copy(), z.copy()
            for side in (1, -1):
                column = start if side == 1 else start - 1
                if side == -1:
                    c[:], z[:] = row_c, row_z
                while 0 <= column < COLUMNS and count < capacity:
                    v = v_first + (column + 0.5) * v_step if priors.random_sites else 0.0
                    known = node[row, column]
                    if known >= 0:
                        value = masses[known]
                        c[:] = modes[known]
                    else:
                        value = log_mass(log_shape, v, sd_unit, cells, priors, c, z, factor, work)
                        if math.isnan(value):
                            break
                        masses[count], row_of[count], column_of[count] = value, row, column
                        modes[count], factors[count] = c, factor
                        node[row, column] = count
                        count += 1
                    highest = max(highest, value)
                    if column == start:
                        row_c[:], row_z[:] = c, z
                    if value > row_best:
                        row_best, best = value, column
                    if value < highest - drop or not priors.random_sites:
                        break
                    column += side
            c[:], z[:] = row_c, row_z
            row += direction
            if row_best < highest - drop:
                break
    return count


@compiled
def edge_mass(masses, row_of, column_of, node, v_first, priors):  # type: ignore[no-untyped-def]
    """Return the share of the mass that lies in cells with a neighbour off the grid; v = 0 is no edge."""
    total, edge = 0.0, 0.0
    highest = masses.max() if masses.size > 0 else 0.0
    for index in range(masses.size):
        mass = math.exp(masses[index] - highest)
        total += mass
        row, column = row_of[index], column_of[index]
        outside = priors.has_shape and (row == 0 or row == ROWS - 1 or node[row - 1, column] < 0 or node[row + 1, column] < 0)
        if priors.random_sites:
            at_zero = column == 0 and v_first == 0.0
            outside = outside or column == COLUMNS - 1 or node[row, column + 1] < 0
            outside = outside or (not at_zero and (column == 0 or node[row, column - 1] < 0))
        if outside:
            edge += mass
    return edge / total if total > 0 else np.nan


@compiled
def make_grid(cells, priors, sd_unit, scale):  # type: ignore[no-untyped-def]
    """Return the grid; ``edge_mass`` is not a number where no mode was found. ``scale`` stretches the cells."""
    d = cells.columns.shape[0] + 1
    sites = cells.site_start.size - 1 if priors.random_sites else 0
    work = make_workspace(cells, sites, cells.single)
    c, z, factor = np.zeros(d), np.zeros(sites), np.zeros((d, d))
    point, width = np.array([0.0, 1.0 if priors.random_sites else 0.0]), np.array([0.3, 0.5])
    top = find_mode(point, width, sd_unit, cells, priors, c, z, factor, work)
    log_shape_step, v_step, v_first = 1.0, 1.0, 0.0
    if priors.has_shape and not math.isnan(top):
        log_shape_step = fall(point, width, 0, 1.0, top, sd_unit, cells, priors, c, z, factor, work)
        log_shape_step += fall(point, width, 0, -1.0, top, sd_unit, cells, priors, c, z, factor, work)
        log_shape_step *= scale * STEP
    if priors.random_sites and not math.isnan(top):
        v_step = fall(point, width, 1, 1.0, top, sd_unit, cells, priors, c, z, factor, work)
        if point[1] > 0.0:
            v_step += fall(point, width, 1, -1.0, top, sd_unit, cells, priors, c, z, factor, work)
        v_step *= scale * STEP
        v_first = max(0.0, point[1] - 0.5 * COLUMNS * v_step)

    wide = RANGE * log_shape_step / (4.0 * scale * STEP)
    table = make_table(cells, math.exp(point[0] - wide), math.exp(point[0] + wide), work)

    node = np.full((ROWS, COLUMNS), -1)
    capacity = MOST_NODES if priors.random_sites else ROWS
    masses, row_of, column_of = np.empty(capacity), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    modes, factors = np.empty((capacity, d)), np.empty((capacity, d, d))
    count, edge, drop = 0, np.nan, DROP
    found = not math.isnan(top)
    for _ in range(MOST_GROWTH if found else 0):
        count = sweep(
            top, drop, point, log_shape_step, v_first, v_step, sd_unit, table,
            cells, priors, c, z, factor, work, node, masses, row_of, column_of, modes, factors, count,
        )  # fmt: skip
        edge = edge_mass(masses[:count], row_of, column_of, node, v_first, priors)
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
        table,
    )


def sd_unit_of(prior: Any) -> float:
    """Return a rough middle of the prior of the site sd, where the search begins and v bends from linear to logarithmic."""
    if prior is None:
        return 1.0
    values = prior.values
    rough: dict[str, Callable[[], float]] = {
        "HalfNormal": lambda: 0.67 * values["sigma"],
        "LogNormal": lambda: math.exp(values["mu"]),
        "HalfStudentT": lambda: 0.7 * values["sigma"],
        "Exponential": lambda: 0.7 / values["lam"],
        "Gamma": lambda: values["alpha"] / values["beta"],
        "InverseGamma": lambda: values["beta"] / (values["alpha"] + 1),
        "HalfCauchy": lambda: values["beta"],
    }
    return min(float(rough[prior.dist]()), LARGEST_UNIT)
