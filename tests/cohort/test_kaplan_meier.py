"""Kaplan-Meier against lifelines and scipy, which are other implementations, and against arithmetic by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import sitewise as sw
from sitewise.cohort import packaged_path

# Both sides multiply the same factors in another order, so they agree to rounding.
ROUNDING = 1e-10


def by_lifelines(time, event, *, entry=None, weights=None, prob=0.95):
    """The curve of lifelines at its own event times, as (times, survival, lower, upper)."""
    from lifelines import KaplanMeierFitter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lifelines comments on weights that are not whole numbers
        fitted = KaplanMeierFitter(alpha=1 - prob).fit(time, event, entry=entry, weights=weights)
    times = np.unique(np.asarray(time)[np.asarray(event, dtype=bool)])
    limits = fitted.confidence_interval_.loc[times].to_numpy()
    return times, fitted.survival_function_.loc[times].to_numpy()[:, 0], limits[:, 0], limits[:, 1], fitted


def random_patients(seed, size=80, *, ties=True):
    rng = np.random.default_rng(seed)
    time = rng.exponential(10, size)
    time = np.ceil(time) if ties else time
    return time, (rng.uniform(size=size) < 0.6).astype(int), rng


def assert_like_lifelines(curve, theirs):
    times, survival, lower, upper, _ = theirs
    np.testing.assert_array_equal(curve.time, times)
    np.testing.assert_allclose(curve.survival, survival, atol=ROUNDING)
    known = curve.survival > 0  # at zero the log-log limits are undefined
    np.testing.assert_allclose(curve.lower[known], lower[known], atol=ROUNDING)
    np.testing.assert_allclose(curve.upper[known], upper[known], atol=ROUNDING)
    assert np.isnan(curve.lower[~known]).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("prob", [0.8, 0.95])
def test_like_lifelines(seed, prob):
    time, event, _ = random_patients(seed)
    assert_like_lifelines(sw.kaplan_meier(time, event, prob=prob), by_lifelines(time, event, prob=prob))


@pytest.mark.parametrize("seed", range(5))
def test_like_lifelines_with_weights(seed):
    time, event, rng = random_patients(seed)
    weights = rng.integers(1, 5, time.size).astype(float)
    assert_like_lifelines(sw.kaplan_meier(time, event, weights=weights), by_lifelines(time, event, weights=weights))


@pytest.mark.parametrize("seed", range(5))
def test_like_lifelines_with_delayed_entry(seed):
    time, event, rng = random_patients(seed, ties=False)
    # Ten patients are there from the start, so that nobody dies alone early on and sends the curve to zero.
    entry = np.where(np.arange(time.size) < 10, 0.0, time * rng.uniform(0, 0.9, time.size))
    assert_like_lifelines(sw.kaplan_meier(time, event, entry=entry), by_lifelines(time, event, entry=entry))


def test_zero_entry_is_no_entry():
    time, event, _ = random_patients(1)
    plain, late = sw.kaplan_meier(time, event), sw.kaplan_meier(time, event, entry=np.zeros_like(time))
    for name in ("time", "at_risk", "events", "survival", "lower", "upper"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(late, name))


def test_whole_weights_are_repeated_patients():
    time, event, rng = random_patients(3)
    weights = rng.integers(1, 4, time.size)
    weighted = sw.kaplan_meier(time, event, weights=weights)
    repeated = sw.kaplan_meier(np.repeat(time, weights), np.repeat(event, weights))
    np.testing.assert_allclose(weighted.survival, repeated.survival, atol=ROUNDING)
    np.testing.assert_allclose(weighted.upper, repeated.upper, atol=ROUNDING)


def test_the_last_patient_at_risk_dies_with_a_weight_that_is_no_binary_fraction():
    curve = sw.kaplan_meier([1, 2, 3], [1, 1, 1], weights=[0.1, 0.2, 0.3])
    assert curve.survival[-1] == 0
    assert np.isnan(curve.lower[-1])


# The same examples in every run, however slow the machine.
steady = settings(derandomize=True, deadline=None)

# Times with ties, in tenths, and events of any pattern.
patients = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=40)


@given(patients)
@steady
def test_properties(rows):
    time = np.array([row[0] for row in rows]) / 10
    event = np.array([row[1] for row in rows])
    curve = sw.kaplan_meier(time, event)
    steps = np.concatenate([[1.0], curve.survival])
    assert (np.diff(steps) < 0).all()
    assert ((steps >= 0) & (steps <= 1)).all()
    known = curve.survival > 0
    assert (curve.lower[known] <= curve.survival[known]).all()
    assert (curve.survival[known] <= curve.upper[known]).all()
    assert (curve.lower[known] >= 0).all()
    assert (curve.upper[known] <= 1).all()
    assert (curve.at_risk >= curve.events).all()
    assert curve.last == time.max()
    # Before the last time the estimate is that of scipy, and of 1 minus the distribution where nobody is censored.
    if event.any():
        theirs = stats.ecdf(stats.CensoredData(uncensored=time[event], right=time[~event])).sf
        np.testing.assert_allclose(curve.survival, theirs.evaluate(curve.time), atol=ROUNDING)
    if event.all():
        np.testing.assert_allclose(curve.survival, [(time > moment).mean() for moment in curve.time], atol=ROUNDING)


@given(patients, st.floats(0.05, 0.95))
@steady
def test_quantiles(rows, level):
    time = np.array([row[0] for row in rows]) / 10
    event = np.array([row[1] for row in rows])
    curve = sw.kaplan_meier(time, event)
    found = curve.quantile(level)[0]
    if np.isinf(found):
        assert curve.survival.size == 0 or curve.survival[-1] > 1 - level - 1e-9
    else:
        assert curve.at(found) <= 1 - level + 1e-9
        earlier = curve.survival[curve.time < found]
        assert (earlier > 1 - level).all()


def test_by_hand():
    """Five patients, worked on paper: deaths at 2 (of 5 at risk) and 4 (of 3), censored at 3 and 5, 5."""
    curve = sw.kaplan_meier([2, 3, 4, 5, 5], [1, 0, 1, 0, 0])
    np.testing.assert_array_equal(curve.time, [2, 4])
    np.testing.assert_array_equal(curve.at_risk, [5, 3])
    np.testing.assert_array_equal(curve.events, [1, 1])
    np.testing.assert_allclose(curve.survival, [4 / 5, 8 / 15], rtol=1e-14)
    variance = np.array([1 / (5 * 4), 1 / (5 * 4) + 1 / (3 * 2)])  # Greenwood's sum
    power = np.exp(stats.norm.ppf(0.975) * np.sqrt(variance) / np.log([4 / 5, 8 / 15]))
    np.testing.assert_allclose(curve.upper, np.array([4 / 5, 8 / 15]) ** power, rtol=1e-12)
    np.testing.assert_allclose(curve.lower, np.array([4 / 5, 8 / 15]) ** (1 / power), rtol=1e-12)


def test_steps_are_closed_on_the_left_and_end_with_follow_up():
    curve = sw.kaplan_meier([2, 3, 4, 5, 5], [1, 0, 1, 0, 0])
    np.testing.assert_allclose(curve.at([0, 1.999, 2, 3.999, 4, 5]), [1, 1, 0.8, 0.8, 8 / 15, 8 / 15], rtol=1e-14)
    assert np.isnan(curve.at(5.001))
    lower, upper = curve.limits_at([1, 2, 6])
    assert (lower[0], upper[0]) == (1, 1)
    assert lower[1] < 0.8 < upper[1]
    assert np.isnan(lower[2])
    assert np.isnan(upper[2])


def test_the_median_is_where_the_curve_reaches_one_half():
    assert sw.kaplan_meier([1, 2, 3, 4], [1, 1, 1, 1]).median()[0] == 2
    assert sw.kaplan_meier([1, 2, 3], [1, 1, 1]).median()[0] == 2
    assert sw.kaplan_meier([1, 2, 3, 4], [1, 0, 0, 0]).median()[0] == np.inf


def test_nobody_and_nobody_dead():
    empty = sw.kaplan_meier([], [])
    assert empty.median() == (np.inf, np.inf, np.inf)
    alive = sw.kaplan_meier([3.0, 4.0], [0, 0])
    assert alive.time.size == 0
    np.testing.assert_array_equal(alive.at([1, 4]), [1, 1])
    assert np.isnan(alive.at(5))


@pytest.fixture(scope="module")
def everyone():
    """All 228 patients of the packaged cohort, in days."""
    table = pd.read_csv(packaged_path("lung"))
    return sw.Cohort.from_frame(table, time="time_days", event="event", time_unit="days", covariates=["age"])


def test_lung_median_and_limits(everyone):
    """R's survfit(..., conf.type = "log-log") prints 310, 284 and 361 (285 and 363 with its default limits)."""
    assert (len(everyone), everyone.event.sum()) == (228, 165)
    assert everyone.kaplan_meier().median() == (310, 284, 361)


