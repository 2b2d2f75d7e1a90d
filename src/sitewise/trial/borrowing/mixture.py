"""Mixtures of normal distributions, one a trial: what every way of borrowing returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr, ndtri

from sitewise.problems import TrialError

Floats = NDArray[np.float64]
MOST_STEPS = 200
"""Halving alone would end sooner: brackets shrink by a factor of 2^-200."""
CLOSE = 1e-13
"""A step of a quantile that ends the search, relative to the quantile and the narrowest component."""
ROOT_2_PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Mixtures of K normal distributions of one quantity, in M trials.

    Parameters
    ----------
    weights, means, sds : ndarray, shape (M, K)
        Weights (sum 1 in each trial), means and standard deviations. An infinite standard deviation, allowed only where K is 1,
        stands for a flat prior: it can be updated, but has no mean, probability or quantile (NaN).
    hyperparameter : ndarray, shape (M, K), optional
        Value in each component of what was integrated over or chosen between: the power of the history, the commensurate
        standard deviation, or 1 for the history and 0 for the vague part of a robust prior.
    """

    weights: Floats
    means: Floats
    sds: Floats
    hyperparameter: Floats | None = None

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.weights, self.means, self.sds, self.hyperparameter) if part is not None}
        if len(shapes) != 1 or self.weights.ndim != 2:
            raise TrialError(f"The arrays of a mixture must have one shape (M, K); they have {sorted(shapes)}.")
        if np.any(self.weights < 0) or np.any(np.abs(self.weights.sum(axis=1) - 1) > 1e-9):
            raise TrialError("The weights of a mixture must be zero or positive, with sum 1 in each trial.")
        if np.any(self.sds <= 0):
            raise TrialError("The standard deviations of a mixture must be positive.")
        if self.weights.shape[1] > 1 and np.isinf(self.sds).any():
            raise TrialError("A flat part of a mixture of several has no weight. Give it a finite standard deviation.")

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def of(cls, weights: ArrayLike, means: ArrayLike, *, sds: ArrayLike) -> Self:
        """Return mixtures from arrays of shape (M, K) or (K,), broadcast against each other."""
        parts = np.broadcast_arrays(*(np.atleast_2d(np.asarray(part, dtype=float)) for part in (weights, means, sds)))
        return cls(*parts)

    def _centres(self) -> Floats:
        return np.where(np.isinf(self.sds), np.nan, self.means)

    def mean(self) -> Floats:
        """Return the means, shape (M,)."""
        return np.asarray((self.weights * self._centres()).sum(axis=1))

    def variance(self) -> Floats:
        """Return the variances, shape (M,)."""
        centre = (self.weights * self.means).sum(axis=1, keepdims=True)
        return np.asarray((self.weights * (self.sds**2 + (self.means - centre) ** 2)).sum(axis=1))

    def sd(self) -> Floats:
        """Return the standard deviations, shape (M,)."""
        return np.sqrt(self.variance())

    def hyperparameter_mean(self) -> Floats:
        """Return the mean of the hyperparameter, shape (M,): under a posterior, its posterior mean."""
        if self.hyperparameter is None:
            raise TrialError("This mixture has no hyperparameter: nothing was integrated over.")
        return np.asarray((self.weights * self.hyperparameter).sum(axis=1))

    def density(self, x: ArrayLike, /) -> Floats:
        """Return the densities at ``x``, a number or shape (M,); shape (M,)."""
        z = (np.asarray(x, dtype=float)[..., None] - self._centres()) / self.sds
        return np.asarray((self.weights / self.sds * np.exp(-0.5 * z * z)).sum(axis=1) / ROOT_2_PI)

    def probability_below(self, x: ArrayLike, /) -> Floats:
        """Return the probabilities of values below ``x``, a number or shape (M,); shape (M,)."""
        z = (np.asarray(x, dtype=float)[..., None] - self._centres()) / self.sds
        return np.asarray((self.weights * ndtr(z)).sum(axis=1))

    def quantile(self, p: ArrayLike, /) -> Floats:
        """Return the values below which the share ``p`` lies, a number or shape (M,) inside (0, 1); shape (M,).

        By Newton steps that stay within a bracket: a quantile of a mixture lies among those of its components.
        """
        share = np.broadcast_to(np.asarray(p, dtype=float), (len(self),))
        if not np.all((share > 0) & (share < 1)):
            raise TrialError("The share of a quantile must be inside (0, 1).")
        with np.errstate(invalid="ignore"):  # a flat prior times 0
            each = self._centres() + self.sds * ndtri(share)[:, None]
        if self.weights.shape[1] == 1:
            return np.asarray(each[:, 0])
        counted = self.weights > 0
        low, high = np.where(counted, each, np.inf).min(axis=1), np.where(counted, each, -np.inf).max(axis=1)
        x = np.clip(self.mean() + self.sd() * ndtri(share), low, high)
        # Trials without an estimate are NaN and stay so.
        open_ = np.flatnonzero(~np.isnan(x))
        for _ in range(MOST_STEPS):
            if not open_.size:
                break
            part, at = self.at(open_), x[open_]
            excess = part.probability_below(at) - share[open_]
            low[open_], high[open_] = np.where(excess < 0, at, low[open_]), np.where(excess < 0, high[open_], at)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = at - excess / part.density(at)
            inside = (step > low[open_]) & (step < high[open_])
            x[open_] = np.where(inside, step, (low[open_] + high[open_]) / 2)
            open_ = open_[np.abs(x[open_] - at) > CLOSE * (np.abs(at) + part.sds.min(axis=1))]
        return np.asarray(x)

    def at(self, trials: NDArray[np.intp], /) -> Self:
        """Return the mixtures of the trials at these positions."""
        kept = None if self.hyperparameter is None else self.hyperparameter[trials]
        return type(self)(self.weights[trials], self.means[trials], self.sds[trials], kept)

    def negated(self) -> Self:
        """Return the distributions of minus the quantity."""
        return type(self)(self.weights, -self.means, self.sds, self.hyperparameter)

    def shifted(self, by: ArrayLike, /) -> Self:
        """Return the distributions of the quantity plus ``by``, a number or shape (M,)."""
        return type(self)(self.weights, self.means + np.asarray(by, dtype=float)[..., None], self.sds, self.hyperparameter)


