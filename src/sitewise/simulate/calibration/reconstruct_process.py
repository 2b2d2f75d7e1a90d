"""The process that a reconstruction is begun from, as the arrays by which the annealing kernel judges a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from sitewise.families import Weibull
from sitewise.simulate.calibration.characteristics import Factor, Structure
from sitewise.simulate.calibration.generate import Cohorts, Randomness
from sitewise.simulate.calibration.parameters import (
    CENSORING_SCALE,
    CENSORING_SHAPE,
    EFFECT,
    correlation_matrices,
    guarantee_times,
)
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

POINTS = 2000
EARLIEST = 1e-5
"""Of the longest time: where the tables begin."""
LATEST = 3.0
LEAST_SHARE = 1e-6
"""Of a cell of two characteristics."""
FAR = 8.0
"""Normal score that stands for infinity."""


@dataclass(frozen=True, eq=False)
class ProcessOfRow:
    """One parameter row, as :mod:`sitewise.simulate.calibration.annealing.process` reads it.

    Parameters
    ----------
    frailty : ndarray, shape (n,)
        Log hazard ratio of each patient's site.
    effect : ndarray, shape (q, m)
        Log hazard ratio of each level of each characteristic, or of each patient's value of a numeric one.
    slope : ndarray, shape (q,)
        Log hazard ratio of a unit of a numeric characteristic.
    pairs : ndarray, shape (q, q, l, l)
        Log of the joint over the product of the single probabilities of levels of two characteristics; 0 for numeric ones.
    start : float
        Guarantee time.
    grid : ndarray, shape (2,)
        First log time since then, and the step.
    tables : ndarray, shape (4, POINTS)
        Log hazard, log cumulative hazard, log density and log survival of the end of follow-up.
    """

    frailty: Floats
    effect: Floats
    slope: Floats
    pairs: Floats
    start: float
    grid: Floats
    tables: Floats

    @classmethod
    def of(cls, problem: Problem, theta: Floats, random: Randomness, cohorts: Cohorts, row: int, widest: int) -> Self:
        """Return the process of one row of parameters, with the site effects that its cohort was simulated with."""
        generator, structure = problem.generator, problem.structure
        values = {name: column[row : row + 1] for name, column in problem.parameters.named(theta).items()}
        start = float(guarantee_times(values, problem.parameters, problem.assumptions)[0])
        effects = generator.site_sds(random)[row] * random.site_effect[row]
        effect, slope = np.zeros((len(structure.names), widest)), np.zeros(len(structure.names))
        for place, measure in enumerate(structure.measures):
            for name in measure.effects:
                slope[place] = float(values[EFFECT + name][0])
                own = cohorts.measures[measure.name][row]
                effect[place, : own.size] = slope[place] * (own - measure.median)
        for place, item in enumerate(structure.factors, start=len(structure.measures)):
            ratios = [0.0, *(float(values[EFFECT + name][0]) for name in item.effects)]
            effect[place, : len(item.levels)] = [ratios[number] for number in item.classes]
        longest = float(cohorts.time[row].max())
        log_time = np.linspace(np.log(EARLIEST * longest), np.log(LATEST * longest), POINTS)
        family, log_scale, shape = generator.baseline(values)
        one, own_shape = float(log_scale[0]), tuple(float(item[0]) for item in shape)
        censoring = (float(values[CENSORING_SCALE][0]), (float(np.exp(values[CENSORING_SHAPE][0])),))
        left = -np.exp(Weibull().log_cumulative_hazard(log_time, *censoring))
        tables = np.stack(
            [
                family.log_hazard(log_time, one, own_shape),
                family.log_cumulative_hazard(log_time, one, own_shape),
                Weibull().log_hazard(log_time, *censoring) + left,
                left,
            ]
        )
        return cls(
            frailty=effects[cohorts.site[row]],
            effect=effect,
            slope=slope,
            pairs=_pairs(structure, correlation_matrices(values, structure)[0]),
            start=start,
            grid=np.array([log_time[0], log_time[1] - log_time[0]]),
            tables=np.ascontiguousarray(tables),
        )


def _pairs(structure: Structure, correlation: Floats) -> Floats:
    names = structure.names
    levels = max((len(item.levels) for item in structure.factors), default=1)
    found = np.zeros((len(names), len(names), levels, levels))
    for one, other in structure.pairs:
        here, there = names.index(one), names.index(other)
        if min(here, there) < len(structure.measures):
            continue  # how a numeric characteristic goes with others is left to the printed numbers
        first, second = structure.factor(one), structure.factor(other)
        table = log_association(first, second, float(correlation[here, there]))
        found[here, there, : table.shape[0], : table.shape[1]] = table
        found[there, here, : table.shape[1], : table.shape[0]] = table.T
    return found


def log_association(first: Factor, second: Factor, correlation: float) -> Floats:
    """Return log(p_ab / (p_a p_b)) of the levels of two characteristics whose latent variables are bivariate normal."""
    shares = [np.asarray(item.counts) / sum(item.counts) for item in (first, second)]
    cuts: list[NDArray[Any]] = [
        np.clip(ndtri(np.concatenate([[0.0], np.minimum(np.cumsum(own)[:-1], 1.0), [1.0]])), -FAR, FAR) for own in shares
    ]
    corners = np.stack(np.meshgrid(*cuts, indexing="ij"), axis=-1)
    below = multivariate_normal(cov=[[1.0, correlation], [correlation, 1.0]]).cdf(corners).reshape(corners.shape[:2])
    cells = np.maximum(np.diff(np.diff(below, axis=0), axis=1), LEAST_SHARE)
    return np.asarray(np.log(cells) - np.log(np.outer(*shares)))
