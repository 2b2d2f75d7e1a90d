"""What can be fitted but should worry: sentences that reach the report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sitewise.problems import listed, plural

YEARS_PER_UNIT = {"days": 1 / 365.25, "weeks": 7 / 365.25, "months": 1 / 12, "years": 1.0}
"""Length of the known time units in years; other units are taken as they are and not checked."""

LONGEST_PLAUSIBLE_MEDIAN_YEARS = 15.0
SHORTEST_PLAUSIBLE_MAXIMUM_YEARS = 7 / 365.25
FEW_VALUES = 6


def implausible_times(time: np.ndarray, unit: str) -> list[str]:
    """Warn when the times look like another unit than the one stated."""
    if unit not in YEARS_PER_UNIT or time.size == 0:
        return []
    years = time * YEARS_PER_UNIT[unit]
    median, maximum = float(np.median(years)), float(years.max())
    if median > LONGEST_PLAUSIBLE_MEDIAN_YEARS:
        return [
            f"times have a median of {np.median(time):.4g} {unit} ({median:.0f} years): are they in days? "
            "Set time_unit to the unit of the column, or divide."
        ]
    if maximum < SHORTEST_PLAUSIBLE_MAXIMUM_YEARS:
        return [
            f"the longest time is {time.max():.4g} {unit} (under a week): are the times in months or years? "
            "Set time_unit to the unit of the column."
        ]
    return []


def sparse_levels(frame: pd.DataFrame, event: np.ndarray) -> list[str]:
    """Warn of levels of categorical covariates that have patients and no events."""
    found = []
    for name in frame.columns:
        if not isinstance(frame[name].dtype, pd.CategoricalDtype):
            continue
        for level in frame[name].cat.categories:
            rows = (frame[name] == level).to_numpy()
            if rows.sum() and not event[rows].any():
                size = plural(rows.sum(), "patient", "patients")
                found.append(f"{name} = '{level}' has {size} and no events: its effect rests on the prior.")
    return found


def lone_sites(site: pd.Series) -> list[str]:
    """Warn of sites with a single patient."""
    counts = site.value_counts(sort=False)
    lone = [str(name) for name, count in counts.items() if count == 1]
    if not lone:
        return []
    if len(lone) == 1:
        return [f"site {listed(lone)} has a single patient: its effect is mostly the prior's."]
    return [f"{len(lone)} sites have a single patient each ({listed(lone)}): their effects are mostly the prior's."]


def few_valued_numbers(frame: pd.DataFrame) -> list[str]:
    """Warn of whole-number columns with few values, which enter as a linear effect."""
    found = []
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            continue
        distinct = np.unique(values.dropna().to_numpy(dtype=float))
        if 2 < distinct.size <= FEW_VALUES and np.all(distinct == np.round(distinct)):
            found.append(
                f"{name} has {distinct.size} whole-number values and enters as one linear effect per unit, unless the formula "
                f"has mo({name}); name it in `reference` (or `levels`) to treat it as categories."
            )
    return found