def test_lung_is_like_lifelines(everyone):
    from lifelines.utils import median_survival_times, qth_survival_times

    theirs = by_lifelines(everyone.time, everyone.event)
    curve = everyone.kaplan_meier()
    assert_like_lifelines(curve, theirs)
    assert curve.median()[1:] == tuple(median_survival_times(theirs[4].confidence_interval_).to_numpy()[0])
    for level in (0.1, 0.25, 0.75, 0.9):
        assert curve.quantile(level)[0] == qth_survival_times(1 - level, theirs[4].survival_function_)


def test_lung_follow_up_is_the_reverse_curve(everyone):
    from lifelines.utils import median_survival_times

    theirs = by_lifelines(everyone.time, 1 - everyone.event)[4]
    found = everyone.follow_up()
    assert found["reverse_kaplan_meier_median"] == theirs.median_survival_time_ == 588
    assert (found["lower"], found["upper"]) == tuple(median_survival_times(theirs.confidence_interval_).to_numpy()[0])
    assert found["observed_median"] == np.median(everyone.time)
    assert found["maximum"] == 1022


def test_the_probability_widens_the_limits(everyone):
    narrow, wide = everyone.kaplan_meier(prob=0.5).median(), everyone.kaplan_meier(prob=0.99).median()
    assert wide[1] < narrow[1] < 310 < narrow[2] < wide[2]
    assert everyone.follow_up(prob=0.5)["upper"] < everyone.follow_up(prob=0.99)["upper"]


def test_part_of_a_cohort(lung):
    rows = (lung.covariates["ecog"] == "0").to_numpy()
    theirs = by_lifelines(lung.time[rows], lung.event[rows])
    assert_like_lifelines(lung.kaplan_meier(rows), theirs)
    assert lung.kaplan_meier(rows).median()[0] == theirs[4].median_survival_time_
