"""Forecasts before the start against closed forms: accrual, expected events, dates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, gamma, nbinom, poisson

from sitewise.problems import TrialError
from sitewise.trial.forecast import forecast
from sitewise.trial.plan import Accrual, Arms, Dropout, FollowUp, Look, Trigger

TRIALS = 6_000
FINAL = (Look("final", Trigger(calendar=30.0)),)


def rate_truth(kit, rate=0.05):
    return kit.truth_of(log_scale=-np.log(rate))


def accrual_of(opening=(), **changes):
    return Accrual(**({"sites": 5, "rate": 0.6, "rate_shape": 1.5, "opening": opening} | changes))


def counted(kit, accrual, *, patients=300, close=30.0, trials=TRIALS, seed=1):
    return forecast(
        rate_truth(kit),
        arms=Arms("single-arm", patients),
        accrual=accrual,
        follow_up=FollowUp(close=close),
        looks=(Look("final", Trigger(calendar=close)),),
        trials=trials,
        seed=seed,
        times=[12.0, 24.0],
    )


def variance_near(kit, values, expected):
    """Assert the variance; the error of a variance is (fourth moment - variance^2) / M."""
    centred = values - values.mean()
    error = np.sqrt(((centred**4).mean() - values.var() ** 2) / values.size)
    assert abs(values.var(ddof=1) - expected) < kit.SE * error


def test_accrual_is_negative_binomial(kit):
    """Line 15 of the reference numbers: 5 sites for 24 months, shape 1.5, mean rate .6."""
    found = counted(kit, accrual_of())
    counts = found.patients_at(24.0)
    kit.near(counts, 72.0)
    variance_near(kit, counts, 763.2)
    kit.near(counts >= 60, 0.639130)
    law = nbinom(7.5, 7.5 / (7.5 + 72))
    for level in (20, 40, 100, 150):
        kit.near(counts <= level, law.cdf(level))
    one = nbinom(1.5, 1.5 / (1.5 + 14.4))
    at_site = found.patients_at(24.0, site="site 3")
    kit.near(at_site, 14.4)
    kit.near(at_site == 0, one.pmf(0))


def test_rates_as_stated_give_a_poisson_number(kit):
    counts = counted(kit, accrual_of(rate_shape=None)).patients_at(24.0)
    kit.near(counts, 72.0)
    kit.near(counts >= 60, 0.933048)
    kit.near(counts <= 80, poisson(72).cdf(80))


def test_staggered_openings(kit):
    """Line 15: openings at 0, 3, 6, 9, 12."""
    counts = counted(kit, accrual_of(opening=(0, 3, 6, 9, 12))).patients_at(24.0)
    kit.near(counts, 54.0)
    variance_near(kit, counts, 464.4)


def test_quantiles_of_the_table_are_those_of_the_negative_binomial(kit):
    table = counted(kit, accrual_of()).counts
    row = table[(table.quantity == "patients") & (table.site == "all") & (table.time == 24.0)].iloc[0]
    law = nbinom(7.5, 7.5 / (7.5 + 72))
    for name, level in {"lower": 0.025, "median": 0.5, "upper": 0.975}.items():
        error = kit.SE * np.sqrt(level * (1 - level) / TRIALS)
        assert law.ppf(level - error) <= row[name] <= law.ppf(level + error)
    assert row["mean_mcse"] == pytest.approx(np.sqrt(763.2 / TRIALS), rel=0.05)


def test_full_accrual_of_a_poisson_process_is_a_gamma_date(kit):
    found = counted(kit, accrual_of(rate_shape=None), patients=60, close=25.0)
    row = found.milestones.set_index("milestone").loc["full accrual"]
    law = gamma(60, scale=1 / 3)
    assert abs(row["probability"] - law.cdf(25.0)) < kit.SE * row["probability_mcse"]
    assert np.isnan(row["mean"])
    for name, level in {"lower": 0.025, "median": 0.5}.items():
        assert abs(row[name] - law.ppf(level)) < kit.SE * row[f"{name}_mcse"]
        own = np.sqrt(level * (1 - level) / TRIALS) / law.pdf(law.ppf(level))
        assert row[f"{name}_mcse"] == pytest.approx(own, rel=0.35)
    assert row["upper"] == np.inf or row["upper"] <= 25.0
    assert (row["upper"] == np.inf) == (law.sf(25.0) > 0.025)


def test_expected_events_with_dropout(kit):
    """Line 2: lambda .2, eta .1, accrual over 12, at 24, one patient a unit of time."""
    found = forecast(
        rate_truth(kit, 0.2),
        arms=Arms("single-arm", 12),
        accrual=Accrual(sites=1, rate=1.0, pattern="uniform"),
        follow_up=FollowUp(close=30.0, dropout=Dropout(share=float(-np.expm1(-1.0)), by=10.0)),
        looks=FINAL,
        trials=TRIALS,
        seed=2,
        times=[24.0],
    )
    kit.near(found.events_at(24.0), 7.94094)
    row = found.counts.query("quantity == 'events' and site == 'all'").iloc[0]
    assert abs(row["mean"] - 7.94094) < kit.SE * row["mean_mcse"]


def test_events_of_a_randomised_trial(kit):
    """Line 3 (vignette of npsurvSS): medians 12 and 15, accrual 6, dropout median 120."""
    truth = kit.truth_of(log_scale=np.log(12 / np.log(2)), effect=np.log(0.8))
    found = forecast(
        truth,
        arms=Arms("randomised", 240),
        accrual=Accrual(sites=4, rate=10.0, pattern="uniform"),
        follow_up=FollowUp(close=60.0, dropout=Dropout(share=0.5, by=120.0)),
        looks=(Look("final", Trigger(events=150)),),
        trials=4000,
        seed=3,
    )
    kit.near(found.events_at(18.0), 124.3367)
    kit.near(found.events_at(23.7566), 150.0)
    dates = found.event_date([100, 150])
    final = found.milestones.set_index("milestone").loc["final"]
    assert dates["median"].iloc[1] == final["median"]
    # The date is near normal: its error by the delta method, with 1.5 % for the curve's bend between the expected and the median.
    assert dates["median"].iloc[1] == pytest.approx(23.7566, rel=0.015)
    below = found.events_at(float(dates["median"].iloc[1])) >= 150
    assert abs(below.mean() - 0.5) < 1e-3


def test_the_date_of_the_nth_event_of_exponential_times_by_order_statistics(kit):
    """All enrolled nearly at once: the k-th of n exponential times is a sum of spacings (Renyi 1953)."""
    found = forecast(
        rate_truth(kit, 0.1),
        arms=Arms("single-arm", 40),
        accrual=Accrual(sites=2, rate=1e9, pattern="uniform"),
        follow_up=FollowUp(close=500.0),
        looks=(Look("final", Trigger(events=30)),),
        trials=TRIALS,
        seed=4,
    )
    row = found.event_date(30).iloc[0]
    spacings = 1 / (0.1 * np.arange(40, 10, -1))
    assert abs(row["mean"] - spacings.sum()) < kit.SE * row["mean_mcse"]
    dates = found.held.calendar[:, 0]
    variance_near(kit, dates, (spacings**2).sum())
    completion = found.milestones.set_index("milestone").loc["completion"]
    assert completion["mean"] == pytest.approx(row["mean"], rel=1e-12)


def test_curves_sites_and_dates_agree_with_each_other(kit):
    found = counted(kit, accrual_of(), trials=300)
    table = found.counts
    for quantity in ("patients", "events"):
        own = table[table.quantity == quantity]
        by_site = own[own.site != "all"].groupby("time")["mean"].sum()
        np.testing.assert_allclose(by_site, own[own.site == "all"].set_index("time")["mean"], rtol=1e-12)
        np.testing.assert_array_equal(found.paths[quantity].sel(time=24.0), getattr(found, f"{quantity}_at")(24.0))
    totals = found.site_totals.set_index("site")
    assert totals["mean"].iloc[:-1].sum() == pytest.approx(totals.loc["all", "mean"])
    assert (totals["none"].iloc[:-1] > 0).all()
    date = found.event_date(20)
    assert date["probability"].iloc[0] == (found.events_at(30.0) >= 20).mean()
    at_site = found.event_date(3, site="site 1")
    assert at_site["probability"].iloc[0] == (found.events_at(30.0, site="site 1") >= 3).mean()
    narrower = found.event_date(10, prob=0.5)
    assert narrower["lower"].iloc[0] > found.event_date(10)["lower"].iloc[0]


def test_an_event_target_that_is_not_reached_is_held_at_the_close(kit):
    found = forecast(
        rate_truth(kit, 0.02),
        arms=Arms("single-arm", 30),
        accrual=Accrual(sites=1, rate=1e9, pattern="uniform"),
        follow_up=FollowUp(close=10.0),
        looks=(Look("interim", Trigger(calendar=5.0)), Look("final", Trigger(events=6))),
        trials=4000,
        seed=5,
    )
    rows = found.milestones.set_index("milestone")
    reached = binom(30, -np.expm1(-0.2)).sf(5)
    assert abs(rows.loc["final", "probability"] - reached) < kit.SE * rows.loc["final", "probability_mcse"]
    assert rows.loc["completion", "upper"] == 10.0
    assert rows.loc["completion", "probability"] == 1
    assert rows.loc["final", "upper"] == np.inf
    assert 0.9 < rows.loc["interim", "held"] < 1


def test_site_spread_widens_the_interval_of_events(kit):
    """Events of one site with a log-normal effect: mean and variance by quadrature of the mixed binomial."""
    truth = kit.truth_of(log_scale=np.log(10.0), site_sd=0.8)
    found = forecast(
        truth,
        arms=Arms("single-arm", 50),
        accrual=Accrual(sites=1, rate=1e9, pattern="uniform"),
        follow_up=FollowUp(close=10.0),
        looks=(Look("final", Trigger(calendar=10.0)),),
        trials=TRIALS,
        seed=6,
    )
    at, weight = np.polynomial.hermite_e.hermegauss(60)
    chance = -np.expm1(-0.5 * np.exp(0.8 * at))
    weight = weight / weight.sum()
    mean = 50 * (weight * chance).sum()
    variance = (weight * 50 * chance * (1 - chance)).sum() + 2500 * (weight * chance**2).sum() - mean**2
    counts = found.events_at(5.0)
    kit.near(counts, mean)
    variance_near(kit, counts, variance)
    assert variance > 3 * mean * (1 - mean / 50)


def test_what_is_impossible_is_refused(kit):
    good = {
        "arms": Arms("single-arm", 20),
        "accrual": Accrual(sites=1, rate=1.0),
        "follow_up": FollowUp(close=30.0),
        "looks": FINAL,
        "trials": 20,
        "seed": 1,
    }
    truth = rate_truth(kit)
    with pytest.raises(TrialError, match="prob is 1"):
        forecast(truth, **good, prob=1.0)
    with pytest.raises(TrialError, match="ascending"):
        forecast(truth, **good, times=[3.0, 2.0])
    with pytest.raises(TrialError, match="between 0 and 30"):
        forecast(truth, **good, times=[3.0, 31.0])
    with pytest.raises(TrialError, match="waits for 21 events of 20 patients"):
        forecast(truth, **(good | {"looks": (Look("final", Trigger(events=21)),)}))
    with pytest.raises(TrialError, match="trials must be at least 1"):
        forecast(truth, **(good | {"trials": 0}))
    found = forecast(truth, **good)
    with pytest.raises(TrialError, match="between 1 and 20"):
        found.event_date([3, 21])
    with pytest.raises(TrialError, match="no site 'site 2'"):
        found.patients_at(3.0, site="site 2")
    with pytest.raises(TrialError, match="lasts from 0"):
        found.events_at(31.0)
