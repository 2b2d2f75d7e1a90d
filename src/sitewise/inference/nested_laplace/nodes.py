"""The nodes of the grid: where they are, which are neighbours, and what lies on the edge."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.inference.nested_laplace.searching import SHAPE_AXIS, SITE_AXIS, SLOPE_AXIS

Floats = NDArray[np.float64]

ROWS, COLUMNS, LAYERS = 81, 241, 61
"""Most nodes along log shape, v and w."""


class Nodes(NamedTuple):
    """Nodes found so far, as in :class:`Grid`; ``found`` (1,) says how many."""

    log_mass: Floats
    places: NDArray[np.int64]
    c: Floats
    factor: Floats
    node: NDArray[np.int64]
    found: NDArray[np.int64]


@compiled
def keep(layer, row, column, value, c, factor, nodes):  # type: ignore[no-untyped-def]
    """Add a node."""
    new = nodes.found[0]
    nodes.log_mass[new] = value
    nodes.places[new, SHAPE_AXIS], nodes.places[new, SITE_AXIS], nodes.places[new, SLOPE_AXIS] = row, column, layer
    nodes.c[new], nodes.factor[new] = c, factor
    nodes.node[layer, row, column] = new
    nodes.found[0] = new + 1


@compiled
def edge_mass(nodes, from_zero, priors):  # type: ignore[no-untyped-def]
    """Return the share of the mass that lies in cells with a neighbour off the grid; a sd of zero is no edge."""
    count = nodes.found[0]
    total, edge = 0.0, 0.0
    highest = nodes.log_mass[:count].max() if count > 0 else 0.0
    active = (priors.has_shape, priors.random_sites, priors.random_slopes)
    for index in range(count):
        mass = math.exp(nodes.log_mass[index] - highest)
        total += mass
        outside = False
        for axis in range(3):
            for side in (-1, 1):
                if active[axis] and not (side == -1 and from_zero[axis] and nodes.places[index, axis] == 0):
                    outside = outside or neighbour(nodes.node, nodes.places[index], axis, side) < 0
        if outside:
            edge += mass
    return edge / total if total > 0 else np.nan


@compiled
def neighbour(node, place, axis, side):  # type: ignore[no-untyped-def]
    """Return the node next to the one at ``place`` along an axis, or -1."""
    layer = place[SLOPE_AXIS] + (side if axis == SLOPE_AXIS else 0)
    row = place[SHAPE_AXIS] + (side if axis == SHAPE_AXIS else 0)
    column = place[SITE_AXIS] + (side if axis == SITE_AXIS else 0)
    return node_at(node, layer, row, column)


@compiled
def node_at(node, layer, row, column):  # type: ignore[no-untyped-def]
    """Return the node at a place, or -1."""
    if 0 <= layer < node.shape[0] and 0 <= row < ROWS and 0 <= column < COLUMNS:
        return node[layer, row, column]
    return -1
