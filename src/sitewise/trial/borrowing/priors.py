"""What each way of borrowing makes of the cohort: a prior of the arm's log hazard that is a mixture of normals.

With K nodes of a hyperparameter the mixture *is* the quadrature of the integral over it: the posterior, a probability or a mean
that is computed from it carries no other error. Given the hyperparameter everything is normal and known in closed form.
"""

from __future__ import annotations

import math
from functools import cache
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, logsumexp, roots_jacobi

from sitewise.problems import TrialError
from sitewise.trial.borrowing.methods import (
    Borrowing,
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    Pooled,
    RobustMap,
    SpikeAndSlab,
)
from sitewise.trial.borrowing.mixture import Floats, Mixture, updated

NODES = 48
"""Nodes of a hyperparameter: enough for relative errors of 1e-6 of everything computed in the tests."""
LOW_POWER, HIGH_POWER = 0.02, 0.2
"""Powers at which the nodes of a power change from one variable to another."""
MISSED = 1e-7
"""Share of a distribution that its nodes may miss."""
HALF_NORMAL_END = 8.5
"""The half-normal distribution has a mass of 2e-17 beyond so many scales."""


def prior_mixture(
    method: Borrowing, /, *, historical_mean: ArrayLike, historical_sd: ArrayLike, se: ArrayLike = 0.0, nodes: int = NODES
) -> Mixture:
    """Return the prior of the arm's log hazard that a way of borrowing makes of the cohort.

    Parameters
    ----------
    method : Borrowing
        One of the records of :mod:`sitewise.trial.borrowing.methods`.
    historical_mean, historical_sd : array-like, numbers or shape (M,)
        The cohort's log hazard and its standard deviation: 0 where the trial's estimates are log hazard ratios against the
        cohort's fitted hazard.
    se : array-like, number or shape (M,)
        Standard errors of the estimates that the prior is for: they place the nodes of a commensurate standard deviation, not
        the prior.
    nodes : int
        Nodes of the hyperparameter, if there is one.

    Returns
    -------
    Mixture
        One prior, or one a trial. That of :class:`NormalisedPowerPrior` is meant to be updated: the prior's own
        variance may be infinite, see :func:`prior_variance`.
    """
    centre, spread, error = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(part, dtype=float))[:, None] for part in (historical_mean, historical_sd, se))
    )
    if not np.all((spread > 0) & np.isfinite(spread) & np.isfinite(centre)):
        raise TrialError("The cohort's mean must be finite, its standard deviation positive and finite.")
    match method:
        case NoBorrowing():
            return _single(np.full_like(centre, method.mean), math.inf if method.sd is None else method.sd, power=0.0)
        case Pooled():
            return _single(centre, spread, power=1.0)
        case FixedPowerPrior():
            return _single(centre, spread / math.sqrt(method.power) if method.power else math.inf, power=method.power)
        case NormalisedPowerPrior():
            return _normalised_power(method, centre, spread=spread, error=error, nodes=nodes)
        case Commensurate():
            return _commensurate(method, centre, spread=spread, error=error, nodes=nodes)
        case SpikeAndSlab():
            return _spike_and_slab(method, centre, spread=spread, nodes=nodes)
        case RobustMap():
            return _robust(method, centre, spread=spread)
        case _:
            assert_never(method)


def borrowed(
    method: Borrowing,
    /,
    *,
    estimate: ArrayLike,
    se: ArrayLike,
    historical_mean: ArrayLike = 0.0,
    historical_sd: ArrayLike,
    nodes: int = NODES,
) -> Mixture:
    """Return the posterior of the arm's log hazard in M trials, given their estimates and the cohort.

    Parameters
    ----------
    method : Borrowing
        How the cohort is used.
    estimate, se : array-like, numbers or shape (M,)
        The arm's log hazard (ratio against the cohort's fitted hazard) in each trial, with standard error; NaN where a
        trial has none. For log(O / E) the standard error is 1 / sqrt(events).
    historical_mean, historical_sd : array-like, numbers or shape (M,)
        The cohort on the same scale.
    nodes : int
        Nodes of the hyperparameter, if there is one.

    Raises
    ------
    TrialError
        When a standard error or the cohort's standard deviation is not positive and finite.
    """
    prior = prior_mixture(method, historical_mean=historical_mean, historical_sd=historical_sd, se=se, nodes=nodes)
    return updated(prior, estimate=estimate, se=se)


def prior_variance(method: Borrowing, /, *, historical_sd: float) -> float:
    """Return the variance of the prior of :func:`prior_mixture` in closed form; infinite where it does not exist."""
    history = historical_sd**2
    match method:
        case NoBorrowing():
            return math.inf if method.sd is None else method.sd**2
        case Pooled():
            return history
        case FixedPowerPrior():
            return history / method.power if method.power else math.inf
        case NormalisedPowerPrior():
            # Mean of 1 / power under the beta distribution.
            return history * (method.alpha + method.beta - 1) / (method.alpha - 1) if method.alpha > 1 else math.inf
        case Commensurate():
            return history + method.scale**2
        case SpikeAndSlab():
            low, high = method.slab_precision
            slab = math.log(high / low) / (high - low)
            return history + method.spike_probability / method.spike_precision + (1 - method.spike_probability) * slab
        case RobustMap():
            if method.vague_mean is not None:
                raise TrialError("With a vague mean of its own the variance depends on the cohort's mean: take prior_mixture.")
            return method.weight * (history + method.between_sd**2) + (1 - method.weight) * method.vague_sd**2
        case _:
            assert_never(method)


