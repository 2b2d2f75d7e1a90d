"""Thresholds of a campaign: stated, calibrated to a type I error over its null scenarios, or by a spending function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from sitewise.problems import TrialError
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.campaign.results import TrialResults
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
        place = [item.name for item in results.design.criterion].index(plan.criterion)
        asked = ~np.isnan(wanted[:, place])
        if plan.method == "simulated":
            shape = WangTsiatisThreshold(0.0) if plan.shape == "obrien-fleming" else None
            times = fractions(results) if shape is not None else None
            found = calibrate(
                null_probabilities(results, plan.criterion, wanted),
                alpha=plan.alpha,
                shape=shape,
                fractions=times,
                looks=list(asked),
            )
            wanted[asked, place] = found.thresholds[asked]
        else:
            bounds = efficacy_bounds(fractions(results)[asked], spending=_spending(plan), alpha=plan.alpha)
            wanted[asked, place] = ndtr(bounds)
    used = found is not None
    tables = [_errors(results, wanted, "calibration" if used else "all")]
    tables += [_errors(validation, wanted, "validation")] if validation is not None and used else []
    return Thresholds(wanted, found, pd.concat(tables, ignore_index=True))


def fractions(results: TrialResults, /) -> Floats:
    """Return the mean share of the last look's events that each look has in the first scenario, shape (L,)."""
    data = results.data.isel(scenario=0)
    events = data["events"].where(data["status"] != NOT_HELD).mean("replicate").to_numpy()
    shares = np.asarray(events / events[-1], dtype=float)
    if not (np.isfinite(shares).all() and (np.diff(shares, prepend=0.0) > 0).all()):
        raise TrialError("Looks that are hardly ever held, or that see no new events, have no share of information.")
    return shares


def null_probabilities(results: TrialResults, name: str, thresholds: Floats, /) -> Floats:
    """Return the probabilities of one criterion in the null scenarios, shape (S, R, L).

    They are 0 where a look is not held or another success criterion fails (no threshold makes it a success), and not a number
    where the analysis gave none.
    """
    data = results.data.isel(scenario=np.flatnonzero(results.data["null"].to_numpy()))
    if data.sizes["scenario"] == 0:
        raise TrialError("There is no null scenario in the campaign, so no type I error to be held.")
    probability = data["probability"].to_numpy()
    names = [item.name for item in results.design.criterion]
    own = probability[..., names.index(name)].copy()
    own[data["status"].to_numpy() == NOT_HELD] = 0.0
    for place, item in enumerate(results.design.criterion):
        if item.role == SUCCESS and item.name != name:
            fails = ~np.isnan(thresholds[:, place]) & ~(probability[..., place] > thresholds[:, place])
            own[fails] = np.where(np.isnan(own[fails]), np.nan, 0.0)
    return np.asarray(own)


def _errors(results: TrialResults, thresholds: Floats, which: str) -> pd.DataFrame:
    names = results.data["scenario"].to_numpy()[results.data["null"].to_numpy()]
    asked, success = _successes(results, thresholds)
    found: TypeOneErrors = validate(np.where(asked, 0.5, np.nan), success)
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


def _successes(results: TrialResults, thresholds: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return at which looks success is asked, (L,), and where null trials have it: 1, 0, or not a number, (S, R, L)."""
    data = results.data.isel(scenario=np.flatnonzero(results.data["null"].to_numpy()))
    probability, held = data["probability"].to_numpy(), data["status"].to_numpy() != NOT_HELD
    role = np.array([item.role == SUCCESS for item in results.design.criterion])
    counts = role & ~np.isnan(thresholds)
    success = np.zeros(held.shape)
    for look, own in enumerate(counts):
        here = probability[..., look, own]
        made = (here > thresholds[look, own]).all(axis=-1).astype(float)
        success[..., look] = np.where(held[..., look], np.where(np.isnan(here).any(axis=-1), np.nan, made), 0.0)
    return counts.any(axis=1), success


def _spending(plan: CalibrationPlan) -> Spending:
    if plan.spending == "power":
        return PowerSpending(plan.parameter)
    if plan.spending == "gamma":
        return GammaSpending(plan.parameter)
    return OBrienFlemingSpending() if plan.spending == "obrien-fleming" else PocockSpending()
