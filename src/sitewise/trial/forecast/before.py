"""`forecast`: patients, events and dates of a trial before its start, by simulation of the design under a truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import Problems, TrialError
from sitewise.trial.conduct.held import look_times
from sitewise.trial.conduct.simulate import simulate_trials
from sitewise.trial.forecast.result import Forecast, curve_times
from sitewise.trial.forecast.summaries import check_prob
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.plan.looks import Look, check_looks
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]


def forecast(
    truth: Truth,
    /,
    *,
    arms: Arms,
    accrual: Accrual,
    follow_up: FollowUp,
    looks: tuple[Look, ...],
    trials: int = 2000,
    seed: int,
    prob: float = 0.95,
    times: Floats | Sequence[float] | None = None,
) -> Forecast:
    """Return the forecast of a trial before its start.

    Each simulated trial takes its own row of the truth, site effects and site rates, so that the intervals hold all that is
    uncertain.

    Parameters
    ----------
    truth : Truth
        What is taken as true.
    arms, accrual, follow_up, looks
        The design.
    trials : int
        Simulated trials M.
    seed : int
        Of the simulation.
    prob : float
        Probability of the prediction intervals.
    times : sequence of float, optional
        Calendar times of the curves; default 61 from the start to the close.

    Raises
    ------
    TrialError
        When numbers are out of range, or the looks are not possible.
    """
    check_prob(prob)
    checked_looks(looks, arms, follow_up)
    moments = curve_times(times, close=follow_up.close)
    made = simulate_trials(truth, arms=arms, accrual=accrual, follow_up=follow_up, trials=trials, seed=seed)
    return Forecast(
        trials=made,
        held=look_times(made, looks, close=follow_up.close),
        looks=tuple(look.name for look in looks),
        sites=tuple(f"site {number + 1}" for number in range(accrual.sites)),
        close=follow_up.close,
        times=moments,
        prob=prob,
        time_unit=truth.time_unit,
        notes=truth.notes,
    )


def checked_looks(looks: tuple[Look, ...], arms: Arms, follow_up: FollowUp) -> None:
    """Refuse looks that are not possible."""
    problems = Problems()
    check_looks(looks, patients=arms.patients, close=follow_up.close, problems=problems)
    problems.raise_if_any(TrialError, "The forecast")
