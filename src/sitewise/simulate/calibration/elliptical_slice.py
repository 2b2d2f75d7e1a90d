"""Many short chains of elliptical slice sampling, for densities near a normal one.

Method of Murray, Adams & MacKay (2010, JMLR W&CP 9:541). A density is written as a normal one times a ratio. A step draws a
second point from the normal density and looks for the next state on the ellipse through both, so that a ratio of one gives
independent draws, nothing is tuned and no step is refused. All chains go on together in arrays; the normal density is that of
the states half-way, somewhat wider.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sitewise.simulate.parts import Floats

CHAINS, PILOT, SETTLED, KEPT, THIN = 500, 16, 14, 8, 3
"""Chains; steps before the normal density is renewed, and from there on; draws of a chain, and steps from one to the next."""
WIDER = 1.3
"""By which the covariance of the normal density exceeds that of the states."""
HALVINGS = 200
"""Points tried on one ellipse; the bracket then has no width left."""


def elliptical_slice(log_density: Callable[[Floats], Floats], size: int, stream: np.random.Generator, /) -> Floats:
    """Return draws of a density that is near the standard normal one, shape (KEPT, CHAINS, size).

    Parameters
    ----------
    log_density : callable
        Rows (n, size) to logarithms of the density (n,), -inf where it is zero. It must not be zero at the origin.
    size : int
        Number of dimensions.
    stream : numpy.random.Generator
        Random numbers.

    Raises
    ------
    ValueError
        When the density is zero at the origin.
    """
    if not np.isfinite(log_density(np.zeros((1, size)))[0]):
        raise ValueError("The density is zero at the origin.")
    state = stream.standard_normal((CHAINS, size))
    state[~np.isfinite(log_density(state))] = 0.0
    mean, factor = np.zeros(size), np.sqrt(WIDER) * np.eye(size)
    states: list[Floats] = []
    for step in range(PILOT + SETTLED + KEPT * THIN):
        if step == PILOT:
            late = np.concatenate(states[PILOT // 2 :])
            mean, factor = late.mean(axis=0), np.linalg.cholesky(WIDER * np.atleast_2d(np.cov(late, rowvar=False)))
        state = _step(log_density, state, mean, factor, stream)
        states.append(state)
    return np.array(states[PILOT + SETTLED + THIN - 1 :: THIN])


def effective_draws(draws: Floats, /) -> float:
    """Return the effective number of draws (kept, chains, p) of the parameter whose mean is known worst, at most all of them.

    Chains are independent, so that the spread of their means gives the variance of the overall mean without a model of the
    autocorrelation; the effective number is the variance of a draw over it.
    """
    kept, chains, _ = draws.shape
    error_variance = draws.mean(axis=0).var(axis=0, ddof=1) / chains
    return float(min(np.min(draws.var(axis=(0, 1)) / error_variance), kept * chains))


def _step(
    log_density: Callable[[Floats], Floats], state: Floats, mean: Floats, factor: Floats, stream: np.random.Generator
) -> Floats:
    """Return the next state of every chain."""
    inverse = np.linalg.inv(factor)

    def log_ratio(rows: Floats) -> Floats:
        return np.asarray(log_density(rows) + 0.5 * np.sum(((rows - mean) @ inverse.T) ** 2, axis=1))

    chains, size = state.shape
    level = log_ratio(state) + np.log(stream.random(chains))
    other = stream.standard_normal((chains, size)) @ factor.T
    high: Floats = 2 * np.pi * np.asarray(stream.random(chains))
    low: Floats = high - 2 * np.pi
    angle = high.copy()
    found, left = state.copy(), np.arange(chains)
    for _ in range(HALVINGS):
        cosine, sine = np.cos(angle[left])[:, None], np.sin(angle[left])[:, None]
        proposed = mean + (state[left] - mean) * cosine + other[left] * sine
        inside = log_ratio(proposed) > level[left]
        found[left[inside]] = proposed[inside]
        left = left[~inside]
        if not left.size:
            break
        before = angle[left] < 0
        low[left[before]], high[left[~before]] = angle[left[before]], angle[left[~before]]
        angle[left] = low[left] + (high[left] - low[left]) * stream.random(left.size)
    return found
