"""What borrowing buys and risks as the cohort drifts away from the trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, ndtr

from sitewise.problems import Problems, TrialError
from sitewise.trial.borrowing.design import Analysed, BorrowingDesign, check_inside, success_probability
from sitewise.trial.borrowing.effective_sample_size import borrowed_events
from sitewise.trial.borrowing.methods import Borrowing, NoBorrowing
from sitewise.trial.borrowing.mixture import Floats

GAIN = 1e-9
"""Gains of power below this are rounding."""
CLOSE = 1e-8
"""How closely ends of intervals and thresholds are found."""


def drift_sweep(
    design: BorrowingDesign,
    methods: Mapping[str, Borrowing],
    /,
    *,
    drift: ArrayLike,
    hazard_ratio: ArrayLike,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return exact operating characteristics of ways of borrowing over a grid of drift.

    Parameters
    ----------
    design : BorrowingDesign
        Events and threshold.
    methods : mapping of str to Borrowing
        Ways of borrowing by the labels that they get in the table.
    drift : array-like, a number or shape (D,)
        Log hazard ratio of the trial's borrowing arm against the cohort: the cohort is moved, the trial stays.
    hazard_ratio : array-like, a number or shape (H,)
        Hazard ratios of the experimental against the control arm at which power is wanted.
    level : float
        Of the equal-tailed posterior intervals whose coverage is given.

    Returns
    -------
    DataFrame
        ``method``, ``drift``, ``hazard_ratio``, ``quantity``, ``value``. Quantities: ``power`` at each hazard ratio;
        ``type_i_error`` (hazard ratio 1); and what does not depend on it (hazard ratio NaN): ``bias`` and
        ``mean_squared_error`` of the posterior mean of the log hazard ratio, ``coverage``, and the mean number of events
        borrowed by both definitions, ``borrowed_events_moment`` and ``borrowed_events_elir``. Events of the trial are
        as the design states whatever the hazard ratio.
    """
    problems = Problems()
    check_inside(problems, level=level)
    problems.raise_if_any(TrialError, "The sweep of drift")
    shifts, ratios = (np.atleast_1d(np.asarray(part, dtype=float)) for part in (drift, hazard_ratio))
    tables = [
        pd.DataFrame({"method": label, "drift": shifts, "hazard_ratio": ratio, "quantity": quantity, "value": values})
        for label, method in methods.items()
        for quantity, ratio, values in _quantities(Analysed.of(design, method, drift=shifts), ratios, level=level)
    ]
    return pd.concat(tables, ignore_index=True)


def _quantities(analysed: Analysed, ratios: Floats, *, level: float) -> list[tuple[str, float, Floats]]:
    design, posterior, se = analysed.design, analysed.posterior, analysed.other_se
    success = analysed.success(np.append(ratios, 1.0), threshold=design.threshold)
    # Given the borrowing arm's estimate, the interval covers when the other arm's error lies between two quantiles.
    low, high = (analysed.with_other.quantile(share) for share in ((1 - level) / 2, (1 + level) / 2))
    centre = posterior.mean()
    sign = 1.0 if design.borrowed_arm == "experimental" else -1.0
    own = design.borrowed_events**-0.5
    return [
        *(("power", float(ratio), success[:, place]) for place, ratio in enumerate(ratios)),
        ("type_i_error", 1.0, success[:, -1]),
        ("bias", np.nan, sign * analysed.expected(centre)),
        ("mean_squared_error", np.nan, analysed.expected(centre**2) + se**2),
        ("coverage", np.nan, analysed.expected(ndtr(high / se) - ndtr(low / se))),
        ("borrowed_events_moment", np.nan, analysed.expected(borrowed_events(posterior, se=own, definition="moment"))),
        ("borrowed_events_elir", np.nan, analysed.expected(borrowed_events(posterior, se=own, definition="elir"))),
    ]


