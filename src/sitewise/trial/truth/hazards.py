"""Cumulative hazard and survival of a patient in either arm: the cohort's own curve, and what the effect makes of it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.problems import TrialError
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Arm = Literal["experimental", "control"]


def is_affected(truth: Truth, arm: Arm, /) -> bool:
    """Return whether an arm is not the one that the cohort describes, so that the effect changes its hazard.

    Raises
    ------
    TrialError
        When there is no such arm.
    """
    if arm not in ("experimental", "control"):
        raise TrialError(f"There is no arm {arm!r}. Arms: 'experimental', 'control'.")
    return arm != truth.cohort_arm


def cumulative_hazard(
    truth: Truth,
    times: ArrayLike,
    /,
    *,
    arm: Arm,
    added: ArrayLike,
    effect_added: ArrayLike = 0.0,
    rows: Rows | None = None,
) -> Floats:
    """Return the cumulative hazard of patients in an arm; where the treatment cures some, of the others.

    With the cohort's own H and pieces of time that begin at s_b, in which the share w_b of the log hazard ratio acts, the arm
    that the cohort does not describe has the sum over b of exp(w_b log HR) [H(min(t, s_b+1)) - H(min(t, s_b))]: hazards
    multiply piecewise, which is what a hazard ratio means. Where that arm is control, its log hazard ratio is -log HR.

    Parameters
    ----------
    truth : Truth
        What is true.
    times : array_like
        Times since enrolment. This, ``added`` and ``effect_added`` broadcast; their first axis is rows of the truth, or has
        length 1.
    arm : {"experimental", "control"}
        Whose.
    added : array_like
        What profile and site add to the index.
    effect_added : array_like
        What a site adds to the log hazard ratio of the experimental treatment.
    rows : ndarray of int, optional
        Of these rows of the truth; default all.
    """
    times, added, more = (np.asarray(item, dtype=float) for item in (times, added, effect_added))
    axes = max(times.ndim, added.ndim, more.ndim, 1)
    times, added, more = (item.reshape(item.shape or (1,) * axes) for item in (times, added, more))

    def column(values: Floats) -> Floats:
        chosen = values if rows is None else values[rows]
        return chosen.reshape(-1, *(1,) * (axes - 1))

    shape, log_scale = tuple(column(item) for item in truth.shape), column(truth.log_scale)

    def own(time: Floats) -> Floats:
        since = time - truth.guarantee_time
        log_time = np.log(np.where(since > 0, since, 1.0))
        found: Any = truth.family.log_cumulative_hazard_of(added, log_time, log_scale, shape)
        with np.errstate(over="ignore"):
            return np.where(since > 0, np.exp(found), 0.0)

    if not is_affected(truth, arm):
        return own(times)
    effect = truth.effect
    log_ratio = (1.0 if arm == "experimental" else -1.0) * (column(effect.log_hazard_ratio) + more)
    total, before = np.zeros(1), np.zeros(1)
    for weight, end in zip(effect.weights, [*effect.starts[1:], np.inf], strict=True):
        until = own(np.minimum(times, end))
        # Beyond the largest number a hazard is infinite, and so is what comes before a piece: nothing is left in it.
        with np.errstate(invalid="ignore", over="ignore"):
            within = np.where(until > before, until - before, 0.0)
            total = total + np.exp(weight * log_ratio) * within
        before = until
    return total


def survival(
    truth: Truth,
    times: ArrayLike,
    /,
    *,
    arm: Arm,
    added: ArrayLike,
    effect_added: ArrayLike = 0.0,
    rows: Rows | None = None,
) -> Floats:
    """Return survival of patients in an arm, those whom the treatment cures included: cured + (1 - cured) exp(-H).

    Parameters are those of :func:`cumulative_hazard`.
    """
    own = np.exp(-cumulative_hazard(truth, times, arm=arm, added=added, effect_added=effect_added, rows=rows))
    return with_cured(truth, arm, own)


def with_cured(truth: Truth, arm: Arm, survival: Floats) -> Floats:
    """Return survival of an arm's patients from that of those who are not cured."""
    cured = truth.effect.cured if arm == "experimental" else 0.0
    return cured + (1 - cured) * survival if cured else survival
