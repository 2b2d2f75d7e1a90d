"""Hazards of patients under rows of a truth: what interim data are weighed by, and remaining times drawn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.families.base import EXTREME_VALUE
from sitewise.trial.truth.hazards import Arm, cumulative_hazard, is_affected
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def hazard_until(truth: Truth, row: Codes, time: Floats, *, arm: Arm, added: Floats, effect_added: Floats) -> Floats:
    """Return the cumulative hazard of an arm's patients at times since enrolment.

    Parameters
    ----------
    truth : Truth
        What is true.
    row : ndarray of int, shape (M,)
        Rows of the truth; the first axis of what follows.
    time, added, effect_added : ndarray, shape (M, ...) or broadcasting to it
        Times since enrolment, what profile and site add to the index, and what the site adds to the log hazard ratio of the
        experimental treatment.
    arm : {"experimental", "control"}
        Whose.
    """
    if truth.family.standard != EXTREME_VALUE:
        return cumulative_hazard(truth, time, arm=arm, added=added, effect_added=effect_added, rows=row)
    # What is added multiplies the hazard: the curve is found once, and not for everybody who adds something else.
    nothing = np.zeros((1,) * max(time.ndim, added.ndim))
    own = cumulative_hazard(truth, time, arm=arm, added=nothing, effect_added=effect_added, rows=row)
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(added) * own)


def log_hazard(truth: Truth, row: Codes, time: Floats, *, arm: Arm, added: Floats, effect_added: Floats) -> Floats:
    """Return the log hazard of an arm's patients at times since enrolment; parameters as in :func:`hazard_until`."""
    axes = max(time.ndim, added.ndim)
    since = time - truth.guarantee_time
    log_time = np.log(np.where(since > 0, since, 1.0))
    shape, log_scale = tuple(_column(item[row], axes) for item in truth.shape), _column(truth.log_scale[row], axes)
    if truth.family.standard == EXTREME_VALUE:
        found = added + truth.family.log_hazard(log_time, log_scale, shape)
    else:
        found = truth.family.log_hazard(log_time, log_scale - truth.family.scale_lowered(added, shape), shape)
    if is_affected(truth, arm):
        piece = np.searchsorted(truth.effect.starts, time, side="right") - 1
        log_ratio = _column(truth.effect.log_hazard_ratio[row], axes) + effect_added
        found = found + truth.effect.weights[piece] * (log_ratio if arm == "experimental" else -log_ratio)
    return np.asarray(np.where(since > 0, found, -np.inf))


def _column(values: Floats, axes: int) -> Floats:
    return values.reshape(-1, *(1,) * (axes - 1))