def difference(of: Mixture, /, *, estimate: ArrayLike, se: ArrayLike) -> Mixture:
    """Return the distributions of ``of`` minus an independent normal quantity.

    With the posterior of the borrowing arm and the estimate of the other arm, this is the posterior of the log hazard ratio of
    an experimental arm that borrows; for a control arm that borrows take :meth:`Mixture.negated` of it.

    Parameters
    ----------
    of : Mixture
        M mixtures.
    estimate, se : array-like, numbers or shape (M,)
        Mean and standard deviation of what is taken away; with a flat prior, the other arm's estimate and standard error.
    """
    centre, spread = (np.asarray(part, dtype=float)[..., None] for part in (estimate, se))
    if np.any(spread < 0):
        raise TrialError("A standard error must be zero or positive.")
    return Mixture(of.weights, of.means - centre, np.hypot(of.sds, spread), of.hyperparameter)


def updated(prior: Mixture, /, *, estimate: ArrayLike, se: ArrayLike) -> Mixture:
    """Return the posteriors under priors that are mixtures, given normal estimates.

    Each component is updated by precision, and its weight by its marginal likelihood N(estimate; mean, sd^2 + se^2)
    (Schmidli et al. 2014, Biometrics 70:1023, section 2.3).

    Parameters
    ----------
    prior : Mixture
        One prior (M = 1) for all trials or one a trial.
    estimate, se : array-like, numbers or shape (M,)
        Estimates and standard errors. NaN in a trial (no events) gives a posterior that is NaN.

    Raises
    ------
    TrialError
        When a standard error is not positive and finite.
    """
    y, spread = (np.atleast_1d(np.asarray(part, dtype=float))[:, None] for part in (estimate, se))
    if np.any(spread <= 0) or np.isinf(spread).any():
        raise TrialError("Standard errors must be positive and finite, or NaN for a trial without an estimate.")
    prior_precision, precision = prior.sds**-2.0, spread**-2.0
    total = prior_precision + precision
    means = (prior.means * prior_precision + y * precision) / total
    sds = total**-0.5
    if prior.weights.shape[1] == 1:
        weights = np.broadcast_to(prior.weights, means.shape)
    else:
        variance = prior.sds**2 + spread**2
        with np.errstate(divide="ignore"):
            logs = np.log(prior.weights) - 0.5 * (np.log(variance) + (y - prior.means) ** 2 / variance)
        weights = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    kept = None if prior.hyperparameter is None else np.broadcast_to(prior.hyperparameter, means.shape)
    return Mixture(weights, means, np.broadcast_to(sds, means.shape), kept)
