"""Turnbull's estimate of survival from exact, right-censored and interval-censored times with delayed entry.

The likelihood of Turnbull 1976, JRSS B 38:290, conditional on being free of the event at entry, in the hazards h of the
innermost intervals (those of Frydman 1994, JRSS B 56:71, where entries too can end an interval). Given entry it is a product
of S(lower) / S(entry) and 1 - S(upper) / S(lower), concave in log(1 - h), the logarithm of a ratio of S. A point that meets
the Karush-Kuhn-Tucker conditions is hence a global maximum, and S may reach zero before the last entry, as in Kaplan-Meier.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_banded
from scipy.optimize import isotonic_regression
from scipy.sparse.linalg import LinearOperator, cg

from sitewise.cohort.kaplan_meier import Floats, KaplanMeier
from sitewise.problems import SitewiseWarning

Booleans = NDArray[np.bool_]
Indices = NDArray[np.intp]
TOLERANCE = 1e-8
MAX_STEPS = 500
_NEWTON_EVERY = 4
_ROUNDING = 1e-13


def turnbull(
    lower: ArrayLike,
    upper: ArrayLike,
    event: ArrayLike,
    *,
    entry: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    prob: float = 0.95,
) -> KaplanMeier:
    """Return the nonparametric maximum likelihood estimate of survival; Kaplan-Meier's when no event lies in an interval.

    Where the conditions of a maximum do not hold to ``TOLERANCE`` after ``MAX_STEPS`` steps, the last step is returned, with a
    ``SitewiseWarning``. Where there is more than one maximum (Gentleman & Geyer 1994, Biometrika 81:618) it is one of them. An
    interval that ends before it starts and an event that is not after entry raise a ``ValueError``.

    Parameters
    ----------
    lower, upper : array_like, shape (n,)
        An event is in (lower, upper], or at ``upper`` when they are equal; other patients are free of it until ``upper``, or
        until ``lower`` when ``upper`` is infinite.
    event : array_like, shape (n,)
        True (1) for an event.
    entry : array_like, shape (n,), optional
        Time at which each patient came under observation, free of the event, which is after both ``lower`` and ``entry``.
    weights : array_like, shape (n,), optional
        Frequency weights; patients with weight 0 are left out.
    prob : float
        Passed on.

    Returns
    -------
    KaplanMeier
        Right ends of the innermost intervals with mass, where the curve steps as the data do not say where inside; weighted
        expected numbers at risk just before and of events; S after it. The limits are not a number, as none is known to hold:
        S can converge as slowly as n^(1/3), to no normal distribution (Groeneboom & Wellner 1992).
    """
    lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    event = np.asarray(event, dtype=bool) & np.isfinite(upper)
    upper = np.where(np.isfinite(upper), upper, lower)
    weight = np.ones_like(upper) if weights is None else np.asarray(weights, dtype=float)
    start = np.full_like(upper, -np.inf) if entry is None else np.asarray(entry, dtype=float)
    if (event & ((lower > upper) | (start >= upper))).any():
        raise ValueError("an interval must not end before it starts, and an event must be after entry")
    last, used = float(upper.max(initial=0.0)), (weight > 0) & (event | (upper > start))
    if not (event & used).any():
        empty = np.empty(0)
        return KaplanMeier(empty, empty, empty, empty, empty, empty, last, prob, has_limits=False)
    time, patients = _innermost(np.where(event, lower, upper)[used], upper[used], event[used], start[used], weight[used])
    at_risk, events = _maximise(patients)
    mass = events > TOLERANCE * patients.weight.min()
    time, at_risk, events = time[mass], at_risk[mass], events[mass]
    left, unknown = at_risk - events, np.full_like(time, np.nan)
    survival = np.cumprod(np.where(left > 10 * _ROUNDING * weight.sum(), left, 0.0) / at_risk)
    return KaplanMeier(time, at_risk, events, survival, unknown, unknown, last, prob, has_limits=False)


@dataclass(frozen=True)
class _Patients:
    """What the likelihood needs, with theta = log(1 - h) of each innermost interval.

    ``first <= j < end`` are the distinct ranges of innermost intervals in which events lie, and ``weight`` their weights;
    ``survivors`` the weights of the patients known to be at risk in each interval and to survive it.
    """

    first: Indices
    end: Indices
    weight: Floats
    survivors: Floats

    def cover(self, values: Floats) -> Floats:
        return _cover(self.first, self.end, values, self.survivors.size)

    def within(self, steps: Floats) -> Floats:
        total = np.append(0.0, np.cumsum(steps))
        return np.asarray(total[self.end] - total[self.first])

    def shares(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return, for each range, the share of those at risk at its start who have the event in it, and who do not."""
        change = self.within(theta)
        return -np.expm1(change), np.exp(change)

    def log_likelihood(self, theta: Floats) -> float:
        with np.errstate(divide="ignore"):
            return float(self.survivors @ theta + self.weight @ np.log(self.shares(theta)[0]))

    def expected(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the expected number at risk in each innermost interval, and of events in it divided by h (E step)."""
        had, free = self.shares(theta)
        begun, ended = self.weight / had, self.weight * free / had
        change = np.bincount(self.first, begun, theta.size) - np.bincount(self.end, ended, theta.size + 1)[:-1]
        # Of the patients in a range those without event stay; solved forward, as sums of begun / S would lose digits.
        ratio = np.maximum(solve_banded((1, 0), np.stack([np.ones(theta.size), -np.exp(theta)]), change), 0.0)
        return np.maximum(self.survivors - self.cover(ended) + ratio, _ROUNDING * self.weight.min()), ratio

    def uphill(self, theta: Floats, *, newton: bool) -> Floats:
        """Return theta after a step, halved until the likelihood increases.

        Newton's in the cumulative sums of theta with the diagonal of the Hessian: iterative convex minorants (Jongbloed 1998),
        which converge when alternated with EM (Wellner & Zhan 1997, JASA 92:945). Or Newton's in full in the intervals with
        mass, by conjugate gradients, where those are slow: for exact times inside intervals, and near the maximum.
        """
        had, free = self.shares(theta)
        gradient, bend = self.survivors - self.cover(self.weight * free / had), self.weight * free / had**2
        least, shape = 1e-3 * self.weight.min(), (theta.size, theta.size)
        if newton:
            mass, scale = theta < 0, np.maximum(self.cover(bend), least)
            ridge = 1e-10 * scale  # where the maximum is not unique the Hessian is singular
            hessian = LinearOperator(shape, lambda x: mass * (self.cover(bend * self.within(x)) + ridge * x), dtype=float)
            inverse = LinearOperator(shape, lambda x: x / scale, dtype=float)
            direction, _ = cg(hessian, mass * gradient, rtol=1e-3, maxiter=100, M=inverse)
        else:
            nodes = np.bincount(np.append(self.first, self.end), np.append(bend, bend), theta.size + 1)
            curvature = np.maximum(nodes[1:], least)
            target = np.cumsum(theta) - np.diff(gradient, append=0.0) / curvature
            target = np.minimum(isotonic_regression(target, weights=curvature, increasing=False).x, 0.0)
            direction = np.diff(target, prepend=0.0) - theta
        before = self.log_likelihood(theta)
        for length in 0.5 ** np.arange(34.0):
            trial: Floats = np.clip(theta + length * direction, np.log(_ROUNDING), 0.0)
            if self.log_likelihood(trial) > before:
                return trial
        return theta


def _maximise(patients: _Patients) -> tuple[Floats, Floats]:
    """Return the expected numbers at risk and of events in each innermost interval at the maximum.

    There the derivative by theta is zero where events are expected, else not negative. Its unit is the number at risk, that of
    the events the smallest weight. A hazard is at most 1 - 1e-13, so that theta is finite.
    """
    theta, smallest = np.log1p(-1 / np.arange(patients.survivors.size + 1.0, 1.0, -1.0)), patients.weight.min()
    for step in range(MAX_STEPS):
        hazard, (at_risk, ratio) = -np.expm1(theta), patients.expected(theta)
        slope = (at_risk - ratio) / np.maximum(at_risk, smallest)
        if np.abs(np.minimum(hazard * at_risk / smallest, slope)).max() <= TOLERANCE:
            break
        hazard = np.minimum(hazard * ratio / at_risk, 1 - _ROUNDING)  # M step: Kaplan-Meier of the expected numbers
        theta = patients.uphill(np.log1p(-hazard), newton=(step + 1) % _NEWTON_EVERY == 0)
    else:
        warnings.warn(f"Turnbull's estimate has not converged in {MAX_STEPS} steps", SitewiseWarning, stacklevel=3)
    return at_risk, hazard * ratio


def _innermost(lower: Floats, upper: Floats, event: Booleans, start: Floats, weight: Floats) -> tuple[Floats, _Patients]:
    """Return the right ends of the innermost intervals, and the patients in terms of them.

    They run from a left end, of an interval or where censoring begins, to a right end, of an interval or before an entry, with
    no end between. Ends sort as integers: at each time a closed left end, then a right end, then an open left end.
    """
    values = np.unique(np.concatenate([lower, upper, start]))
    late = 3 * np.searchsorted(values, start) + 1
    left = 3 * np.searchsorted(values, np.maximum(lower, start)) + np.where(event & (lower == upper), 0, 2)
    right = 3 * np.searchsorted(values, upper) + 1
    ends = np.union1d(left, np.append(right[event], late))
    is_left = np.isin(ends, left)
    pairs = is_left[:-1] & ~is_left[1:]
    begins, stops, size = ends[:-1][pairs], ends[1:][pairs], int(pairs.sum())
    entered, first = np.searchsorted(stops, late, side="right"), np.searchsorted(begins, left)
    survivors = np.maximum(_cover(entered, first, weight, size), 0.0)  # sums of decimal weights differ in the last digit
    first, end = first[event], np.searchsorted(stops, right[event], side="right")
    ranges, position = np.unique(first * (size + 1) + end, return_inverse=True)
    merged = np.bincount(position, weight[event])
    return values[stops // 3], _Patients(*np.divmod(ranges, size + 1), merged, survivors)


def _cover(first: Indices, end: Indices, values: Floats, size: int) -> Floats:
    """Return, for each of ``size`` places j, the sum of the ``values`` whose ranges ``first <= j < end`` cover it."""
    return np.asarray(np.cumsum(np.bincount(first, values, size + 1) - np.bincount(end, values, size + 1))[:size])
