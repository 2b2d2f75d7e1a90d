"""Newton's method on Cox's partial likelihood, for cohorts one after the other, compiled."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.classical.cox_kernel import gather, room, score_information

FLAT = 1e-12
"""A pivot of the information, per event and squared range of its column, at which the columns say nothing."""

NEARLY_DONE, FAR_TO_GO, SLOWLY = 1e-4, 0.5, 0.1
"""Twice what the next step would add to the log likelihood, the change of a log hazard between the extremes of a column in it,
and the share of the former in what it was a step before, that together show a likelihood that rises for ever (no events at a
level). Its score falls like an exponential, so that each step is as long as the last, gains exp(-1) of what the last did, and
changes a log hazard by 1 or more. Near a maximum the gains fall with the square. Such cohorts would end at a flat pivot all
the same, but after twice the steps."""

HALVINGS = 20


@compiled
def _factor(matrix, least):  # type: ignore[no-untyped-def]
    """Replace the lower triangle (p, p) by its Cholesky factor; return whether all pivots are above the least (p,)."""
    p = least.size
    for j in range(p):
        for k in range(j + 1):
            total = matrix[j, k]
            for m in range(k):
                total -= matrix[j, m] * matrix[k, m]
            if j == k:
                if not total > least[j]:
                    return False
                matrix[j, j] = math.sqrt(total)
            else:
                matrix[j, k] = total / matrix[k, k]
    return True


@compiled
def _solve(factor, values):  # type: ignore[no-untyped-def]
    """Solve in place, given the Cholesky factor (p, p)."""
    p = values.size
    for j in range(p):
        total = values[j]
        for k in range(j):
            total -= factor[j, k] * values[k]
        values[j] = total / factor[j, j]
    for j in range(p - 1, -1, -1):
        total = values[j]
        for k in range(j + 1, p):
            total -= factor[k, j] * values[k]
        values[j] = total / factor[j, j]


@compiled
def newton(  # type: ignore[no-untyped-def]
    start, stop, order, time, event, entry, design, include, efron, iterations, tolerance,
    coefficient, covariance, fitted, null, chi2, events, converged,
):  # fmt: skip
    """Fit the cohorts from start to stop; what does not converge is left as it was (NaN)."""
    n, p = design.shape[1], design.shape[2]
    space = room(n, p)
    beta, trial, step, score, least = np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p)
    information, factor = np.zeros((p, p)), np.zeros((p, p))
    late = entry.size > 0
    never = np.empty(0)
    spans = space[1][1]
    for r in range(start, stop):
        size, times, deaths = gather(
            order[r], time[r], event[r], entry[r] if late else never, design[r], include[r], space
        )  # fmt: skip
        events[r] = deaths
        beta[:] = 0.0
        value = score_information(beta, efron, space, size, times, deaths, late, score, information)
        null[r] = value
        informative = deaths > 0
        for j in range(p):
            least[j] = FLAT * deaths * spans[j] * spans[j]
            informative = informative and spans[j] > 0
        if not informative:
            continue
        done = False
        before = np.inf
        for iteration in range(iterations + 1):
            factor[:] = information
            if not _factor(factor, least):
                break
            step[:] = score
            _solve(factor, step)
            gain, change = 0.0, 0.0
            for j in range(p):
                gain += score[j] * step[j]
                change = max(change, abs(step[j]) * spans[j])
            if iteration == 0:
                chi2[r] = gain
            if gain < NEARLY_DONE and change > FAR_TO_GO and gain > SLOWLY * before:
                break
            before = gain
            if gain < tolerance:
                done = True
                break
            found = -np.inf
            for _ in range(HALVINGS):
                for j in range(p):
                    trial[j] = beta[j] + step[j]
                found = score_information(trial, efron, space, size, times, deaths, late, score, information)
                if found >= value - 1e-9 * abs(value):
                    break
                for j in range(p):
                    step[j] *= 0.5
            if not found >= value - 1e-9 * abs(value):
                break
            value = found
            beta[:] = trial
        if not done:
            continue
        converged[r] = True
        fitted[r] = value
        for j in range(p):
            coefficient[r, j] = beta[j] + step[j]
        for j in range(p):
            trial[:] = 0.0
            trial[j] = 1.0
            _solve(factor, trial)
            for k in range(p):
                covariance[r, j, k] = trial[k]
