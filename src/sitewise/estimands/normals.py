"""Members whose log hazards are normal distributions, each with an sd of its own, as masses on the grid of log hazards.

So they are over a population of sites in which effects of covariates differ: a member far from the reference patient differs
more between sites than one near to it, and no one convolution serves all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.estimands.grid import MARGIN, POINTS, REACH, STEP

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Normals = Callable[[int, Rows], tuple[Floats, Floats, Floats]]
"""Takes a group's number and some draws, (b,); returns its members' means, sds, (b, m), and weights, (b or 1, m)."""

GROWTH = 1.25
"""Draws whose grids' lengths differ by less than this factor share a block, so that a few wide ones do not widen all."""
WIDE = 0.16 / STEP
"""From this sd on, in steps, masses are the normal density at the grid points: it errs by exp(-2 pi^2 sd^2) or 1e-14."""
NODES, SHARES = np.polynomial.hermite_e.hermegauss(8)
SHARES = SHARES / SHARES.sum()
"""Of a narrower one: eight points, n! (2 sd / pi)^(2n) of whose rule is below 1e-11."""
BEFORE = MARGIN - 1
DENOMINATORS = np.array(
    [float(np.prod([index - other for other in range(POINTS) if other != index])) for index in range(POINTS)]
)


def normal_masses(
    normals: Normals, draws: int, groups: int, length: int
) -> tuple[Floats, Floats, list[tuple[Rows, Floats, Floats]]]:
    """Return the members' lowest and highest means, (s, G), and blocks of draws: rows (b,), points (b, J), masses (b, G, J).

    Parameters
    ----------
    normals : callable
        Gives the members of a group.
    draws, groups : int
        Numbers of draws s and groups G.
    length : int
        Draws that are taken at once, so that memory does not grow with draws times people.
    """
    means, reach = np.empty((2, draws, groups)), np.empty((2, draws, groups))
    for start in range(0, draws, length):
        rows = np.arange(start, min(start + length, draws))
        for number in range(groups):
            mean, sd, _ = normals(number, rows)
            means[:, rows, number] = mean.min(axis=1), mean.max(axis=1)
            reach[:, rows, number] = (mean - REACH * sd).min(axis=1), (mean + REACH * sd).max(axis=1)
    first = reach[0].min(axis=1)
    sizes = np.ceil((reach[1].max(axis=1) - first) / STEP).astype(np.int64) + 2 * MARGIN + 1
    levels = np.floor(np.log(sizes / sizes.min()) / np.log(GROWTH))
    blocks = []
    for level in np.unique(levels):
        chosen = np.flatnonzero(levels == level)
        mass = np.zeros((chosen.size, groups, sizes[chosen].max()))
        for start in range(0, chosen.size, length):
            part = slice(start, start + length)
            rows = chosen[part]
            for number in range(groups):
                mean, sd, weights = normals(number, rows)
                add_normals(MARGIN + (mean - first[rows, None]) / STEP, sd / STEP, weights, mass[part, number])
        mass /= mass.sum(axis=-1, keepdims=True)
        blocks.append((chosen, first[chosen, None] + STEP * (np.arange(mass.shape[-1]) - MARGIN), mass))
    return means[0], means[1], blocks


@compiled
def add_normals(position, sd, weights, mass):  # type: ignore[no-untyped-def]
    """Add to ``mass`` (b, J) the weights of members, (b or 1, m), each spread as a normal distribution over the grid.

    ``position`` and ``sd`` (b, m) are in steps from the first grid point; sd may be 0.
    """
    before = np.empty(POINTS)
    for draw in range(position.shape[0]):
        share = weights[draw if weights.shape[0] > 1 else 0]
        for member in range(position.shape[1]):
            centre, width = position[draw, member], sd[draw, member]
            if width >= WIDE:
                _add_density(centre, width, share[member], mass[draw])
            elif width > 0.0:
                for node in range(NODES.size):
                    _add_point(centre + width * NODES[node], share[member] * SHARES[node], before, mass[draw])
            else:
                _add_point(centre, share[member], before, mass[draw])


@compiled
def _add_density(centre, sd, weight, mass):  # type: ignore[no-untyped-def]
    """Add a normal density at the grid points within reach, from its middle outwards: each value is the last times a ratio."""
    first, last = math.ceil(centre - REACH * sd), math.floor(centre + REACH * sd)
    middle = math.floor(centre + 0.5)
    gap, square = (middle - centre) / sd, 1.0 / (sd * sd)
    top, decay = weight / (sd * math.sqrt(2 * math.pi)) * math.exp(-0.5 * gap * gap), math.exp(-square)
    value, ratio = top, math.exp(-gap / sd - 0.5 * square)
    for point in range(middle, last + 1):
        mass[point] += value
        value *= ratio
        ratio *= decay
    value, ratio = top, math.exp(gap / sd - 0.5 * square)
    for point in range(middle - 1, first - 1, -1):
        value *= ratio
        ratio *= decay
        mass[point] += value


@compiled
def _add_point(position, weight, before, mass):  # type: ignore[no-untyped-def]
    """Add a point by Lagrange interpolation: :func:`sitewise.estimands.grid.lagrange_weights`, one at a time."""
    cell = math.floor(position)
    start, fraction = cell - BEFORE, position - cell + BEFORE
    product = 1.0
    for index in range(POINTS):  # products of the differences before each point ...
        before[index] = product
        product *= fraction - index
    product = weight
    for index in range(POINTS - 1, -1, -1):  # ... times those after it
        mass[start + index] += before[index] * product / DENOMINATORS[index]
        product *= fraction - index
