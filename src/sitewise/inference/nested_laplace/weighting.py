"""From a spec and a cohort's arrays to weighted draws with their certificate: arrays only, for one fit or for thousands."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled, over_rows
from sitewise.inference.nested_laplace.cells import make_cells
from sitewise.inference.nested_laplace.drawing import OUTSIDE_DEGREES, draw
from sitewise.inference.nested_laplace.grid import LARGEST_UNIT, make_grid
from sitewise.inference.nested_laplace.pareto import pareto_smooth
from sitewise.inference.nested_laplace.priors import make_priors, sd_unit_of
from sitewise.inference.nested_laplace.stand_ins import Replaced, corrections, with_stand_ins
from sitewise.inference.packing import column_scales, slope_scales
from sitewise.inference.prior_codes import UnknownPriorError
from sitewise.inference.verdict import Verdict, judge_importance
from sitewise.models.model_data import ModelData
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError

Floats = NDArray[np.float64]
DEGREES = 15.0
"""Degrees of freedom of the t that proposes coefficients and baseline."""
MANY_CELLS, COARSER = 20_000, 1.7
"""Where a node takes long, there are a third as many: draws are a little less efficient instead."""
LONG = 50_000_000
"""Cells times draws from which draws are spread over threads; each is made alone, so that results do not depend on these."""
SHARE_OUTSIDE = 0.02
"""Of draws whose hyperparameters come from a wide t instead of the grid."""


class NoModeError(SitewiseError):
    """The posterior has no mode that Newton's method finds, so that the nested Laplace approximation has nowhere to begin."""


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """Draws in the kernel's coordinates, with weights that correct the approximation.

    Parameters
    ----------
    points : ndarray, shape (S, free)
        Points as :func:`sitewise.inference.packing.unpack` reads them, site effects standardised.
    weights : ndarray, shape (S,)
        Pareto-smoothed, summing to one.
    log_weights : ndarray, shape (S,)
        As they came: log of the model's density over the proposal's.
    log_density, log_likelihood : ndarray, shape (S,)
        The kernel's log density at the points (of standardised site effects), and the log likelihood.
    log_marginal_likelihood : float
        Log of the probability (density) of the data under the spec; with fixed site effects too.
    verdict : Verdict
        Importance ESS, Pareto k, mass on the edge of the grid.
    nodes : int
        Points of the grid.
    """

    points: Floats
    weights: Floats
    log_weights: Floats
    log_density: Floats
    log_likelihood: Floats
    log_marginal_likelihood: float
    verdict: Verdict
    nodes: int

    @property
    def importance_ess(self) -> float:
        """Effective sample size of the weights, 1 / sum of their squares (Kong 1992)."""
        return float(1 / np.sum(self.weights**2))


def weighted_draws(
    spec: ModelSpec, data: ModelData, /, *, draws: int, rng: np.random.Generator, spread: float = 1.0
) -> WeightedDraws:
    """Return weighted draws from the posterior of a spec that the kernel reads.

    Parameters
    ----------
    spec : ModelSpec
        Resolved; of a family that is compiled.
    data : ModelData
        A cohort's arrays.
    draws : int
        Number of draws.
    rng : Generator
        Source of all randomness.
    spread : float
        Multiplies the sds of the proposal of coefficients and baseline; the weights correct for it.

    Raises
    ------
    NoModeError
        When the approximation finds no mode.
    """
    scales = column_scales(data)
    cells = make_cells(spec, data, scales)
    asked = spec
    replaced: tuple[Replaced, ...] = ()
    try:
        priors = make_priors(spec, scales)
    except UnknownPriorError:
        spec, replaced = with_stand_ins(spec)
        priors = make_priors(spec, scales)
    scale = 1.0 if cells.start.size < MANY_CELLS else COARSER
    grid = make_grid(cells, priors, units_of(spec, data), scale)
    if not (grid.log_mass.size > 0 and np.isfinite(grid.edge_mass)):
        raise NoModeError(
            "The nested Laplace approximation finds no mode of this posterior. "
            "Use engine=Nuts(), or look at the priors: one of them may leave a parameter unbounded."
        )
    d = cells.columns.shape[0] + 1
    sites = cells.site_start.size - 1 if priors.random_sites else 0
    kinds = int(priors.random_sites) + int(priors.random_slopes)
    free = int(priors.has_shape) + d + kinds * (1 + sites)
    more = int(priors.random_slopes)  # a third hyperparameter
    outside = max(1, round(SHARE_OUTSIDE * draws)) if priors.has_shape or priors.random_sites else 0
    points, densities, log_weights = np.empty((draws, free)), np.empty((draws, 2)), np.empty(draws)
    numbers = (
        rng.random((draws, 3 + more)),
        rng.standard_normal((draws, 2 + d + kinds * sites + more)),
        np.column_stack([rng.chisquare(DEGREES, draws), rng.chisquare(OUTSIDE_DEGREES, (draws, 2 + more))]),
        rng.random((draws, kinds * sites)),
    )

    def work(start: int, stop: int) -> None:
        draw(cells, priors, grid, DEGREES, spread, outside, *numbers, start, stop, points, densities, log_weights)

    over_rows(work, draws, (os.cpu_count() or 1) if cells.start.size * draws > LONG else 1)
    if replaced:
        moved = corrections(asked, data, replaced, points)
        densities[:, 0] += moved
        log_weights += moved
    weights, pareto_k = pareto_smooth(log_weights)
    largest = log_weights.max()
    log_mean = largest + np.log(np.mean(np.exp(log_weights - largest)))
    return WeightedDraws(
        points,
        weights,
        log_weights,
        densities[:, 0],
        densities[:, 1],
        # The points' coefficients are those of the columns times their sds.
        float(log_mean - np.log(priors.column_sd).sum()),
        judge_importance(
            float(1 / np.sum(weights**2)), float(pareto_k), float(grid.edge_mass), draws, worst_error(points, weights)
        ),
        int(grid.log_mass.size),
    )


def units_of(spec: ModelSpec, data: ModelData) -> Floats:
    """Return the sds of sites and of slopes, shape (2,), at which their search begins."""
    resolution = spec.resolved
    scale = slope_scales(spec, data)[0] if resolution.slope_columns else 1.0
    slope = sd_unit_of(resolution.site_slope_sd[0] if resolution.slope_columns else None)
    return np.array([min(sd_unit_of(resolution.site_sd), LARGEST_UNIT), min(slope, LARGEST_UNIT / scale)])


@compiled
def worst_error(points, weights):  # type: ignore[no-untyped-def]
    """Return the largest Monte Carlo error of a mean over sd, among the coordinates of points (S, free).

    The error of a weighted mean is sqrt(sum w^2 (x - mean)^2) (delta method for a ratio of means).
    """
    draws, free = points.shape
    mean, variance, error = np.zeros(free), np.zeros(free), np.zeros(free)
    for s in range(draws):
        for j in range(free):
            mean[j] += weights[s] * points[s, j]
    for s in range(draws):
        for j in range(free):
            own = weights[s] * (points[s, j] - mean[j]) ** 2
            variance[j] += own
            error[j] += weights[s] * own
    worst = 0.0
    for j in range(free):
        own = math.sqrt(error[j] / variance[j])
        worst = own if not own <= worst else worst
    return worst


def resampled(weights: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return positions of equally weighted draws, shape (S,): systematic resampling, in random order."""
    size = weights.size
    positions = np.searchsorted(np.cumsum(weights), (np.arange(size) + rng.random()) / size)
    return rng.permutation(np.minimum(positions, size - 1))
