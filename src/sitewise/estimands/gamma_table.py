"""Survival of a standardised log-gamma variable under one draw: its two tails as tables, made once a draw."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.families.base import GAMMA
from sitewise.families.log_gamma_kernels import between, farthest, log_constant, psi, table_step, tail_table


@compiled
def gamma_tables(standard, q, first, last):  # type: ignore[no-untyped-def]
    """Return the constant of the density, and tables of the right and the left tail as far as ``first`` and ``last`` ask.

    For other standards than the gamma variable's the tables are empty.
    """
    if standard != GAMMA:
        return 0.0, np.empty((0, 6)), np.empty((0, 6))
    constant, slope = log_constant(q)
    right = tail_table(q, constant, slope, min(farthest(q), max(last, 0.0)))
    return constant, right, tail_table(-q, constant, -slope, min(farthest(-q), max(-first, 0.0)))


@compiled
def gamma_survival(u, q, constant, right, left):  # type: ignore[no-untyped-def]
    """Return survival and density at u; beyond the tables nobody has had the event, or everybody."""
    table, step = right if u > 0.0 else left, table_step(q)
    place = abs(u) / step
    at = int(place)
    if at >= table.shape[0] - 1:
        return (0.0, 0.0) if u > 0.0 else (1.0, 0.0)
    beyond = math.exp(between(table, at, place - at, step, 0))
    density = math.exp(constant - u * u * psi(q * u))
    return (beyond, density) if u > 0.0 else (1.0 - beyond, density)
