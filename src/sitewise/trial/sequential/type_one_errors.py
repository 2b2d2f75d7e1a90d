"""Type I errors of given thresholds in null scenarios: counted, with their precision, failed analyses included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from sitewise.problems import TrialError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
TWO_SIDED = 0.95
SURE = 1.959963984540054
"""Standard errors of a two-sided 95 % interval."""


@dataclass(frozen=True, eq=False)
class TypeOneErrors:
    """Type I errors of given thresholds in S null scenarios.

    Parameters
    ----------
    type_one_error, standard_error : ndarray, shape (S,)
        Share of replicates that succeed, of all that were asked for, and its Monte Carlo standard error.
    lower, upper : ndarray, shape (S,)
        Exact 95 % limits (Clopper & Pearson 1934, Biometrika 26:404).
    if_failed_succeed : ndarray, shape (S,)
        What it would be if every replicate with a failed analysis and without success had succeeded.
    failed : ndarray of int, shape (S,)
        Replicates in which an analysis that was asked failed. A failed analysis shows no success.
    requested : int
        Replicates of each scenario.
    worst : int
        Scenario with the largest type I error.
    worst_is_certain : bool
        Whether it is larger than that of every other scenario by more than 1.96 standard errors of their difference.
    """

    type_one_error: Floats
    standard_error: Floats
    lower: Floats
    upper: Floats
    if_failed_succeed: Floats
    failed: NDArray[np.int64]
    requested: int
    worst: int
    worst_is_certain: bool

    def verdict(self, alpha: float, /) -> str:
        """Return whether alpha holds: ``holds`` when every upper limit is at most alpha, ``exceeds`` when a lower one is above.

        Anything else is ``undecided``: more replicates, or a stricter threshold, would decide. The limits are those of one
        scenario each.
        """
        if np.all(self.upper <= alpha):
            return "holds"
        return "exceeds" if np.any(self.lower > alpha) else "undecided"


def validate(thresholds: ArrayLike, probability: ArrayLike, /, *, futility: ArrayLike | None = None) -> TypeOneErrors:
    """Return the type I errors of thresholds on other replicates than those that gave them.

    Parameters
    ----------
    thresholds : array-like, shape (L,)
        Success is a posterior probability strictly above; NaN at looks that are not asked.
    probability : array-like, shape (S, R, L)
        Posterior probabilities of an independent simulation of the null space; NaN where the analysis failed.
    futility : array-like of bool, shape (S, R, L), optional
        Where trials stop for binding futility.
    """
    levels = np.atleast_1d(np.asarray(thresholds, dtype=float))
    values = probabilities_of(probability)
    asked = ~np.isnan(levels)
    if levels.shape != values.shape[2:] or not asked.any() or np.any((levels < 0) | (levels > 1)):
        raise TrialError(f"There must be a threshold between 0 and 1 for each of {values.shape[2]} looks; they are {levels}.")
    return errors_of(values, levels, asked, futility)


def errors_of(values: Floats, levels: Floats, asked: Flags, futility: ArrayLike | None) -> TypeOneErrors:
    """Return the type I errors of thresholds at the looks that are asked."""
    counted = counted_looks(values, asked, futility)
    with np.errstate(invalid="ignore"):
        success = (counted > levels[asked]).any(axis=-1)
    broken = np.isnan(values[..., asked]).any(axis=-1)
    replicates = values.shape[1]
    count = success.sum(axis=1)
    share = count / replicates
    error = np.sqrt(share * (1 - share) / replicates)
    tail = (1 - TWO_SIDED) / 2
    lower = np.where(count > 0, beta.ppf(tail, np.maximum(count, 1), replicates - count + 1), 0.0)
    upper = np.where(count < replicates, beta.ppf(1 - tail, count + 1, np.maximum(replicates - count, 1)), 1.0)
    worst = int(np.argmax(share))
    others = np.delete(np.arange(len(share)), worst)
    gap = share[worst] - share[others] > SURE * np.hypot(error[worst], error[others])
    return TypeOneErrors(
        share,
        error,
        lower,
        upper,
        (success | broken).mean(axis=1),
        broken.sum(axis=1).astype(np.int64),
        replicates,
        worst,
        bool(gap.all()),
    )


def counted_looks(values: Floats, asked: Flags, futility: ArrayLike | None) -> Floats:
    """Return the probabilities of the looks that are asked, NaN after a binding stop for futility, (S, R, asked looks)."""
    if futility is None:
        return values[..., asked]
    stops = np.asarray(futility, dtype=bool)
    if stops.shape != values.shape:
        raise TrialError(
            f"futility has shape {stops.shape} and probability {values.shape}. Both are scenario, replicate, look."
        )
    # At the look of the stop itself success is asked first.
    before = np.concatenate([np.zeros_like(stops[..., :1]), np.logical_or.accumulate(stops, axis=-1)[..., :-1]], axis=-1)
    return np.where(before, np.nan, values)[..., asked]


def probabilities_of(probability: ArrayLike) -> Floats:
    """Return posterior probabilities, (S, R, L), after a check."""
    values = np.asarray(probability, dtype=float)
    if values.ndim != 3 or 0 in values.shape:
        raise TrialError(f"Posterior probabilities are scenario, replicate, look; they have shape {values.shape}.")
    if np.any((values < 0) | (values > 1)):
        raise TrialError("Posterior probabilities lie between 0 and 1, or are NaN where the analysis failed.")
    return values
