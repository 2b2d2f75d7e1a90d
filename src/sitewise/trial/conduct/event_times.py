"""When patients have their events: a standard exponential number is the cumulative hazard at which it happens.

The arm that the cohort describes has the cohort's hazard. The other arm has it multiplied by the treatment's effect, or
divided, piece by piece of time: with G(t) the sum over pieces of ratio x increment of the cumulative hazard, the event
happens where G = E. G is linear in the cohort's own cumulative hazard H within a piece, so that H is found first, and then the
time at which H is reached.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
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
    trial, patient = np.nonzero(affected)
    until = truth.effect.starts[1:] - truth.guarantee_time
    log_until = np.log(np.where(until > 0, until, 1.0))
    if truth.family.standard == EXTREME_VALUE:
        shape = tuple(item[row, None] for item in truth.shape)
        own = truth.family.log_cumulative_hazard(log_until, truth.log_scale[row, None], shape)
        ended = np.exp(own)[trial] * np.exp(added[trial, patient])[:, None]
    else:
        shape = tuple(item[row[trial], None] for item in truth.shape)
        scale = truth.log_scale[row[trial], None]
        ended = np.exp(truth.family.log_cumulative_hazard_of(added[trial, patient][:, None], log_until, scale, shape))
    reached = exponential[trial, patient]
    pieces_undone(reached, log_ratio[trial, patient], np.where(until > 0, ended, 0.0), truth.effect.weights)
    found = exponential.copy()
    found[trial, patient] = reached
    return found


@compiled
def pieces_undone(reached, log_ratio, ended, weights):  # type: ignore[no-untyped-def]
    """Turn the cumulative hazards G of affected patients (K,) into the cohort's own H, in place.

    Parameters
    ----------
    reached : ndarray, shape (K,)
        G at the event, then H.
    log_ratio : ndarray, shape (K,)
        Log of what multiplies the hazard while the effect is whole.
    ended : ndarray, shape (K, B - 1)
        H at the end of each piece but the last.
    weights : ndarray, shape (B,)
        Share of the log ratio in each piece.
    """
    last = weights.size - 1
    for k in range(reached.size):
        need, begun = reached[k], 0.0
        for piece in range(last + 1):
            ratio = math.exp(weights[piece] * log_ratio[k])
            if piece == last or begun + need / ratio <= ended[k, piece]:
                reached[k] = begun + need / ratio
                break
            need -= ratio * (ended[k, piece] - begun)
            begun = ended[k, piece]
