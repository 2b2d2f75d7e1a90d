"""Log-rank tests of many cohorts at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc

from sitewise.classical.compiled import compiled
from sitewise.classical.ordering import Floats, Ordered


@compiled
def _tests(order, time, event, entry, group, include, observed, expected, variance):  # type: ignore[no-untyped-def]
    rows, n = time.shape
    groups = observed.shape[1]
    at_risk, deaths = np.zeros(groups), np.zeros(groups)
    for r in range(rows):
        at_risk[:] = 0.0
        for patient in range(n):
            if include[r, patient]:
                at_risk[group[r, patient]] += 1
        whole = at_risk.sum()
        first = 0
        while first < n:
            last = first
            while last + 1 < n and time[r, last + 1] == time[r, first]:
                last += 1
            deaths[:] = 0.0
            for i in range(first, last + 1):
                patient = order[r, i]
                if include[r, patient] and event[r, i]:
                    deaths[group[r, patient]] += 1
            total = deaths.sum()
            if total > 0 and entry.size > 0:
                at_risk[:] = 0.0
                for i in range(first, n):
                    patient = order[r, i]
                    if include[r, patient] and entry[r, i] < time[r, first]:
                        at_risk[group[r, patient]] += 1
                whole = at_risk.sum()
            if total > 0:
                for a in range(groups):
                    observed[r, a] += deaths[a]
                    expected[r, a] += total * at_risk[a] / whole
                if whole > 1:
                    factor = total * (whole - total) / (whole - 1) / whole / whole
                    for a in range(groups):
                        for b in range(groups):
                            variance[r, a, b] += factor * at_risk[a] * ((whole if a == b else 0.0) - at_risk[b])
            for i in range(first, last + 1):
                patient = order[r, i]
                if include[r, patient]:
                    at_risk[group[r, patient]] -= 1
                    whole -= 1
            first = last + 1


@dataclass(frozen=True, eq=False)
class LogRank:
    """Log-rank tests of R cohorts.

    Parameters
    ----------
    chi2, p : ndarray, shape (R,)
        Statistic and p value; NaN where fewer than two groups have patients at risk of an event.
    degrees_of_freedom : ndarray of int, shape (R,)
        Groups that were compared, less one.
    observed, expected : ndarray, shape (R, G)
        Events of each group, and what they would be were all groups alike.
    """

    chi2: Floats
    p: Floats
    degrees_of_freedom: np.ndarray[tuple[int], np.dtype[np.int64]]
    observed: Floats
    expected: Floats


def log_rank(ordered: Ordered, group: ArrayLike, /, *, groups: int, include: ArrayLike | None = None) -> LogRank:
    """Compare groups by the log-rank test with the hypergeometric variance (Mantel 1966; Collett 2015, section 2.6).

    Parameters
    ----------
    ordered : Ordered
        R cohorts of n patients.
    group : array-like of int, shape (R, n) or (n,)
        Group of each patient, 0 to groups - 1, in the patients' own order.
    groups : int
        Number of groups.
    include : array-like of bool, shape (R, n), optional
        Who is compared.
    """
    codes = np.ascontiguousarray(np.broadcast_to(np.asarray(group, dtype=np.int64), ordered.order.shape))
    if codes.size and not 0 <= codes.min() <= codes.max() < groups:
        raise ValueError(f"group must be 0 to {groups - 1}; it is {codes.min()} to {codes.max()}.")
    rows = len(ordered)
    observed, expected = np.zeros((rows, groups)), np.zeros((rows, groups))
    variance = np.zeros((rows, groups, groups))
    _tests(
        ordered.order,
        ordered.time,
        ordered.event,
        ordered.entry,
        codes,
        ordered.included(include),
        observed,
        expected,
        variance,
    )
    compared = np.diagonal(variance, axis1=1, axis2=2) > 1e-12
    freedom = np.maximum(compared.sum(axis=1) - 1, 0)
    difference = observed - expected
    # The covariance has rank one less than the groups: its pseudo-inverse gives the statistic whichever group is left out.
    inverse = np.linalg.pinv(variance, rcond=1e-10, hermitian=True)
    chi2 = np.einsum("ra,rab,rb->r", difference, inverse, difference)
    chi2[freedom == 0] = np.nan
    with np.errstate(invalid="ignore"):
        p = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), chi2), np.nan)
    return LogRank(chi2, p, freedom.astype(np.int64), observed, expected)
