"""Prediction intervals hold what they promise: simulated trials cut at an interim, the forecast against what came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from sitewise.families import Weibull
from sitewise.trial.conduct import look_times, simulate_trials
from sitewise.trial.forecast import forecast_from
from sitewise.trial.plan import Accrual, Arms, Dropout, FollowUp, Look, Trigger

TRIALS, DRAWS = 200, 199
CUT, LATER, CLOSE = 9.0, 16.0, 400.0
LOOKS = (Look("final", Trigger(events=45)),)
ARMS = Arms("randomised", 70)
FOLLOW_UP = FollowUp(close=CLOSE, dropout=Dropout(share=0.2, by=24.0))
ERROR = 1e-3
"""Probability that a band of a right forecast is missed."""


def settings(kit, kind):
    opening = (0.0, 1.0, 2.0, 4.0, 12.0)
    accrual = Accrual(sites=5, rate=1.2, rate_shape=None if kind == "known" else 1.2, opening=opening, ramp=2.0)
    rows = 1 if kind == "known" else 250
    rng = np.random.default_rng(7)
    uncertain = 0.0 if kind == "known" else 1.0
    truth = kit.truth_of(
        log_scale=np.log(14.0) + 0.35 * uncertain * rng.standard_normal(rows),
        family=Weibull(),
        shape=(1.2 * np.exp(0.2 * uncertain * rng.standard_normal(rows)),),
        groups=("good", "poor"),
        log_hazard_ratio=(0.0, 0.6),
        shares=(0.5, 0.5),
        site_sd=0.4 * uncertain,
        effect=-0.4 + 0.25 * uncertain * rng.standard_normal(rows),
    )
    return truth, accrual, opening


@pytest.fixture(scope="module", params=["known", "drawn"])
def forecasts(kit, request):
    """Return what came and what was forecast: completion dates and events by a later time, over many trials."""
    truth, accrual, opening = settings(kit, request.param)
    made = simulate_trials(truth, arms=ARMS, accrual=accrual, follow_up=FOLLOW_UP, trials=TRIALS, seed=11)
    finished = look_times(made, LOOKS, close=CLOSE).calendar[:, 0]
    events = (made.event_calendar <= LATER).sum(axis=1)
    patients = (made.enrolled <= LATER).sum(axis=1)
    content = {"date": [], "events": [], "patients": [], "interval": []}
    for number in range(TRIALS):
        assert finished[number] > CUT
        found = forecast_from(
            truth,
            kit.cut_of(made, number, CUT, truth=truth, opened=list(opening)),
            arms=ARMS,
            accrual=accrual,
            follow_up=FOLLOW_UP,
            looks=LOOKS,
            trials=DRAWS,
            seed=number,
            prob=0.8,
            times=[CUT],
            least_ess=1.0,  # the trials come from these very rows: however few agree, the forecast is right
        )
        row = found.event_date(45).iloc[0]
        content["interval"].append(row["lower"] <= finished[number] <= row["upper"])
        rng = np.random.default_rng(number)
        for name, draws, truth_of_it in (
            ("date", found.held.calendar[:, 0], finished[number]),
            ("events", found.events_at(LATER), events[number]),
            ("patients", found.patients_at(LATER), patients[number]),
        ):
            # Ranks among the draws, ties broken at random, are uniform if the forecast is right.
            ties = (draws == truth_of_it).sum()
            content[name].append(((draws < truth_of_it).sum() + rng.integers(0, ties + 1)) / (DRAWS + 1))
    return {name: np.array(values) for name, values in content.items()}


@pytest.mark.parametrize("name", ["date", "events", "patients"])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (0.0, 0.5)])
def test_shares_of_trials_inside_the_interval(forecasts, name, low, high):
    rank = forecasts[name]
    inside = ((rank >= low) & (rank < high)).sum()
    fewest, most = binom.ppf([ERROR / 2, 1 - ERROR / 2], TRIALS, high - low)
    assert fewest <= inside <= most, inside / TRIALS


def test_the_table_covers_as_its_order_statistics_do(forecasts):
    """The 80 % limits are draws 20 and 180 of 199: a right forecast covers with probability 160 / 200."""
    fewest, most = binom.ppf([ERROR / 2, 1 - ERROR / 2], TRIALS, 0.8)
    assert fewest <= forecasts["interval"].sum() <= most


def test_rates_that_are_taken_as_known_give_intervals_that_are_too_narrow(kit):
    """Trials of uncertain rates, forecast as if the planned rates were the sites' own: the band would not hold them."""
    truth, accrual, opening = settings(kit, "drawn")
    made = simulate_trials(truth, arms=ARMS, accrual=accrual, follow_up=FOLLOW_UP, trials=TRIALS, seed=11)
    inside = 0
    for number in range(TRIALS):
        found = forecast_from(
            truth,
            kit.cut_of(made, number, CUT, truth=truth, opened=list(opening)),
            arms=ARMS,
            accrual=replace(accrual, rate_shape=None),
            follow_up=FOLLOW_UP,
            looks=LOOKS,
            trials=DRAWS,
            seed=number,
            survival="prior",
            times=[CUT],
        )
        draws, came = found.patients_at(LATER), (made.enrolled[number] <= LATER).sum()
        inside += np.quantile(draws, 0.1) <= came <= np.quantile(draws, 0.9)
    assert inside < binom.ppf(ERROR / 2, TRIALS, 0.8)
