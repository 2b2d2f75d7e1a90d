"""The exposure of each cell, sum of w (t^k - entry^k), as a function of the shape k: summed, or interpolated for large cohorts.

With many patients to a cell the sums would be most of the work of a fit, and each is a smooth (entire) function of k: a
polynomial through a few Chebyshev points is exact to rounding over the few hundredths that k can vary in a large cohort.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled, inlined
from sitewise.classical.exponentials import exponentials
from sitewise.inference.nested_laplace.hazards import cut
from sitewise.inference.nested_laplace.workspace import CHUNK

POINTS = 16
MANY = 64
"""Members to a cell, on average, from which interpolation is faster."""
EXACT = 1e-11
"""Relative error, at the ends of the range, up to which the polynomial is used."""


class ExposureTable(NamedTuple):
    """Exposures at Chebyshev points of shapes from ``low`` to ``high``: ``values`` (C, POINTS), or empty where not used."""

    low: float
    high: float
    values: NDArray[np.float64]


@compiled
def exposures(shape, log_time, sign_weight, first, x, power, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (C,) with the exposure of each cell; scratch ``x`` and ``power``."""
    cell, total = 0, 0.0
    for start in range(0, log_time.size, CHUNK):
        length = min(CHUNK, log_time.size - start)
        own, weight = log_time[start : start + length], sign_weight[start : start + length]
        for i in range(length):
            x[i] = shape * own[i]
        cut(x, length)
        exponentials(x, power, length)
        i = 0
        while i < length:
            stop = min(length, first[cell + 1] - start)
            for j in range(i, stop):
                total += weight[j] * power[j]
            if start + stop == first[cell + 1]:
                result[cell] = total
                cell, total = cell + 1, 0.0
            i = stop


@compiled
def interpolate(shape, table, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (C,) by the barycentric formula at Chebyshev points (Berrut & Trefethen 2004, SIAM Review 46:501)."""
    middle, half = 0.5 * (table.low + table.high), 0.5 * (table.high - table.low)
    factor = np.empty(POINTS)
    total = 0.0
    for j in range(POINTS):
        angle = (2 * j + 1) * math.pi / (2 * POINTS)
        away = shape - (middle + half * math.cos(angle))
        if away == 0.0:
            result[:] = table.values[:, j]
            return
        factor[j] = (1.0 if j % 2 == 0 else -1.0) * math.sin(angle) / away
        total += factor[j]
    for cell in range(result.size):
        value = 0.0
        for j in range(POINTS):
            value += factor[j] * table.values[cell, j]
        result[cell] = value / total


@inlined
def exposures_at(shape, cells, table, work):  # type: ignore[no-untyped-def]
    """Fill ``work.exposure``, interpolated where the table has this shape; do nothing where exposures are not kept."""
    if work.exposure.size == 0:
        return
    if table.values.size > 0 and table.low <= shape <= table.high:
        interpolate(shape, table, work.exposure)
    else:
        exposures(shape, cells.log_time, cells.sign_weight, cells.start, work.x, work.power, work.exposure)


@compiled
def make_table(cells, low, high, work):  # type: ignore[no-untyped-def]
    """Return a table over shapes from ``low`` to ``high``: empty where there are few members to a cell, or it is not exact."""
    count = cells.start.size - 1
    empty = ExposureTable(low, high, np.empty((0, POINTS)))
    if cells.log_time.size < MANY * count or not high > low:
        return empty
    table = ExposureTable(low, high, np.empty((count, POINTS)))
    exact, found = np.empty(count), np.empty(count)
    for j in range(POINTS):
        shape = 0.5 * (low + high) + 0.5 * (high - low) * math.cos((2 * j + 1) * math.pi / (2 * POINTS))
        exposures(shape, cells.log_time, cells.sign_weight, cells.start, work.x, work.power, exact)
        table.values[:, j] = exact
    for shape in (low, high):
        exposures(shape, cells.log_time, cells.sign_weight, cells.start, work.x, work.power, exact)
        interpolate(shape, table, found)
        for cell in range(count):
            if not abs(found[cell] - exact[cell]) <= EXACT * abs(exact[cell]):
                return empty
    return table