def calibrated_threshold(
    design: BorrowingDesign, method: Borrowing, /, *, type_i_error: float, drift: ArrayLike = 0.0
) -> float:
    """Return the threshold at which the largest type I error over given drifts is as stated.

    A drift range makes this a calibration over a null space; with a single drift of 0 the cohort is believed.

    Parameters
    ----------
    design : BorrowingDesign
        Events; its own threshold plays no part.
    method : Borrowing
        How the cohort is used.
    type_i_error : float
        Inside (0, 1).
    drift : array-like, a number or shape (D,)
        Drifts over which the largest counts: those given, none between.

    Raises
    ------
    TrialError
        When no threshold inside (0, 1) attains it to double precision.
    """
    problems = Problems()
    check_inside(problems, type_i_error=type_i_error)
    problems.raise_if_any(TrialError, "The calibration")
    analysed = Analysed.of(design, method, drift=drift)

    def excess(logit: float) -> float:
        return float(analysed.success(1.0, threshold=float(expit(logit))).max()) - type_i_error

    low, high = -33.0, 33.0
    if not excess(low) > 0 > excess(high):
        raise TrialError(
            f"No threshold makes the type I error {type_i_error:g}: at drifts so far from the cohort it stays "
            "near 0 or 1. Narrow the range of drift."
        )
    return float(expit(brentq(excess, low, high, xtol=CLOSE)))


def sweet_spot(
    design: BorrowingDesign,
    method: Borrowing,
    /,
    *,
    hazard_ratio: float,
    type_i_error: float,
    drift: tuple[float, float],
    reference: Borrowing | None = None,
    reference_threshold: float | None = None,
    steps: int = 120,
) -> tuple[tuple[float, float], ...]:
    """Return the intervals of drift where borrowing wins power without paying in type I error.

    There the type I error of the borrowing design is at most nominal and its power above that of the same trial without
    borrowing (Viele et al. 2014, Pharmaceutical Statistics 13:41, call this the sweet spot).

    Parameters
    ----------
    design : BorrowingDesign
        Events and threshold of the borrowing design.
    method : Borrowing
        How the cohort is used.
    hazard_ratio : float
        Hazard ratio at which power is compared.
    type_i_error : float
        Nominal level.
    drift : tuple of float
        Range that is searched.
    reference : Borrowing, optional
        What borrowing is compared with; :class:`NoBorrowing` with a flat prior if none is given.
    reference_threshold : float, optional
        Threshold of the reference: the design's own if none is given; :func:`calibrated_threshold` of the reference gives
        the comparison at the same nominal level.
    steps : int
        Steps of the search: intervals narrower than one may be missed.

    Returns
    -------
    tuple of pairs
        Intervals, in order, their ends found to 1e-8; empty if there is none. An end that is an end of the range searched says
        that the interval reaches at least there.
    """
    if not drift[0] < drift[1]:
        raise TrialError(f"drift must be a range, its first number below its second; it is {drift[0]:g} to {drift[1]:g}.")
    if steps < 1:
        raise TrialError(f"steps must be 1 or more; they are {steps}.")
    compared = NoBorrowing() if reference is None else reference

    def margins(at: ArrayLike) -> Floats:
        ours = success_probability(design, method, drift=at, hazard_ratio=[1.0, hazard_ratio])
        theirs = success_probability(design, compared, drift=at, hazard_ratio=hazard_ratio, threshold=reference_threshold)
        return np.minimum(type_i_error - ours[:, 0], ours[:, 1] - theirs[:, 0] - GAIN)

    grid = np.linspace(*drift, steps + 1)
    return _where_positive(grid, margins(grid), margin=lambda place: float(margins(place)[0]))


def _where_positive(grid: Floats, values: Floats, *, margin: Callable[[float], float]) -> tuple[tuple[float, float], ...]:
    inside = values > 0
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    ends = [float(brentq(margin, grid[place], grid[place + 1], xtol=CLOSE)) for place in changes]
    if inside[0]:
        ends.insert(0, float(grid[0]))
    if inside[-1]:
        ends.append(float(grid[-1]))
    return tuple(zip(ends[::2], ends[1::2], strict=True))
