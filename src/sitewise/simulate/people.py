"""The population that a scenario's patients come from, as people with weights.

A Gaussian copula with categorical margins gives every combination of levels an orthant probability of the multivariate normal
distribution. They are integrated by conditioning one latent variable after the other (Genz 1992, J Comput Graph Stat 1:141),
which leaves a smooth integrand on the unit cube, and a product of Gauss-Legendre rules there; beyond some million points
by a scrambled Sobol sequence instead. Numeric covariates come first: their nodes are values that people have.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from sitewise.cohort import Cohort, Columns
from sitewise.problems import ScenarioError, nearest
from sitewise.simulate.covariates import labelled
from sitewise.simulate.parts import Floats, Numeric
from sitewise.simulate.scenario import Scenario

MOST_POINTS = 1 << 22
"""Points of all combinations of levels together."""
NODES = 32
"""Of a dimension, and of each panel between cuts of a numeric covariate."""
LEAST_NODES = 8
SOBOL_POWER = 13
Cuts = Mapping[str, Sequence[float]]


def population(scenario: Scenario, /, *, cuts: Cuts | None = None, nodes: int = NODES) -> Cohort:
    """Return the scenario's population as a weighted cohort whose outcomes mean nothing.

    Parameters
    ----------
    scenario : Scenario
        Who the people are.
    cuts : mapping of str to sequence of float, optional
        Values at which groups cut a numeric covariate, such as ``{"age": [70]}``: integration stops and starts there.
    nodes : int
        Nodes of a dimension.

    Returns
    -------
    Cohort
        One row a kind of patient; ``weights`` are their shares and sum to 1; ``time`` and ``event`` are placeholders. Without a
        site. Shares are right to some 1e-9 with up to four categorical covariates, 1e-7 with five; with more, 1e-4.

    Raises
    ------
    ScenarioError
        When ``cuts`` names no numeric covariate.
    """
    numeric = [item.name for item in scenario.numeric]
    for name in cuts or {}:
        if name not in numeric:
            raise ScenarioError(f"cuts: '{name}' is no numeric covariate. {nearest(name, numeric)}")
    table, weights = _people(scenario, cuts or {}, nodes)
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


def _people(scenario: Scenario, cuts: Cuts, nodes: int) -> tuple[pd.DataFrame, Floats]:
    """Return the covariates of every kind of patient, and their shares."""
    numeric, categorical = scenario.numeric, scenario.categorical
    combinations = list(itertools.product(*(range(len(item.levels)) for item in categorical)))
    own = [_panels(item, cuts.get(item.name, ()), nodes) for item in numeric]
    points, rule, alike = _points(own, max(len(categorical) - 1, 0), len(combinations), nodes)
    factor = np.linalg.cholesky(scenario.latent_correlation) if scenario.covariates else np.zeros((0, 0))
    bounds = [np.concatenate([[-np.inf], ndtri(np.cumsum(item.shares)[:-1]), [np.inf]]) for item in categorical]
    # The first `alike` of the points' blocks differ in numeric covariates; within a block people are all alike.
    first = points[:: len(points) // alike]
    values = {item.name: item.quantile(ndtr(_latent(factor, row, first))) for row, item in enumerate(numeric)}
    kept: dict[str, list[Any]] = {item.name: [] for item in scenario.covariates}
    weights: list[Floats] = []
    for combination in combinations:
        limits = [ends[[level, level + 1]] for ends, level in zip(bounds, combination, strict=True)]
        share = (rule * _orthant(factor, points, len(numeric), limits)).reshape(alike, -1).sum(axis=1)
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


def _panels(item: Numeric, cuts: Sequence[float], nodes: int) -> tuple[Floats, Floats]:
    """Return nodes and weights on (0, 1) for a numeric covariate, with panels between the shares below its cuts."""
    ends = np.unique([0.0, *(share for cut in cuts if 0 < (share := item.share_below(cut)) < 1), 1.0])
    point, weight = _smooth_rule(nodes)
    widths = np.diff(ends)
    return (ends[:-1, None] + widths[:, None] * point).ravel(), (widths[:, None] * weight).ravel()


def _smooth_rule(nodes: int) -> tuple[Floats, Floats]:
    """Return a rule on (0, 1): normal quantiles have infinite slopes at its ends, and this change of variable is flat there."""
    node, weight = np.polynomial.legendre.leggauss(nodes)
    angle = np.pi * (node + 1) / 2
    return (angle - np.sin(2 * angle) / 2) / np.pi, (1 - np.cos(2 * angle)) * weight / 2


def _points(
    numeric: Sequence[tuple[Floats, Floats]], categorical: int, combinations: int, nodes: int
) -> tuple[Floats, Floats, int]:
    """Return points of the unit cube, shape (q, dimensions), weights, and how many blocks of people they hold.

    Numeric dimensions come first and vary slowest; ``categorical`` dimensions follow (the last covariate needs none).
    """
    dimensions = len(numeric) + categorical
    if not dimensions:
        return np.zeros((1, 0)), np.ones(1), 1
    blocks = int(np.prod([point.size for point, _ in numeric]))
    fitting = int((MOST_POINTS / combinations / blocks) ** (1 / categorical)) if categorical else nodes
    if min(nodes, fitting) < LEAST_NODES or blocks * combinations > MOST_POINTS:
        from scipy.stats import qmc  # half a second to load, and few commands come here

        points = qmc.Sobol(dimensions, seed=np.random.default_rng(0)).random_base2(SOBOL_POWER)
        return points, np.full(len(points), 1 / len(points)), len(points) if numeric else 1
    rules = [*numeric, *[_smooth_rule(min(nodes, fitting))] * categorical]
    mesh = np.meshgrid(*(point for point, _ in rules), indexing="ij")
    weights = np.meshgrid(*(weight for _, weight in rules), indexing="ij")
    return np.column_stack([item.ravel() for item in mesh]), np.prod([item.ravel() for item in weights], axis=0), blocks


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
