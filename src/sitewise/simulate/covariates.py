"""From latent normal variables to covariates: a Gaussian copula with sampled or exact margins.

Sampled: a patient's level (or value) is the quantile at Phi(latent). Exact: the quantile at (rank - 1/2) / n of the latent
among the cohort's n patients, so that every cohort has the stated margins to the nearest patient, and the dependence stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sitewise.simulate.parts import Categorical, Floats, Numeric
from sitewise.simulate.scenario import Scenario

HALF = 0.5 + 1e-9
"""Rounds n x share to the nearest patient, whatever the last digit of a sum of shares."""


def correlate(latent: Floats, correlation: Floats) -> Floats:
    """Return correlated standard normal variables, in place.

    Parameters
    ----------
    latent : ndarray, shape (m, p, n)
        Independent standard normal variables of m cohorts, p covariates, n patients.
    correlation : ndarray, shape (p, p)
        Correlation matrix.
    """
    factor = np.linalg.cholesky(correlation)
    for row in range(len(factor) - 1, -1, -1):  # from the last: each needs only those before it
        latent[:, row] *= factor[row, row]
        for column in np.flatnonzero(factor[row, :row]):
            latent[:, row] += factor[row, column] * latent[:, column]
    return latent


def column(covariate: Categorical | Numeric, latent: Floats, *, exact: bool) -> NDArray[Any]:
    """Return level numbers (int8) or values of a covariate, shape (m, n), from its latent variable of the same shape."""
    if isinstance(covariate, Categorical):
        return _levels(covariate, latent, exact)
    if not exact:
        return covariate.quantile(ndtr(latent))
    patients = latent.shape[-1]
    values = covariate.quantile((np.arange(patients) + 0.5) / patients)
    return np.asarray(values[latent.argsort(axis=-1).argsort(axis=-1)])


def _levels(covariate: Categorical, latent: Floats, exact: bool) -> NDArray[np.int8]:
    cuts = np.cumsum(covariate.shares)[:-1]
    if not exact:
        return _count_reached(latent, [float(cut) for cut in ndtri(cuts)])
    patients = latent.shape[-1]
    below = np.floor(patients * cuts + HALF).astype(int)
    below = below[below < patients]
    if not below.size:
        return np.zeros(latent.shape, dtype=np.int8)
    ordered = np.partition(latent, np.unique(below), axis=-1)
    return _count_reached(latent, [ordered[..., [position]] for position in below])


def _count_reached(latent: Floats, thresholds: list[Any]) -> NDArray[np.int8]:
    reached: NDArray[np.int8] = (latent >= thresholds[0]).view(np.int8)
    for threshold in thresholds[1:]:
        reached += latent >= threshold
    return reached


def labelled(codes: NDArray[Any], labels: Sequence[str]) -> pd.Categorical:
    """Return level numbers, shape (n,), as categories."""
    categories: Any = list(labels)
    return pd.Categorical.from_codes(codes, categories=categories)


def site_sizes(scenario: Scenario, patients: int) -> NDArray[np.int64]:
    """Return the patients of each site of a scenario."""
    return site_counts(scenario.sites.shares, patients)


def site_counts(shares: Sequence[float] | Floats, patients: int) -> NDArray[np.int64]:
    """Return the patients of each site that come nearest to the shares and sum to ``patients`` (largest remainder)."""
    wanted = np.asarray(shares) * patients
    sizes = np.floor(wanted + 1e-9).astype(np.int64)
    largest = np.argsort(sizes - wanted, kind="stable")[: patients - int(sizes.sum())]
    sizes[largest] += 1
    return sizes
