"""Thresholds of a campaign: stated, calibrated to a type I error over its null scenarios, or by a spending function."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import FAILED
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.campaign.results import TrialResults
from sitewise.trial.operating.by_arm import criteria_of_arms
from sitewise.trial.operating.decisions import SUCCESS, thresholds_of
from sitewise.trial.plan.simulation import CalibrationPlan
from sitewise.trial.sequential.bounds import efficacy_bounds
from sitewise.trial.sequential.calibration import Calibration, calibrate
from sitewise.trial.sequential.shapes import WangTsiatisThreshold
from sitewise.trial.sequential.spending import (
    GammaSpending,
    OBrienFlemingSpending,
    PocockSpending,
    PowerSpending,
    Spending,
)
from sitewise.trial.sequential.type_one_errors import TypeOneErrors, validate

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Thresholds, and the type I errors that they have in the null scenarios.

    Parameters
    ----------
    values : ndarray, shape (L, C)
        Of each look and criterion; not a number where a criterion does not count.
    found : Calibration or None
        How they were calibrated by simulation, if they were.
    errors : DataFrame
        ``scenario, type_one_error, standard_error, lower, upper`` of every null scenario, on the campaign's own trials; with
        ``set`` "calibration" where these gave the thresholds, and "validation" of an independent campaign.
    """

    values: Floats
    found: Calibration | None
    errors: pd.DataFrame


def thresholds_for(results: TrialResults, /, *, validation: TrialResults | None = None) -> Thresholds:
    """Return the thresholds of a campaign's design.

    Parameters
    ----------
    results : TrialResults
        With all null scenarios.
    validation : TrialResults, optional
        The same null scenarios with another seed: thresholds that were found on trials hold alpha on these by construction, and
        only other ones say what they are worth.

    Raises
    ------
    TrialError
        When the trials are too few, or no threshold holds alpha.
    """
    plan = results.design.calibration
    wanted = thresholds_of(results.design)
    found = None
    if plan is not None:
        own = [place for place, item in enumerate(results.design.criterion) if item.name in plan.names]
        asked = ~np.isnan(wanted[:, own[0]])
        if plan.method == "simulated":
            shape = WangTsiatisThreshold(0.0) if plan.shape == "obrien-fleming" else None
            times = fractions(results, asked) if shape is not None else None
            found = calibrate(
                null_probabilities(results, plan.names, wanted),
                alpha=plan.alpha,
                shape=shape,
                fractions=times,
                looks=list(asked),
            )
            wanted[np.ix_(asked, own)] = found.thresholds[asked, None]
        else:
            bounds = efficacy_bounds(fractions(results, asked)[asked], spending=_spending(plan), alpha=plan.alpha)
            wanted[np.ix_(asked, own)] = ndtr(bounds)[:, None]
    used = found is not None
    tables = [_errors(results, wanted, "calibration" if used else "all")]
    tables += [_errors(validation, wanted, "validation")] if validation is not None and used else []
    return Thresholds(wanted, found, pd.concat(tables, ignore_index=True))


def fractions(results: TrialResults, asked: NDArray[np.bool_], /) -> Floats:
    """Return the share of the last asked look's events that each asked look has in the first scenario, shape (L,).

    Over the trials that hold both: those that hold an early look may be others than those that hold the last. NaN at looks that
    are not asked.

    Raises
    ------
    TrialError
        When looks see no new events, so that shares do not rise.
    """
    data = results.data.isel(scenario=0).transpose("replicate", "look", ...)
    events, held = data["events"].to_numpy(), (data["status"] != NOT_HELD).to_numpy()
    places = np.flatnonzero(asked)
    shares = np.full(asked.shape, np.nan)
    for place in places:
        both = held[:, place] & held[:, places[-1]]
        last = events[both, places[-1]].sum()
        shares[place] = events[both, place].sum() / last if last else np.nan
    own = shares[places]
    if not (np.isfinite(own).all() and (np.diff(own, prepend=0.0) > 0).all()):
        names = [look.name for look in results.design.look]
        shown = ", ".join(f"{names[place]} {shares[place]:.3g}" for place in places)
        raise TrialError(
            f"Looks must see new events one after the other for this calibration; of the last look's events they see: {shown}. "
            "Move the looks apart, or use a constant threshold (method = 'simulated', shape = 'constant')."
        )
    return shares


