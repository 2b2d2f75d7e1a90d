"""Curves of the cohort among those of cohorts simulated from its fit: Kaplan-Meier by group and site, and predictive shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.classical.kaplan_meier import kaplan_meier_at
from sitewise.classical.ordering import Ordered
from sitewise.cohort import Cohort
from sitewise.cohort.kaplan_meier import kaplan_meier
from sitewise.models.model_data import ModelData
from sitewise.studies.checking.reference import Replicate

Floats = NDArray[np.float64]
TIMES = 100
"""Times at which curves are told."""
SHARES = np.linspace(0.02, 0.98, 49)
"""Predicted shares at which the seen ones are told."""


def overlays(
    cohort: Cohort,
    replicates: Sequence[Replicate],
    rows: Mapping[str, NDArray[np.bool_]],
    *,
    guarantee_time: float,
    prob: float,
) -> pd.DataFrame:
    """Return Kaplan-Meier curves of groups, seen and simulated.

    Simulated patients are censored as the cohort's were, and weigh what those weigh whose covariates they have. Events in
    intervals count at their later end, in both.

    Returns
    -------
    DataFrame
        ``group, time, seen``, then median and limits of the simulated curves: ``simulated, lower, upper``; empty beyond the
        group's last time.
    """
    curves = _simulated_curves([replicate.data for replicate in replicates], cohort, guarantee_time)
    parts = []
    for label, members in rows.items():
        last = float(cohort.time[members].max())
        times = np.linspace(0.0, last, TIMES)
        own = kaplan_meier(
            cohort.time[members], cohort.event[members], entry=cohort.entry[members], weights=cohort.weights[members]
        ).at(times)
        lower, middle, upper = _limits(curves(members, times), prob)
        parts.append(
            pd.DataFrame({"group": label, "time": times, "seen": own, "simulated": middle, "lower": lower, "upper": upper})
        )
    return pd.concat(parts, ignore_index=True)


def _simulated_curves(
    simulated: Sequence[ModelData], cohort: Cohort, guarantee_time: float
) -> Callable[[NDArray[np.bool_], Floats], Floats]:
    """Return a function of members (n,) and times (T,) to the members' simulated curves (R, T)."""
    times = np.stack([np.exp(each.log_time) + guarantee_time for each in simulated])
    events = np.stack([each.event > 0 for each in simulated])
    entry = np.minimum(cohort.entry, np.nextafter(times, 0.0)) if (cohort.entry > 0).any() else None
    if np.ptp(cohort.weights) == 0:  # a weight that all have changes no curve, and curves without weights are quicker
        ordered = Ordered.of(times, events, entry)

        def alike(members: NDArray[np.bool_], at: Floats) -> Floats:
            return kaplan_meier_at(ordered, at, include=np.broadcast_to(members, times.shape)).survival

        return alike

    def weighted(members: NDArray[np.bool_], at: Floats) -> Floats:
        values = []
        for place in range(len(times)):
            curve = kaplan_meier(
                times[place, members],
                events[place, members],
                entry=None if entry is None else entry[place, members],
                weights=cohort.weights[members],
            )
            values.append(curve.at(np.minimum(at, curve.last)))  # carried on beyond the last time, as those without weights
        return np.array(values)

    return weighted


def predictive_shares(own: tuple[Floats, Floats], replicates: Sequence[tuple[Floats, Floats]], *, prob: float) -> pd.DataFrame:
    """Return the share of patients whose event came within a predicted share, seen and simulated.

    Parameters
    ----------
    own : tuple of ndarray, shapes (n,)
        Predictive probabilities of an event before each patient's time, and whether it is an event.
    replicates : sequence of the same
        Of simulated cohorts.
    prob : float
        Probability of the limits.

    Returns
    -------
    DataFrame
        ``predicted, seen, simulated, lower, upper``: one minus the Kaplan-Meier curve of the probabilities, whose patients are
        censored where their times are.
    """
    seen = _shares(*own)
    lower, middle, upper = _limits(np.array([_shares(*each) for each in replicates]), prob)
    return pd.DataFrame({"predicted": SHARES, "seen": seen, "simulated": middle, "lower": lower, "upper": upper})


def _shares(probability: Floats, event: Floats) -> Floats:
    return 1.0 - kaplan_meier(probability, event).at(SHARES)


def _limits(values: Floats, prob: float) -> Floats:
    """Return lower limit, median and upper limit over simulated cohorts (R, T), shape (3, T); NaN where none has a value."""
    known = np.isfinite(values).any(axis=0)
    result = np.full((3, values.shape[1]), np.nan)
    result[:, known] = np.nanquantile(values[:, known], [0.5 - prob / 2, 0.5, 0.5 + prob / 2], axis=0)
    return result
