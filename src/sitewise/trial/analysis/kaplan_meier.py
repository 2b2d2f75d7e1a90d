"""Statements about survival, restricted means and medians by Kaplan-Meier, of thousands of trials at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sitewise.classical.compiled import compiled
from sitewise.classical.kaplan_meier import kaplan_meier_at, kaplan_meier_median
from sitewise.classical.ordering import Ordered
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Floats
from sitewise.trial.analysis.answers import Answer, Comparator, members, normal_answer, standardised
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.criteria import Criterion

NODES = 200
"""Quantiles that stand for a benchmark's draws."""
WITHIN_ONE_SD = float(ndtr(1.0) - ndtr(-1.0))


@compiled
def _restricted_means(order, time, event, include, horizon, mean, variance):  # type: ignore[no-untyped-def]
    rows, n = time.shape
    weight, area = np.empty(n), np.empty(n)
    for r in range(rows):
        remaining, end = 0, 0.0
        for i in range(n):
            if include[r, order[r, i]]:
                remaining += 1
                end = time[r, i]
        survival, total, before = 1.0, 0.0, 0.0
        steps, first = 0, 0
        while first < n and time[r, first] <= horizon:
            last = first
            while last + 1 < n and time[r, last + 1] == time[r, first]:
                last += 1
            deaths, leaving = 0, 0
            for i in range(first, last + 1):
                if include[r, order[r, i]]:
                    leaving += 1
                    deaths += event[r, i]
            if deaths > 0:
                total += survival * (time[r, first] - before)
                before = time[r, first]
                survival *= 1 - deaths / remaining
                if remaining > deaths:  # else nothing is left of the area, and its variance is nil
                    weight[steps], area[steps] = deaths / (remaining * (remaining - deaths)), total
                    steps += 1
            remaining -= leaving
            first = last + 1
        total += survival * (horizon - before)
        if end < horizon and survival > 0:
            continue
        mean[r], variance[r] = total, 0.0
        for k in range(steps):
            variance[r] += weight[k] * (total - area[k]) ** 2


