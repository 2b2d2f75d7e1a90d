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
def _not_yet(order, entry, include, first, time):  # type: ignore[no-untyped-def]
    """Count the patients from the first on in the order of times who come under observation only at a time or later."""
    found = 0
    for i in range(first, entry.size):
        found += include[order[i]] and entry[i] >= time
    return found


@compiled
def _curve_at(order, time, event, entry, include, times, survival, greenwood, at_risk, events):  # type: ignore[no-untyped-def]
    rows, n = time.shape
    late = entry.size > 0
    s, g, left, died = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for r in range(rows):
        size = 0
        for patient in range(n):
            size += include[r, patient]
        empty = np.nan if size == 0 else 1.0
        value, variance, remaining, deaths_so_far = empty, 0.0 * empty, size, 0
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
                exposed = remaining
                if late:
                    exposed -= _not_yet(order[r], entry[r], include[r], first, time[r, first])
                value *= 1 - deaths / exposed
                if exposed > deaths:
                    variance += deaths / (exposed * (exposed - deaths))
                else:
                    variance = np.inf
                deaths_so_far += deaths
            remaining -= leaving
            for i in range(first, last + 1):
                s[i], g[i], left[i], died[i] = value, variance, remaining, deaths_so_far
            first = last + 1
        for t in range(times.shape[1]):
            asked = times[r, t]
            if np.isnan(asked):
                survival[r, t], greenwood[r, t], at_risk[r, t], events[r, t] = np.nan, np.nan, np.nan, np.nan
                continue
            place = np.searchsorted(time[r], asked, side="right") - 1
            survival[r, t] = s[place] if place >= 0 else empty
            greenwood[r, t] = g[place] if place >= 0 else 0.0 * empty
            events[r, t] = died[place] if place >= 0 else 0
            place = np.searchsorted(time[r], asked, side="left") - 1
            at_risk[r, t] = left[place] if place >= 0 else size
            if late:
                at_risk[r, t] -= _not_yet(order[r], entry[r], include[r], place + 1, asked)


@compiled
def _first_below(order, time, event, entry, include, share, limit_z, found):  # type: ignore[no-untyped-def]
    """Find the first time at which the curve, or its log-log limit for limit_z != 0, is at or below a share."""
    rows, n = time.shape
    late = entry.size > 0
    for r in range(rows):
        remaining = 0
        for patient in range(n):
            remaining += include[r, patient]
        value, variance = 1.0, 0.0
        found[r] = np.inf if remaining > 0 else np.nan
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
                exposed = remaining
                if late:
                    exposed -= _not_yet(order[r], entry[r], include[r], first, time[r, first])
                value *= 1 - deaths / exposed
                if exposed > deaths:
                    variance += deaths / (exposed * (exposed - deaths))
                height = value
                if limit_z != 0 and 0 < value < 1:
                    height = value ** np.exp(limit_z * np.sqrt(variance) / -np.log(value))
                elif limit_z < 0 and value == 0:
                    break  # the curve has no upper limit there, and so the time has none
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
    events_so_far : ndarray, shape (R, T)
        Events up to and at each time.

    Notes
    -----
    Curves are carried on beyond the last time of a cohort, where ``at_risk`` is 0. Without patients all but the counts is NaN.
    """

    survival: Floats
    greenwood: Floats
    at_risk: Floats
    events_so_far: Floats

    @property
    def log_log_variance(self) -> Floats:
        """Variance of log(-log survival), shape (R, T): the Greenwood sum over squared log survival; NaN at 1 and 0."""
        inner = (self.survival > 0) & (self.survival < 1)
        safe = np.where(inner, self.survival, 0.5)
        return np.where(inner, np.where(inner, self.greenwood, 0.0) / np.log(safe) ** 2, np.nan)

    def limits(self, prob: float = 0.95, /, *, kind: Limits = "log-log") -> tuple[Floats, Floats]:
        """Return lower and upper limits, each (R, T); at 1 and 0 both are the estimate.

        Normal limits of log(-log S), log S or S itself with Greenwood's variance (Kalbfleisch & Prentice 2002, The Statistical
        Analysis of Failure Time Data, section 1.4), the latter two cut at 1 and 0.
        """
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
    survival, greenwood, at_risk, events = (np.empty(asked.shape) for _ in range(4))
    _curve_at(
        ordered.order, ordered.time, ordered.event, ordered.entry, ordered.included(include), asked,
        survival, greenwood, at_risk, events,
    )  # fmt: skip
    return KaplanMeierAt(survival, greenwood, at_risk, events)


@dataclass(frozen=True, eq=False)
class Medians:
    """Medians of R cohorts with limits; infinite where they are not reached, NaN without patients.

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

    The limits are where the log-log limits of the curve cross the share (Brookmeyer & Crowley 1982, Biometrics 38:29), as in
    R's survfit with ``conf.type = "log-log"``; there is no upper one if the curve falls to 0 before its upper limit crosses.
    Where the curve is flat at the share itself R averages with the next event time; here, as in lifelines, the first time
    counts.

    Parameters
    ----------
    ordered : Ordered
        R cohorts of n patients.
    share : float
        Share event-free; 0.25 gives the time by which three quarters had the event.
    prob : float
        Coverage of the limits.
    include : array-like of bool, shape (R, n), optional
        The group.
    """
    z = float(ndtri(0.5 + prob / 2))
    chosen = ordered.included(include)
    found = []
    for limit in (0.0, z, -z):
        times = np.empty(len(ordered))
        _first_below(ordered.order, ordered.time, ordered.event, ordered.entry, chosen, share, limit, times)
        found.append(times)
    return Medians(*found)
