"""Kaplan-Meier curves of many cohorts at once: values at times, medians, limits, numbers at risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from sitewise.classical.compiled import compiled
from sitewise.classical.ordering import Floats, Ordered

Limits = Literal["log-log", "log", "plain"]


@compiled
def _curve_at(order, time, event, include, times, survival, greenwood, at_risk):  # type: ignore[no-untyped-def]
    rows, n = time.shape
    s, g, left = np.empty(n), np.empty(n), np.empty(n)
    for r in range(rows):
        size = 0
        for patient in range(n):
            size += include[r, patient]
        value, variance, remaining = 1.0, 0.0, size
        first = 0
        while first < n:
            last = first
            while last + 1 < n and time[r, last + 1] == time[r, first]:
                last += 1
            deaths, leaving = 0, 0
            for i in range(first, last + 1):
                if include[r, order[r, i]]:
                    leaving += 1
                    deaths += event[r, i]
            if deaths > 0:
                value *= 1 - deaths / remaining
                if remaining > deaths:
                    variance += deaths / (remaining * (remaining - deaths))
                else:
                    variance = np.inf
            remaining -= leaving
            for i in range(first, last + 1):
                s[i], g[i], left[i] = value, variance, remaining
            first = last + 1
        for t in range(times.shape[1]):
            place = np.searchsorted(time[r], times[r, t], side="right") - 1
            survival[r, t] = s[place] if place >= 0 else 1.0
            greenwood[r, t] = g[place] if place >= 0 else 0.0
            place = np.searchsorted(time[r], times[r, t], side="left") - 1
            at_risk[r, t] = left[place] if place >= 0 else size


@compiled
def _first_below(order, time, event, include, share, limit_z, found):  # type: ignore[no-untyped-def]
    """Find the first time at which the curve, or its log-log limit for limit_z != 0, is at or below a share."""
    rows, n = time.shape
    for r in range(rows):
        remaining = 0
        for patient in range(n):
            remaining += include[r, patient]
        value, variance = 1.0, 0.0
        found[r] = np.inf
        first = 0
        while first < n:
            last = first
            while last + 1 < n and time[r, last + 1] == time[r, first]:
                last += 1
            deaths, leaving = 0, 0
            for i in range(first, last + 1):
                if include[r, order[r, i]]:
                    leaving += 1
                    deaths += event[r, i]
            if deaths > 0:
                value *= 1 - deaths / remaining
                if remaining > deaths:
                    variance += deaths / (remaining * (remaining - deaths))
                height = value
                if limit_z != 0 and 0 < value < 1:
                    height = value ** np.exp(limit_z * np.sqrt(variance) / -np.log(value))
                if height <= share + 1e-12:
                    found[r] = time[r, first]
                    break
            remaining -= leaving
            first = last + 1


@dataclass(frozen=True, eq=False)
class KaplanMeierAt:
    """Kaplan-Meier estimates of R cohorts at T times, events at a time included.

    Parameters
    ----------
    survival : ndarray, shape (R, T)
        Share event-free.
    greenwood : ndarray, shape (R, T)
        Greenwood's sum d / (n (n - d)): the variance of log survival; infinite where survival is 0.
    at_risk : ndarray, shape (R, T)
        Patients under observation just before each time.
    """

    survival: Floats
    greenwood: Floats
    at_risk: Floats

    def limits(self, prob: float = 0.95, /, *, kind: Limits = "log-log") -> tuple[Floats, Floats]:
        """Return lower and upper limits (Kalbfleisch & Prentice 2002, section 1.4); at 1 and 0 both are the estimate."""
        z = float(ndtri(0.5 + prob / 2))
        s = self.survival
        inner = (s > 0) & (s < 1)
        safe = np.where(inner, s, 0.5)
        sd = np.sqrt(np.where(inner, self.greenwood, 0.0))
        if kind == "log-log":
            factor = np.exp(z * sd / -np.log(safe))
            ends = safe**factor, safe ** (1 / factor)
        elif kind == "log":
            ends = safe * np.exp(-z * sd), np.minimum(safe * np.exp(z * sd), 1.0)
        elif kind == "plain":
            ends = np.maximum(safe - z * sd * safe, 0.0), np.minimum(safe + z * sd * safe, 1.0)
        else:
            raise ValueError(f"kind is '{kind}'; it can be 'log-log', 'log' or 'plain'.")
        return np.where(inner, ends[0], s), np.where(inner, ends[1], s)


def kaplan_meier_at(ordered: Ordered, times: ArrayLike, *, include: ArrayLike | None = None) -> KaplanMeierAt:
    """Return Kaplan-Meier estimates at times.

    Parameters
    ----------
    ordered : Ordered
        R cohorts of n patients.
    times : array-like, shape (T,) or (R, T)
        Times; infinity gives the end of the curve.
    include : array-like of bool, shape (R, n), optional
        The group.
    """
    asked = np.asarray(times, dtype=float)
    asked = np.ascontiguousarray(np.broadcast_to(asked, (len(ordered), asked.shape[-1])))
    survival, greenwood, at_risk = (np.empty(asked.shape) for _ in range(3))
    _curve_at(ordered.order, ordered.time, ordered.event, ordered.included(include), asked, survival, greenwood, at_risk)
    return KaplanMeierAt(survival, greenwood, at_risk)


@dataclass(frozen=True, eq=False)
class Medians:
    """Medians of R cohorts with limits; infinite where they are not reached.

    Parameters
    ----------
    median, lower, upper : ndarray, shape (R,)
        Times.
    """

    median: Floats
    lower: Floats
    upper: Floats


def kaplan_meier_median(
    ordered: Ordered, *, share: float = 0.5, prob: float = 0.95, include: ArrayLike | None = None
) -> Medians:
    """Return the first time at which survival is at or below ``share``, with limits.

    The limits are where the log-log limits of the curve cross the share (Brookmeyer & Crowley 1982, Biometrics 38:29). Where the
    curve is flat at the share itself R averages with the next event time; here the first time counts.
    """
    z = float(ndtri(0.5 + prob / 2))
    chosen = ordered.included(include)
    found = []
    for limit in (0.0, z, -z):
        times = np.empty(len(ordered))
        _first_below(ordered.order, ordered.time, ordered.event, chosen, share, limit, times)
        found.append(times)
    return Medians(*found)