def _single(centre: Floats, spread: ArrayLike, *, power: float) -> Mixture:
    sds = np.broadcast_to(np.asarray(spread, dtype=float), centre.shape)
    return Mixture(np.ones_like(centre), np.array(centre), sds, np.full_like(centre, power))


@cache
def _jacobi(power: float, nodes: int) -> tuple[Floats, Floats]:
    """Return places inside (0, 1) and weights of integrals of x^power f(x)."""
    places, weights = roots_jacobi(nodes, 0, power)
    return (1 + places) / 2, weights / 2 ** (power + 1)


def _normalised_power(method: NormalisedPowerPrior, centre: Floats, *, spread: Floats, error: Floats, nodes: int) -> Mixture:
    """Return the prior given the power, N(mean, sd^2 / power) (Duan, Ye & Smith 2006), at nodes of the power.

    The marginal likelihood has a square root at power 0 and changes where the discounted history weighs as much as the trial,
    at power sd^2 / se^2. So some nodes lie well below that, in the root of the power; some above 0.2; and the others
    between, in the log of the power. The first two carry the beta distribution's own ends.
    """
    alpha, beta = method.alpha, method.beta
    lower, upper = max(nodes // 4, 2), max(nodes // 3, 2)
    with np.errstate(divide="ignore"):
        ratio = np.where(error > 0, spread / error, np.inf) ** 2
    split = np.minimum(LOW_POWER, ratio / 12)
    root, low_weights = _jacobi(2 * alpha - 1, lower)
    below = split * root**2
    low = np.log(2 * low_weights) + alpha * np.log(split) + (beta - 1) * np.log1p(-below)
    places, weights = _legendre(max(nodes - lower - upper, 2))
    span = np.log(HIGH_POWER / split)
    between = split * np.exp(span * places)
    middle = np.log(weights) + np.log(span) + alpha * np.log(between) + (beta - 1) * np.log1p(-between)
    rest, high_weights = _jacobi(beta - 1, upper)
    above = np.broadcast_to(1 - rest * (1 - HIGH_POWER), (len(centre), upper))
    high = np.log(high_weights) + beta * math.log(1 - HIGH_POWER) + (alpha - 1) * np.log(above)
    power = np.concatenate([below, between, above], axis=1)
    logs = np.concatenate([low, middle, high], axis=1)
    share = np.exp(logs - betaln(alpha, beta))
    total = share.sum(axis=1, keepdims=True)
    missed = float(np.nanmax(np.abs(total - 1)))
    if missed > MISSED:
        raise TrialError(
            f"The beta distribution ({alpha:g}, {beta:g}) of the power is too narrow for {nodes} nodes: they miss "
            f"{missed:.2g} of it. Use more nodes, or a fixed power prior with its mean."
        )
    return Mixture(share / total, np.broadcast_to(centre, power.shape), spread / np.sqrt(power), power)


@cache
def _legendre(nodes: int) -> tuple[Floats, Floats]:
    """Return places inside (0, 1) and weights."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return (1 + places) / 2, weights / 2


def _commensurate(method: Commensurate, centre: Floats, *, spread: Floats, error: Floats, nodes: int) -> Mixture:
    # The marginal likelihood changes where tau passes the standard deviation of estimate minus history; its hyperbolic
    # sine carries nodes there and to the end of the prior whichever of the two scales is the larger.
    places, weights = _legendre(nodes)
    unit = np.hypot(spread, np.where(np.isfinite(error), error, 0.0))
    end = np.arcsinh(HALF_NORMAL_END * method.scale / unit)
    tau = unit * np.sinh(end * places)
    logs = np.log(weights) + np.log(np.cosh(end * places)) - 0.5 * (tau / method.scale) ** 2
    share = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return Mixture(share, np.broadcast_to(centre, tau.shape), np.hypot(spread, tau), tau)


def _spike_and_slab(method: SpikeAndSlab, centre: Floats, *, spread: Floats, nodes: int) -> Mixture:
    places, weights = _legendre(nodes)
    low, high = method.slab_precision
    slab = low * (high / low) ** places
    share = weights * slab / (weights * slab).sum()
    precision = np.concatenate([[method.spike_precision], slab])
    share = np.concatenate([[method.spike_probability], (1 - method.spike_probability) * share])
    tau = np.broadcast_to(precision**-0.5, (len(centre), len(precision)))
    return Mixture(np.broadcast_to(share, tau.shape), np.broadcast_to(centre, tau.shape), np.hypot(spread, tau), tau)


def _robust(method: RobustMap, centre: Floats, *, spread: Floats) -> Mixture:
    vague = centre if method.vague_mean is None else np.full_like(centre, method.vague_mean)
    history = np.hypot(spread, method.between_sd)
    shape = (len(centre), 2)
    return Mixture(
        np.broadcast_to([method.weight, 1 - method.weight], shape),
        np.concatenate([centre, vague], axis=1),
        np.concatenate([history, np.full_like(history, method.vague_sd)], axis=1),
        np.broadcast_to([1.0, 0.0], shape),
    )
