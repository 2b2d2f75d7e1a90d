"""Hazards of cells, and their sums by site and over pairs of columns: the inner loops of the fast engine.

The log likelihood is sum of events x log hazard - sum of exposure x exp(log hazard). The first sum is linear in the parameters
and takes sums over events that are made once; the second is what these loops do, a few hundred cells at a time, with
exponentials and products of several numbers at once.
"""

from __future__ import annotations

from sitewise.classical.compiled import compiled, compiled_for_rows
from sitewise.classical.exponentials import exponentials
from sitewise.inference.nested_laplace.workspace import CHUNK

LARGEST = 690.0
"""Log hazards are cut here: exp of it is still a number, and a likelihood that has one is zero for every purpose."""


@compiled
def cut(x, length):  # type: ignore[no-untyped-def]
    """Cut numbers at plus and minus ``LARGEST``; written so that the compiler takes several at once."""
    for i in range(length):
        value = x[i]
        value = LARGEST if value > LARGEST else value
        x[i] = -LARGEST if value < -LARGEST else value


@compiled
def fill_hazards(  # type: ignore[no-untyped-def]
    shape, base, unit, c, effects, slope, columns, site_start, log_time, sign_weight, exposure, hazard, x, power
):
    """Fill ``hazard`` (C,) with exposure x exp(base + effect of the site + unit x row of the cell times c).

    ``effects`` (J,), or empty without random sites; with ``slope`` (C,), a column, J slopes of it follow. Where ``exposure`` is
    empty every cell is one log time, and its power is taken in the same exponential. Scratch ``x`` and ``power`` (CHUNK,).
    Arrays are passed one by one: a tuple of many would take longer than a small cohort's sums.
    """
    count, q = hazard.size, columns.shape[0]
    at_once = exposure.size == 0
    site = 0
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        end = start + length  # views: an index that is a sum keeps the compiler from taking several numbers at once
        for i in range(length):
            x[i] = base
        for k in range(q):
            own, times = columns[k, start:end], unit * c[k]
            for i in range(length):
                x[i] += times * own[i]
        if at_once:
            own = log_time[start:end]
            for i in range(length):
                x[i] += shape * own[i]
        if effects.size > 0:
            i = 0
            while i < length:
                while site_start[site + 1] <= start + i:
                    site += 1
                stop = min(length, site_start[site + 1] - start)
                effect = effects[site]
                for j in range(i, stop):
                    x[j] += effect
                if slope.size > 0:
                    tilt, own = effects[site_start.size - 1 + site], slope[start:end]
                    for j in range(i, stop):
                        x[j] += tilt * own[j]
                i = stop
        cut(x, length)
        exponentials(x, power, length)
        factor = sign_weight[start:end] if at_once else exposure[start:end]
        result = hazard[start:end]
        for i in range(length):
            result[i] = factor[i] * power[i]


@compiled_for_rows
def sum_of(hazard, start, stop):  # type: ignore[no-untyped-def]
    """Return the sum of hazards from ``start`` to ``stop``."""
    total = 0.0
    own = hazard[start:stop]
    for i in range(own.size):
        total += own[i]
    return total


@compiled_for_rows
def sum_of_products(hazard, column, start, stop):  # type: ignore[no-untyped-def]
    """Return the sum of hazard x column from ``start`` to ``stop``."""
    total = 0.0
    own, other = hazard[start:stop], column[start:stop]
    for i in range(own.size):
        total += own[i] * other[i]
    return total


@compiled_for_rows
def add_pairs(hazard, columns, matrix, product):  # type: ignore[no-untyped-def]
    """Add sum of hazard x column x column to the lower triangle of ``matrix`` (q, q); scratch ``product`` (CHUNK,)."""
    q, count = columns.shape
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        own = hazard[start : start + length]
        for k in range(q):
            column = columns[k, start : start + length]
            for i in range(length):
                product[i] = own[i] * column[i]
            for j in range(k + 1):
                other = columns[j, start : start + length]
                total = 0.0
                for i in range(length):
                    total += product[i] * other[i]
                matrix[k, j] += total
