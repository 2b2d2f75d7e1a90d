"""The adaptive grid over the hyperparameters: log shape, v with site sd = unit sinh(v), and w likewise with the sd of slopes.

A sd may be near zero (the density of v is then flat there, with the natural edge v = 0) or large (v grows as its log, so that
heavy-tailed priors end on the grid too). Cells tile the space; a cell's mass is the Laplace density at its middle times its
size. The grid grows from the mode until what lies on its edge is negligible. Without random slopes it is a plane, with them a
stack of planes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.inference.nested_laplace.exposure import ExposureTable, exposures_at, make_table
from sitewise.inference.nested_laplace.nodes import COLUMNS, LAYERS, ROWS, Nodes, edge_mass, keep
from sitewise.inference.nested_laplace.searching import SHAPE_AXIS, SITE_AXIS, SLOPE_AXIS, fall, find_mode, log_mass
from sitewise.inference.nested_laplace.workspace import make_workspace

Floats = NDArray[np.float64]

MOST_NODES, MOST_NODES_OF_LAYERS = 4000, 12_000
STEP = 0.21
"""Width of a cell as a share of the distance between points where the log density is 2 below its mode: 4 sds of a normal."""
LAYERED = 1.3
"""With a third hyperparameter cells are wider by this: half as many do, since the weights correct the rest."""
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
    """Nodes with their masses and conditionals.

    Parameters
    ----------
    log_mass : ndarray, shape (N,)
        Log density of each node, as far as it is known.
    places : ndarray of int, shape (N, 3)
        Positions of each node along the axes log shape, v and w; its point is ``origin + places * step``.
    c, factor : ndarray, shapes (N, d) and (N, d, d)
        Mode, and Cholesky factor of the precision, of coefficients and baseline.
    node : ndarray of int, shape (LAYERS or 1, ROWS, COLUMNS)
        Which node is where, -1 where there is none; axes w, log shape, v.
    origin, step, units : ndarray, shapes (3,), (3,) and (2,)
        Of the axes; units of the two sds.
    from_zero : ndarray of bool, shape (3,)
        Whether an axis begins at zero, which is no edge.
    edge_mass : float
        Share of the mass in cells with a neighbour off the grid; not a number where no mode was found.
    exposure : ExposureTable
        Exposures of the cells by shape.
    """

    log_mass: Floats
    places: NDArray[np.int64]
    c: Floats
    factor: Floats
    node: NDArray[np.int64]
    origin: Floats
    step: Floats
    units: Floats
    from_zero: NDArray[np.bool_]
    edge_mass: float
    exposure: ExposureTable


@compiled
def sweep(  # type: ignore[no-untyped-def]
    layer, start_row, start_column, highest, drop, origin, step, units, table, cells, priors, c, z, factor, work, nodes
):
    """Visit nodes of a plane outward from a start, row by row, until the log density is ``drop`` below the highest.

    Each node's Newton search begins at its neighbour's mode. Nodes that are there from an earlier visit are kept. Returns the
    highest log density so far, the highest of this plane, and its row and column.
    """
    capacity = nodes.log_mass.size
    point = np.empty(3)
    point[SLOPE_AXIS] = origin[SLOPE_AXIS] + layer * step[SLOPE_AXIS] if priors.random_slopes else 0.0
    plane_best, plane_row, plane_column = -np.inf, start_row, start_column
    plane_c, plane_z = c.copy(), z.copy()
    for direction in (1, -1):
        row = start_row + (0 if direction == 1 else -1)
        best = start_column
        if direction == -1:  # back to where the plane begins
            c[:], z[:] = plane_c, plane_z
        while 0 <= row < ROWS and (priors.has_shape or row == ROWS // 2):
            point[SHAPE_AXIS] = origin[SHAPE_AXIS] + row * step[SHAPE_AXIS]
            exposures_at(math.exp(point[SHAPE_AXIS]), cells, table, work)
            start = min(max(best, 0), COLUMNS - 1)
            row_best = -np.inf
            row_c, row_z = c.copy(), z.copy()
            for side in (1, -1):
                column = start if side == 1 else start - 1
                if side == -1:
                    c[:], z[:] = row_c, row_z
                while 0 <= column < COLUMNS and nodes.found[0] < capacity:
                    point[SITE_AXIS] = origin[SITE_AXIS] + column * step[SITE_AXIS] if priors.random_sites else 0.0
                    known = nodes.node[layer, row, column]
                    if known >= 0:
                        value = nodes.log_mass[known]
                        c[:] = nodes.c[known]
                    else:
                        value = log_mass(point, units, cells, priors, c, z, factor, work)
                        if math.isnan(value):
                            break
                        keep(layer, row, column, value, c, factor, nodes)
                    highest = max(highest, value)
                    if column == start:
                        row_c[:], row_z[:] = c, z
                        if row == start_row:
                            plane_c[:], plane_z[:] = c, z
                    if value > row_best:
                        row_best, best = value, column
                    if value > plane_best:
                        plane_best, plane_row, plane_column = value, row, column
                    if value < highest - drop or not priors.random_sites:
                        break
                    column += side
            c[:], z[:] = row_c, row_z
            row += direction
            if row_best < highest - drop:
                break
    c[:], z[:] = plane_c, plane_z
    return highest, plane_best, plane_row, plane_column


@compiled
def grow(top, drop, mode, origin, step, units, table, cells, priors, c, z, factor, work, nodes):  # type: ignore[no-untyped-def]
    """Visit the planes outward from the mode's until the log density is ``drop`` below the highest in a whole plane."""
    highest = top
    mode_c, mode_z = c.copy(), z.copy()
    first = [int((mode[axis] - origin[axis]) / step[axis] + 0.5) for axis in range(3)]
    for direction in (1, -1):
        layer = first[SLOPE_AXIS] + (0 if direction == 1 else -1)
        row, column = ROWS // 2, first[SITE_AXIS]
        c[:], z[:] = mode_c, mode_z
        while 0 <= layer < nodes.node.shape[0]:
            highest, best, row, column = sweep(
                layer, row, column, highest, drop, origin, step, units, table, cells, priors, c, z, factor, work, nodes
            )
            if best < highest - drop:
                break
            layer += direction
    c[:], z[:] = mode_c, mode_z


