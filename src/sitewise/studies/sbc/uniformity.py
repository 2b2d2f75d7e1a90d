"""Are PIT values uniform? Tests by arviz-stats, a folded one for spread, Holm's correction over quantities, and coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
METHOD = "pot_c"
COVERED = (0.5, 0.8, 0.9, 0.95)


def tests(pit: pd.DataFrame, /) -> pd.DataFrame:
    """Return a row for each quantity: p values of uniformity, and after Holm's correction over all tests of all quantities.

    Parameters
    ----------
    pit : DataFrame
        ``replicate, quantity, pit``.

    Returns
    -------
    DataFrame
        ``quantity, replicates, p, p_folded, p_holm, mean, sd_ratio``: ``p`` by arviz-stats' test for continuous PIT values,
        ``p_folded`` the same of abs(2 PIT - 1), which is uniform too, and small or large throughout where the posterior is too
        wide or too narrow; ``p_holm`` the smaller of the two after correction; ``mean`` of the PIT values (1/2 if unbiased),
        ``sd_ratio`` their sd over that of a uniform (above 1: posteriors are too narrow).
    """
    rows = []
    for quantity, own in pit.groupby("quantity", sort=False)["pit"]:
        values = own.dropna().to_numpy()
        if values.size < 2 or np.ptp(values) == 0:
            continue
        rows.append(
            {
                "quantity": quantity,
                "replicates": values.size,
                "p": p_value(values),
                "p_folded": p_value(np.abs(2 * values - 1)),
                "mean": values.mean(),
                "sd_ratio": values.std() * np.sqrt(12),
            }
        )
    table = pd.DataFrame(rows)
    corrected = holm(table[["p", "p_folded"]].to_numpy().ravel()).reshape(-1, 2).min(axis=1)
    table.insert(4, "p_holm", corrected)
    return table


def p_value(values: Floats) -> float:
    """Return the p value of uniformity on (0, 1) of values, by arviz-stats."""
    from arviz_stats.base import array_stats

    # The test takes values inside the interval; a value at an end is the nearest one inside.
    inside = np.clip(values, 1e-12, 1 - 1e-12)
    return float(np.asarray(array_stats.uniformity_test(inside, method=METHOD)[0]))


def holm(p: Floats) -> Floats:
    """Return p values corrected for their number (Holm 1979, Scand J Stat 6:65)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    corrected = np.empty_like(stepped)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def covered(pit: pd.DataFrame, /) -> pd.DataFrame:
    """Return how often equal-tailed intervals hold the truth: ``quantity, prob, coverage, mcse``."""
    rows = []
    for quantity, own in pit.groupby("quantity", sort=False)["pit"]:
        values = own.dropna().to_numpy()
        for prob in COVERED:
            share = float(np.mean(np.abs(values - 0.5) <= prob / 2))
            rows.append(
                {"quantity": quantity, "prob": prob, "coverage": share, "mcse": np.sqrt(prob * (1 - prob) / values.size)}
            )
    return pd.DataFrame(rows)


def bands(size: int, prob: float, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    """Return points and simultaneous limits of the ECDF of ``size`` uniform numbers, by arviz-stats (Saeilynoja 2022)."""
    from arviz_stats.ecdf_utils import ecdf_pit

    rng = np.random.default_rng(seed)
    points, _, lower, upper = ecdf_pit(np.linspace(0, 1, size), prob, 1000, rng=rng)
    return np.asarray(points), np.asarray(lower), np.asarray(upper)
