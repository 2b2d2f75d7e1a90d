"""Describing a cohort: follow-up, and counts by site."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sitewise.cohort.kaplan_meier import kaplan_meier
from sitewise.cohort.table import Cohort


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
    person_time = cohort.weights * (cohort.time - cohort.entry)
    return pd.DataFrame(
        {
            "site": list(sites),
            "n": np.bincount(index, minlength=size)[:size],
            "events": np.bincount(index, weights=cohort.event, minlength=size)[:size].astype(int),
            "person_time": np.bincount(index, weights=person_time, minlength=size)[:size],
        }
    )
