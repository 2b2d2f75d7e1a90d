"""Who comes when, where and into which arm: one patient after another, compiled.

Arrivals at all sites together are a Poisson process with the summed intensity; given a patient comes at time t, it is at site j
with probability in proportion to that site's intensity then. Between the times at which a site opens or is fully running the
intensity is linear in time, so that the next arrival is the root of a quadratic; thinning would need a bound and waste numbers.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled


@compiled
def intensity(j, t, rate, opening, full):  # type: ignore[no-untyped-def]
    """Return the intensity of site j at time t and its slope, of the piece that begins at t.

    Times are compared with the very numbers at which pieces end: opening + ramp - opening may be less than ramp.
    """
    if t < opening[j]:
        return 0.0, 0.0
    if t < full[j]:
        ramp = full[j] - opening[j]
        return rate[j] * (t - opening[j]) / ramp, rate[j] / ramp
    return rate[j], 0.0


@compiled
def fill_arrivals(rates, opening, full, cap, longest, breaks, waiting, place, enrolled, site):  # type: ignore[no-untyped-def]
    """Fill ``enrolled`` and ``site`` (M, N) of a Poisson process; infinite times for patients who never come.

    Parameters
    ----------
    rates : ndarray, shape (M, J)
        Rates of the sites when fully running.
    opening, full : ndarray, shape (J,)
        Times at which sites open and are fully running; negative of sites that are already.
    cap : ndarray of int, shape (J,)
        Most patients of each site; no cap is a number above N.
    longest : float
        Of :class:`sitewise.trial.plan.Accrual`; no end is infinite.
    breaks : ndarray
        Times at which intensities change their form, ascending.
    waiting, place : ndarray, shape (M, N)
        Standard exponential and uniform numbers.
    """
    trials, patients = waiting.shape
    sites = opening.size
    count = np.zeros(sites, np.int64)
    for m in range(trials):
        count[:] = 0
        t = 0.0
        piece = 0
        rate = rates[m]
        ended = False
        for i in range(patients):
            need = waiting[m, i]
            while not ended:
                while piece < breaks.size and breaks[piece] <= t:
                    piece += 1
                end = breaks[piece] if piece < breaks.size else np.inf
                level, slope = 0.0, 0.0
                for j in range(sites):
                    if count[j] < cap[j]:
                        own, own_slope = intensity(j, t, rate, opening, full)
                        level += own
                        slope += own_slope
                if end == np.inf:
                    if level <= 0.0:
                        ended = True
                        break
                    t += need / level
                    break
                length = end - t
                mass = level * length + 0.5 * slope * length * length
                if need <= mass:
                    # The root of level x + slope x^2 / 2 = need, in the form that does not cancel.
                    t += 2.0 * need / (level + math.sqrt(level * level + 2.0 * slope * need))
                    break
                need -= mass
                t = end
            if ended or t > longest:
                ended = True
                enrolled[m, i] = np.inf
                site[m, i] = 0
                continue
            total = 0.0
            for j in range(sites):
                if count[j] < cap[j]:
                    total += intensity(j, t, rate, opening, full)[0]
            wanted = place[m, i] * total
            chosen = -1
            for j in range(sites):
                if count[j] < cap[j]:
                    own = intensity(j, t, rate, opening, full)[0]
                    if own > 0.0:
                        chosen = j
                        wanted -= own
                        if wanted < 0.0:
                            break
            enrolled[m, i] = t
            site[m, i] = chosen
            count[chosen] += 1


@compiled
def fill_choices(cumulative, numbers, chosen):  # type: ignore[no-untyped-def]
    """Fill ``chosen`` (M, N) with the positions at which cumulative shares (M, K) first exceed uniform numbers (M, N)."""
    trials, patients = numbers.shape
    last = cumulative.shape[1] - 1
    for m in range(trials):
        for i in range(patients):
            low, high = 0, last
            while low < high:
                middle = (low + high) // 2
                if numbers[m, i] < cumulative[m, middle]:
                    high = middle
                else:
                    low = middle + 1
            chosen[m, i] = low


@compiled
def fill_arms(stratum, strata, block, numbers, arm):  # type: ignore[no-untyped-def]
    """Fill ``arm`` (M, N) by permuted blocks within each stratum; ``block`` has the places of each arm (A,), control first.

    A block of random order is drawn place by place: the next is of an arm with the share of that arm's places among those left.
    """
    trials, patients = numbers.shape
    arms = block.size
    left = np.zeros((strata, arms), np.int64)
    rest = np.zeros(strata, np.int64)
    for m in range(trials):
        rest[:] = 0
        for i in range(patients):
            s = stratum[m, i]
            if rest[s] == 0:
                left[s] = block
                rest[s] = block.sum()
            # Experimental arms in their order, and control with what is left.
            wanted, below, own = numbers[m, i] * rest[s], 0, 0
            for a in range(1, arms):
                below += left[s, a]
                if wanted < below:
                    own = a
                    break
            left[s, own] -= 1
            rest[s] -= 1
            arm[m, i] = own
