"""Whether patients who are expected to do badly are lost sooner, or later, than others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sitewise.classical.cox import cox
from sitewise.classical.ordering import Ordered
from sitewise.cohort import Cohort

Floats = NDArray[np.float64]
FEWEST = 5
"""Censored patients from whom anything is said."""


def censoring_by_risk(cohort: Cohort, risk: Floats) -> tuple[float, float] | None:
    """Return the log hazard ratio of being censored per sd of predicted risk, and its p-value by Wald's test; or None.

    Censoring that goes with what was recorded does no harm to a model that has it, but it is how patients who are lost for
    reasons that matter usually show. Censoring that goes with what nobody recorded leaves no trace at all.
    """
    censored = cohort.event == 0
    if censored.sum() < FEWEST or not np.ptp(risk) > 0:
        return None
    entry = cohort.entry if (cohort.entry > 0).any() else None
    # Who dies at a time at which another is censored was still at risk of being censored then.
    column = ((risk - risk.mean()) / risk.std())[:, None]
    found = cox(Ordered.of(cohort.time, censored, entry), column, ties="efron")
    if not found.converged[0]:
        return None
    value, error = float(found.log_hazard_ratio[0, 0]), float(found.standard_error[0, 0])
    return value, float(2 * ndtr(-abs(value / error)))
