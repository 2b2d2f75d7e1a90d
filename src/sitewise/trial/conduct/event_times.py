"""When patients have their events: a standard exponential number is the cumulative hazard at which it happens.

The arm that the cohort describes has the cohort's hazard. The other arm has it multiplied by the treatment's effect, or
divided, piece by piece of time: with G(t) the sum over pieces of ratio x increment of the cumulative hazard, the event
happens where G = E. G is linear in the cohort's own cumulative hazard H within a piece, so that H is found first, and then the
time at which H is reached.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.families.base import EXTREME_VALUE
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def event_times(
    truth: Truth, row: Codes, added: Floats, log_ratio: Floats, affected: NDArray[np.bool_], exponential: Floats
) -> Floats:
    """Return times from enrolment to the event, shape (M, N).

    Parameters
    ----------
    truth : Truth
        What is true.
    row : ndarray of int, shape (M,)
        Row of each trial.
    added : ndarray, shape (M, N)
        What profile and site add to the index.
    log_ratio : ndarray, shape (M, N)
        Log of what multiplies the hazard of affected patients while the effect is whole.
    affected : ndarray of bool, shape (M, N)
        Whether the patient's hazard is not the cohort's.
    exponential : ndarray, shape (M, N)
        Standard exponential numbers.
    """
    shape = tuple(item[row, None] for item in truth.shape)
    log_scale = truth.log_scale[row, None]
    effect = truth.effect
    if effect.starts.size == 1:
        own = np.log(exponential) - np.where(affected, effect.weights[0] * log_ratio, 0.0)
    else:
        own = np.log(_before_effect(truth, row, added, log_ratio, affected, exponential))
    if truth.family.standard == EXTREME_VALUE:
        log_time = truth.family.log_time(own - added, log_scale, shape)
    else:
        log_time = truth.family.log_time(own, log_scale - truth.family.scale_lowered(added, shape), shape)
    with np.errstate(over="ignore"):
        return np.asarray(truth.guarantee_time + np.exp(log_time))


def _before_effect(
    truth: Truth, row: Codes, added: Floats, log_ratio: Floats, affected: NDArray[np.bool_], exponential: Floats
) -> Floats:
    """Return the cohort's own cumulative hazard at which each patient has the event, shape (M, N)."""
    shape = tuple(item[row, None] for item in truth.shape)
    log_scale = truth.log_scale[row, None]
    need = exponential.copy()
    found = np.zeros_like(exponential)
    begun = np.zeros_like(exponential)
    pieces = truth.effect.starts.size
    open_ = np.ones(exponential.shape, dtype=bool)
    for piece in range(pieces):
        ratio = np.where(affected, np.exp(truth.effect.weights[piece] * log_ratio), 1.0)
        if piece + 1 < pieces:
            until = truth.effect.starts[piece + 1] - truth.guarantee_time
            if until > 0:
                log_until = np.full((row.size, 1), np.log(until))
                ended = np.exp(truth.family.log_cumulative_hazard_of(added, log_until, log_scale, shape))
            else:
                ended = np.zeros_like(exponential)
        else:
            ended = np.full_like(exponential, np.inf)
        own = begun + need / ratio
        here = open_ & (own <= ended)
        found[here] = own[here]
        open_ &= ~here
        with np.errstate(invalid="ignore"):
            need = np.where(open_, need - ratio * (ended - begun), need)
        begun = ended
    return found