@compiled
def fill(drop, from_zero, origin, step, units, table, cells, priors, c, z, factor, work, nodes):  # type: ignore[no-untyped-def]
    """Visit what is missing beside nodes that count: where the density falls so steeply that the next row ended at once.

    Nodes that are found are looked around in turn.
    """
    active = (priors.has_shape, priors.random_sites, priors.random_slopes)
    point, place = np.empty(3), np.empty(3, np.int64)
    index = 0
    while index < nodes.found[0]:
        highest = nodes.log_mass[: nodes.found[0]].max()
        for axis in range(3):
            for side in (-1, 1):
                place[:] = nodes.places[index]
                place[axis] += side
                inside = 0 <= place[SHAPE_AXIS] < ROWS and 0 <= place[SITE_AXIS] < COLUMNS
                inside = inside and 0 <= place[SLOPE_AXIS] < nodes.node.shape[0]
                if not (active[axis] and inside and nodes.log_mass[index] > highest - drop):
                    continue
                if nodes.node[place[SLOPE_AXIS], place[SHAPE_AXIS], place[SITE_AXIS]] >= 0:
                    continue
                if nodes.found[0] == nodes.log_mass.size:
                    return
                for own in range(3):
                    point[own] = origin[own] + place[own] * step[own] if active[own] else 0.0
                c[:], z[:] = nodes.c[index], 0.0
                exposures_at(math.exp(point[SHAPE_AXIS]), cells, table, work)
                value = log_mass(point, units, cells, priors, c, z, factor, work)
                if not math.isnan(value):
                    keep(place[SLOPE_AXIS], place[SHAPE_AXIS], place[SITE_AXIS], value, c, factor, nodes)
        index += 1


@compiled
def make_grid(cells, priors, units, scale):  # type: ignore[no-untyped-def]
    """Return the grid; ``edge_mass`` is not a number where no mode was found. ``scale`` stretches the cells."""
    d = cells.columns.shape[0] + 1
    sites = cells.site_start.size - 1 if priors.random_sites else 0
    effects = 2 * sites if priors.random_slopes else sites
    work = make_workspace(cells, effects, cells.single)
    c, z, factor = np.zeros(d), np.zeros(effects), np.zeros((d, d))
    active = (priors.has_shape, priors.random_sites, priors.random_slopes)
    point, width = np.array([0.0, 1.0 if active[1] else 0.0, 1.0 if active[2] else 0.0]), np.array([0.3, 0.5, 0.5])
    top = find_mode(point, width, units, cells, priors, c, z, factor, work)
    found = not math.isnan(top)
    mode_c, mode_z = c.copy(), z.copy()
    layers = LAYERS if priors.random_slopes else 1
    size = (ROWS, COLUMNS, layers)
    share = scale * STEP * (LAYERED if priors.random_slopes else 1.0)
    step, origin, from_zero = np.ones(3), np.zeros(3), np.zeros(3, dtype=np.bool_)
    for axis in range(3):
        if active[axis] and found:
            across = fall(point, width, axis, 1.0, top, units, cells, priors, c, z, factor, work)
            if axis == SHAPE_AXIS or point[axis] > 0.0:
                across += fall(point, width, axis, -1.0, top, units, cells, priors, c, z, factor, work)
            step[axis] = share * across
        if axis == SHAPE_AXIS:
            origin[axis] = point[axis] - (ROWS // 2) * step[axis]
        elif active[axis]:
            first = max(0.0, point[axis] - 0.5 * size[axis] * step[axis])
            from_zero[axis] = first == 0.0
            origin[axis] = first + 0.5 * step[axis]

    wide = RANGE * step[SHAPE_AXIS] / (4.0 * share)
    table = make_table(cells, math.exp(point[0] - wide), math.exp(point[0] + wide), work)
    capacity = (MOST_NODES_OF_LAYERS if layers > 1 else MOST_NODES) if priors.random_sites else ROWS
    nodes = Nodes(
        np.empty(capacity),
        np.zeros((capacity, 3), np.int64),
        np.empty((capacity, d)),
        np.empty((capacity, d, d)),
        np.full((layers, ROWS, COLUMNS), -1),
        np.zeros(1, np.int64),
    )
    edge, drop = np.nan, DROP
    c[:], z[:] = mode_c, mode_z
    for _ in range(MOST_GROWTH if found else 0):
        grow(top, drop, point, origin, step, units, table, cells, priors, c, z, factor, work, nodes)
        edge = edge_mass(nodes, from_zero, priors)
        if edge > EDGE_MASS:
            fill(drop, from_zero, origin, step, units, table, cells, priors, c, z, factor, work, nodes)
            edge = edge_mass(nodes, from_zero, priors)
            c[:], z[:] = mode_c, mode_z
        if not edge > EDGE_MASS:
            break
        drop += FURTHER
    count = nodes.found[0]
    return Grid(
        nodes.log_mass[:count].copy(),
        nodes.places[:count].copy(),
        nodes.c[:count].copy(),
        nodes.factor[:count].copy(),
        nodes.node,
        origin,
        step,
        units,
        from_zero,
        edge,
        table,
    )
