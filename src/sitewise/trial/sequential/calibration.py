"""Thresholds of a posterior probability that hold a type I error over a null space.

A null space is a set of scenarios without a benefit: baselines, accrual, site spreads, drifts. The thresholds are the smallest
of their shape under which the largest type I error of the scenarios is at most alpha. A trial succeeds if and only if the
largest of its looks' scalars (:mod:`sitewise.trial.sequential.shapes`) is above the scalar: the answer is an order statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.problems import Problems, TrialError
from sitewise.trial.sequential.shapes import ConstantThreshold, ThresholdShape
from sitewise.trial.sequential.type_one_errors import SURE, TypeOneErrors, counted_looks, errors_of, probabilities_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibrated thresholds.

    Parameters
    ----------
    thresholds : ndarray, shape (L,)
        Success is a posterior probability strictly above the threshold of its look; NaN at looks that are not asked.
    scalar : float
        The number of the shape that was calibrated.
    alpha : float
        Type I error that was to be held.
    threshold_low, threshold_high : ndarray, shape (L,)
        Distribution-free 95 % limits of the thresholds: those of the alpha quantile in the worst scenario.
    errors : TypeOneErrors
        Type I errors on the very replicates that gave the thresholds, at most alpha by construction: see
        :func:`sitewise.trial.sequential.validate`.
    """

    thresholds: Floats
    scalar: float
    alpha: float
    threshold_low: Floats
    threshold_high: Floats
    errors: TypeOneErrors

    @property
    def threshold_standard_error(self) -> Floats:
        """Monte Carlo standard error of each threshold, (L,), from the width of its limits."""
        return np.asarray((self.threshold_high - self.threshold_low) / (2 * SURE))


def calibrate(
    probability: ArrayLike,
    /,
    *,
    alpha: float,
    shape: ThresholdShape | None = None,
    fractions: ArrayLike | None = None,
    looks: Sequence[bool] | None = None,
    futility: ArrayLike | None = None,
) -> Calibration:
    """Return the smallest thresholds whose largest type I error over the null scenarios is at most alpha.

    Parameters
    ----------
    probability : array-like, shape (S, R, L)
        Posterior probability of a benefit in each null scenario, replicate and look; NaN where the analysis failed.
    alpha : float
        Type I error to be held.
    shape : ThresholdShape, optional
        How thresholds go over the looks; constant by default.
    fractions : array-like, shape (L,), optional
        Information fraction of each look; needed by every shape but the constant one.
    looks : sequence of bool, length L, optional
        Looks at which success is asked, by default all.
    futility : array-like of bool, shape (S, R, L), optional
        Where trials stop for futility, if that is binding: success at later looks no longer counts. By default futility is
        non-binding and has no part in the type I error.

    Returns
    -------
    Calibration

    Raises
    ------
    TrialError
        When there are fewer than 1 / alpha replicates, or no threshold below 1 holds alpha.
    """
    values, asked, times = _checked(probability, alpha, shape, fractions, looks)
    form = shape if shape is not None else ConstantThreshold()
    counted = counted_looks(values, asked, futility)
    most = int(np.floor(alpha * values.shape[1] + 1e-9))
    if most < 1:
        raise TrialError(
            f"{values.shape[1]} replicates cannot show a type I error of {alpha:g}: simulate {int(np.ceil(1 / alpha))} or more."
        )
    scalars = form.scalars(counted, times[asked])
    best = np.sort(np.where(np.isnan(scalars), -np.inf, scalars).max(axis=-1), axis=1)[:, ::-1]
    worst = int(np.argmax(best[:, most]))
    scalar, thresholds = _kept(form, float(best[worst, most]), times[asked], counted, most)
    if np.all(thresholds >= 1.0):
        raise TrialError(
            f"No threshold below 1 holds a type I error of {alpha:g}: in scenario {worst + 1} more trials than that reach a "
            "posterior probability of 1. Look at the analysis prior and at that scenario."
        )
    spread = SURE * float(np.sqrt(values.shape[1] * alpha * (1 - alpha)))
    last = values.shape[1] - 1
    strict = float(best[worst, max(int(np.floor(most - spread)), 0)])
    loose = float(best[worst, min(int(np.ceil(most + spread)), last)])
    errors = errors_of(values, _spread(thresholds, asked), asked, futility)
    return Calibration(
        _spread(thresholds, asked),
        scalar,
        alpha,
        _spread(form.thresholds(loose, times[asked]), asked),
        _spread(form.thresholds(strict, times[asked]), asked),
        errors,
    )


def _kept(form: ThresholdShape, scalar: float, times: Floats, counted: Floats, most: int) -> tuple[float, Floats]:
    """Return scalar and thresholds; a rounding of the shape that lets the boundary replicate through is stepped over."""
    step = 0.0
    while True:
        moved = scalar + step * max(1.0, abs(scalar)) if np.isfinite(scalar) else scalar
        thresholds = form.thresholds(moved, times)
        with np.errstate(invalid="ignore"):
            if int((counted > thresholds).any(axis=-1).sum(axis=1).max()) <= most or step > 1e-6:
                return moved, thresholds
        step = max(10 * step, 1e-15)


def _spread(thresholds: Floats, asked: Flags) -> Floats:
    levels = np.full(asked.shape, np.nan)
    levels[asked] = thresholds
    return levels


def _checked(
    probability: ArrayLike,
    alpha: float,
    shape: ThresholdShape | None,
    fractions: ArrayLike | None,
    looks: Sequence[bool] | None,
) -> tuple[Floats, Flags, Floats]:
    values = probabilities_of(probability)
    problems = Problems()
    if not 0 < alpha < 1:
        problems.add("alpha", f"must lie between 0 and 1; it is {alpha:g}")
    asked = np.ones(values.shape[2], dtype=bool) if looks is None else np.asarray(looks, dtype=bool)
    if asked.shape != values.shape[2:] or not asked.any():
        problems.add("looks", f"must say of each of {values.shape[2]} looks whether it is asked, and ask one")
    times = np.ones(values.shape[2]) if fractions is None else np.asarray(fractions, dtype=float)
    if fractions is None and not (shape is None or isinstance(shape, ConstantThreshold)):
        problems.add("fractions", "is missing", "This shape needs the information fraction of each look.")
    elif fractions is not None and (times.shape != values.shape[2:] or not np.all(np.diff(times[asked], prepend=0.0) > 0)):
        problems.add("fractions", f"must be positive and rise over {values.shape[2]} looks; they are {times.tolist()}")
    problems.raise_if_any(TrialError, "The calibration")
    return values, asked, times
