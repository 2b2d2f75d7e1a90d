"""The population that a scenario's patients come from, as people with weights.

A Gaussian copula with categorical margins gives every combination of levels an orthant probability of the multivariate normal
distribution. They are integrated by conditioning one latent variable after the other (Genz 1992, J Comput Graph Stat 1:141),
which leaves a smooth integrand on the unit cube, and a product of Gauss-Legendre rules there; beyond some million points
by a scrambled Sobol sequence instead. Numeric covariates come first: their nodes are values that people have.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from sitewise.cohort import Cohort, Columns
from sitewise.simulate.covariates import labelled
from sitewise.simulate.parts import Floats
from sitewise.simulate.scenario import Scenario

MOST_POINTS = 1 << 21
"""Points of all combinations of levels together."""
BEST_NODES = 32
LEAST_NODES = 8
SOBOL_POWER = 13


def population(scenario: Scenario) -> Cohort:
    """Return the scenario's population as a weighted cohort whose outcomes mean nothing.

    Returns
    -------
    Cohort
        One row a kind of patient; ``weights`` are their shares and sum to 1; ``time`` and ``event`` are placeholders. Without a
        site. Shares are exact to 1e-9 for up to four categorical covariates, to 1e-5 beyond some million points.
    """
    table, weights = _people(scenario)
    placeholder = np.ones(weights.size)
    return Cohort(
        time=placeholder,
        event=placeholder.copy(),
        entry=np.zeros(weights.size),
        weights=weights,
        site=None,
        id=pd.Series([str(row + 1) for row in range(weights.size)], name="patient"),
        covariates=table,
        columns=Columns("time", "event"),
        time_unit=scenario.time_unit,
        source=f"the population of scenario {scenario.id}",
        synthetic=True,
    )


def _people(scenario: Scenario) -> tuple[pd.DataFrame, Floats]:
    """Return the covariates of every kind of patient, and their shares."""
    numeric, categorical = scenario.numeric, scenario.categorical
    combinations = list(itertools.product(*(range(len(item.levels)) for item in categorical)))
    points, rule = _unit_cube(len(numeric), len(categorical), len(combinations))
    factor = np.linalg.cholesky(scenario.latent_correlation) if scenario.covariates else np.zeros((0, 0))
    bounds = [np.concatenate([[-np.inf], ndtri(np.cumsum(item.shares)[:-1]), [np.inf]]) for item in categorical]
    values = {item.name: item.quantile(ndtr(_latent(factor, row, points))) for row, item in enumerate(numeric)}
    kept: dict[str, list[Any]] = {item.name: [] for item in scenario.covariates}
    weights: list[Floats] = []
    for combination in combinations:
        limits = [ends[[level, level + 1]] for ends, level in zip(bounds, combination, strict=True)]
        share = rule * _orthant(factor, points, len(numeric), limits)
        if not numeric:  # people of one combination are all alike
            share = np.atleast_1d(share.sum())
        weights.append(share)
        for item, level in zip(categorical, combination, strict=True):
            kept[item.name].append(np.full(share.size, level))
        for name, value in values.items():
            kept[name].append(value)
    share = np.concatenate(weights)
    columns = {name: np.concatenate(items) for name, items in kept.items()}
    table = pd.DataFrame(
        {
            **{item.name: labelled(columns[item.name], item.levels) for item in categorical},
            **{item.name: columns[item.name] for item in numeric},
        },
        index=range(share.size),
    )
    possible = share > 0
    return table[possible].reset_index(drop=True), share[possible] / share.sum()


def _unit_cube(numeric: int, categorical: int, combinations: int) -> tuple[Floats, Floats]:
    """Return points of the unit cube, shape (q, dimensions), and weights: the last categorical one needs no dimension."""
    dimensions = numeric + max(categorical - 1, 0)
    if not dimensions:
        return np.zeros((1, 0)), np.ones(1)
    nodes = min(BEST_NODES, int((MOST_POINTS / combinations) ** (1 / dimensions)))
    if nodes < LEAST_NODES:
        points = qmc.Sobol(dimensions, seed=np.random.default_rng(0)).random_base2(SOBOL_POWER)
        return points, np.full(len(points), 1 / len(points))
    node, weight = np.polynomial.legendre.leggauss(nodes)
    # Normal quantiles have infinite slopes at 0 and 1; this change of variable is flat there.
    angle = np.pi * (node + 1) / 2
    point, weight = (angle - np.sin(2 * angle) / 2) / np.pi, (1 - np.cos(2 * angle)) * weight / 2
    mesh = np.meshgrid(*[point] * dimensions, indexing="ij")
    weights = np.meshgrid(*[weight] * dimensions, indexing="ij")
    return np.column_stack([item.ravel() for item in mesh]), np.prod([item.ravel() for item in weights], axis=0)


def _latent(factor: Floats, row: int, points: Floats) -> Floats:
    """Return a latent variable without bounds from the unit cube, shape (q,)."""
    return np.asarray(ndtri(points[:, : row + 1]) @ factor[row, : row + 1])


def _orthant(factor: Floats, points: Floats, numeric: int, limits: list[Floats]) -> Floats:
    """Return, at each point, the probability that the categorical latent variables lie within limits given those before."""
    standard = ndtri(points[:, :numeric])
    share = np.ones(len(points))
    for step, (low, high) in enumerate(limits):
        row = numeric + step
        centre = standard @ factor[row, :row]
        below, above = ndtr((low - centre) / factor[row, row]), ndtr((high - centre) / factor[row, row])
        share = share * (above - below)
        if step + 1 < len(limits):
            inside = np.clip(below + points[:, row] * (above - below), 1e-300, 1 - 1e-16)
            standard = np.column_stack([standard, ndtri(inside)])
    return np.asarray(share)
