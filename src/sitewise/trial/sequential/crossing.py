"""Probabilities to cross the bounds of a group-sequential trial, its power and its expected information, under any drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from sitewise.problems import Problems, TrialError
from sitewise.trial.sequential.recursion import Continuation

Floats = NDArray[np.float64]
GROUP = 10.0
"""Drifts whose final means differ by less than this share one integration, weighted by their likelihood ratios."""
CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Crossing:
    """How often trials stop at each look, under one or many drifts.

    Parameters
    ----------
    information : ndarray, shape (K,)
        Of each look.
    drift : ndarray, shape (...)
        Means of z at information 1.
    efficacy, futility : ndarray, shape (..., K)
        Probability that the first crossing is at the look, above the efficacy or below the futility bound.
    """

    information: Floats
    drift: Floats
    efficacy: Floats
    futility: Floats

    @property
    def power(self) -> Floats:
        """Probability to cross an efficacy bound at any look, (...); with no drift the type I error."""
        return np.asarray(self.efficacy.sum(axis=-1))

    @property
    def stopped(self) -> Floats:
        """Probability to stop at each look for either reason, (..., K); at the last look every trial that is left stops."""
        stopped = self.efficacy + self.futility
        stopped[..., -1] = 1.0 - stopped[..., :-1].sum(axis=-1)
        return np.asarray(stopped)

    @property
    def expected_information(self) -> Floats:
        """Mean information at the end of the trial, (...), in the unit of ``information``."""
        return np.asarray(self.stopped @ self.information)


def crossing_probabilities(
    information: ArrayLike, efficacy: ArrayLike, /, *, drift: ArrayLike = 0.0, futility: ArrayLike | None = None
) -> Crossing:
    """Return the probability of each first crossing (Jennison & Turnbull 2000, section 19.2).

    Parameters
    ----------
    information : array-like, shape (K,)
        Information of each look, rising; fractions of the planned one, or on any scale.
    efficacy : array-like, shape (K,)
        Bounds of z above which the trial stops for success; infinite where there is none.
    drift : array-like, shape (...)
        Mean of z at information 1: z has mean ``drift sqrt(information)``. With fractions it is the mean at the end.
    futility : array-like, shape (K,), optional
        Bounds of z below which the trial stops without success; minus infinity where there is none. At the same look none
        may lie above that of efficacy.

    Raises
    ------
    TrialError
        When looks are out of order or bounds cross.
    """
    looks, upper, lower = checked_bounds(information, efficacy, futility)
    drifts = np.asarray(drift, dtype=float)
    if not np.all(np.isfinite(drifts)):
        raise TrialError("Drifts must be finite numbers.")
    flat = drifts.ravel()
    above, below = np.zeros((flat.size, looks.size)), np.zeros((flat.size, looks.size))
    group = np.rint(flat * np.sqrt(looks[-1]) / GROUP)
    for value in np.unique(group):
        members = np.flatnonzero(group == value)
        for start in range(0, members.size, CHUNK):
            rows = members[start : start + CHUNK]
            above[rows], below[rows] = _integrated(looks, upper, lower, flat[rows])
    shape = (*drifts.shape, looks.size)
    return Crossing(looks, drifts, above.reshape(shape), below.reshape(shape))


def _integrated(looks: Floats, upper: Floats, lower: Floats, drift: Floats) -> tuple[Floats, Floats]:
    above, below = np.empty((drift.size, looks.size)), np.empty((drift.size, looks.size))
    ends = np.array([drift.min(), drift.max()])
    state = Continuation.start(float(ends.mean()))
    for look, information in enumerate(looks):
        above[:, look] = state.above(information, upper[look], drift=drift)
        below[:, look] = state.below(information, lower[look], drift=drift)
        if look + 1 < looks.size:
            state = state.next(
                information,
                lower=lower[look],
                upper=upper[look],
                following=looks[look + 1],
                means=ends * np.sqrt(information),
            )
    return above, below


def drift_for_power(
    information: ArrayLike, efficacy: ArrayLike, /, *, power: float, futility: ArrayLike | None = None
) -> float:
    """Return the drift under which the bounds have a given power: at it, the trial is large enough.

    Parameters
    ----------
    information, efficacy, futility : array-like, shape (K,)
        As for :func:`crossing_probabilities`.
    power : float
        Above the type I error of the bounds, below 1.

    Returns
    -------
    float
        Mean of z at information 1. Against an effect of a given size the information needed at the end is
        ``(drift / effect)^2`` times the last of ``information``.
    """
    looks, upper, lower = checked_bounds(information, efficacy, futility)

    def excess(drift: float) -> float:
        return float(crossing_probabilities(looks, upper, drift=drift, futility=lower).power) - power

    if not excess(0.0) < 0 < 1 - power:
        raise TrialError(f"The power must lie between the type I error of the bounds and 1; it is {power:g}.")
    high = 1.0 / float(np.sqrt(looks[-1]))
    while excess(high) < 0:
        high *= 1.6
        if high * np.sqrt(looks[-1]) > 60:
            raise TrialError(f"No drift gives these bounds power {power:g}: futility stops too many trials.")
    return float(brentq(excess, 0.0, high, xtol=1e-12))


def fixed_drift(*, alpha: float, power: float) -> float:
    """Return the drift of a trial with one look: z(1 - alpha) + z(power)."""
    return float(ndtri(1 - alpha) + ndtri(power))


def checked_information(information: ArrayLike) -> Floats:
    """Return the information of looks; looks out of order are refused."""
    looks = np.atleast_1d(np.asarray(information, dtype=float))
    if looks.ndim != 1 or looks.size == 0 or not np.all(np.isfinite(looks)) or not np.all(np.diff(looks, prepend=0.0) > 0):
        raise TrialError(f"The information of the looks must be positive and rise from look to look; it is {looks.tolist()}.")
    return looks


def checked_bounds(information: ArrayLike, efficacy: ArrayLike, futility: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return looks and both bounds; what is out of order is refused."""
    looks = checked_information(information)
    upper = np.atleast_1d(np.asarray(efficacy, dtype=float))
    lower = np.full(looks.size, -np.inf) if futility is None else np.atleast_1d(np.asarray(futility, dtype=float))
    problems = Problems()
    for name, bounds in (("efficacy", upper), ("futility", lower)):
        if bounds.shape != looks.shape:
            problems.add(name, f"has {bounds.size} bounds for {looks.size} looks", "Give one for each look.")
        elif np.any(np.isnan(bounds)):
            problems.add(name, "has bounds that are no number", "A look without a bound has an infinite one.")
    if not problems.found and np.any(lower > upper):
        problems.add("futility", "lies above efficacy", rows=np.flatnonzero(lower > upper) + 1)
    problems.raise_if_any(TrialError, "The group-sequential design")
    return looks, upper, lower
