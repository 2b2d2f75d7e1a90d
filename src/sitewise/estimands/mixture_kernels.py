"""The inner loops of a mixture over the index, compiled: means of survival, and where it reaches a level.

The index is what covariates and sites add to (:attr:`sitewise.families.Family.standard`): the log cumulative hazard, or for
other times the standardised log time. Survival is exp(-exp(index)), or the upper tail of a standard logistic, normal or
log-gamma distribution at the index; the last is read from a table made once a draw.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.classical.exponentials import exponentials
from sitewise.estimands.gamma_table import gamma_survival, gamma_tables
from sitewise.families.base import EXTREME_VALUE, GAMMA, LOGISTIC

SMALLEST = 690.0
"""Exponentials are of numbers cut at plus and minus this: survival below exp(-690) is no number that anybody reads."""
ROOT_2, ROOT_2_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)


@compiled
def survival_and_density(standard, index, q, constant, right, left):  # type: ignore[no-untyped-def]
    """Return survival at an index, and minus its derivative in the index; the last three are of :func:`gamma_tables`."""
    if standard == GAMMA:
        return gamma_survival(index, q, constant, right, left)
    if standard == EXTREME_VALUE:
        hazard = math.exp(min(index, SMALLEST))
        surviving = math.exp(-hazard)
        return surviving, surviving * hazard if surviving > 0.0 else 0.0
    if standard == LOGISTIC:
        smaller = math.exp(-min(abs(index), SMALLEST))
        surviving = (smaller if index > 0.0 else 1.0) / (1.0 + smaller)
        return surviving, smaller / (1.0 + smaller) ** 2
    return 0.5 * math.erfc(index / ROOT_2), math.exp(-min(0.5 * index * index, SMALLEST)) / ROOT_2_PI


@compiled
def solve_level(points, mass, level, target, standard, tail, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (b, G) with u at which sum of mass S(u + point) = ``level``; S(``target``) is the level, (b,).

    Newton steps on u, for log(-log S) where hazards add up (it is u plus a constant for a single hazard and nearly straight for
    a mixture) and for S itself elsewhere, with bisection wherever a step leaves the bracket.
    """
    for draw in range(mass.shape[0]):
        own = points[draw]
        aim = target[draw]
        reach = own.max() - own.min() + 2.0
        constant, right, left = gamma_tables(standard, tail[draw], aim - reach, aim + reach)
        for group in range(mass.shape[1]):
            share = mass[draw, group]
            middle, least, most = 0.0, np.inf, -np.inf
            for j in range(own.size):
                if share[j] != 0.0:
                    middle += share[j] * own[j]
                    least, most = min(least, own[j]), max(most, own[j])
            point, lowest, highest = aim - middle, aim - most - 1.0, aim - least + 1.0
            for _ in range(80):
                value, slope = 0.0, 0.0
                for j in range(own.size):
                    if share[j] != 0.0:
                        surviving, density = survival_and_density(standard, point + own[j], tail[draw], constant, right, left)
                        value += share[j] * surviving
                        slope += share[j] * density
                if value > level:
                    lowest = point
                else:
                    highest = point
                proposed = 0.5 * (lowest + highest)
                if 0.0 < value < 1.0 and slope > 0.0:
                    newton = point + (value - level) / slope
                    if standard == EXTREME_VALUE:
                        cumulative = -math.log(value)
                        newton = point + (aim - math.log(cumulative)) * value * cumulative / slope
                    if lowest < newton < highest:
                        proposed = newton
                moved = abs(proposed - point)
                point = proposed
                if moved < 1e-8:  # the next Newton step would be of the order of its square
                    break
            result[draw, group] = point


@compiled
def add_means(standard, tail, rows, points, mass, index, density, result):  # type: ignore[no-untyped-def]
    """Fill ``result[rows]`` (s, G, T) with sum_j mass_j S(index + point_j), or with minus its derivative for ``density``.

    Hazards that add up take two exponentials in rows for all points; other distributions one point at a time.
    """
    size = points.shape[1]
    x, hazard, values = np.empty(size), np.empty(size), np.empty(size)
    for draw in range(rows.size):
        row = rows[draw]
        first, last = points[draw].min() + index[row].min(), points[draw].max() + index[row].max()
        constant, right, left = gamma_tables(standard, tail[row], first, last)
        if standard == EXTREME_VALUE:
            for j in range(size):
                x[j] = min(max(points[draw, j], -SMALLEST), SMALLEST)
            exponentials(x, hazard, size)
        for time in range(index.shape[1]):
            if standard == EXTREME_VALUE:
                base = math.exp(min(index[row, time], SMALLEST))
                for j in range(size):
                    value = -base * hazard[j]
                    x[j] = -SMALLEST if value < -SMALLEST else value
                exponentials(x, values, size)
                if density:
                    for j in range(size):
                        values[j] *= min(base * hazard[j], SMALLEST)
            else:
                for j in range(size):
                    surviving, falling = survival_and_density(
                        standard, index[row, time] + points[draw, j], tail[row], constant, right, left
                    )
                    values[j] = falling if density else surviving
            for group in range(mass.shape[1]):
                own = mass[draw, group]
                total = 0.0
                for j in range(size):
                    total += own[j] * values[j]
                result[row, group, time] = total
