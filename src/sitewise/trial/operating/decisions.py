"""`decide`: thresholds applied to what every look showed: where each trial stops, and why.

A look succeeds when every success criterion that counts there holds; a trial that has not, stops for futility when one futility
criterion holds. With several experimental arms that is said of each: the look succeeds when any arm does, or all do, as
``arms.success`` says, and the trial is futile when each arm is. What could not be estimated is no success and no futility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sitewise.problems import TrialError, nearest
from sitewise.trial.analysis.analysis import FAILED
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.campaign.results import TrialResults
from sitewise.trial.operating.by_arm import criteria_of_arms, of_trial, success_of_arms
from sitewise.trial.operating.predicted import fill_imputed
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.design import TrialDesign

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
SUCCESS: Final = "success"
FUTILITY: Final = "futility"


class Outcome(IntEnum):
    """How a trial ends."""

    NONE = 0
    SUCCESS = 1
    FUTILITY = 2
    FAILED = 3


@dataclass(frozen=True, eq=False)
class Decisions:
    """Where and how trials end.

    Parameters
    ----------
    stop : ndarray of int, shape (S, R)
        Position of the look at which the trial ends.
    outcome : ndarray of int, shape (S, R)
        :class:`Outcome`. FAILED: the analysis of the look at which it would have been decided did not succeed.
    thresholds : ndarray, shape (L, C)
        What was applied; not a number where a criterion does not count.
    predicted : ndarray, shape (S, R, L, C)
        Predictive probabilities of the predictive criteria, not a number elsewhere.
    of_arm : ndarray of bool, shape (S, R, E)
        Whether all success criteria of each experimental arm hold at the look at which the trial ends.
    """

    stop: NDArray[np.int64]
    outcome: NDArray[np.int64]
    thresholds: Floats
    predicted: Floats
    of_arm: Flags


def thresholds_of(design: TrialDesign, changes: Mapping[str, float | Floats] | None = None, /) -> Floats:
    """Return the probability that each criterion needs at each look, shape (L, C); not a number where it does not count.

    Parameters
    ----------
    design : TrialDesign
        The design.
    changes : mapping of str to float or ndarray, shape (L,), optional
        Other thresholds, by the criteria's names.

    Raises
    ------
    TrialError
        When a name is unknown or a threshold is not inside (0, 1).
    """
    names = [item.name for item in design.criterion]
    found = np.full((len(design.look), len(names)), np.nan)
    for place, item in enumerate(design.criterion):
        for number, look in enumerate(design.look):
            by_default = item.role == SUCCESS or number + 1 < len(design.look)
            if look.name in item.looks if item.looks else by_default:
                found[number, place] = item.probability
    for name, value in (changes or {}).items():
        if name not in names:
            raise TrialError(f"There is no criterion '{name}'. {nearest(name, names)}")
        own = np.broadcast_to(np.asarray(value, dtype=float), (len(design.look),))
        if not ((own > 0) & (own <= 1)).all():
            raise TrialError(f"A threshold of '{name}' is not inside (0, 1): {', '.join(f'{each:g}' for each in own)}.")
        place = names.index(name)
        found[:, place] = np.where(np.isnan(found[:, place]), np.nan, own)
    return found


def decide(results: TrialResults, /, *, thresholds: Floats | None = None) -> Decisions:
    """Return where and how every trial ends.

    Parameters
    ----------
    results : TrialResults
        What every look showed.
    thresholds : ndarray, shape (L, C), optional
        Default: the design's own.
    """
    design = results.design
    wanted = thresholds_of(design) if thresholds is None else thresholds
    data = results.data
    status = data["status"].to_numpy()
    probability = data["probability"].to_numpy()
    predicted = _predicted(results, wanted)
    of_arms = success_of_arms(design, probability, wanted)
    success = of_trial(design, of_arms)
    futile = np.zeros(of_arms.shape, bool)
    for arm, places in enumerate(criteria_of_arms(design, FUTILITY)):
        for place in places:
            values = (predicted if design.criterion[place].predictive else probability)[..., place]
            futile[..., arm] |= values < wanted[:, place]  # never where it does not count
    futility = futile.all(axis=-1)
    held = status != NOT_HELD
    ends = held & (success | futility)
    ends[..., -1] = True
    stop = np.argmax(ends, axis=-1)
    outcome = np.full(stop.shape, int(Outcome.NONE))
    outcome[_at(futility & held, stop)] = Outcome.FUTILITY
    outcome[_at(success & held, stop)] = Outcome.SUCCESS
    outcome[_at(status == FAILED, stop)] = Outcome.FAILED
    where = np.take_along_axis(of_arms, stop[..., None, None], axis=2)[..., 0, :]
    return Decisions(stop, outcome, wanted, predicted, where & (outcome != Outcome.FAILED)[..., None])


def _at(flags: Flags, stop: NDArray[np.int64]) -> Flags:
    return np.asarray(np.take_along_axis(flags, stop[..., None], axis=-1)[..., 0])


def _predicted(results: TrialResults, thresholds: Floats) -> Floats:
    """Return the predictive probability of each predictive criterion at each look, shape (S, R, L, C).

    The share of information is that of the trial's events, with several arms too.
    """
    design, data = results.design, results.data
    found = np.full(data["probability"].shape, np.nan)
    if not any(item.predictive for item in design.criterion):
        return found
    events = data["events"].to_numpy().astype(float)
    planned = _planned_events(results)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.maximum(events / planned, 0.0)
    for own, final in zip(criteria_of_arms(design, FUTILITY), criteria_of_arms(design, SUCCESS), strict=True):
        each = [
            np.stack(
                [
                    predictive_probability(
                        data["estimate"].to_numpy()[number, ..., place],
                        data["sd"].to_numpy()[number, ..., place],
                        design.criterion[place],
                        share[number],
                        float(thresholds[-1, place]),
                        lasting_sd=float(world.lasting_sd[place]) if world.lasting_sd.size else 0.0,
                    )
                    for number, world in enumerate(results.worlds)
                ]
            )
            for place in final
            if not np.isnan(thresholds[-1, place])
        ]
        asked = [place for place in own if design.criterion[place].predictive]
        if each and asked:
            found[..., asked] = np.min(each, axis=0)[..., None]
    fill_imputed(found, results, thresholds)
    return found


def _planned_events(results: TrialResults) -> float:
    """Return the number of events that the last look is planned to have: its trigger's, or the planned world's mean."""
    simple = results.design.look[-1].when.simple
    if simple is not None and simple[0] == "events":
        return simple[1]
    return float(results.data["events"].isel(look=-1, scenario=0).mean())


def predictive_probability(
    estimate: Floats, sd: Floats, criterion: Criterion, share: Floats, threshold: float, *, lasting_sd: float = 0.0
) -> Floats:
    """Return the probability, given a look, that a criterion holds at the last look.

    The posterior at the look is N(m, s^2). With a share f of the information it will be N(m', f s^2) at the end, and m' itself
    is N(m, (1 - f) s^2) given what is known now (Spiegelhalter, Abrams & Myles 2004, section 6.6.3). The criterion then holds
    when m' is beyond its bound by z sqrt(f) s. Against an uncertain benchmark s^2 has a part that stays as it is.

    Parameters
    ----------
    estimate, sd : ndarray
        Posterior mean and sd at the look, on the scale on which the criterion's bound is (log for ratios and medians).
    criterion : Criterion
        A success criterion.
    share : ndarray
        Share of the final information that the look has: events over the planned number.
    threshold : float
        Probability that the criterion needs at the end.
    lasting_sd : float
        The part of ``sd`` that the rest of the trial leaves as it is.
    """
    logarithmic = criterion.estimand in ("hazard_ratio", "median")
    bound = np.log(criterion.bound) if logarithmic else criterion.bound
    sign = 1.0 if criterion.wants_less else -1.0
    part = np.clip(share, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.sqrt(np.maximum(sd**2 - lasting_sd**2, 0.0))  # a prior may have made it a little smaller than the benchmark's
        needed = sign * (bound - estimate) - ndtri(threshold) * np.hypot(np.sqrt(part) * own, lasting_sd)
        found = np.where(part < 1, ndtr(needed / (np.sqrt(1 - part) * own)), (needed > 0).astype(float))
    return np.where(np.isnan(needed), np.nan, found)
