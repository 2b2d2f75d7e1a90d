"""Kaplan-Meier curves with log-log limits, delayed entry and weights; follow-up by reverse Kaplan-Meier.

Formulas: Klein & Moeschberger 2003, Survival Analysis, sections 4.2-4.6 (product limit, Greenwood's variance,
log-log limits, delayed entry) and 4.5 (limits of a quantile by inverting the pointwise limits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
_ROUNDING = 1e-12


@dataclass(frozen=True)
class KaplanMeier:
    """A product-limit estimate; a right-continuous step function starting at 1.

    Parameters
    ----------
    time : ndarray, shape (k,)
        Distinct event times, increasing, in the cohort's time unit.
    at_risk, events : ndarray, shape (k,)
        Weighted number at risk just before, and of events at, each time.
    survival, lower, upper : ndarray, shape (k,)
        Estimate after each time and its pointwise log-log limits.
    last : float
        Largest observed time; beyond it nothing is known.
    prob : float
        Probability of the limits.
    has_limits : bool
        Whether there are limits; without, all of them are not a number.
    """

    time: Floats
    at_risk: Floats
    events: Floats
    survival: Floats
    lower: Floats
    upper: Floats
    last: float
    prob: float
    has_limits: bool = True

    def at(self, times: ArrayLike) -> Floats:
        """Return S at ``times``; not a number beyond the last observed time."""
        return self._step(self.survival, times)

    def limits_at(self, times: ArrayLike) -> tuple[Floats, Floats]:
        """Return the lower and upper limits at ``times``."""
        return self._step(self.lower, times), self._step(self.upper, times)

    def quantile(self, level: float) -> tuple[float, float, float]:
        """Return the time by which a share ``level`` has had the event, with its limits.

        The first time at which the curve is at or below ``1 - level``; infinite when not reached.
        """
        target = 1 - level
        if not self.has_limits:
            return self._first_at_or_below(self.survival, target), float("nan"), float("nan")
        return (
            self._first_at_or_below(self.survival, target),
            self._first_at_or_below(self.lower, target),
            self._first_at_or_below(self.upper, target),
        )

    def median(self) -> tuple[float, float, float]:
        """Return the median and its limits; infinite when not reached."""
        return self.quantile(0.5)

    def _step(self, values: Floats, times: ArrayLike) -> Floats:
        times = np.asarray(times, dtype=float)
        index = np.searchsorted(self.time, times, side="right")
        result = np.concatenate([[1.0], values])[index]
        return np.where(times > self.last, np.nan, result)

    def _first_at_or_below(self, values: Floats, target: float) -> float:
        below = np.flatnonzero(values <= target + _ROUNDING)
        return float(self.time[below[0]]) if below.size else float("inf")


def kaplan_meier(
    time: ArrayLike,
    event: ArrayLike,
    *,
    entry: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    prob: float = 0.95,
) -> KaplanMeier:
    """Return the Kaplan-Meier estimate of survival.

    Parameters
    ----------
    time : array_like, shape (n,)
        Time of event or censoring.
    event : array_like, shape (n,)
        True (1) for an event.
    entry : array_like, shape (n,), optional
        Time at which each patient came under observation; at risk at t when entry < t <= time.
    weights : array_like, shape (n,), optional
        Frequency weights.
    prob : float
        Probability of the log-log limits.
    """
    time = np.asarray(time, dtype=float)
    event = np.asarray(event, dtype=bool)
    weight = np.ones_like(time) if weights is None else np.asarray(weights, dtype=float)
    start = np.zeros_like(time) if entry is None else np.asarray(entry, dtype=float)
    if time.size == 0:
        empty = np.empty(0)
        return KaplanMeier(empty, empty, empty, empty, empty, empty, 0.0, prob)

    event_times, position = np.unique(time[event], return_inverse=True)
    events = np.bincount(position, weights=weight[event], minlength=event_times.size)
    at_risk = _weight_at_or_after(time, weight, event_times) - _weight_at_or_after(start, weight, event_times)

    left = at_risk - events
    left = np.where(left > _ROUNDING * weight.sum(), left, 0.0)  # sums of decimal weights differ in the last digit
    survival = np.cumprod(left / at_risk)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        greenwood = np.cumsum(events / (at_risk * left))
        log_survival = np.log(survival)
        half_width = ndtri(0.5 + prob / 2) * np.sqrt(greenwood) / np.abs(log_survival)
        lower = np.exp(log_survival * np.exp(half_width))
        upper = np.exp(log_survival * np.exp(-half_width))
    # After the last patient at risk has died S is 0 and the log-log limits are undefined, as in R's survfit.
    lower, upper = np.where(survival > 0, lower, np.nan), np.where(survival > 0, upper, np.nan)
    return KaplanMeier(event_times, at_risk, events, survival, lower, upper, float(time.max(initial=0.0)), prob)


def _weight_at_or_after(values: Floats, weight: Floats, times: Floats) -> Floats:
    """Return, for each of ``times``, the total weight of the ``values`` that are at or after it."""
    order = np.argsort(values)
    cumulative = np.concatenate([[0.0], np.cumsum(weight[order])])
    before: Floats = cumulative[np.searchsorted(values[order], times, side="left")]
    return np.asarray(cumulative[-1] - before)
