"""Hazards of cells, and their sums by site and over pairs of columns: the inner loops of the fast engine.

The log likelihood is sum of events x log hazard - sum of exposure x exp(log hazard). The first sum is linear in the parameters and
takes sums over events that are made once; the second is what these loops do, a few hundred cells at a time so that they stay in
the cache, with exponentials and products of several numbers at once.
"""

from __future__ import annotations

import numpy as np

from sitewise.classical.compiled import compiled, compiled_for_rows
from sitewise.classical.exponentials import exponentials

CHUNK = 512
LARGEST = 690.0
"""Log hazards are cut here: exp of it is still a number, and a likelihood that has one is zero for every purpose."""


@compiled
def fill_hazards(shape, base, unit, c, effects, exposure, cells, hazard):  # type: ignore[no-untyped-def]
    """Fill ``hazard`` (C,) with exposure x exp(base + effect of the site + unit x row of the cell times c).

    ``effects`` (J,), or empty without random sites. Where ``exposure`` is empty every cell is one log time, and its power is taken
    in the same exponential.
    """
    x, power = np.empty(CHUNK), np.empty(CHUNK)
    count, q = hazard.size, cells.columns.shape[0]
    at_once = exposure.size == 0
    site = 0
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        for i in range(length):
            x[i] = base
        for k in range(q):
            own, slope = cells.columns[k], unit * c[k]
            for i in range(length):
                x[i] += slope * own[start + i]
        if at_once:
            for i in range(length):
                x[i] += shape * cells.log_time[start + i]
        if effects.size > 0:
            i = 0
            while i < length:
                while cells.site_start[site + 1] <= start + i:
                    site += 1
                stop = min(length, cells.site_start[site + 1] - start)
                effect = effects[site]
                for j in range(i, stop):
                    x[j] += effect
                i = stop
        for i in range(length):
            x[i] = min(max(x[i], -LARGEST), LARGEST)
        exponentials(x, power, length)
        if at_once:
            for i in range(length):
                hazard[start + i] = cells.sign_weight[start + i] * power[i]
        else:
            for i in range(length):
                hazard[start + i] = exposure[start + i] * power[i]


@compiled_for_rows
def sum_of(hazard, start, stop):  # type: ignore[no-untyped-def]
    """Return the sum of hazards from ``start`` to ``stop``."""
    total = 0.0
    for i in range(start, stop):
        total += hazard[i]
    return total


@compiled_for_rows
def sum_of_products(hazard, column, start, stop):  # type: ignore[no-untyped-def]
    """Return the sum of hazard x column from ``start`` to ``stop``."""
    total = 0.0
    for i in range(start, stop):
        total += hazard[i] * column[i]
    return total


@compiled_for_rows
def add_pairs(hazard, columns, matrix):  # type: ignore[no-untyped-def]
    """Add sum of hazard x column x column to the lower triangle of ``matrix`` (q, q)."""
    q, count = columns.shape
    product = np.empty(CHUNK)
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        for k in range(q):
            for i in range(length):
                product[i] = hazard[start + i] * columns[k, start + i]
            for j in range(k + 1):
                total = 0.0
                for i in range(length):
                    total += product[i] * columns[j, start + i]
                matrix[k, j] += total
