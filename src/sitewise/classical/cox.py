"""Cox regressions of many cohorts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.classical.compiled import over_rows
from sitewise.classical.cox_newton import newton
from sitewise.classical.ordering import Floats, Mask, Ordered

TOLERANCE = 1e-16
"""Of the squared Newton decrement: the next step would move no coefficient by more than 1e-8 of its standard error."""


@dataclass(frozen=True, eq=False)
class CoxFits:
    """Maximum partial-likelihood estimates of R cohorts with p columns; NaN where there is none.

    Parameters
    ----------
    log_hazard_ratio : ndarray, shape (R, p)
        Coefficients.
    covariance : ndarray, shape (R, p, p)
        Inverse of the observed information.
    log_likelihood, log_likelihood_null : ndarray, shape (R,)
        Log partial likelihood at the estimates and at 0.
    score_chi2 : ndarray, shape (R,)
        Score test of all coefficients being 0; without ties, of one binary column, the log-rank test.
    events : ndarray of int, shape (R,)
        Events of the patients in the model.
    converged : ndarray of bool, shape (R,)
        False where the likelihood has no maximum (no events at a level, a constant or repeated column).
    """

    log_hazard_ratio: Floats
    covariance: Floats
    log_likelihood: Floats
    log_likelihood_null: Floats
    score_chi2: Floats
    events: NDArray[np.int64]
    converged: Mask

    @property
    def standard_error(self) -> Floats:
        """Standard errors of the coefficients, shape (R, p)."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2)))


def cox(
    ordered: Ordered,
    design: ArrayLike,
    *,
    ties: Literal["efron", "breslow"] = "efron",
    include: ArrayLike | None = None,
    iterations: int = 30,
    workers: int = 1,
) -> CoxFits:
    """Fit a Cox model to each cohort by Newton's method from 0 with step halving.

    Parameters
    ----------
    ordered : Ordered
        R cohorts of n patients.
    design : array-like, shape (R, n, p) or (n, p)
        Columns, in the patients' own order.
    ties : {"efron", "breslow"}
        Treatment of equal event times; the same where there are none.
    include : array-like of bool, shape (R, n), optional
        Who is in the model.
    iterations : int
        Newton steps at most.
    workers : int
        Threads.

    Returns
    -------
    CoxFits
    """
    if ties not in ("efron", "breslow"):
        raise ValueError(f"ties is '{ties}'; it can be 'efron' or 'breslow'.")
    columns = np.asarray(design, dtype=float)
    columns = np.ascontiguousarray(np.broadcast_to(columns, (*ordered.order.shape, columns.shape[-1])))
    rows, _, p = columns.shape
    chosen = ordered.included(include)
    coefficient, covariance = np.full((rows, p), np.nan), np.full((rows, p, p), np.nan)
    fitted, null, chi2 = np.full(rows, np.nan), np.full(rows, np.nan), np.full(rows, np.nan)
    events, converged = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=bool)

    def work(start: int, stop: int) -> None:
        newton(
            start, stop, ordered.order, ordered.time, ordered.event, ordered.entry, columns, chosen, ties == "efron",
            iterations, TOLERANCE, coefficient, covariance, fitted, null, chi2, events, converged,
        )  # fmt: skip

    over_rows(work, rows, workers)
    return CoxFits(coefficient, covariance, fitted, null, chi2, events, converged)
