"""Cox's partial likelihood with its score and information, and Newton's method on it, compiled.

Patients are walked from the last time to the first, so that each joins the risk set once. With d events at a time,
Breslow's likelihood divides each by the whole risk set; Efron's takes l / d of the dying out of it for l = 0 ... d - 1 (Therneau &
Grambsch 2000, Modeling Survival Data, section 3.3). Everything is one file because numba's cache looks at one file.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled

LARGEST_EXPONENT = 200.0
FLAT = 1e-10
"""A pivot of the information, as a share of its column's value at 0, below which the column says nothing."""
FAR = 30.0
"""A log hazard ratio per sd of a column beyond which the likelihood has no maximum that matters."""


@compiled
def score_information(order, time, event, design, include, coefficient, mean, efron, score, information, work):  # type: ignore[no-untyped-def]
    """Fill score (p,) and information (p, p) of one cohort at a coefficient; return the log partial likelihood.

    ``design`` (n, p) and ``include`` (n,) are in the patients' own order, ``order``, ``time`` and ``event`` (n,) sorted by time.
    Columns are taken about ``mean`` (p,). ``work`` has room for 3 + p rows of p + 1 twice: see ``room``.
    """
    n, p = design.shape
    s1, d1, x = work[0], work[1], work[2]
    s2, d2 = work[3 : 3 + p], work[3 + p : 3 + 2 * p]
    for j in range(p):
        s1[j] = 0.0
        score[j] = 0.0
        for k in range(j + 1):
            s2[j, k] = 0.0
            information[j, k] = 0.0
    s0, value = 0.0, 0.0
    last = n - 1
    while last >= 0:
        first = last
        while first > 0 and time[first - 1] == time[last]:
            first -= 1
        deaths = 0
        d0 = 0.0
        for i in range(first, last + 1):
            patient = order[i]
            if not include[patient]:
                continue
            exponent = 0.0
            for j in range(p):
                x[j] = design[patient, j] - mean[j]
                exponent += coefficient[j] * x[j]
            risk = math.exp(min(exponent, LARGEST_EXPONENT))
            s0 += risk
            dies = event[i]
            if dies:
                if deaths == 0:
                    for j in range(p):
                        d1[j] = 0.0
                        for k in range(j + 1):
                            d2[j, k] = 0.0
                deaths += 1
                value += exponent
                d0 += risk
            for j in range(p):
                weighted = risk * x[j]
                s1[j] += weighted
                for k in range(j + 1):
                    s2[j, k] += weighted * x[k]
                if dies:
                    score[j] += x[j]
                    d1[j] += weighted
                    for k in range(j + 1):
                        d2[j, k] += weighted * x[k]
        for death in range(deaths):
            taken = death / deaths if efron else 0.0
            whole = s0 - taken * d0
            value -= math.log(whole)
            for j in range(p):
                own = (s1[j] - taken * d1[j]) / whole
                score[j] -= own
                for k in range(j + 1):
                    other = (s1[k] - taken * d1[k]) / whole
                    information[j, k] += (s2[j, k] - taken * d2[j, k]) / whole - own * other
        last = first - 1
    for j in range(p):
        for k in range(j):
            information[k, j] = information[j, k]
    return value


@compiled
def _factor(information, p, least):  # type: ignore[no-untyped-def]
    """Replace the lower triangle by its Cholesky factor; return whether all pivots are large enough."""
    for j in range(p):
        for k in range(j + 1):
            total = information[j, k]
            for m in range(k):
                total -= information[j, m] * information[k, m]
            if j == k:
                if not total > least[j]:
                    return False
                information[j, j] = math.sqrt(total)
            else:
                information[j, k] = total / information[k, k]
    return True


@compiled
def _solve(factor, p, values):  # type: ignore[no-untyped-def]
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
    start, stop, order, time, event, design, include, efron, iterations, tolerance, coefficient, covariance, fitted, null, chi2,
    events, converged,
):  # fmt: skip
    """Fit the cohorts from start to stop; what does not converge is left as it was (NaN)."""
    n, p = design.shape[1], design.shape[2]
    room = np.empty((3 + 2 * p, p))
    beta, trial, step, mean, sd = np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p)
    score, information, factor, least = np.zeros(p), np.zeros((p, p)), np.zeros((p, p)), np.zeros(p)
    for r in range(start, stop):
        size, deaths = 0, 0
        mean[:] = 0.0
        sd[:] = 0.0
        for i in range(n):
            patient = order[r, i]
            if include[r, patient]:
                size += 1
                deaths += event[r, i]
                for j in range(p):
                    mean[j] += design[r, patient, j]
        events[r] = deaths
        for j in range(p):
            mean[j] /= max(size, 1)
        for patient in range(n):
            if include[r, patient]:
                for j in range(p):
                    sd[j] += (design[r, patient, j] - mean[j]) ** 2
        flat = deaths == 0
        for j in range(p):
            sd[j] = math.sqrt(sd[j] / max(size, 1))
            if not sd[j] > 0:
                flat = True
        beta[:] = 0.0
        value = score_information(
            order[r], time[r], event[r], design[r], include[r], beta, mean, efron, score, information, room
        )
        null[r] = value
        if flat:
            continue
        good = True
        for j in range(p):
            least[j] = FLAT * information[j, j]
            good = good and information[j, j] > 0
        if not good:
            continue
        done = False
        for iteration in range(iterations):
            factor[:] = information
            if not _factor(factor, p, least):
                break
            step[:] = score
            _solve(factor, p, step)
            gain = 0.0
            for j in range(p):
                gain += score[j] * step[j]
            if iteration == 0:
                chi2[r] = gain
            if gain < tolerance:  # twice what the next step would add to the log likelihood
                done = True
                break
            for _ in range(12):
                far = False
                for j in range(p):
                    trial[j] = beta[j] + step[j]
                    far = far or abs(trial[j]) * sd[j] > FAR
                found = -np.inf
                if not far:
                    found = score_information(
                        order[r], time[r], event[r], design[r], include[r], trial, mean, efron, score, information, room
                    )
                if found >= value - 1e-9 * abs(value):
                    break
                for j in range(p):
                    step[j] *= 0.5
            else:
                break
            value = found
            beta[:] = trial
        if not done:
            continue
        worst = 0.0
        for j in range(p):
            worst = max(worst, abs(beta[j]) * sd[j])
        # Infinite estimates (no events at a level) creep up until the information is nearly nothing.
        vanished = False
        for j in range(p):
            vanished = vanished or information[j, j] < 1e-6 * sd[j] * sd[j]
        if vanished:
            continue
        converged[r] = True
        fitted[r] = value
        for j in range(p):
            coefficient[r, j] = beta[j]
            step[:] = 0.0
            step[j] = 1.0
            _solve(factor, p, step)
            for k in range(p):
                covariance[r, j, k] = step[k]
