"""The inner loops of a mixture over log hazards, compiled: means of survival, and where it reaches a level."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.classical.exponentials import exponentials

SMALLEST = 690.0
"""Exponentials are of numbers cut at plus and minus this: survival below exp(-690) is no number that anybody reads."""


@compiled
def solve_level(points, mass, level, result):  # type: ignore[no-untyped-def]
    """Fill ``result`` (b, G) with u at which sum of mass exp(-exp(u + point)) = ``level``.

    Newton steps on u = log H0 for log(-log S), which is u plus a constant for a single hazard and nearly straight for a
    mixture, with bisection wherever a step leaves the bracket.
    """
    target = math.log(-math.log(level))
    for draw in range(mass.shape[0]):
        own = points[draw]
        for group in range(mass.shape[1]):
            share = mass[draw, group]
            middle, least, most = 0.0, np.inf, -np.inf
            for j in range(own.size):
                if share[j] != 0.0:
                    middle += share[j] * own[j]
                    least, most = min(least, own[j]), max(most, own[j])
            point, low, high = target - middle, target - most - 1.0, target - least + 1.0
            for _ in range(80):
                value, slope = 0.0, 0.0
                for j in range(own.size):
                    if share[j] != 0.0:
                        hazard = math.exp(point + own[j])
                        surviving = share[j] * math.exp(-hazard)
                        value += surviving
                        if surviving != 0.0:
                            slope += surviving * hazard
                if value > level:
                    low = point
                else:
                    high = point
                proposed = 0.5 * (low + high)
                if 0.0 < value < 1.0 and slope > 0.0:
                    cumulative = -math.log(value)
                    newton = point + (target - math.log(cumulative)) * value * cumulative / slope
                    if low < newton < high:
                        proposed = newton
                moved = abs(proposed - point)
                point = proposed
                if moved < 1e-8:  # the next Newton step would be of the order of its square
                    break
            result[draw, group] = point


@compiled
def add_means(rows, points, mass, log_cumulative_hazard, tilted, result):  # type: ignore[no-untyped-def]
    """Fill ``result[rows]`` (s, G, T) with sum_j mass_j weight_j exp(-exp(log H + point_j)).

    Weights are 1, or exp(point_j) when ``tilted``.
    """
    size = points.shape[1]
    x, hazard, surviving = np.empty(size), np.empty(size), np.empty(size)
    for draw in range(rows.size):
        row = rows[draw]
        for j in range(size):
            x[j] = min(max(points[draw, j], -SMALLEST), SMALLEST)
        exponentials(x, hazard, size)
        for time in range(log_cumulative_hazard.shape[1]):
            base = math.exp(min(log_cumulative_hazard[row, time], SMALLEST))
            for j in range(size):
                value = -base * hazard[j]
                x[j] = -SMALLEST if value < -SMALLEST else value
            exponentials(x, surviving, size)
            if tilted:
                for j in range(size):
                    surviving[j] *= hazard[j]
            for group in range(mass.shape[1]):
                own = mass[draw, group]
                total = 0.0
                for j in range(size):
                    total += own[j] * surviving[j]
                result[row, group, time] = total
