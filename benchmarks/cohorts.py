"""Cohorts of the benchmark and verification programs: patients of several sites from a Weibull model."""

from __future__ import annotations

import numpy as np
import pandas as pd

SITE_SHARES = (0.35, 0.20, 0.20, 0.15, 0.10)


def covariate_table(patients: int, rng: np.random.Generator, shares: tuple[float, ...] = SITE_SHARES) -> pd.DataFrame:
    """Return site, ECOG and Child-Pugh class of ``patients`` patients: half ECOG >= 1, a sixth Child-Pugh B."""
    sizes = np.floor(np.asarray(shares) * patients).astype(int)
    sizes[0] += patients - sizes.sum()
    site = np.repeat([f"site {number + 1}" for number in range(len(shares))], sizes)
    ecog = np.where(np.arange(patients) % 2 == 0, "0", ">=1")
    child_pugh = np.where(np.arange(patients) % 6 == 3, "B", "A")
    return pd.DataFrame({"site": site, "ecog": rng.permutation(ecog), "child_pugh": rng.permutation(child_pugh)})


def survival_times(
    table: pd.DataFrame,
    rng: np.random.Generator,
    *,
    shape: float = 0.9,
    scale: float = 30.0,
    ecog: float = 0.6,
    child_pugh: float = 0.9,
    site_sd: float = 0.3,
) -> pd.DataFrame:
    """Return the table with months of survival or follow-up: a Weibull with site effects, censored between 12 and 60 months."""
    labels, site = np.unique(table["site"], return_inverse=True)
    effect = rng.normal(0.0, site_sd, labels.size)[site]
    predictor = ecog * (table["ecog"] != "0") + child_pugh * (table["child_pugh"] == "B") + effect
    time = scale * (rng.standard_exponential(len(table)) / np.exp(predictor)) ** (1 / shape)
    censored = rng.uniform(12.0, 60.0, len(table))
    return table.assign(time=np.minimum(time, censored), event=(time <= censored).astype(int))
