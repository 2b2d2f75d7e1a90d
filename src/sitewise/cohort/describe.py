"""Describing a cohort: its table as validated, follow-up, and counts by site."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.kaplan_meier import KaplanMeier, kaplan_meier
from sitewise.cohort.synthetic import SYNTHETIC
from sitewise.cohort.table import Cohort


def validated_table(cohort: Cohort) -> pd.DataFrame:
    """Return a cohort as a table; see :attr:`Cohort.frame`."""
    names = cohort.columns
    table: dict[str, Any] = {names.id or "patient": cohort.id.to_numpy()}
    if cohort.site is not None and names.site:
        table[names.site] = cohort.site.array
    if names.lower is not None:
        table[names.lower] = cohort.time if cohort.lower is None else cohort.lower
        table[names.time] = np.where(cohort.event > 0, cohort.time, np.nan)
    else:
        table[names.time] = cohort.time
        table[names.event] = cohort.event.astype(int)
    if names.entry:
        table[names.entry] = cohort.entry
    if names.weights:
        table[names.weights] = cohort.weights
    table |= {str(name): values.array for name, values in cohort.covariates.items()}
    if cohort.synthetic:  # every row says so, wherever the table goes
        table[SYNTHETIC] = True
    return pd.DataFrame(table)


def curve_of(cohort: Cohort, rows: NDArray[np.bool_] | None, *, prob: float) -> KaplanMeier:
    """Return the Kaplan-Meier or Turnbull curve of some patients; see :meth:`Cohort.kaplan_meier`."""
    keep = np.ones(len(cohort), dtype=bool) if rows is None else rows
    time, event, others = cohort.time[keep], cohort.event[keep], {"entry": cohort.entry[keep], "weights": cohort.weights[keep]}
    if cohort.lower is None:
        return kaplan_meier(time, event, **others, prob=prob)
    from sitewise.cohort.turnbull import turnbull

    return turnbull(cohort.lower[keep], time, event, **others, prob=prob)


def follow_up(cohort: Cohort, *, prob: float) -> dict[str, float]:
    """Return the follow-up of a cohort; see :meth:`Cohort.follow_up`."""
    curve = kaplan_meier(cohort.time, 1 - cohort.event, entry=cohort.entry, weights=cohort.weights, prob=prob)
    median, lower, upper = curve.median()
    return {
        "reverse_kaplan_meier_median": median,
        "lower": lower,
        "upper": upper,
        "observed_median": float(np.median(cohort.time)),
        "maximum": float(cohort.time.max()),
    }


def counts_by_site(cohort: Cohort) -> pd.DataFrame:
    """Return patients, events and person-time by site; see :meth:`Cohort.counts_by_site`."""
    index, sites = cohort.site_index, cohort.site_labels
    size = len(sites)
    person_time = cohort.weights * (cohort.time_at_risk_to - cohort.entry)
    return pd.DataFrame(
        {
            "site": list(sites),
            "n": np.bincount(index, minlength=size)[:size],
            "events": np.bincount(index, weights=cohort.event, minlength=size)[:size].astype(int),
            "person_time": np.bincount(index, weights=person_time, minlength=size)[:size],
        }
    )
