"""Predictive probability of success by completing the trial: the remaining times are drawn, and the final rule is applied.

Somebody who is event-free at t has H(T) = H(t) + E with E exponential of mean 1, whatever the distribution: the event comes
when the cumulative hazard has grown by E (Devroye 1986, Non-Uniform Random Variate Generation, section VI.2). One set of times
is drawn for each posterior draw, so that the share of sets in which the final rule holds is the predictive probability
(Dmitrienko & Wang 2006, Statistics in Medicine 25:2178).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.families import Family
from sitewise.families.metric import log_cumulative_hazard
from sitewise.names import HAZARD_RATIO, TIME_RATIO
from sitewise.problems import Problems, TrialError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Completed:
    """S completed sets of the times of n patients: what each will be, were they followed for ever.

    Parameters
    ----------
    time : ndarray, shape (S, ..., n)
        Time from entry to event or dropout; infinite for those who will have neither.
    event : ndarray of bool, shape (S, ..., n)
        Whether it is an event.
    """

    time: Floats
    event: Flags

    def until(self, follow_up: ArrayLike, /) -> tuple[Floats, Flags]:
        """Return times and events when patients are followed for ``follow_up`` after entry, (..., n) or (S, ..., n).

        Patients who have not entered by then have a follow-up of zero or less: their time is 0, without an event, and they are
        to be left out of an analysis.
        """
        longest = np.maximum(np.asarray(follow_up, dtype=float), 0.0)
        if np.any(np.isnan(longest)):
            raise TrialError("Follow-up times must be numbers.")
        return np.minimum(self.time, longest), self.event & (self.time <= longest)

    def calendar_of_event(self, number: int, /, *, entry: ArrayLike, latest: float) -> Floats:
        """Return when each set reaches a number of events, (S, ...): no later than ``latest``, by when it may have fewer.

        Parameters
        ----------
        number : int
            Events that end the trial.
        entry : array-like, shape (..., n)
            Calendar time at which each patient enters.
        latest : float
            Calendar time at which the trial ends anyway.
        """
        if number < 1:
            raise TrialError(f"The number of events must be at least 1; it is {number}.")
        calendar = np.where(self.event, np.asarray(entry, dtype=float) + self.time, np.inf)
        if number > calendar.shape[-1]:
            return np.full(calendar.shape[:-1], float(latest))
        return cast(Floats, np.minimum(np.partition(calendar, number - 1, axis=-1)[..., number - 1], latest))


def impute_remaining(
    elapsed: ArrayLike,
    /,
    *,
    event: ArrayLike,
    followed: ArrayLike,
    family: Family,
    log_scale: ArrayLike,
    shape: tuple[ArrayLike, ...],
    linear_predictor: ArrayLike,
    rng: np.random.Generator,
    metric: str = HAZARD_RATIO,
    guarantee_time: float = 0.0,
    dropout_rate: float = 0.0,
) -> Completed:
    """Draw the remaining time of every patient who is still followed, given the time that has passed.

    Parameters
    ----------
    elapsed : array-like, shape (..., n)
        Time since entry at the look, or to event or dropout. Patients who are still to enter have 0.
    event : array-like of bool, shape (..., n)
        Whether the event has been seen.
    followed : array-like of bool, shape (..., n)
        Whether the patient is still followed (or still to enter). Neither event nor followed is dropped out: that time stays.
    family : Family
        Baseline of the model.
    log_scale : array-like, shape (S, ...)
        Draws of the log scale: (S,) when ``elapsed`` is (n,), (S, M) when it is (M, n).
    shape : tuple of array-like, shape (S, ...)
        Draws of each shape parameter of the family, in its order.
    linear_predictor : array-like, shape (S, ..., n) or (..., n)
        Each patient's linear predictor: covariates, site and arm. What it does is said by ``metric``.
    rng : numpy.random.Generator
        Source of the draws.
    metric : {"hazard-ratio", "time-ratio"}
        What the linear predictor does.
    guarantee_time : float
        Time from entry before which the event cannot occur: the model is of the time after it.
    dropout_rate : float
        Constant rate at which patients who are still followed will drop out.

    Returns
    -------
    Completed
        One set for each draw.

    Raises
    ------
    TrialError
        When arrays do not fit, times are negative or draws are not finite.
    """
    time, seen = np.asarray(elapsed, dtype=float), np.asarray(event, dtype=bool)
    going = np.asarray(followed, dtype=bool)
    scale = np.asarray(log_scale, dtype=float)[..., None]
    shapes = tuple(np.asarray(item, dtype=float)[..., None] for item in shape)
    predictor = np.asarray(linear_predictor, dtype=float)
    _check(time, seen, going, scale, shapes, predictor, family, metric, dropout_rate)
    size = np.broadcast_shapes(time.shape, scale.shape, predictor.shape)
    # A family's formulas want a finite log time; where no time at risk has passed the hazard so far is set to zero after.
    at_risk = np.maximum(time - guarantee_time, 0.0)
    log_at_risk = np.log(np.where(at_risk > 0, at_risk, 1.0))
    with np.errstate(divide="ignore", over="ignore"):
        so_far = log_cumulative_hazard(family, metric, log_at_risk, predictor, scale, shapes)
        so_far = np.where(at_risk > 0, so_far, -np.inf)
        reached = np.logaddexp(so_far, np.log(rng.standard_exponential(size)))
        if metric == TIME_RATIO:
            drawn = guarantee_time + np.exp(family.log_time(reached, scale, shapes) + predictor)
        else:
            drawn = guarantee_time + np.exp(family.log_time(reached - predictor, scale, shapes))
    # Rounding must not let somebody have the event before the time that they have already passed.
    drawn = np.maximum(drawn, time)
    leaves = time + rng.standard_exponential(size) / dropout_rate if dropout_rate > 0 else np.full(size, np.inf)
    completed = np.where(going, np.minimum(drawn, leaves), time)
    happens = np.where(going, (drawn <= leaves) & np.isfinite(drawn), seen)
    return Completed(completed, np.asarray(happens, dtype=bool))


def _check(
    time: Floats,
    seen: Flags,
    going: Flags,
    scale: Floats,
    shapes: tuple[Floats, ...],
    predictor: Floats,
    family: Family,
    metric: str,
    dropout_rate: float,
) -> None:
    problems = Problems()
    if seen.shape != time.shape or going.shape != time.shape:
        problems.add("event", f"and followed have shapes {seen.shape} and {going.shape}; elapsed has {time.shape}")
    else:
        if not np.all(np.isfinite(time) & (time >= 0)):
            problems.add("elapsed", "has times that are negative or no numbers")
        if np.any(seen & going):
            problems.add("followed", "is set for patients who have had the event", "Those are followed no longer.")
    if scale.ndim != time.ndim + 1:
        what = f"has {scale.ndim - 1} dimension{'s' if scale.ndim != 2 else ''}; it must have {time.ndim}"
        problems.add("log_scale", what, "The draws come first, then what elapsed has before its patients.")
    if len(shapes) != len(family.shape_parameters):
        problems.add("shape", f"has {len(shapes)} parameters; {family.name} has {len(family.shape_parameters)}")
    if not all(np.all(np.isfinite(item)) for item in (scale, predictor, *shapes)):
        problems.add("log_scale", "shape or linear_predictor have draws that are not finite", "Leave out the failed fit.")
    if metric not in (HAZARD_RATIO, TIME_RATIO):
        problems.add("metric", f"is {metric!r}", f"It can be {HAZARD_RATIO!r} or {TIME_RATIO!r}.")
    if not 0 <= dropout_rate < np.inf:
        problems.add("dropout_rate", f"must be a number that is not negative; it is {dropout_rate:g}")
    problems.raise_if_any(TrialError, "The imputation of the remaining times")


@dataclass(frozen=True, eq=False)
class PredictiveShare:
    """Share of completed sets in which the final rule holds.

    Parameters
    ----------
    probability, standard_error : ndarray, shape (...)
        The predictive probability of success and its Monte Carlo standard error.
    sets : int
        Completed sets, S.
    failed : ndarray of int, shape (...)
        Sets whose final analysis failed; they count as no success.
    """

    probability: Floats
    standard_error: Floats
    sets: int
    failed: NDArray[np.int64]


def predictive_share(success: ArrayLike, /) -> PredictiveShare:
    """Return the predictive probability from the final rule's answers in the completed sets.

    Parameters
    ----------
    success : array-like, shape (S, ...)
        1 or true where the rule holds, 0 where not, NaN where the final analysis failed.
    """
    answers = np.asarray(success, dtype=float)
    if answers.ndim == 0 or answers.shape[0] == 0:
        raise TrialError("There is no completed set: impute at least one.")
    failed = np.isnan(answers)
    if not np.all(failed | (answers == 0) | (answers == 1)):
        raise TrialError("Answers of the final rule must be 0, 1 or NaN. Apply its threshold first.")
    sets = answers.shape[0]
    share = np.where(failed, 0.0, answers).mean(axis=0)
    error = np.sqrt(share * (1 - share) / sets)
    return PredictiveShare(np.asarray(share), np.asarray(error), sets, np.asarray(failed.sum(axis=0), dtype=np.int64))