def restricted_mean(ordered: Ordered, horizon: float, /, *, include: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return restricted means and their standard deviations by Kaplan-Meier.

    The variance is the sum of squared areas to the right of each event time times d / (n (n - d)) (Klein & Moeschberger 2003,
    section 4.5).

    Parameters
    ----------
    ordered : Ordered
        M trials by time.
    horizon : float
        Upper end of the area.
    include : ndarray of bool, shape (M, N)
        Whose.

    Returns
    -------
    mean, sd : ndarray, shape (M,)
        NaN where the last observed time is before the horizon and is no event; the sd is 0 where there is no event.
    """
    mean, variance = np.full(len(ordered), np.nan), np.full(len(ordered), np.nan)
    chosen = np.ascontiguousarray(include)
    _restricted_means(ordered.order, ordered.time, ordered.event, chosen, float(horizon), mean, variance)
    return mean, np.sqrt(variance)


def survival_at(ordered: Ordered, time: float, /, *, include: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return Kaplan-Meier survival at a time and the standard deviation of its log(-log) by Greenwood, each of shape (M,).

    Both are NaN where the curve is 1 (no event has come), 0, or has ended before the time.
    """
    at = kaplan_meier_at(ordered, [time], include=include)
    known = at.at_risk[:, 0] > 0
    spread = np.where(known, np.sqrt(at.log_log_variance[:, 0]), np.nan)
    return np.where(np.isnan(spread), np.nan, at.survival[:, 0]), spread


def curve_answer(seen: Snapshot, ordered: Ordered, /, *, criterion: Criterion, benchmark: Comparator | None) -> Answer:
    """Return the probability of a statement about survival, a restricted mean or a median, with a flat prior.

    On its own, survival is normal on the scale log(-log S) with Greenwood's variance; so is it against a benchmark, averaged
    over the benchmark's draws (their mean, if it is known). Against control the difference is normal. Restricted means are
    normal in every comparison. The median is above a value where survival then is above one half, which has the same
    probability; its estimate is the log of the Kaplan-Meier median, and its sd half the width of its 68 % log-log limits
    (Brookmeyer & Crowley 1982), NaN where they are not reached. A risk group is its patients.

    Raises
    ------
    TrialError
        When the statement needs a benchmark and there is none, or the trial has no such group.
    """
    experimental = members(seen, criterion.group, arm=1)
    if criterion.estimand == "median":
        return _median_answer(ordered, criterion, include=experimental)
    assert criterion.at is not None
    drawn = np.zeros(1)
    if criterion.against == "benchmark":
        if benchmark is None:
            raise TrialError(f"Criterion '{criterion.name}' is against the benchmark, and there is none.")
        drawn = np.asarray(benchmark.draws(criterion), dtype=np.float64)
        if benchmark.known:
            drawn = drawn.mean(keepdims=True)
    control = members(seen, criterion.group, arm=0) if criterion.against == "control" else None
    if criterion.estimand == "rmst":
        mean, sd = restricted_mean(ordered, criterion.at, include=experimental)
        if control is not None:
            other, other_sd = restricted_mean(ordered, criterion.at, include=control)
            mean, sd = mean - other, _both(sd, other_sd)
        sd = np.where(sd > 0, np.hypot(sd, drawn.std()), np.nan)
        return normal_answer(criterion, criterion.bound, estimate=mean - drawn.mean(), sd=sd)
    survival, spread = survival_at(ordered, criterion.at, include=experimental)
    sd = _plain(survival, spread)
    if control is not None:
        other, other_spread = survival_at(ordered, criterion.at, include=control)
        return normal_answer(
            criterion, criterion.bound, estimate=survival - other, sd=np.hypot(sd, _plain(other, other_spread))
        )
    above = _survival_above(survival, spread, bounds=criterion.bound + _nodes(drawn))
    return Answer(1 - above if criterion.wants_less else above, survival - drawn.mean(), np.hypot(sd, drawn.std()), {})


def _median_answer(ordered: Ordered, criterion: Criterion, /, *, include: NDArray[np.bool_]) -> Answer:
    survival, spread = survival_at(ordered, criterion.bound, include=include)
    above = _survival_above(survival, spread, bounds=np.array([0.5]))
    found = kaplan_meier_median(ordered, prob=WITHIN_ONE_SD, include=include)
    reached = np.isfinite(found.median) & (found.median > 0)
    estimate = np.log(np.where(reached, found.median, np.nan))
    limited = reached & np.isfinite(found.upper) & (found.lower > 0)
    sd = 0.5 * np.log(np.where(limited, found.upper, np.nan) / np.where(limited, found.lower, 1.0))
    return Answer(1 - above if criterion.wants_less else above, estimate, sd, {})


def _both(sd: Floats, other: Floats, /) -> Floats:
    """Return the sd of a difference, NaN where one side has none to speak of."""
    return np.where((sd > 0) & (other > 0), np.hypot(sd, other), np.nan)


def _plain(survival: Floats, spread: Floats, /) -> Floats:
    """Return the sd of survival, given that of its log(-log)."""
    return -survival * np.log(survival) * spread


def _nodes(drawn: Floats, /) -> Floats:
    """Return the middles of equal shares of draws."""
    if drawn.size <= NODES:
        return drawn
    return np.asarray(np.quantile(drawn, (np.arange(NODES) + 0.5) / NODES))


def _survival_above(survival: Floats, spread: Floats, /, *, bounds: Floats) -> Floats:
    """Return the mean over bounds of the probabilities that survival is above them, shape (M,)."""
    inside = np.clip(bounds, np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0))
    edges = np.log(-np.log(inside))
    each = ndtr(standardised(edges - np.log(-np.log(survival))[:, None], spread[:, None]))
    possible = np.where(bounds <= 0, 1.0, np.where(bounds >= 1, 0.0, each))
    return np.where(np.isnan(spread), np.nan, possible.mean(axis=1))
