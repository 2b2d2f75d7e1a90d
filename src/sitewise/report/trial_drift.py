"""All ways of borrowing on an assessed design's own numbers of events, over a range of drift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pandas as pd

from sitewise.report.trial_values import nominal
from sitewise.trial.assessment import Assessment
from sitewise.trial.borrowing import BorrowingDesign, drift_sweep, sweet_spot
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.plan.arms import CONTROL
from sitewise.trial.plan.cohorts import Method
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.sources import method_of
from sitewise.trial.truth.further import ratios_of

REACH, STEPS = 1.0, 41
"""Largest drift on either side, a log hazard ratio, and number of drifts; as many steps of the search for sweet spots."""


@dataclass(frozen=True, eq=False)
class DriftSweep:
    """What borrowing buys and risks.

    Parameters
    ----------
    table : DataFrame
        ``method, drift, hazard_ratio, quantity, value`` of :func:`sitewise.trial.borrowing.drift_sweep`, and
        ``in_sweet_spot``.
    sweet_spots : dict of str to tuple of pairs
        Intervals of drift of each method in which type I error is at most nominal and power above that without borrowing.
    planned : str
        The design's own method.
    nominal : float
        Type I error that is aimed at.
    hazard_ratio : float
        At which power is compared.
    bound : float
        Of the design's criterion; the sweep is about a hazard ratio below 1.
    numbers : BorrowingDesign
        Events of both arms and of the cohort, and the threshold.
    """

    table: pd.DataFrame
    sweet_spots: dict[str, tuple[tuple[float, float], ...]]
    planned: str
    nominal: float
    hazard_ratio: float
    bound: float
    numbers: BorrowingDesign


def swept(found: Assessment, /) -> DriftSweep | None:
    """Return the sweep of a design that borrows; none where it does not, or where there is nothing to sweep.

    That is where no success criterion about a hazard ratio counts at the last look, or where an arm has no events there. Events
    are the means of the planned scenario at the last look, of the control arm and of the experimental arm that the first such
    criterion is about, and the threshold is the last look's.
    """
    plan, history, design = found.design.borrowing, found.cohorts.borrows, found.design
    last_thresholds = found.thresholds.values[-1]
    # Not a number where a criterion does not count; one that is calibrated may be 1, above which nothing is.
    places = [at for at, item in enumerate(design.criterion) if _about_a_ratio(item) and 0 < last_thresholds[at] < 1]
    if plan is None or history is None or not places:
        return None
    place = places[0]
    criterion = design.criterion[place]
    last = found.results.data.isel(scenario=0, look=-1)
    events = last["events_of_arm"].where(last["status"] != NOT_HELD).mean("replicate")
    experimental, control = (float(events.sel(arm=name)) for name in (criterion.arm, CONTROL))
    own, other = (experimental, control) if plan.arm == "experimental" else (control, experimental)
    if not (own > 0 and other > 0):
        return None
    numbers = BorrowingDesign(plan.arm, own, other, history.sd**-2, float(last_thresholds[place]))
    methods = {name: method_of(replace(plan, method=name)) for name in get_args(Method)}
    truth = found.results.worlds[0].truth
    ratio = float(np.exp(np.median(ratios_of(truth)[design.arms.names.index(criterion.arm) - 1])))
    level = nominal(found)
    table = drift_sweep(numbers, methods, drift=np.linspace(-REACH, REACH, STEPS), hazard_ratio=ratio)
    spots = {
        name: sweet_spot(numbers, method, hazard_ratio=ratio, type_i_error=level, drift=(-REACH, REACH), steps=STEPS - 1)
        for name, method in methods.items()
    }
    table["in_sweet_spot"] = [
        any(low <= drift <= high for low, high in spots[method])
        for method, drift in zip(table["method"], table["drift"], strict=True)
    ]
    return DriftSweep(table, spots, plan.method, level, ratio, criterion.bound, numbers)


def _about_a_ratio(item: Criterion) -> bool:
    return item.role == "success" and item.estimand == "hazard_ratio" and item.wants_less
