"""Hazard and cumulative hazard of patients under rows of a truth, in either arm: what event times are drawn from.

With the cohort's own H and pieces of time in which the share w_b of the log hazard ratio acts, the cumulative hazard of an
affected patient is the sum over pieces of exp(w_b log HR) times the increment of H (the definition of a hazard ratio piece by
piece); :func:`sitewise.trial.conduct.event_times.event_times` is its inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sitewise.families.base import EXTREME_VALUE
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]


def _column(values: Floats, axes: int) -> Floats:
    return values.reshape(-1, *(1,) * (axes - 1))


def _since(truth: Truth, time: Floats) -> Floats:
    """Return log time since the guarantee time; minus infinity before it."""
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(time - truth.guarantee_time, 0.0))


def _own(truth: Truth, row: Any, time: Floats, added: Floats) -> Floats:
    axes = max(time.ndim, added.ndim)
    since = _since(truth, time)
    log_time = np.where(np.isneginf(since), 0.0, since)
    shape, log_scale = tuple(_column(item[row], axes) for item in truth.shape), _column(truth.log_scale[row], axes)
    with np.errstate(over="ignore"):
        own = np.exp(truth.family.log_cumulative_hazard_of(added, log_time, log_scale, shape))
    return np.where(np.isneginf(since), 0.0, own)


def cumulative_hazard(
    truth: Truth, row: NDArray[np.int64], time: Floats, *, added: Floats, log_ratio: Floats, affected: Any
) -> Floats:
    """Return the cumulative hazard of patients at times since enrolment.

    Parameters
    ----------
    truth : Truth
        What is true.
    row : ndarray of int, shape (M,)
        Rows of the truth; the first axis of what follows.
    time, added, log_ratio : ndarray, shape (M, ...) or broadcasting to it
        Times since enrolment, what profile and site add to the index, and the log of what multiplies the hazard of those
        affected.
    affected : bool or ndarray of bool
        Whether the hazard is not the cohort's.
    """
    if truth.family.standard == EXTREME_VALUE:
        # What is added multiplies the hazard: the curve is found once and not for everybody who adds something else.
        nothing = np.zeros((1,) * max(time.ndim, added.ndim))
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(added) * _with_effect(truth, row, time, nothing, log_ratio, affected))
    return _with_effect(truth, row, time, added, log_ratio, affected)


def _with_effect(truth: Truth, row: Any, time: Floats, added: Floats, log_ratio: Floats, affected: Any) -> Floats:
    effect = truth.effect
    total, before = np.zeros(1), np.zeros(1)
    for weight, end in zip(effect.weights, [*effect.starts[1:], np.inf], strict=True):
        until = _own(truth, row, np.minimum(time, end), added)
        # Beyond the largest number a hazard is infinite, and so is what comes before a piece: nothing is left in it.
        with np.errstate(invalid="ignore"):
            within = np.where(until > before, until - before, 0.0)
        total = total + np.where(affected, np.exp(weight * log_ratio), 1.0) * within
        before = until
    return np.asarray(total)


def log_hazard(
    truth: Truth, row: NDArray[np.int64], time: Floats, *, added: Floats, log_ratio: Floats, affected: Any
) -> Floats:
    """Return the log hazard of patients at times since enrolment; parameters as in :func:`cumulative_hazard`."""
    axes = max(time.ndim, added.ndim)
    since = _since(truth, time)
    log_time = np.where(np.isneginf(since), 0.0, since)
    shape, log_scale = tuple(_column(item[row], axes) for item in truth.shape), _column(truth.log_scale[row], axes)
    if truth.family.standard == EXTREME_VALUE:
        own = added + truth.family.log_hazard(log_time, log_scale, shape)
    else:
        own = truth.family.log_hazard(log_time, log_scale - truth.family.scale_lowered(added, shape), shape)
    piece = np.searchsorted(truth.effect.starts, time, side="right") - 1
    acting = np.where(affected, truth.effect.weights[piece] * log_ratio, 0.0)
    return np.asarray(np.where(np.isneginf(since), -np.inf, own + acting))
