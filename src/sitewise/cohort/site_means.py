"""Case mix of a site as covariates: the means of numeric covariates at each patient's site, the shares of categories.

With both in a model, the coefficient of a covariate is its effect within sites, which patients of one site show, and that of
its site mean the contextual effect: how much more two sites differ than their patients' own values say (Mundlak 1978,
Econometrica 46:69). Without the mean one coefficient has to be both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.table import Cohort
from sitewise.problems import CohortError, Problems, listed, nearest

Floats = NDArray[np.float64]
MEAN, SHARE = "site_mean", "site_share"


def with_site_means(cohort: Cohort, covariates: Sequence[str], /) -> Cohort:
    """Return the cohort with columns for the case mix of its sites.

    Parameters
    ----------
    cohort : Cohort
        With sites.
    covariates : sequence of str
        Complete covariates. A numeric ``age`` adds ``age_site_mean``; a category of two levels, ``ecog``, adds
        ``ecog_site_share``, the share of the second level, and one of more levels a share for each but the first,
        ``stage_site_share_II``. Means are weighted as the patients are.

    Returns
    -------
    Cohort
        The same patients. A note says what was added. New people need the columns too: they say at what kind of site they are.

    Raises
    ------
    CohortError
        Naming every covariate that is unknown, incomplete or the same at all sites, and columns that exist already; without
        sites.
    """
    problems = Problems()
    if cohort.site is None:
        problems.add("column 'site'", "is not known, so that there are no sites", "Read the cohort with site=...")
        problems.raise_if_any(CohortError, "The cohort")
    if isinstance(covariates, str):
        covariates = [covariates]
    added: dict[str, Floats] = {}
    for name in covariates:
        if name not in cohort.covariates:
            problems.add(f"column '{name}'", "is no covariate of the cohort", nearest(name, cohort.covariates.columns))
            continue
        values = cohort.covariates[name]
        if values.isna().any():
            rows = cohort.table_rows(values.isna().to_numpy())
            problems.add(f"column '{name}'", "has missing values, so no mean at their sites", "Complete them.", rows)
            continue
        for new, own in _case_mix(name, values).items():
            means = _means(own, cohort)
            if new in cohort.covariates or new in added:
                problems.add(f"column '{new}'", "exists already", "Rename it.")
            elif np.ptp(means) <= 1e-12 * max(1.0, float(np.abs(means).max())):
                problems.add(f"column '{name}'", f"has the same {_word(new)} at all sites", "It cannot say how sites differ.")
            else:
                added[new] = means
    problems.raise_if_any(CohortError, "The cohort")
    note = f"Added the case mix of each patient's site: {listed(added)}."
    table = cohort.covariates.assign(**added)
    return replace(cohort, covariates=table, notes=(*cohort.notes, note))


def is_site_mean(column: str, covariates: Sequence[str]) -> bool:
    """Return whether a column is named like one that :func:`with_site_means` adds for one of these covariates."""
    return any(column in (f"{name}_{MEAN}", f"{name}_{SHARE}") or column.startswith(f"{name}_{SHARE}_") for name in covariates)


def _case_mix(name: str, values: pd.Series) -> Mapping[str, Floats]:
    """Return what is averaged, by the name of its mean: numbers as they are, levels after the first as zeros and ones."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return {f"{name}_{MEAN}": values.to_numpy(dtype=float)}
    levels = list(values.cat.categories)[1:]
    named = [f"{name}_{SHARE}"] if len(levels) == 1 else [f"{name}_{SHARE}_{level}" for level in levels]
    return {new: (values == level).to_numpy(dtype=float) for new, level in zip(named, levels, strict=True)}


def _means(values: Floats, cohort: Cohort) -> Floats:
    """Return the weighted mean at each patient's site, shape (n,)."""
    site, count = cohort.site_index, len(cohort.site_labels)
    total = np.bincount(site, weights=cohort.weights * values, minlength=count)
    size = np.bincount(site, weights=cohort.weights, minlength=count)
    return np.asarray((total / np.where(size > 0, size, 1.0))[site])


def _word(column: str) -> str:
    return "mean" if column.endswith(MEAN) else "share"