def null_probabilities(results: TrialResults, names: Collection[str], thresholds: Floats, /) -> Floats:
    """Return, in the null scenarios, the probability that decides success of the trial at each look, shape (S, R, L).

    The trial succeeds at a look if and only if this is above the threshold that the named criteria share. Of an experimental
    arm it is the smallest probability of its named criteria, or 0 where another success criterion of the arm fails (no
    threshold makes it a success); of an arm that has no named one it is 1 where the arm succeeds anyway. Of the trial it is the
    largest of its arms, so that what is calibrated is the probability that any arm succeeds, the family-wise error; with
    ``arms.success = "all"`` it is the smallest.

    Parameters
    ----------
    results : TrialResults
        With all null scenarios.
    names : collection of str
        Criteria that share a threshold; none: 1 where the trial succeeds by the thresholds given.
    thresholds : ndarray, shape (L, C)
        Of the other criteria.

    Returns
    -------
    ndarray, shape (S, R, L)
        0 where a look is not held, and not a number where the analysis gave none.
    """
    design = results.design
    data = results.data.isel(scenario=np.flatnonzero(results.data["null"].to_numpy()))
    if data.sizes["scenario"] == 0:
        raise TrialError("There is no null scenario in the campaign, so no type I error to be held.")
    probability, status = data["probability"].to_numpy(), data["status"].to_numpy()
    of_arms = [_of_arm(results, places, names, thresholds, probability) for places in criteria_of_arms(design, SUCCESS)]
    # A look without an estimate of one arm can be a success of another; one whose analysis failed is none.
    found = np.fmax.reduce(of_arms) if design.arms.success == "any" else np.minimum.reduce(of_arms)
    found[status == FAILED] = np.nan
    found[status == NOT_HELD] = 0.0
    return np.asarray(found)


def _of_arm(
    results: TrialResults, places: list[int], names: Collection[str], thresholds: Floats, probability: Floats
) -> Floats:
    """Return the probability that decides success of one experimental arm, shape (S, R, L)."""
    criteria = results.design.criterion
    named = [place for place in places if criteria[place].name in names]
    others = [place for place in places if place not in named]
    counts = ~np.isnan(thresholds[:, places]).all(axis=1)
    own = probability[..., named].min(axis=-1, initial=1.0)
    if not named:
        own = np.where(counts, own, 0.0)
    fails = (~np.isnan(thresholds[:, others]) & ~(probability[..., others] > thresholds[:, others])).any(axis=-1)
    own[fails] = np.where(np.isnan(own[fails]), np.nan, 0.0)
    return np.asarray(own)


def _errors(results: TrialResults, thresholds: Floats, which: str) -> pd.DataFrame:
    names = results.data["scenario"].to_numpy()[results.data["null"].to_numpy()]
    found: TypeOneErrors = validate(np.full(len(thresholds), 0.5), null_probabilities(results, (), thresholds))
    return pd.DataFrame(
        {
            "set": which,
            "scenario": names,
            "type_one_error": found.type_one_error,
            "standard_error": found.standard_error,
            "lower": found.lower,
            "upper": found.upper,
        }
    )


def _spending(plan: CalibrationPlan) -> Spending:
    if plan.spending == "power":
        return PowerSpending(plan.parameter)
    if plan.spending == "gamma":
        return GammaSpending(plan.parameter)
    return OBrienFlemingSpending() if plan.spending == "obrien-fleming" else PocockSpending()
