"""Numerics of the uniform grid of log hazards: spreading points over it, and normal distributions on it.

As a function of g, exp(-exp(u + g)) is so smooth that twelve-point Lagrange interpolation at step 0.125 is exact to 2e-10,
whatever u. A point at eta can therefore be replaced by masses on the twelve grid points around it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP = 0.125
POINTS = 12
MARGIN = POINTS // 2
"""Grid points needed on each side of a point."""
ALIGNED_SD = 0.3
"""From this sd on, the grid itself is fine enough for the trapezoidal rule over the normal density (step <= 0.42 sd)."""
REACH = 6.8
"""Sds of the normal density kept; the rest is 1e-11."""

_OFFSETS = np.arange(POINTS) - (MARGIN - 1)
_DENOMINATORS = np.array([np.prod(offset - np.delete(_OFFSETS, index)) for index, offset in enumerate(_OFFSETS)])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def lagrange_weights(fraction: Floats) -> Floats:
    """Return the weights, (12, ...), of the grid points around a point ``fraction`` of a step above the sixth of them."""
    differences = fraction - _OFFSETS.reshape(-1, *([1] * fraction.ndim))
    weights = np.empty_like(differences)
    below = np.ones_like(fraction)
    for index in range(POINTS):  # products of the differences before each point ...
        weights[index] = below / _DENOMINATORS[index]
        below = below * differences[index]
    above = np.ones_like(fraction)
    for index in reversed(range(POINTS)):  # ... times those after it
        weights[index] *= above
        above = above * differences[index]
    return weights


def deposit(position: Floats, weights: Floats, size: int) -> Floats:
    """Return masses on a grid of ``size`` points: each point's weight spread by Lagrange interpolation, shape (s, size).

    Parameters
    ----------
    position : ndarray, shape (s, m)
        Points, in steps from the first grid point; at least ``MARGIN`` from either end.
    weights : ndarray, shape (m,) or (s, m)
        Weights of the points.
    """
    cell = np.floor(position)
    spread = lagrange_weights(position - cell) * weights
    rows = np.arange(position.shape[0])[:, None] * size + cell.astype(np.int64)
    flat = np.zeros(position.shape[0] * size)
    for offset, part in zip(_OFFSETS, spread, strict=True):
        flat += np.bincount((rows + offset).ravel(), weights=part.ravel(), minlength=flat.size)
    return flat.reshape(position.shape[0], size)


def normal_reach(largest_sd: float) -> int:
    """Return how many grid points on each side a normal distribution of this sd needs."""
    return int(np.ceil(REACH * largest_sd / STEP)) + MARGIN


def normal_kernel(sd: Floats, reach: int) -> Floats:
    """Return the masses of Normal(0, sd) on the grid points -reach..reach, shape (s, 2 reach + 1).

    The trapezoidal rule on the grid itself where the sd is large against the step (its error falls like
    exp(-2 pi^2 (sd / step)^2)), sixteen Gauss-Hermite nodes spread over the grid where it is small.
    """
    kernel = np.zeros((sd.size, 2 * reach + 1))
    wide = sd >= ALIGNED_SD
    if wide.any():
        scaled = STEP * np.arange(-reach, reach + 1) / sd[wide][:, None]
        density = np.exp(-0.5 * scaled**2)
        kernel[wide] = density / density.sum(axis=1, keepdims=True)
    if not wide.all():
        nodes = reach + sd[~wide][:, None] * _NODES / STEP
        kernel[~wide] = deposit(nodes, _WEIGHTS, 2 * reach + 1)
    return kernel
