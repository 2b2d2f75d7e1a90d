"""Draws of a prediction in numbers: mean, median, prediction interval, each with its Monte Carlo standard error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import TrialError

Floats = NDArray[np.float64]


def check_prob(prob: float) -> None:
    """Refuse a probability of an interval that is none."""
    if not 0 < prob < 1:
        raise TrialError(f"prob is {prob:g}; the probability of a prediction interval lies inside (0, 1).")


def summarised(values: Floats | NDArray[np.int64], /, *, prob: float) -> dict[str, Floats]:
    """Return what draws on the first axis say, as columns of a table.

    A quantile is an order statistic, so that a date that never comes, which is infinite, can be a limit of an interval. Its
    Monte Carlo error is half the distance between the order statistics one binomial standard deviation to either side
    (the ranks of draws below a quantile are binomial). The mean of dates of which some are infinite is not a number.

    Parameters
    ----------
    values : ndarray, shape (M, ...)
        Draws.
    prob : float
        Probability of the equal-tailed prediction interval.
    """
    draws = np.sort(np.asarray(values, dtype=float), axis=0)
    number = draws.shape[0]
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(draws).all(axis=0)
        mean = np.where(finite, draws.mean(axis=0), np.nan)
        spread = draws.std(axis=0, ddof=1) if number > 1 else np.full(draws.shape[1:], np.nan)
        columns = {"mean": mean, "mean_mcse": np.where(finite, spread / np.sqrt(number), np.nan)}
        for name, level in {"median": 0.5, "lower": (1 - prob) / 2, "upper": (1 + prob) / 2}.items():
            columns[name], columns[f"{name}_mcse"] = _quantile(draws, level)
    return columns


def _quantile(ordered: Floats, level: float) -> tuple[Floats, Floats]:
    number = ordered.shape[0]
    either_side = np.sqrt(number * level * (1 - level))
    ranks = np.array([number * level - either_side, number * level, number * level + either_side])
    below, here, above = np.clip(np.ceil(ranks - 1e-9).astype(int) - 1, 0, number - 1)
    return ordered[here], np.asarray((ordered[above] - ordered[below]) / 2)


def share(reached: NDArray[np.bool_], /) -> tuple[Floats, Floats]:
    """Return the share of draws, on the first axis, and its Monte Carlo standard error."""
    probability = reached.mean(axis=0)
    return np.asarray(probability), np.asarray(np.sqrt(probability * (1 - probability) / reached.shape[0]))
